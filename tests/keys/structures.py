"""To-be-signed structures for keys of a token, made by outside builders under a throwaway signature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from foundation.keys.handles import public_key
from foundation.keys.port import KeyInfo
from foundation.x509 import der
from foundation.x509.algorithms import signature_hash, throwaway_key
from foundation.x509.names import subject_name

FROM = datetime(2026, 1, 1, tzinfo=UTC)
CA_NAME = subject_name([("C", "KH"), ("CN", "SPECIMEN CA")])
LEAF_NAME = subject_name([("C", "KH"), ("CN", "SPECIMEN leaf")])
_LEAF_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def tbs_certificate(
    info: KeyInfo,
    *,
    issuer: x509.Name = CA_NAME,
    subject: x509.Name = LEAF_NAME,
    key: CertificatePublicKeyTypes = _LEAF_KEY,
    days: float = 30,
    serial: int = 2**64 + 1,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    usage: str | None = "digitalSignature",
) -> bytes:
    """A TBSCertificate that the key ``info`` would sign: an end entity for ``days``, unless told otherwise."""
    until = FROM + timedelta(days=days, seconds=-1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(serial).not_valid_before(FROM).not_valid_after(until)
    for extension, critical in [*extensions, *([(key_usage(usage), True)] if usage else [])]:
        builder = builder.add_extension(extension, critical)
    signer = throwaway_key(info.algorithm)
    return builder.sign(signer, signature_hash(signer.public_key())).tbs_certificate_bytes


def key_usage(*names: str) -> x509.KeyUsage:
    bits = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
    ]
    return x509.KeyUsage(*(bit in names for bit in bits), False, False)


def tbs_crl(info: KeyInfo, issuer: x509.Name = CA_NAME, entries: int = 1) -> bytes:
    """A TBSCertList of version 2."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer)
    builder = builder.last_update(FROM).next_update(FROM + timedelta(days=7)).add_extension(x509.CRLNumber(1), False)
    for number in range(entries):
        entry = x509.RevokedCertificateBuilder().serial_number(number + 7).revocation_date(FROM).build()
        builder = builder.add_revoked_certificate(entry)
    signer = throwaway_key(info.algorithm)
    return builder.sign(signer, signature_hash(signer.public_key())).tbs_certlist_bytes


def response_data(info: KeyInfo, *, by_name: bool = False, key: Any = None, name: x509.Name = CA_NAME) -> bytes:
    """OCSP ResponseData, in the name of the key ``info``, of another ``key``, or of a ``name``."""
    digest = x509.SubjectKeyIdentifier.from_public_key(key or public_key(info)).digest
    responder = der.explicit(1, name.public_bytes()) if by_name else der.explicit(2, der.octet_string(digest))
    sha1 = der.sequence([der.oid("1.3.14.3.2.26"), der.tlv(der.NULL, b"")])
    asked = der.sequence((sha1, der.octet_string(bytes(20)), der.octet_string(bytes(20)), der.integer(7)))
    until = der.explicit(0, der.generalized_time(FROM + timedelta(days=1)))
    good = der.sequence((asked, b"\x80\x00", der.generalized_time(FROM), until))
    return der.sequence((responder, der.generalized_time(FROM), der.sequence([good])))


def request_info(info: KeyInfo, key: bytes | None = None, name: x509.Name = CA_NAME) -> bytes:
    """A CertificationRequestInfo for the key ``info``, or for another: what every certifying key signs."""
    return der.sequence((der.integer(0), name.public_bytes(), key or info.public_key, der.tlv(0xA0, b"")))


def time_stamp(
    at: datetime, hash_name: str = "sha256", *, ordered: bool = False, extra: bytes = b""
) -> tuple[bytes, bytes]:
    """CMS SignedAttributes of a timestamp at this time, and the TSTInfo that they are over."""
    imprint = der.sequence((der.sequence([der.oid("2.16.840.1.101.3.4.2.1")]), der.octet_string(bytes(32))))
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    moment = der.tlv(der.GENERALIZED_TIME, (at.strftime("%Y%m%d%H%M%S") + fraction + "Z").encode())
    parts = [der.integer(1), der.oid("2.999.116.2.1"), imprint, der.integer(2**100), moment]
    info = der.sequence([*parts, der.TRUE] if ordered else parts)
    return signed_attributes(hashlib.new(hash_name, info).digest(), extra=extra), info


def signed_attributes(
    digest: bytes, content_type: str = "1.2.840.113549.1.9.16.1.4", *, extra: bytes = b"", certificate: bool = True
) -> bytes:
    """CMS SignedAttributes as they are signed: a SET OF, in the order of DER."""
    signing_certificate = der.sequence([der.sequence([der.sequence([der.octet_string(bytes(32))])])])
    attributes = [
        attribute("1.2.840.113549.1.9.3", der.oid(content_type)),
        attribute("1.2.840.113549.1.9.4", der.octet_string(digest)),
        *([attribute("1.2.840.113549.1.9.16.2.47", signing_certificate)] if certificate else []),
        *([extra] if extra else []),
    ]
    return der.tlv(der.SET, b"".join(sorted(attributes)))


def attribute(oid: str, value: bytes) -> bytes:
    return der.sequence((der.oid(oid), der.tlv(der.SET, value)))
