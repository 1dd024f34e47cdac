"""What CRLs say about one certificate (RFC 5280 §6.3.3): complete, delta, indirect, by reason.

    R1  a CRL in scope (`crl_scope`), signed by a key that may sign CRLs under that name
            REV-CRL-SCOPE, REV-CRL-SIGNATURE, REV-CRL-USAGE
    R2  a delta CRL counts with a complete one of the same issuer, key and scope that it builds on    REV-CRL-DELTA
    R3  times: thisUpdate not in the future, nextUpdate after thisUpdate                              REV-TIME
    R4  lists that cover some reasons only say "good" together, when they cover all

Who may sign: the certificate's issuer; or a certificate that :class:`CrlSigners` vouches for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.x509.crl_scope import ALL_REASONS, CrlHead, entries_understood, entry_for, head_of, reasons_covered
from foundation.x509.name_matching import names_match
from foundation.x509.signature_check import AlgorithmRules, Outcome, check_named
from foundation.x509.status_evidence import Evidence, EvidenceKind, Rejected, Statement, extension_of


class CrlSigners(Protocol):
    """Certificates of a name under whose keys CRLs may be signed: a path to the same anchor, none of it revoked."""

    def named(self, name: x509.Name) -> Sequence[x509.Certificate]: ...


@dataclass(frozen=True)
class _Accepted:
    """A CRL that counts for the certificate, for ``reasons``; ``signer`` is the DER of the key that made it."""

    evidence: Evidence
    crl: x509.CertificateRevocationList
    head: CrlHead
    reasons: frozenset[x509.ReasonFlags]
    signer: bytes


def examine_crls(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    evidence: Sequence[Evidence],
    now: datetime,
    algorithms: AlgorithmRules,
    signers: CrlSigners | None = None,
) -> tuple[list[Statement], list[Rejected]]:
    """R1-R4: the statements of all CRLs among ``evidence``, and those that do not count. Raises nothing."""
    accepted: list[_Accepted] = []
    rejected: list[Rejected] = []
    for one in evidence:
        if one.crl is None:
            continue
        try:
            found = _accept(certificate, issuer, one, one.crl, now, algorithms, signers)
        except Exception:  # a structure that breaks only when it is looked into
            found = "REV-FORMAT"
        if isinstance(found, _Accepted):
            accepted.append(found)
        elif found:
            rejected.append(Rejected(found, one.kind, one.sha256))
    complete = [one for one in accepted if one.head.base is None]
    deltas = [one for one in accepted if one.head.base is not None]
    whole: list[Statement] = []
    partial: list[tuple[frozenset[x509.ReasonFlags], Statement]] = []
    used: set[str] = set()
    for base in complete:
        fitting = [delta for delta in deltas if _builds_on(delta, base)]
        latest = max(fitting, key=lambda delta: delta.crl.last_update_utc, default=None)
        used |= {delta.evidence.sha256 for delta in fitting}
        try:
            statement = _statement(certificate, base, latest)
        except Exception:  # an entry that breaks when it is read
            rejected.append(Rejected("REV-FORMAT", EvidenceKind.CRL, base.evidence.sha256))
            continue
        if base.reasons >= ALL_REASONS or statement.revoked_at is not None:
            whole.append(statement)
        else:
            partial.append((base.reasons, statement))
    rejected += [
        Rejected("REV-CRL-DELTA", EvidenceKind.CRL, delta.evidence.sha256)
        for delta in deltas
        if delta.evidence.sha256 not in used
    ]
    return [*whole, *_together(partial)], rejected


def _accept(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    one: Evidence,
    crl: x509.CertificateRevocationList,
    now: datetime,
    algorithms: AlgorithmRules,
    signers: CrlSigners | None,
) -> _Accepted | str | None:
    head = head_of(crl)
    if head is None:
        return "REV-CRL-SCOPE" if names_match(crl.issuer, certificate.issuer) else None
    reasons = reasons_covered(certificate, crl, head)
    if not reasons:
        return "REV-CRL-SCOPE" if names_match(crl.issuer, certificate.issuer) else None  # else: about somebody else
    signer = _signer(issuer, crl, algorithms, signers)
    if isinstance(signer, str):
        return signer
    if not entries_understood(crl, head):
        return "REV-CRL-SCOPE"
    next_update = crl.next_update_utc
    if next_update is None or next_update < crl.last_update_utc or crl.last_update_utc > now:  # §5.1.2.5
        return "REV-TIME"
    return _Accepted(one, crl, head, reasons, signer)


def _signer(
    issuer: x509.Certificate,
    crl: x509.CertificateRevocationList,
    algorithms: AlgorithmRules,
    signers: CrlSigners | None,
) -> bytes | str:
    """§6.3.3 (f), (g): the key that made the CRL, among those that may; or the rule that is broken."""
    broken = "REV-CRL-SIGNATURE"
    if names_match(crl.issuer, issuer.subject):
        found = _made_by(issuer, crl, algorithms)
        if not isinstance(found, str):
            return found
        broken = found
        if broken == "REV-CRL-USAGE" and _signature(issuer, crl, algorithms) is Outcome.VALID:
            return broken
    if signers is not None:
        for candidate in signers.named(crl.issuer):
            found = _made_by(candidate, crl, algorithms)
            if not isinstance(found, str):
                return found
    return broken


def _made_by(
    candidate: x509.Certificate, crl: x509.CertificateRevocationList, algorithms: AlgorithmRules
) -> bytes | str:
    usage = extension_of(candidate, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return "REV-CRL-USAGE"
    if _signature(candidate, crl, algorithms) is not Outcome.VALID:
        return "REV-CRL-SIGNATURE"
    return candidate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signature(candidate: x509.Certificate, crl: x509.CertificateRevocationList, algorithms: AlgorithmRules) -> Outcome:
    return check_named(
        candidate.public_key(),
        crl.signature_algorithm_oid.dotted_string,
        crl.signature_hash_algorithm,
        crl.signature_algorithm_parameters,
        crl.signature,
        crl.tbs_certlist_bytes,
        algorithms,
    )


def _builds_on(delta: _Accepted, complete: _Accepted) -> bool:
    """R2: §5.2.4, §6.3.3 (c): same issuer, scope and key, and the complete list reaches the delta's base."""
    number, base = complete.head.number, delta.head.base
    return (
        names_match(delta.crl.issuer, complete.crl.issuer)
        and delta.head.point == complete.head.point
        and delta.head.authority_key == complete.head.authority_key
        and delta.signer == complete.signer
        and number is not None
        and base is not None
        and delta.head.number is not None
        and base <= number <= delta.head.number
    )


