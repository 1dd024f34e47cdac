"""Master lists: the country signing authorities that a state vouches for, in CMS (ICAO 9303-12 §9).

The signature says who made the list and that nobody changed it; it does not make the list trusted. That two officers
do, by its digest and the fingerprint of its signer. Entries that cannot be read are counted, not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asn1crypto import x509 as asn1_x509

from ekyc.chip.certificates import ChipCertificate, read_certificate
from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Fields, Malformed, Tlv, single
from ekyc.chip.issuer import may_sign_certificates
from ekyc.chip.signatures import AlgorithmUnsupported, digest, oid, read_public_key, verify
from ekyc.chip.sod import SIGNED_DATA, BeyondProfile, SecurityFile, SecurityObject, Signer, read_signer

MASTER_LIST = "2.23.136.1.1.2"
MASTER_LIST_SIGNER = "2.23.136.1.1.3"
MAX_LIST = 8 * 1024 * 1024  # octets
_MAX_ENTRIES = 5000
_EXTENDED_USAGE = "2.5.29.37"


class ListRefused(Exception):
    """Not a master list, or one that its signer did not sign; the argument says what, in a word."""


@dataclass(frozen=True)
class MasterList:
    """``authorities`` as they stand in the list; ``unreadable``: entries that are none, or that cannot be read."""

    authorities: tuple[ChipCertificate, ...]
    unreadable: int
    signer: ChipCertificate


def is_master_list(data: bytes) -> bool:
    """Whether this is CMS SignedData at all: what it holds, :func:`read_master_list` says."""
    try:
        return oid(Fields(Fields(data).next(SEQUENCE).content).next(OID).raw) == SIGNED_DATA
    except Malformed:
        return False


def read_master_list(data: bytes) -> MasterList:
    """Read and verify a list. Raises ListRefused."""
    try:
        return _read(data)
    except (Malformed, BeyondProfile, AlgorithmUnsupported, CurveUnsupported, CurveForged) as error:
        raise ListRefused(str(error) or type(error).__name__) from error


def read_authority(data: bytes) -> ChipCertificate:
    """One country signing certificate, DER, that may sign certificates; a self-signed one verifies. ListRefused."""
    try:
        single(data, SEQUENCE)
        certificate = read_certificate(data)
        if not may_sign_certificates(certificate):
            raise ListRefused("not a signing authority")
        if certificate.subject.key == certificate.issuer.key and not _signed_by(certificate, certificate):
            raise ListRefused("its own signature is wrong")
    except (Malformed, AlgorithmUnsupported) as error:
        raise ListRefused(str(error)) from error
    return certificate


def _read(data: bytes) -> MasterList:
    if len(data) > MAX_LIST:
        raise ListRefused("too large")
    content_info = Fields(single(data, SEQUENCE).content)
    if oid(content_info.next(OID).raw) != SIGNED_DATA:
        raise ListRefused("not signed data")
    fields = Fields(single(content_info.next(0xA0).content, SEQUENCE).content)
    content_info.end()
    fields.next(INTEGER)
    fields.next(SET)
    encapsulated = Fields(fields.next(SEQUENCE).content)
    if oid(encapsulated.next(OID).raw) != MASTER_LIST:
        raise ListRefused("not a master list")
    content = single(encapsulated.next(0xA0).content, OCTET_STRING).content
    certificates = fields.optional(0xA0)
    fields.optional(0xA1)
    signers = Fields(fields.next(SET).content).all(limit=4)
    fields.end()
    if certificates is None or len(signers) != 1:
        raise ListRefused("signers")
    signer = read_signer(signers[0].content, MASTER_LIST)
    certificate = _certificate_of(signer, content, Fields(certificates.content).all(SEQUENCE, limit=16))
    key = read_public_key(certificate.public_key_info)
    if signer.algorithm.weaknesses(key):
        raise ListRefused("weak signature")
    if not SecurityFile(content, _NOTHING, certificate.raw, signer).signature_holds(key):
        raise ListRefused("signature")
    if MASTER_LIST_SIGNER not in _purposes(certificate):
        raise ListRefused("its signer may not sign master lists")
    authorities, unreadable = _entries(content)
    return MasterList(authorities, unreadable, certificate)


_NOTHING = SecurityObject(0, "sha256", {})


def _certificate_of(signer: Signer, content: bytes, candidates: Sequence[Tlv]) -> ChipCertificate:
    for one in candidates:
        try:
            certificate = read_certificate(one.raw)
        except (Malformed, AlgorithmUnsupported):
            continue
        if SecurityFile(content, _NOTHING, one.raw, signer).names(certificate) is not False:
            return certificate
    raise ListRefused("signer's certificate")


def _purposes(certificate: ChipCertificate) -> frozenset[str]:
    found = certificate.extensions.get(_EXTENDED_USAGE)
    if found is None:
        return frozenset()
    try:
        return frozenset(one.dotted for one in asn1_x509.ExtKeyUsageSyntax.load(found[1], strict=True))
    except (ValueError, TypeError) as error:
        raise Malformed("extended key usage") from error


def _entries(content: bytes) -> tuple[tuple[ChipCertificate, ...], int]:
    """CscaMasterList ::= SEQUENCE { version, certList SET OF Certificate } (ICAO 9303-12 §9)."""
    fields = Fields(single(content, SEQUENCE).content)
    if fields.next(INTEGER).integer() != 0:
        raise ListRefused("version")
    authorities: dict[str, ChipCertificate] = {}
    unreadable = 0
    for one in Fields(fields.next(SET).content).all(SEQUENCE, limit=_MAX_ENTRIES):
        try:
            certificate = read_authority(one.raw)
        except ListRefused:
            unreadable += 1
        else:
            authorities[certificate.sha256] = certificate
    fields.end()
    return tuple(authorities.values()), unreadable


def _signed_by(certificate: ChipCertificate, issuer: ChipCertificate) -> bool:
    """Whether the signature holds. A key that cannot be computed with here is no reason against it: it proves nothing
    later either.
    """
    try:
        key = read_public_key(issuer.public_key_info)
    except (CurveUnsupported, AlgorithmUnsupported):
        return True
    except (CurveForged, Malformed):
        return False
    return verify(key, certificate.algorithm, certificate.signature, certificate.tbs)


def digest_of(data: bytes) -> str:
    """SHA-256 of a file, in hexadecimal: what officers compare."""
    return digest("sha256", data).hex()
