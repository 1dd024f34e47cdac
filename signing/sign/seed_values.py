"""What a signature field asks of the signature that goes into it: seed values (ISO 32000-2 §12.7.5.5, Table 235).

A wish that may be left aside is followed where that is possible. A demand is met or the field is not signed:

SV-FILTER      another signature handler, version or encoding than ETSI.CAdES.detached
SV-DIGEST      another digest than the key's
SV-REASON      one of several reasons, none of which is ours; where there is one, it is taken
SV-TYPE        certification: the field is signed as the first one, or not at all
SV-TIMESTAMP   a timestamp, at a level without one
SV-REVOCATION  revocation data inside the CMS, which PAdES does not have
SV-APPEARANCE  a named appearance
SV-LOCK        locking the document: done by a lock with P 1
SV-CERT        a certificate with certain properties
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyhanko.sign.fields import SeedLockDocument, SigSeedSubFilter, SigSeedValFlags, SigSeedValueSpec
from pyhanko.sign.general import SigningError, UnacceptableSignerError

from signing.errors import SignatureFieldConstraint
from signing.model import FieldAction, FieldLock, Level, Signatory, SignatureText
from signing.sign.pdf_objects import entry
from signing.sign.revisions import Place
from signing.sign.token_signer import SigningAlgorithm, asn1

_specification: Any = SigSeedValueSpec  # which has no types

_NO_FIELDS = FieldLock(FieldAction.INCLUDE, (), 1)  # closes the document and no field in particular


def follow(
    where: Place, words: SignatureText, signatory: Signatory, algorithm: SigningAlgorithm, level: Level, *, first: bool
) -> tuple[Place, SignatureText]:
    """The place and the words as the field wants them. ``first``: whether there is no signature yet.

    Raises SignatureFieldConstraint, naming the rule, for what is demanded and cannot be done.
    """
    seeds = entry(where.field.holder, "/SV") if where.field is not None else None
    if seeds is None:
        return where, words
    try:
        wanted = _specification.from_pdf_object(seeds)
    except (SigningError, ValueError, TypeError, KeyError) as error:  # another handler or version, or unreadable
        raise SignatureFieldConstraint(rule="SV-FILTER") from error
    flags = wanted.flags
    if flags & SigSeedValFlags.SUBFILTER and wanted.subfilters is not None:
        _require(SigSeedSubFilter.PADES in wanted.subfilters, "SV-FILTER")
    if flags & SigSeedValFlags.DIGEST_METHOD and wanted.digest_methods is not None:
        _require(algorithm.hash_name in wanted.digest_methods, "SV-DIGEST")
    _require(not (wanted.timestamp_required and not level.includes(Level.B_T)), "SV-TIMESTAMP")
    _require(not (flags & SigSeedValFlags.ADD_REV_INFO and wanted.add_rev_info), "SV-REVOCATION")
    _require(not (flags & SigSeedValFlags.APPEARANCE_FILTER and wanted.appearance is not None), "SV-APPEARANCE")
    _require(not (flags & SigSeedValFlags.LEGAL_ATTESTATION and wanted.legal_attestations), "SV-APPEARANCE")
    if wanted.cert is not None:
        try:
            wanted.cert.satisfied_by(asn1(signatory.certificate), None)
        except (UnacceptableSignerError, SigningError) as error:
            raise SignatureFieldConstraint(rule="SV-CERT") from error
    return _kind(_locked(where, wanted), wanted, first=first), _reason(words, wanted)


def _reason(words: SignatureText, wanted: Any) -> SignatureText:
    reasons = [str(one) for one in wanted.reasons or ()]
    if not wanted.flags & SigSeedValFlags.REASONS:
        return words
    if not reasons or reasons == ["."]:  # Table 235: then none is to be given
        return replace(words, reason=None)
    if words.reason in reasons:
        return words
    _require(len(reasons) == 1, "SV-REASON")
    return replace(words, reason=reasons[0])


def _kind(where: Place, wanted: Any, *, first: bool) -> Place:
    """Table 235, MDP: P 0 an approval signature, 1 to 3 a certification. That is no wish but part of what it is."""
    if wanted.seed_signature_type is None:
        return where
    if not wanted.seed_signature_type.certification_signature():
        _require(where.certify is None, "SV-TYPE")
        return where
    permission = int(wanted.seed_signature_type.mdp_perm.value)
    _require(first and where.certify in (None, permission), "SV-TYPE")
    return replace(where, certify=permission)


def _locked(where: Place, wanted: Any) -> Place:
    demanded = bool(wanted.flags & SigSeedValFlags.LOCK_DOCUMENT)
    closes = where.lock is not None and where.lock.permission == 1
    if wanted.lock_document is SeedLockDocument.LOCK:
        if where.lock is None:
            return replace(where, lock=_NO_FIELDS)
        return where if closes else replace(where, lock=replace(where.lock, permission=1))
    _require(not (demanded and wanted.lock_document is SeedLockDocument.DO_NOT_LOCK and closes), "SV-LOCK")
    return where


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise SignatureFieldConstraint(rule=rule)