def _statement(certificate: x509.Certificate, one: _Accepted, delta: _Accepted | None) -> Statement:
    entry = entry_for(certificate, one.crl, one.head)
    told = one
    also: tuple[str, ...] = ()
    if delta is not None:
        told, also = delta, (one.evidence.sha256,)
        entry = entry_for(certificate, delta.crl, delta.head) or entry
    good = Statement(
        EvidenceKind.CRL,
        told.evidence.source,
        told.evidence.sha256,
        told.crl.last_update_utc,
        told.crl.next_update_utc,
        also=also,
    )
    if entry is None:
        return good
    reason, revoked_at = None, entry.revocation_date_utc
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason
        elif isinstance(extension.value, x509.InvalidityDate):
            # §5.3.2: the key may have been in other hands from then on; the earlier date counts
            revoked_at = min(revoked_at, extension.value.invalidity_date_utc)
    if delta is not None and reason is x509.ReasonFlags.remove_from_crl:
        return good
    return replace(good, revoked_at=revoked_at, reason=reason)


def _together(partial: Sequence[tuple[frozenset[x509.ReasonFlags], Statement]]) -> list[Statement]:
    """R4: one statement from good lists by reason, the latest of each first, as old as its oldest part."""
    parts: list[Statement] = []
    covered: set[x509.ReasonFlags] = set()
    for reasons, statement in sorted(partial, key=lambda one: one[1].this_update, reverse=True):
        if not reasons <= covered:
            covered |= reasons
            parts.append(statement)
    if not covered >= ALL_REASONS:
        return []
    oldest = parts[-1]
    ends = [one.next_update for one in parts if one.next_update is not None]
    others = tuple(digest for one in parts[:-1] for digest in (one.sha256, *one.also))
    return [replace(oldest, next_update=min(ends, default=None), also=(*oldest.also, *others))]
