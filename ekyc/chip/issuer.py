"""From a document signer to the country's signing authority: who signed its certificate, and whether it was revoked.

Paths have two certificates: a document signer is issued by a CSCA directly, and every CSCA in use, link certificates
included, is imported as an anchor (ICAO 9303-12 §2, §6.1.1). An issuer is found by name and proved by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from ekyc.chip.certificates import ChipCertificate, read_certificate, read_name
from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import BIT_STRING, SEQUENCE, Fields, Malformed
from ekyc.chip.signatures import AlgorithmUnsupported, read_public_key, read_signature_algorithm, verify

MAX_CRL = 16 * 1024 * 1024  # octets
MAX_ANCHORS = 5000
MAX_CRLS = 1000


class Issued(StrEnum):
    """What a search for the issuer found."""

    ANCHORED = "anchored"
    UNKNOWN = "unknown"  # no authority of this name, or none with the key that the certificate names
    REFUSED = "refused"  # an authority of this name and key, and a signature that is not its own
    UNREADABLE = "unreadable"  # only authorities whose keys cannot be computed with


@dataclass(frozen=True)
class Search:
    """The result; ``anchor`` where it is ANCHORED, ``namesakes`` all authorities of that name."""

    found: Issued
    anchor: ChipCertificate | None = None
    namesakes: tuple[ChipCertificate, ...] = ()
    detail: str = ""


def find_issuer(signer: ChipCertificate, anchors: Sequence[bytes]) -> Search:
    """Search ``anchors`` (DER, trusted by whoever imported them). An anchor that cannot be read is passed over."""
    namesakes = tuple(
        one for one in map(_read_anchor, anchors[:MAX_ANCHORS]) if one and one.subject.key == signer.issuer.key
    )
    key_id = signer.authority_key_id
    candidates = [one for one in namesakes if not key_id or one.subject_key_id in (None, key_id)]
    if not candidates:
        return Search(Issued.UNKNOWN, detail="another key" if namesakes else "another name")
    unreadable = ""
    for one in candidates:
        try:
            if verify(read_public_key(one.public_key_info), signer.algorithm, signer.signature, signer.tbs):
                return Search(Issued.ANCHORED, one, namesakes)
        except (Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged) as error:
            unreadable = str(error)
    if unreadable:
        return Search(Issued.UNREADABLE, namesakes=namesakes, detail=unreadable)
    return Search(Issued.REFUSED, namesakes=namesakes)


def may_sign_certificates(anchor: ChipCertificate) -> bool:
    """Whether it says so itself (ICAO 9303-12 §7.1.1)."""
    usages = anchor.usages()
    return anchor.is_ca and not anchor.unknown_critical() and (usages is None or "key_cert_sign" in usages)


class Status(StrEnum):
    """What the CRLs say about a document signer."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # no current CRL of its authority


def status_of(signer: ChipCertificate, search: Search, crls: Sequence[bytes], at: datetime) -> Status:
    """Look at every CRL of the signer's authority, by any of its keys. A revocation counts however old the CRL is.

    More CRLs than are looked at: what was not looked at might revoke, so the best answer is UNKNOWN.
    """
    current = False
    for data in crls[:MAX_CRLS]:
        try:
            crl = read_crl(data, signer.issuer.key, search.namesakes)
        except Exception:  # what cannot be read is no evidence; cryptography raises several kinds
            crl = None
        if crl is None or crl.last_update_utc > at:
            continue
        if crl.get_revoked_certificate_by_serial_number(int.from_bytes(signer.serial, "big", signed=True)) is not None:
            return Status.REVOKED
        current = current or (crl.next_update_utc is not None and at <= crl.next_update_utc)
    return Status.GOOD if current and len(crls) <= MAX_CRLS else Status.UNKNOWN


def _read_anchor(data: bytes) -> ChipCertificate | None:
    try:
        return read_certificate(data)
    except (Malformed, AlgorithmUnsupported):
        return None


def issuer_of_crl(data: bytes) -> str:
    """The name of a CRL's issuer, prepared for comparison. Raises ValueError for what is no CRL."""
    try:
        return read_name(x509.load_der_x509_crl(data).issuer.public_bytes()).key
    except Malformed as error:
        raise ValueError("issuer") from error


def read_crl(data: bytes, issuer: str, namesakes: Sequence[ChipCertificate]) -> x509.CertificateRevocationList | None:
    """A full CRL of the issuer of this name that one of its authorities really signed; None for any other.

    What is no CRL raises one of several errors of the library.
    """
    if len(data) > MAX_CRL:
        return None
    fields = Fields(Fields(data).next(SEQUENCE).content)
    tbs, algorithm = fields.next(SEQUENCE), read_signature_algorithm(fields.next(SEQUENCE).raw)
    signature = fields.next(BIT_STRING).content
    crl = x509.load_der_x509_crl(data)
    if read_name(crl.issuer.public_bytes()).key != issuer:
        return None
    if any(one.critical for one in crl.extensions) or signature[:1] != b"\x00":  # delta, partial, indirect
        return None
    for one in namesakes:
        usages = one.usages()
        if usages is not None and "crl_sign" not in usages:
            continue
        key = read_public_key(one.public_key_info)
        if not algorithm.weaknesses(key) and verify(key, algorithm, signature[1:], tbs.raw):
            return crl
    return None
