"""Certification paths (RFC 5280 §6.1): built and validated by our own engine, pure and bounded.

    P1  building, from the target upwards by name and signature (`path_search`)   PATH-NO-ISSUER, PATH-LIMIT
    P2  per certificate, from the anchor down
        P2.1 signature and algorithm      §6.1.3 (a)(1)     PATH-SIGNATURE, PATH-ALGORITHM
        P2.2 validity at the time asked   §6.1.3 (a)(2)     PATH-EXPIRED, PATH-NOT-YET-VALID
        P2.3 name chaining                §6.1.3 (a)(4)     by construction of P1
        P2.4 name constraints             §6.1.3 (b)(c)     PATH-NAME-CONSTRAINTS
        P2.5 policies (`policy_graph`)    §6.1.3 (d)-(f)    PATH-POLICY, PATH-POLICY-MAPPING
        P2.6 version, CA, path length     §6.1.4 (k)-(m)    PATH-NOT-CA, PATH-LENGTH
        P2.7 keyCertSign                  §6.1.4 (n)        PATH-KEY-USAGE
        P2.8 critical extensions          §6.1.4 (o)        PATH-CRITICAL, PATH-DUPLICATE, PATH-EXTENSION
    P3  wrap-up: the policies asked for   §6.1.5            PATH-POLICY

Revocation is not looked at here (`foundation.x509.revocation`). An anchor counts only while it is valid itself, and its
own basicConstraints, key usage and name constraints bind (RFC 5937 §3.2), which is stricter than §6.1.1 (d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.x509.oid import ExtensionOID as Oid

from foundation.x509.name_constraints import ConstraintUnsupported, NameConstraintState
from foundation.x509.name_matching import issuer_key, subject_key
from foundation.x509.path_search import PathSearch, TrustAnchor
from foundation.x509.policy_graph import ANY_POLICY, PolicyConstraints, PolicyInputs, PolicyState
from foundation.x509.signature_check import AlgorithmRules, Outcome


class PathRule(StrEnum):
    """What can be wrong with a path; the clauses are in :data:`CLAUSES`."""

    NO_ISSUER = "PATH-NO-ISSUER"
    LIMIT = "PATH-LIMIT"
    SIGNATURE = "PATH-SIGNATURE"
    ALGORITHM = "PATH-ALGORITHM"
    EXPIRED = "PATH-EXPIRED"
    NOT_YET_VALID = "PATH-NOT-YET-VALID"
    NAME_CONSTRAINTS = "PATH-NAME-CONSTRAINTS"
    POLICY = "PATH-POLICY"
    POLICY_MAPPING = "PATH-POLICY-MAPPING"
    NOT_CA = "PATH-NOT-CA"
    LENGTH = "PATH-LENGTH"
    KEY_USAGE = "PATH-KEY-USAGE"
    CRITICAL = "PATH-CRITICAL"
    DUPLICATE = "PATH-DUPLICATE"
    EXTENSION = "PATH-EXTENSION"


CLAUSES: Mapping[PathRule, str] = {
    PathRule.NO_ISSUER: "RFC 5280 §6.1.1 (d)",
    PathRule.LIMIT: "RFC 5280 §6.1",
    PathRule.SIGNATURE: "RFC 5280 §6.1.3 (a)(1)",
    PathRule.ALGORITHM: "RFC 5280 §6.1.3 (a)(1)",
    PathRule.EXPIRED: "RFC 5280 §6.1.3 (a)(2)",
    PathRule.NOT_YET_VALID: "RFC 5280 §6.1.3 (a)(2)",
    PathRule.NAME_CONSTRAINTS: "RFC 5280 §6.1.3 (b), (c)",
    PathRule.POLICY: "RFC 5280 §6.1.5 (g)",
    PathRule.POLICY_MAPPING: "RFC 5280 §6.1.4 (a), (b)",
    PathRule.NOT_CA: "RFC 5280 §6.1.4 (k)",
    PathRule.LENGTH: "RFC 5280 §6.1.4 (l), (m)",
    PathRule.KEY_USAGE: "RFC 5280 §6.1.4 (n)",
    PathRule.CRITICAL: "RFC 5280 §6.1.4 (o)",
    PathRule.DUPLICATE: "RFC 5280 §4.2",
    PathRule.EXTENSION: "RFC 5280 §4.2",
}

_UNDERSTOOD = {
    Oid.BASIC_CONSTRAINTS,
    Oid.KEY_USAGE,
    Oid.EXTENDED_KEY_USAGE,  # the purpose is judged by whoever asked for the path
    Oid.SUBJECT_ALTERNATIVE_NAME,
    Oid.NAME_CONSTRAINTS,
    Oid.CERTIFICATE_POLICIES,
    Oid.POLICY_CONSTRAINTS,
    Oid.INHIBIT_ANY_POLICY,
    Oid.CRL_DISTRIBUTION_POINTS,
    Oid.SUBJECT_KEY_IDENTIFIER,
    Oid.AUTHORITY_KEY_IDENTIFIER,
}


@dataclass(frozen=True)
class PathRules:
    """What is asked of a path. Counts bound the work, whatever lies in the pool.

    ``required_policies``: the path must be valid for one of them (None: any, or none at all). The three flags are the
    initial values of §6.1.1 (e)-(g).
    """

    algorithms: AlgorithmRules = field(default_factory=AlgorithmRules)
    required_policies: frozenset[str] | None = None
    explicit_policy: bool = False
    inhibit_policy_mapping: bool = False
    inhibit_any_policy: bool = False
    max_depth: int = 8  # certificates in a path, target and anchor included
    max_checks: int = 300  # signatures checked, over all paths

    @property
    def policy_inputs(self) -> PolicyInputs:
        explicit = self.explicit_policy or self.required_policies is not None
        return PolicyInputs(self.required_policies, explicit, self.inhibit_policy_mapping, self.inhibit_any_policy)


@dataclass(frozen=True)
class PathFailure:
    """One rule that one certificate breaks. ``depth`` counts from the target (0)."""

    rule: PathRule
    certificate: x509.Certificate
    depth: int

    @property
    def clause(self) -> str:
        return CLAUSES[self.rule]


@dataclass(frozen=True)
class CertificatePath:
    """A valid path: target first, anchor last. ``policies`` are those it is valid for (``2.5.29.32.0``: any)."""

    certificates: tuple[x509.Certificate, ...]
    anchor: TrustAnchor
    policies: frozenset[str]


@dataclass(frozen=True)
class NoPath:
    """No valid path; ``failures`` are those of the attempt that came nearest."""

    failures: tuple[PathFailure, ...]

    def only(self, *rules: PathRule) -> bool:
        """Whether nothing but these rules stood in the way."""
        return all(failure.rule in rules for failure in self.failures)


def find_path(
    target: x509.Certificate,
    pool: Sequence[x509.Certificate],
    anchors: Sequence[TrustAnchor],
    at: datetime,
    rules: PathRules | None = None,
) -> CertificatePath | NoPath:
    """The first valid path from ``target`` to an anchor at the time ``at``, or why there is none. Raises nothing.

    ``pool`` holds intermediates of any origin in any order: it is searched, never trusted. A target that is an anchor
    itself is a path of one.
    """
    return next(valid_paths(target, pool, anchors, at, rules or PathRules()))


def valid_paths(
    target: x509.Certificate,
    pool: Sequence[x509.Certificate],
    anchors: Sequence[TrustAnchor],
    at: datetime,
    rules: PathRules,
) -> Iterator[CertificatePath | NoPath]:
    """Every valid path within the bounds, one after the other, and at the end why there is no other. Raises nothing."""
    nearest: tuple[PathFailure, ...] | None = None
    search = PathSearch(pool, anchors, rules.max_depth, rules.max_checks, rules.algorithms)
    for certificates, anchor in search.candidates(target):
        result = validate_path(certificates, anchor, at, rules, search.link)
        if isinstance(result, CertificatePath):
            yield result
        elif nearest is None or len(result.failures) < len(nearest):
            nearest = result.failures
    if nearest is None:
        where, outcome = search.dead_end or (target, None)
        rule = PathRule.LIMIT if search.exhausted else _DEAD_ENDS[outcome]
        nearest = (PathFailure(rule, where, 0),)
    yield NoPath(nearest)


_DEAD_ENDS = {
    None: PathRule.NO_ISSUER,
    Outcome.VALID: PathRule.NO_ISSUER,
    Outcome.WRONG: PathRule.SIGNATURE,
    Outcome.REFUSED: PathRule.ALGORITHM,
}


Link = Callable[[x509.Certificate, x509.Certificate], Outcome]


def validate_path(
    certificates: Sequence[x509.Certificate], anchor: TrustAnchor, at: datetime, rules: PathRules, link: Link
) -> CertificatePath | NoPath:
    """Validate one path (target first, anchor last) at the time ``at``. All failures are told, not only the first.

    ``link`` says whether a certificate was signed by the next one (`PathSearch.link`).
    """
    failures: list[PathFailure] = []
    names = NameConstraintState()
    policies = PolicyState(rules.policy_inputs, len(certificates) - 1)
    room: int | None = None  # how many CA certificates, self-issued ones aside, may still follow
    for depth in range(len(certificates) - 1, -1, -1):
        certificate = certificates[depth]
        is_anchor = depth == len(certificates) - 1

        def fail(rule: PathRule, certificate: x509.Certificate = certificate, depth: int = depth) -> None:
            failures.append(PathFailure(rule, certificate, depth))

        extensions = _extensions(certificate)
        if isinstance(extensions, PathRule):
            fail(extensions)
            return NoPath(tuple(failures))
        self_issued = subject_key(certificate) == issuer_key(certificate) != ()
        if not is_anchor:
            outcome = link(certificate, certificates[depth + 1])  # P2.1
            if outcome is not Outcome.VALID:
                fail(PathRule.SIGNATURE if outcome is Outcome.WRONG else PathRule.ALGORITHM)
        if at > certificate.not_valid_after_utc:  # P2.2
            fail(PathRule.EXPIRED)
        elif at < certificate.not_valid_before_utc:
            fail(PathRule.NOT_YET_VALID)
        if not is_anchor:
            if not (self_issued and depth > 0) and not _names_allowed(names, certificate):  # P2.4
                fail(PathRule.NAME_CONSTRAINTS)
            policies.take(extensions.policies, self_issued and depth > 0)  # P2.5
            if policies.failed():
                fail(PathRule.POLICY)
                return NoPath(tuple(failures))
        if extensions.mappings is None or (extensions.mappings and is_anchor):  # §6.1.4 (a); RFC 5937 knows none
            fail(PathRule.POLICY_MAPPING)
        for rule in extensions.unknown_critical:  # P2.8
            fail(rule)
        if depth == 0:
            policies.finish(extensions.said.require_explicit)  # §6.1.5 (a), (b)
            break
        if not extensions.is_ca:  # P2.6
            fail(PathRule.NOT_CA)
        if not is_anchor and not self_issued and room is not None:
            room -= 1
            if room < 0:
                fail(PathRule.LENGTH)
        if is_anchor:
            policies.constrain(extensions.said)
        else:
            policies.map(extensions.mappings or {})
            policies.descend(self_issued, extensions.said)
        if extensions.path_length is not None:
            room = extensions.path_length if room is None else min(room, extensions.path_length)
        if not extensions.may_sign_certificates:  # P2.7
            fail(PathRule.KEY_USAGE)
        if extensions.names is not None:
            try:
                names = names.narrowed(extensions.names)
            except ConstraintUnsupported:
                fail(PathRule.NAME_CONSTRAINTS)
    if not policies.satisfied():  # P3
        failures.append(PathFailure(PathRule.POLICY, certificates[0], 0))
    if failures:
        return NoPath(tuple(failures))
    return CertificatePath(tuple(certificates), anchor, policies.valid_for())


def _names_allowed(names: NameConstraintState, certificate: x509.Certificate) -> bool:
    try:
        return names.allows(certificate)
    except Exception:  # a name that cannot be read cannot be allowed
        return False


@dataclass(frozen=True)
class _Extensions:
    """What validation needs of a certificate's extensions."""

    is_ca: bool = False
    path_length: int | None = None
    may_sign_certificates: bool = True
    policies: frozenset[str] | None = None
    said: PolicyConstraints = field(default_factory=PolicyConstraints)
    mappings: Mapping[str, frozenset[str]] | None = field(default_factory=dict)  # None: one of them is not allowed
    names: x509.NameConstraints | None = None
    unknown_critical: tuple[PathRule, ...] = ()


