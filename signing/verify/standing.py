"""The standing of a certificate at a time: its path, its purpose, its status (EN 319 102-1 §5.2.6, §5.6.2).

    X1  a path to an anchor is valid at the time of use                                 PATH-…
    X2  the certificate is for this purpose                                             SGN-USAGE, SGN-PURPOSE, …
    X3  nobody in the path was revoked by then, as far as evidence that counts can say  REV-REVOKED, REV-CA, REV-HOLD
    X4  the evidence that they were not is recent enough (`Recency`)                    REV-UNKNOWN

X3 goes down from the anchor: what a CA said after it was itself revoked does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from foundation.clock import rfc3339
from foundation.x509.path import CertificatePath, NoPath, PathRule, PathRules, find_path
from foundation.x509.path_status import Question, crl_signers
from foundation.x509.revocation import Recency, Standing, Status, examine, status_of
from foundation.x509.status_evidence import Evidence, Statement, extension_of
from signing.verify.bundle import SOURCE
from signing.verify.model import (
    About,
    Reason,
    ReliedOn,
    SignerIdentity,
    SubIndication,
    about,
    failed,
    indeterminate,
    noted,
)
from signing.verify.policy import SANDBOX, Policy, is_specimen
from signing.verify.trust import HAND, Trust
from signing.verify.trust_list_model import SOURCE as LIST

DOCUMENT = "document"

# Purposes under which documents are signed: RFC 9336, e-mail protection, and what two widespread makers use.
_SIGNING_PURPOSES = {
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.3.36",
    "1.3.6.1.5.5.7.3.4",
    "1.2.840.113583.1.1.5",
    "1.3.6.1.4.1.311.10.3.12",
}
# RFC 3161 §4 (1): revoked for one of these, what was stamped before stays valid
_HARMLESS = {
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.affiliation_changed,
    x509.ReasonFlags.superseded,
    x509.ReasonFlags.cessation_of_operation,
}


@dataclass(frozen=True)
class Case:
    """Everything a file is judged with. ``at`` is the time of verification; the pool is searched, never trusted."""

    at: datetime
    policy: Policy
    trust: Trust
    certificates: tuple[x509.Certificate, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Judgement:
    """What was found about one certificate. ``embedded``: path and status could be had from the document alone;
    ``anchor``: where the anchor of its path comes from.
    """

    reasons: tuple[Reason, ...]
    relied_on: tuple[ReliedOn, ...] = ()
    embedded: bool = False
    specimen: bool = False
    anchor: str | None = None


def judge_signer(case: Case, signer: x509.Certificate, used_at: datetime, proven: bool) -> Judgement:
    """X1-X4 for a signer. ``used_at`` is the proven time of signing, or the time of verification where none is."""
    path = find_path(signer, _pool(case), case.trust.anchors, used_at, case.policy.signer_path_rules)
    if isinstance(path, NoPath):
        return _no_path(case, path, proven, About.SIGNER)
    recency = Recency(
        used_at,
        after_use=proven and case.policy.status_after_signing,
        vouched_source=SOURCE if proven else None,
        vouched_at=case.trust.vouched_at if proven else None,
    )
    usage = (*_signer_usage(signer), *_sandbox(signer))
    status = _statuses(case, path, used_at, recency, proven)
    return _summed(case, path, usage, status, About.SIGNER)


def judge_unit(case: Case, unit: x509.Certificate, stamped_at: datetime, control: datetime) -> Judgement:
    """X1-X4 for a timestamping unit. ``control`` is when the token is known to have existed: now, unless a later
    timestamp that counts covers it (EN 319 102-1 §5.6.2.3)."""
    if stamped_at > case.at + case.policy.clock_skew:
        reason = indeterminate(
            "TST-FUTURE", "EN 319 102-1 §5.5.4", "verify_timestamp_future", SubIndication.TIMESTAMP_ORDER_FAILURE
        )
        return Judgement((reason,))
    path = find_path(unit, _pool(case), case.trust.anchors, control, PathRules(case.policy.algorithms))
    if isinstance(path, NoPath):
        return _no_path(case, path, proven=False, part=About.UNIT)
    recency = Recency(stamped_at, after_use=False, vouched_source=SOURCE, vouched_at=case.trust.vouched_at)
    status = _statuses(case, path, control, recency, proven=True, stamped_at=stamped_at)
    return _summed(case, path, (), status, About.UNIT)


def judge_certificate(case: Case, certificate: x509.Certificate) -> Judgement:
    """X1, X3 and X4 for a certificate that comes alone, as of now; what it is for is left open."""
    path = find_path(certificate, _pool(case), case.trust.anchors, case.at, case.policy.path_rules)
    if isinstance(path, NoPath):
        return _no_path(case, path, proven=False, part=About.SIGNER)
    # nothing was done with it: status that a fresh bundle gave out as current is enough
    recency = Recency(case.at, after_use=False, vouched_source=SOURCE, vouched_at=case.trust.vouched_at)
    status = _statuses(case, path, case.at, recency, proven=False)
    return _summed(case, path, _sandbox(certificate), status, About.SIGNER)


def _pool(case: Case) -> tuple[x509.Certificate, ...]:
    return (*case.trust.certificates, *case.certificates)


@dataclass(frozen=True)
class _Statuses:
    reasons: tuple[Reason, ...]
    relied: tuple[tuple[x509.Certificate, Statement], ...]
    embedded: bool


def _statuses(
    case: Case,
    path: CertificatePath,
    used_at: datetime,
    recency: Recency,
    proven: bool,
    stamped_at: datetime | None = None,
) -> _Statuses:
    """X3, X4, from below the anchor down to the target."""
    reasons: list[Reason] = []
    relied: list[tuple[x509.Certificate, Statement]] = []
    embedded = True
    evidence = (*case.evidence, *case.trust.evidence)
    now, algorithms = case.at + case.policy.clock_skew, case.policy.algorithms
    signers = crl_signers(path.anchor, Question(_pool(case), evidence, used_at, now, PathRules(algorithms)))
    issuer_revoked: datetime | None = None
    for depth in range(len(path.certificates) - 2, -1, -1):
        certificate, issuer = path.certificates[depth], path.certificates[depth + 1]
        findings = examine(certificate, issuer, evidence, now, algorithms, signers)
        if issuer_revoked is not None:
            kept = tuple(one for one in findings.statements if one.this_update < issuer_revoked)
            findings = replace(findings, statements=kept)
        target = depth == 0
        need = (
            recency
            if target
            else replace(recency, after_use=False, vouched_source=SOURCE, vouched_at=case.trust.vouched_at)
        )
        status = status_of(findings, need)
        reason, harmless = _weigh(status, certificate, used_at, proven, target, stamped_at)
        if reason is not None:
            reasons.append(reason)
        if status.standing is Standing.REVOKED and harmless and not target and status.evidence is not None:
            issuer_revoked = status.evidence.revoked_at
        if status.evidence is not None:
            relied.append((certificate, status.evidence))
        from_document = tuple(one for one in findings.statements if one.source == DOCUMENT)
        embedded = embedded and any(one.revoked_at is None and need.accepts(one) for one in from_document)
    return _Statuses(tuple(reasons), tuple(relied), embedded)


def _weigh(
    status: Status,
    certificate: x509.Certificate,
    used_at: datetime,
    proven: bool,
    target: bool,
    stamped_at: datetime | None,
) -> tuple[Reason | None, bool]:
    """The reason that a status gives, and whether a revocation leaves the use untouched."""
    who = display_name(certificate)
    if status.standing is Standing.GOOD:
        return None, False
    if status.standing is Standing.UNKNOWN or status.evidence is None or status.evidence.revoked_at is None:
        return (
            indeterminate(
                "REV-UNKNOWN", "EN 319 102-1 §5.2.6.4", "verify_status_unknown", SubIndication.TRY_LATER, who=who
            ),
            False,
        )
    revoked_at = status.evidence.revoked_at
    params = {"who": who, "when": rfc3339(revoked_at)}
    if status.evidence.on_hold:
        if proven and revoked_at > used_at:
            return noted("REV-LATER", "EN 319 102-1 §5.6.2.2", "verify_revoked_later", **params), True
        return indeterminate(
            "REV-HOLD", "EN 319 102-1 §5.2.6.4", "verify_on_hold", SubIndication.TRY_LATER, **params
        ), False
    if not target:
        if proven and revoked_at > used_at:
            return noted("REV-LATER", "EN 319 102-1 §5.6.2.2", "verify_revoked_later", **params), True
        return (
            indeterminate(
                "REV-CA", "EN 319 102-1 §5.2.6.4", "verify_ca_revoked", SubIndication.REVOKED_CA_NO_POE, **params
            ),
            False,
        )
    if stamped_at is not None:
        harmless = status.evidence.reason in _HARMLESS and revoked_at > stamped_at
        if harmless or revoked_at > used_at:
            return noted("REV-LATER", "RFC 3161 §4 (1)", "verify_revoked_later", **params), True
        return (
            indeterminate("REV-TSA", "RFC 3161 §4", "verify_tsa_revoked", SubIndication.REVOKED_NO_POE, **params),
            False,
        )
    if proven and revoked_at > used_at:
        return noted("REV-LATER", "EN 319 102-1 §5.6.2.2", "verify_revoked_later", **params), True
    if proven:
        return failed("REV-REVOKED", "EN 319 102-1 §5.5.4", "verify_revoked", SubIndication.REVOKED, **params), False
    return (
        indeterminate(
            "REV-REVOKED", "EN 319 102-1 §5.2.6.4", "verify_revoked_no_poe", SubIndication.REVOKED_NO_POE, **params
        ),
        False,
    )


def _summed(case: Case, path: CertificatePath, usage: tuple[Reason, ...], status: _Statuses, part: About) -> Judgement:
    # what is said of the bundle or of an anchor is said of every part that rests on it, and so of none by name
    uses_bundle = path.anchor.source == SOURCE or any(one.source == SOURCE for _, one in status.relied)
    bundle_reasons = case.trust.reasons if uses_bundle else ()
    notes: tuple[Reason, ...] = ()
    if path.anchor.source == HAND:
        anchor_name = display_name(path.anchor.certificate)
        notes = (noted("TRUST-HAND", "EN 319 102-1 §5.2.6", "verify_hand_anchor", who=anchor_name),)
    elif path.anchor.source == LIST:
        listed = display_name(path.anchor.certificate)
        notes = (noted("TRUST-LIST", "TS 119 612 §5.5", "verify_list_anchor", who=listed),)
    inside = {one.fingerprint(hashes.SHA256()) for one in case.certificates}
    embedded = status.embedded and all(one.fingerprint(hashes.SHA256()) in inside for one in path.certificates[:-1])
    return Judgement(
        (*bundle_reasons, *usage, *about(part, status.reasons), *notes),
        _relied_on(path, status, part.value, inside),
        embedded,
        _is_specimen(case, path),
        path.anchor.source,
    )


def _is_specimen(case: Case, path: CertificatePath) -> bool:
    """Whether any of what the path rests on was made for trying: a policy of the example arc in it, an authority above
    the signer that says SPECIMEN in its name, or the bundle of such an installation."""
    above = (*path.certificates[1:], path.anchor.certificate)
    bundle = case.trust.bundle if path.anchor.source == SOURCE else None
    return (
        any(is_specimen(_policies(one)) for one in path.certificates)
        or any("SPECIMEN" in subject(one) for one in above)
        or (bundle is not None and bundle.contents.specimen)
    )


def _relied_on(path: CertificatePath, status: _Statuses, purpose: str, inside: set[bytes]) -> tuple[ReliedOn, ...]:
    found: list[ReliedOn] = []
    for certificate in path.certificates[:-1]:
        digest = certificate.fingerprint(hashes.SHA256())
        source = DOCUMENT if digest in inside else SOURCE
        found.append(ReliedOn("certificate", purpose, subject(certificate), source, digest.hex()))
    anchor = path.anchor
    found.append(
        ReliedOn(
            "anchor",
            purpose,
            subject(anchor.certificate),
            anchor.source,
            anchor.certificate.fingerprint(hashes.SHA256()).hex(),
        )
    )
    for certificate, statement in status.relied:
        found += [
            ReliedOn(
                statement.kind.value,
                purpose,
                subject(certificate),
                statement.source,
                digest_of_evidence,
                statement.this_update,
            )
            for digest_of_evidence in (statement.sha256, *statement.also)
        ]
    return tuple(found)


def _no_path(case: Case, path: NoPath, proven: bool, part: About) -> Judgement:
    """X1 in the words of EN 319 102-1 §5.2.6.4, §5.5.4."""
    # a certificate of the right name whose key did not make the signature is not the issuer: none was found
    foreign = (PathRule.SIGNATURE, PathRule.NO_ISSUER, PathRule.LIMIT)
    failure = next((one for one in path.failures if one.rule in foreign), path.failures[0])
    params = {"who": display_name(failure.certificate), "rule": failure.rule.value}
    if path.only(PathRule.NOT_YET_VALID) and proven:
        reason = failed(
            failure.rule.value, "EN 319 102-1 §5.5.4", "verify_not_yet_valid", SubIndication.NOT_YET_VALID, **params
        )
        return Judgement((*case.trust.reasons, *about(part, (reason,))))
    if path.only(PathRule.EXPIRED, PathRule.NOT_YET_VALID):
        sub, key = SubIndication.OUT_OF_BOUNDS_NO_POE, "verify_out_of_bounds"
    elif failure.rule in foreign:
        sub, key = SubIndication.NO_CERTIFICATE_CHAIN_FOUND, "verify_no_chain"
    elif failure.rule is PathRule.ALGORITHM:
        sub, key = SubIndication.CRYPTO_CONSTRAINTS_FAILURE, "verify_bad_chain"
    else:
        sub, key = SubIndication.CHAIN_CONSTRAINTS_FAILURE, "verify_bad_chain"
    reason = indeterminate(failure.rule.value, failure.clause, key, sub, **params)
    return Judgement((*case.trust.reasons, *about(part, (reason,))))


def _signer_usage(signer: x509.Certificate) -> tuple[Reason, ...]:
    """X2: keyUsage says signing, and an extendedKeyUsage, where there is one, says documents."""
    reasons: list[Reason] = []
    usage = extension_of(signer, x509.KeyUsage)
    if usage is None or not (usage.digital_signature or usage.content_commitment):
        reasons.append(
            indeterminate(
                "SGN-USAGE", "EN 319 412-2 §4.3.2", "verify_signer_usage", SubIndication.CHAIN_CONSTRAINTS_FAILURE
            )
        )
    purposes = extension_of(signer, x509.ExtendedKeyUsage)
    if purposes is not None and not {one.dotted_string for one in purposes} & _SIGNING_PURPOSES:
        reasons.append(
            indeterminate("SGN-PURPOSE", "RFC 9336 §3", "verify_signer_usage", SubIndication.CHAIN_CONSTRAINTS_FAILURE)
        )
    return tuple(reasons)


def _sandbox(signer: x509.Certificate) -> tuple[Reason, ...]:
    """X2: a certificate of the sandbox is for trying the service, whoever named that policy."""
    if SANDBOX not in _policies(signer):
        return ()
    sub = SubIndication.CHAIN_CONSTRAINTS_FAILURE
    return (indeterminate("SGN-SANDBOX", "EN 319 102-1 §5.2.6.4", "verify_sandbox", sub),)


def _policies(certificate: x509.Certificate) -> frozenset[str]:
    found = extension_of(certificate, x509.CertificatePolicies)
    return frozenset(one.policy_identifier.dotted_string for one in found or ())


def subject(certificate: x509.Certificate) -> str:
    """The subject as RFC 4514 has it."""
    try:
        return certificate.subject.rfc4514_string()
    except Exception:  # a name that cannot be read
        return "?"


def display_name(certificate: x509.Certificate) -> str:
    """The common name, else the whole subject."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except Exception:  # a name that cannot be read
        return "?"
    return str(names[0].value) if names else subject(certificate)


def identity(certificate: x509.Certificate) -> SignerIdentity:
    """The certificate as a verdict names it."""
    try:
        issuer = certificate.issuer.rfc4514_string()
    except Exception:  # a name that cannot be read
        issuer = "?"
    return SignerIdentity(
        name=display_name(certificate),
        subject=subject(certificate),
        issuer=issuer,
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )
