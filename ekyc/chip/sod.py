"""EF.SOD: CMS SignedData over the LDS security object, which holds the hashes of the data groups (ICAO 9303-10 §4.6.2).

Read strictly: every octet is either signed, or has the one value that the signed ones ask for. What CMS allows beside
(more signers, other certificates, CRLs, unsigned attributes) proves nothing about a chip and is refused.

One alias is left: ``rsaEncryption`` and ``sha256WithRSAEncryption`` name the same signature (RFC 3370 §3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ekyc.chip.certificates import ChipCertificate, DistinguishedName, read_certificate, read_name, read_time
from ekyc.chip.der import INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Fields, Malformed, Tlv, check_bounds, single
from ekyc.chip.signatures import (
    HASHES,
    AlgorithmUnsupported,
    PublicKey,
    SignatureAlgorithm,
    digest,
    oid,
    read_hash,
    read_signature_algorithm,
    verify,
)
from foundation.x509.signature_check import Scheme

_SOD_TAG = 0x77
SIGNED_DATA = "1.2.840.113549.1.7.2"
LDS_SECURITY_OBJECT = "2.23.136.1.1.1"
_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME = (
    "1.2.840.113549.1.9.3",
    "1.2.840.113549.1.9.4",
    "1.2.840.113549.1.9.5",
)
_PRINTABLE_STRING = 0x13


class SignersWrong(Exception):
    """Not exactly one signer with exactly its own certificate."""


class BeyondProfile(Exception):
    """Something that CMS allows and the profile of EF.SOD does not ask for; the argument says what."""


@dataclass(frozen=True)
class SecurityObject:
    """LDSSecurityObject: the hash algorithm, and the hash of each data group."""

    version: int
    hash_name: str
    hashes: Mapping[int, bytes]


@dataclass(frozen=True)
class Signer:
    """SignerInfo. ``attributes``: the signed attributes as the SET that is signed, None where there are none."""

    issuer: DistinguishedName | None
    serial: bytes | None
    key_id: bytes | None
    hash_name: str
    algorithm: SignatureAlgorithm
    attributes: bytes | None
    message_digest: bytes | None
    signing_time: datetime | None
    signature: bytes


@dataclass(frozen=True)
class SecurityFile:
    """EF.SOD. ``certificate`` is the DER of the only certificate, not read yet."""

    content: bytes
    lds: SecurityObject
    certificate: bytes
    signer: Signer

    def signature_holds(self, key: PublicKey) -> bool:
        """Whether the signer's signature covers the content (RFC 5652 §5.4, §5.6)."""
        signer = self.signer
        if signer.attributes is None:
            return verify(key, signer.algorithm, signer.signature, self.content)
        if signer.message_digest != digest(signer.hash_name, self.content):
            return False
        return verify(key, signer.algorithm, signer.signature, signer.attributes)

    def names(self, certificate: ChipCertificate) -> bool | None:
        """Whether the signer's identifier means ``certificate``; None where only after preparing the names."""
        signer = self.signer
        if signer.issuer is None or signer.serial is None:
            return signer.key_id is not None and signer.key_id == certificate.subject_key_id
        if signer.serial != certificate.serial or signer.issuer.key != certificate.issuer.key:
            return False
        return True if signer.issuer.raw == certificate.issuer.raw else None


def read_sod(data: bytes) -> SecurityFile:
    """Read EF.SOD. Raises Malformed, SignersWrong, BeyondProfile, AlgorithmUnsupported."""
    check_bounds(data)
    content_info = Fields(single(single(data, _SOD_TAG).content, SEQUENCE).content)
    if oid(content_info.next(OID).raw) != SIGNED_DATA:
        raise Malformed("not SignedData")
    explicit = content_info.next(0xA0).content
    content_info.end()
    fields = Fields(single(explicit, SEQUENCE).content)
    if fields.next(INTEGER).integer() != 3:  # RFC 5652 §5.1: the content is not id-data
        raise BeyondProfile("version of SignedData")
    digests = {read_hash(one.raw) for one in Fields(fields.next(SET).content).all(SEQUENCE, limit=8)}
    content = _content(fields.next(SEQUENCE).content)
    certificates = fields.optional(0xA0)
    if fields.optional(0xA1) is not None:
        raise BeyondProfile("CRLs")
    signers = Fields(fields.next(SET).content).all(limit=16)
    fields.end()
    sole = _sole(signers, "signers")
    certificate = _sole([] if certificates is None else Fields(certificates.content).all(limit=16), "certificates")
    lds = _security_object(content)
    signer = read_signer(sole.content, LDS_SECURITY_OBJECT)
    if signer.hash_name not in digests or not digests <= {signer.hash_name, lds.hash_name}:
        raise BeyondProfile("digest algorithms")
    return SecurityFile(content, lds, certificate.raw, signer)


def document_signer(sod: SecurityFile) -> ChipCertificate:
    """The document signer's certificate. Raises Malformed, AlgorithmUnsupported."""
    return read_certificate(sod.certificate)


def _sole(elements: Sequence[Tlv], what: str) -> Tlv:
    """Where there is a choice, whoever chooses otherwise sees another signature."""
    if len(elements) != 1 or elements[0].tag != SEQUENCE:
        raise SignersWrong(f"{len(elements)} {what}")
    return elements[0]


def _content(encapsulated: bytes) -> bytes:
    fields = Fields(encapsulated)
    if oid(fields.next(OID).raw) != LDS_SECURITY_OBJECT:
        raise Malformed("not an LDS security object")
    octets = single(fields.next(0xA0).content, OCTET_STRING).content
    fields.end()
    return octets


def _security_object(content: bytes) -> SecurityObject:
    """LDSSecurityObject, version 0 or 1 (ICAO 9303-10 §4.6.2)."""
    check_bounds(content)
    fields = Fields(single(content, SEQUENCE).content)
    version = fields.next(INTEGER).integer()
    if version not in (0, 1):
        raise BeyondProfile("version of LDS security object")
    name = read_hash(fields.next(SEQUENCE).raw)
    found: dict[int, bytes] = {}
    for element in Fields(fields.next(SEQUENCE).content).all(SEQUENCE, limit=16):
        entry = Fields(element.content)
        number, value = entry.next(INTEGER).integer(), entry.next(OCTET_STRING).content
        entry.end()
        if number in found or not 1 <= number <= 16 or len(value) != HASHES[name].digest_size:
            raise Malformed("data group hash")
        found[number] = value
    if version == 1:
        info = Fields(fields.next(SEQUENCE).content)
        info.next(_PRINTABLE_STRING)
        info.next(_PRINTABLE_STRING)
        info.end()
    fields.end()
    return SecurityObject(version, name, found)


def read_signer(content: bytes, content_type: str) -> Signer:
    """SignerInfo (RFC 5652 §5.3) over a content of this type. Raises Malformed, BeyondProfile, AlgorithmUnsupported."""
    fields = Fields(content)
    version = fields.next(INTEGER).integer()
    identifier = fields.next(SEQUENCE, 0x80)
    issuer, serial, key_id = None, None, None
    if identifier.tag == SEQUENCE:
        parts = Fields(identifier.content)
        issuer, serial = read_name(parts.next(SEQUENCE).raw), parts.next(INTEGER).content
        parts.end()
    else:
        key_id = identifier.content
    if version != (1 if key_id is None else 3):
        raise Malformed("version of SignerInfo")
    hash_name = read_hash(fields.next(SEQUENCE).raw)
    attributes = fields.optional(0xA0)
    algorithm = read_signature_algorithm(fields.next(SEQUENCE).raw)
    signature = fields.next(OCTET_STRING).content
    if fields.rest:
        raise BeyondProfile("unsigned attributes")
    if algorithm.hash_name is None and algorithm.scheme is Scheme.RSA_PKCS1:
        algorithm = SignatureAlgorithm(algorithm.scheme, hash_name)
    if algorithm.hash_name != hash_name:
        raise AlgorithmUnsupported("two digests")
    stated = {} if attributes is None else _attributes(attributes.content, content_type)
    return Signer(
        issuer,
        serial,
        key_id,
        hash_name,
        algorithm,
        None if attributes is None else bytes([SET]) + attributes.raw[1:],  # RFC 5652 §5.4
        None if attributes is None else single(stated[_MESSAGE_DIGEST], OCTET_STRING).content,
        read_time(Fields(stated[_SIGNING_TIME])) if _SIGNING_TIME in stated else None,
        signature,
    )


def _attributes(content: bytes, content_type: str) -> dict[str, bytes]:
    """Signed attributes, each once; content type and message digest must be there (RFC 5652 §11.1, §11.2)."""
    found: dict[str, bytes] = {}
    for element in Fields(content).all(SEQUENCE, limit=32):
        fields = Fields(element.content)
        identifier = oid(fields.next(OID).raw)
        values = fields.next(SET).content
        fields.end()
        if identifier in found:
            raise Malformed("an attribute twice")
        found[identifier] = values
    if not {_CONTENT_TYPE, _MESSAGE_DIGEST} <= found.keys():
        raise Malformed("signed attributes")
    if oid(single(found[_CONTENT_TYPE], OID).raw) != content_type:
        raise Malformed("content type")
    return found