def _extensions(certificate: x509.Certificate) -> _Extensions | PathRule:
    try:
        found = certificate.extensions
    except x509.DuplicateExtension:
        return PathRule.DUPLICATE
    except Exception:  # an extension that cannot be decoded: cryptography raises several kinds
        return PathRule.EXTENSION
    values: dict[str, object] = {}
    unknown: list[PathRule] = []
    mappings: Mapping[str, frozenset[str]] | None = {}
    for one in found:
        if one.oid == Oid.POLICY_MAPPINGS:
            mappings = _mappings(one.value)
        elif one.critical and one.oid not in _UNDERSTOOD:
            unknown.append(PathRule.CRITICAL)
        values[one.oid.dotted_string] = one.value
    basic = values.get(Oid.BASIC_CONSTRAINTS.dotted_string)
    usage = values.get(Oid.KEY_USAGE.dotted_string)
    policies = values.get(Oid.CERTIFICATE_POLICIES.dotted_string)
    constraints = values.get(Oid.POLICY_CONSTRAINTS.dotted_string)
    inhibit = values.get(Oid.INHIBIT_ANY_POLICY.dotted_string)
    names = values.get(Oid.NAME_CONSTRAINTS.dotted_string)
    return _Extensions(
        is_ca=isinstance(basic, x509.BasicConstraints) and basic.ca and certificate.version is x509.Version.v3,
        path_length=basic.path_length if isinstance(basic, x509.BasicConstraints) else None,
        may_sign_certificates=usage.key_cert_sign if isinstance(usage, x509.KeyUsage) else True,
        policies=(
            frozenset(one.policy_identifier.dotted_string for one in policies)
            if isinstance(policies, x509.CertificatePolicies)
            else None
        ),
        said=PolicyConstraints(
            require_explicit=constraints.require_explicit_policy
            if isinstance(constraints, x509.PolicyConstraints)
            else None,
            inhibit_mapping=constraints.inhibit_policy_mapping
            if isinstance(constraints, x509.PolicyConstraints)
            else None,
            inhibit_any=inhibit.skip_certs if isinstance(inhibit, x509.InhibitAnyPolicy) else None,
        ),
        mappings=mappings,
        names=names if isinstance(names, x509.NameConstraints) else None,
        unknown_critical=tuple(unknown),
    )


def _mappings(value: x509.ExtensionType) -> Mapping[str, frozenset[str]] | None:
    """issuerDomainPolicy to subjectDomainPolicies; None where anyPolicy is mapped (§6.1.4 (a)) or DER is not."""
    if not isinstance(value, x509.UnrecognizedExtension):
        return None
    found: dict[str, set[str]] = {}
    try:
        for one in asn1_x509.PolicyMappings.load(value.value, strict=True):
            issuer, subject = one["issuer_domain_policy"].dotted, one["subject_domain_policy"].dotted
            if ANY_POLICY in (issuer, subject):
                return None
            found.setdefault(issuer, set()).add(subject)
    except (ValueError, TypeError, RecursionError):
        return None
    return {issuer: frozenset(subjects) for issuer, subjects in found.items()}
