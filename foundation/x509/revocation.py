"""Revocation evidence: which CRLs and OCSP responses count, and what they say (RFC 5280 §6.3, RFC 6960).

Evidence comes from anywhere, the document under suspicion included. It counts only when its own signature verifies
under a key that is authorised for exactly this certificate:

    R1, R2  CRLs: `crl_check`       REV-CRL-SCOPE, REV-CRL-SIGNATURE, REV-CRL-USAGE, REV-CRL-DELTA
    R3  OCSP: a successful response with a CertID of this certificate and issuer                       REV-OCSP-CERTID
    R4  OCSP: signed by the issuer, or by a delegate that the issuer's key certified directly, with
        id-kp-OCSPSigning, valid when it was produced                 REV-OCSP-RESPONDER, REV-OCSP-SIGNATURE
    R5  OCSP: a delegate without id-pkix-ocsp-nocheck has a good status by a CRL of the issuer         REV-OCSP-DELEGATE
    R6  times: thisUpdate not in the future, nextUpdate after thisUpdate                               REV-TIME

What is left are statements. Whether a good one is recent enough is a question of policy: see :class:`Recency`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from foundation.x509.crl_check import CrlSigners, examine_crls
from foundation.x509.name_matching import names_match
from foundation.x509.signature_check import AlgorithmRules, Outcome, check_named
from foundation.x509.status_evidence import Evidence, EvidenceKind, Rejected, Statement, extension_of, key_octets

_CERT_ID_HASHES = ("sha1", "sha224", "sha256", "sha384", "sha512")  # a CertID is a name, not a protection
_MAX_SINGLE_RESPONSES = 64


@dataclass(frozen=True)
class Findings:
    """All statements about one certificate, the latest first, and what was rejected on the way."""

    statements: tuple[Statement, ...]
    rejected: tuple[Rejected, ...]

    @property
    def revoked(self) -> Statement | None:
        """The statement with the earliest revocation; a suspension only where nothing worse is said."""
        found = [one for one in self.statements if one.revoked_at is not None]
        return min(found, key=lambda one: (one.on_hold, one.revoked_at), default=None)


class Standing(StrEnum):
    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Status:
    """The answer. ``evidence`` is the statement that it rests on (None for unknown)."""

    standing: Standing
    evidence: Statement | None
    rejected: tuple[Rejected, ...]


def examine(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    evidence: Iterable[Evidence],
    now: datetime,
    algorithms: AlgorithmRules,
    signers: CrlSigners | None = None,
) -> Findings:
    """R1-R6: the statements about ``certificate`` by whoever may make them. ``now`` bounds thisUpdate (R6).

    ``issuer`` is the certificate above it in a path that was validated. ``signers``: who else may sign CRLs; without
    it only the issuer's own key counts. Raises nothing.
    """
    pool = tuple(evidence)
    statements, rejected = examine_crls(certificate, issuer, pool, now, algorithms, signers)
    for one in pool:
        try:
            found = _examine_one(certificate, issuer, one, pool, now, algorithms)
        except Exception:  # a structure that breaks only when it is looked into
            found = "REV-FORMAT"
        if isinstance(found, Statement):
            statements.append(found)
        elif found:
            rejected.append(Rejected(found, one.kind, one.sha256))
    statements.sort(key=lambda statement: statement.this_update, reverse=True)
    return Findings(tuple(statements), tuple(rejected))


@dataclass(frozen=True)
class Recency:
    """How recent a good statement must be for a certificate that was used at ``used_at``.

    ``after_use``: made at or after the use (thisUpdate), so that a theft known by then shows. Otherwise it is enough
    that it was still current at the use (nextUpdate), or that a source which is vouched for gave it out as current:
    ``vouched_source`` at ``vouched_at`` (a trust bundle that is fresh, at its issue).
    """

    used_at: datetime
    after_use: bool
    vouched_source: str | None = None
    vouched_at: datetime | None = None

    def accepts(self, statement: Statement) -> bool:
        # thisUpdate has whole seconds (RFC 5280 §4.1.2.5), a timestamp's genTime may have fractions
        if statement.this_update >= self.used_at.replace(microsecond=0):
            return True
        if self.after_use or statement.next_update is None:
            return False
        if statement.next_update >= self.used_at:
            return True
        return (
            self.vouched_at is not None
            and statement.source == self.vouched_source
            and statement.next_update >= self.vouched_at
        )


def status_of(findings: Findings, recency: Recency) -> Status:
    """Good, revoked or unknown. A revocation that any statement tells always counts, however old it is."""
    revoked = findings.revoked
    if revoked is not None:
        return Status(Standing.REVOKED, revoked, findings.rejected)
    for statement in findings.statements:
        if recency.accepts(statement):
            return Status(Standing.GOOD, statement, findings.rejected)
    return Status(Standing.UNKNOWN, None, findings.rejected)


def _examine_one(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    one: Evidence,
    pool: Sequence[Evidence],
    now: datetime,
    algorithms: AlgorithmRules,
) -> Statement | str | None:
    """A statement, the rule that is broken, or None: about something else."""
    if one.response is not None:
        return _examine_ocsp(certificate, issuer, one, one.response, pool, now, algorithms)
    return None


def _examine_ocsp(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    one: Evidence,
    response: ocsp.OCSPResponse,
    pool: Sequence[Evidence],
    now: datetime,
    algorithms: AlgorithmRules,
) -> Statement | str | None:
    singles = list(response.responses)[:_MAX_SINGLE_RESPONSES]
    mine = [single for single in singles if single.serial_number == certificate.serial_number]
    if not mine:
        return None
    single = next((one_of for one_of in mine if _same_issuer(one_of, certificate, issuer)), None)  # R3
    if single is None:
        return "REV-OCSP-CERTID"
    if any(extension.critical for extension in response.extensions) or (
        len(singles) == 1 and any(extension.critical for extension in response.single_extensions)
    ):
        return "REV-OCSP-CRITICAL"
    authority = _responder(response, issuer, pool, now, algorithms)  # R4, R5
    if isinstance(authority, str):
        return authority
    outcome = check_named(
        authority.public_key(),
        response.signature_algorithm_oid.dotted_string,
        response.signature_hash_algorithm,
        None,
        response.signature,
        response.tbs_response_bytes,
        algorithms,
    )
    if outcome is not Outcome.VALID:
        return "REV-OCSP-SIGNATURE"
    this_update, next_update = single.this_update_utc, single.next_update_utc
    if this_update > now or (next_update is not None and next_update < this_update):  # R6
        return "REV-TIME"
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return "REV-OCSP-UNKNOWN"
    revoked_at = single.revocation_time_utc
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED and revoked_at is None:
        return "REV-FORMAT"
    return Statement(one.kind, one.source, one.sha256, this_update, next_update, revoked_at, single.revocation_reason)


def _same_issuer(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    name = single.hash_algorithm.name
    if name not in _CERT_ID_HASHES:
        return False
    names = {hashlib.new(name, one.public_bytes()).digest() for one in (certificate.issuer, issuer.subject)}
    return single.issuer_name_hash in names and single.issuer_key_hash == hashlib.new(name, key_octets(issuer)).digest()


def _responder(
    response: ocsp.OCSPResponse,
    issuer: x509.Certificate,
    pool: Sequence[Evidence],
    now: datetime,
    algorithms: AlgorithmRules,
) -> x509.Certificate | str:
    """R4: the issuer or its delegate (RFC 6960 §4.2.2.2), or the rule that is broken."""
    if _names_responder(response, issuer):
        return issuer
    for delegate in response.certificates[:16]:
        if not _names_responder(response, delegate) or not names_match(delegate.issuer, issuer.subject):
            continue
        purposes = extension_of(delegate, x509.ExtendedKeyUsage)
        if purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
            continue
        usage = extension_of(delegate, x509.KeyUsage)
        if usage is not None and not (usage.digital_signature or usage.content_commitment):
            continue
        if not delegate.not_valid_before_utc <= response.produced_at_utc <= delegate.not_valid_after_utc:
            continue
        if not _certified_by(delegate, issuer, algorithms):
            continue
        if extension_of(delegate, x509.OCSPNoCheck) is None and not _good_by_crl(
            delegate, issuer, pool, response.produced_at_utc, now, algorithms
        ):
            return "REV-OCSP-DELEGATE"
        return delegate
    return "REV-OCSP-RESPONDER"


def _good_by_crl(
    delegate: x509.Certificate,
    issuer: x509.Certificate,
    pool: Sequence[Evidence],
    used_at: datetime,
    now: datetime,
    algorithms: AlgorithmRules,
) -> bool:
    """R5. CRLs alone, so that one response never vouches for another."""
    lists = [one for one in pool if one.kind is EvidenceKind.CRL]
    status = status_of(examine(delegate, issuer, lists, now, algorithms), Recency(used_at, after_use=False))
    return status.standing is Standing.GOOD


def _certified_by(certificate: x509.Certificate, issuer: x509.Certificate, algorithms: AlgorithmRules) -> bool:
    if any(one.critical and one.oid not in _DELEGATE_EXTENSIONS for one in certificate.extensions):
        return False
    outcome = check_named(
        issuer.public_key(),
        certificate.signature_algorithm_oid.dotted_string,
        certificate.signature_hash_algorithm,
        certificate.signature_algorithm_parameters,
        certificate.signature,
        certificate.tbs_certificate_bytes,
        algorithms,
    )
    return outcome is Outcome.VALID


_DELEGATE_EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.OCSP_NO_CHECK,
}


def _names_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return names_match(response.responder_name, certificate.subject)
    return response.responder_key_hash == hashlib.sha1(key_octets(certificate), usedforsecurity=False).digest()
