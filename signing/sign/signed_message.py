"""CMS signatures read back: our own before they are handed out, and timestamp tokens before they go in.

A walk over DER of exactly the form that RFC 5652 §5 and RFC 3161 §2.4.2 ask for: one signer, named by issuer and serial
number; signed attributes, each once; nothing behind anything. Whatever is of another form is a ValueError. This checks
the mathematics and who signed; whether that one is trusted is not judged here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from foundation.x509.signature_check import (
    HASHES,
    SIGNATURE_ALGORITHMS,
    AlgorithmRules,
    Outcome,
    Scheme,
    check_signature,
)
from signing.cms_parts import pss_identifier
from signing.errors import TimestampUnavailable

MAX_TIMESTAMP_SKEW = 300.0  # seconds between a token's time and our clock
DATA, TST_INFO = der.oid("1.2.840.113549.1.7.1"), der.oid("1.2.840.113549.1.9.16.1.4")

_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE = der.oid("1.2.840.113549.1.9.16.2.12")  # RFC 2634 §5.4: SHA-1, as RFC 3161 has it
_SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")
SIGNATURE_TIMESTAMP = der.oid("1.2.840.113549.1.9.16.2.14")
_DIGESTS = {
    der.oid("2.16.840.1.101.3.4.2.1"): "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
_ALGORITHMS = {der.oid(name): scheme for name, scheme in SIGNATURE_ALGORITHMS.items()}
_RSA_ENCRYPTION = der.oid("1.2.840.113549.1.1.1")
_RULES = AlgorithmRules()
_TIME = re.compile(rb"(\d{14})(?:\.(\d{1,9}))?Z")
_A0, _A1, _A2 = 0xA0, 0xA1, 0xA2


@dataclass(frozen=True)
class SignedMessage:
    """A SignedData with one signer. ``attributes`` and ``unsigned`` by the DER of their types, each with its value."""

    content_type: bytes
    content: bytes | None
    certificates: tuple[x509.Certificate, ...]
    signer: x509.Certificate
    hash_name: str
    signed: bytes
    attributes: Mapping[bytes, bytes]
    signature_algorithm: bytes
    signature: bytes
    unsigned: Mapping[bytes, bytes]


def read(octets: bytes) -> SignedMessage:
    """Parse a ContentInfo. ValueError for everything that is not of the form."""
    kind, wrapped = _parts(octets, der.SEQUENCE, 2)
    if kind != _SIGNED_DATA:
        raise ValueError("not a SignedData")
    (body,) = _parts(wrapped, _A0, 1)
    parts = list(_parts(body, der.SEQUENCE))
    version, algorithms, encapsulated, carried = parts[:4]
    signers = parts[-1]
    content_type, *content = _parts(encapsulated, der.SEQUENCE)
    expected = der.integer(1 if content_type == DATA else 3)  # RFC 5652 §5.1
    if version != expected or not 5 <= len(parts) <= 6 or (len(parts) == 6 and parts[4][0] != _A1):
        raise ValueError("another form of SignedData")
    certificates = tuple(_certificate(one) for one in _parts(carried, _A0))
    (signer_info,) = _parts(signers, der.SET, 1)
    fields = _parts(signer_info, der.SEQUENCE)
    if len(fields) not in (6, 7) or fields[0] != der.integer(1):
        raise ValueError("another form of SignerInfo")
    _, identifier, digest_algorithm, attributes, signature_algorithm, signature = fields[:6]
    if _parts(algorithms, der.SET) != (digest_algorithm,):
        raise ValueError("other digest algorithms")
    return SignedMessage(
        content_type=content_type,
        content=_octets(_parts(content[0], _A0, 1)[0]) if content else None,
        certificates=certificates,
        signer=next(one for one in certificates if _issuer_and_serial(one) == identifier),
        hash_name=_hash_of(digest_algorithm),
        signed=bytes((der.SET,)) + attributes[1:],
        attributes=_attributes(attributes, _A0),
        signature_algorithm=signature_algorithm,
        signature=_octets(signature),
        unsigned=_attributes(fields[6], _A1) if len(fields) == 7 else {},
    )


def check(message: SignedMessage, content_digest: bytes, content_type: bytes) -> None:
    """Content type, message digest, the certificate's attribute, the signature: ValueError for what is not right."""
    stated = message.attributes
    if message.content_type != content_type or stated[_CONTENT_TYPE] != content_type:
        raise ValueError("another content type")
    if stated[_MESSAGE_DIGEST] != der.octet_string(content_digest):
        raise ValueError("another message digest")
    if not _names(stated, message.signer):
        raise ValueError("another certificate")
    key: Any = message.signer.public_key()
    if message.signature_algorithm == pss_identifier(message.hash_name):
        chosen, size = HASHES[message.hash_name], HASHES[message.hash_name].digest_size
        pss, kind = padding.PSS(padding.MGF1(chosen), size), Scheme.RSA_PSS
        outcome = check_signature(key, kind, message.hash_name, message.signature, message.signed, _RULES, pss)
        if outcome is not Outcome.VALID:
            raise ValueError("the signature does not verify")
        return
    algorithm, *parameters = _parts(message.signature_algorithm, der.SEQUENCE)
    scheme, hash_name = _ALGORITHMS.get(algorithm, (Scheme.RSA_PKCS1, message.hash_name))
    if (algorithm not in _ALGORITHMS and algorithm != _RSA_ENCRYPTION) or hash_name not in (None, message.hash_name):
        raise ValueError("an algorithm that is not taken")
    if parameters not in ([], [der.tlv(der.NULL, b"")]):
        raise ValueError("algorithm parameters")
    if check_signature(key, scheme, hash_name, message.signature, message.signed, _RULES) is not Outcome.VALID:
        raise ValueError("the signature does not verify")


@dataclass(frozen=True)
class TimestampToken:
    """A token that was checked: its DER, the time it states, who signed it, and every certificate inside."""

    der: bytes
    time: datetime
    unit: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


def read_token(octets: bytes, imprint: bytes, hash_name: str, now: datetime) -> TimestampToken:
    """Check that a token is for ``imprint``, of about ``now``, and signed by the certificate inside (RFC 3161 §2.4.2).

    Raises TimestampUnavailable: a token that does not check out is no token. Trust is not judged here.
    """
    try:
        message = read(octets)
        content = message.content or b""
        check(message, hashlib.new(message.hash_name, content).digest(), TST_INFO)
        time = _stated_time(content, imprint, hash_name)
    except (ValueError, TypeError, KeyError, StopIteration) as error:
        raise TimestampUnavailable from error
    if abs((time - now).total_seconds()) > MAX_TIMESTAMP_SKEW:
        raise TimestampUnavailable
    return TimestampToken(octets, time, message.signer, message.certificates)


def _stated_time(info: bytes, imprint: bytes, hash_name: str) -> datetime:
    """genTime of a TSTInfo about ``imprint`` (version, policy, messageImprint, serialNumber, genTime, ...)."""
    version, policy, stated, serial, time = _parts(info, der.SEQUENCE)[:5]
    algorithm, hashed = _parts(stated, der.SEQUENCE, 2)
    if version != der.integer(1) or (policy[0], serial[0], time[0]) != (der.OID, der.INTEGER, der.GENERALIZED_TIME):
        raise ValueError("another form of TSTInfo")
    if _hash_of(algorithm) != hash_name or hashed != der.octet_string(imprint):
        raise ValueError("a token for something else")
    found = _TIME.fullmatch(time[der.read(time)[1] :])
    if found is None:
        raise ValueError("another form of time")
    fraction = timedelta(microseconds=int((found[2] or b"0").ljust(6, b"0")[:6]))
    return datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC) + fraction


def _parts(element: bytes, tag: int, count: int | None = None) -> tuple[bytes, ...]:
    """The elements inside one that has this tag and no octet behind it."""
    if element[:1] != bytes((tag,)) or der.read(element)[2] != len(element):
        raise ValueError("another form")
    parts = der.children(element)
    if count is not None and len(parts) != count:
        raise ValueError("another form")
    return parts


def _octets(element: bytes) -> bytes:
    tag, start, end = der.read(element)
    if tag != der.OCTET_STRING or end != len(element):
        raise ValueError("not an OCTET STRING")
    return element[start:]


def _attributes(element: bytes, tag: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for attribute in _parts(element, tag):
        kind, values = _parts(attribute, der.SEQUENCE, 2)
        if kind in found:
            raise ValueError("an attribute that stands twice")
        (found[kind],) = _parts(values, der.SET, 1)
    return found


def _hash_of(algorithm: bytes) -> str:
    """The hash that an AlgorithmIdentifier names; parameters are absent or NULL (RFC 5754 §2)."""
    identifier, *parameters = _parts(algorithm, der.SEQUENCE)
    if parameters not in ([], [der.tlv(der.NULL, b"")]):
        raise ValueError("parameters of a hash")
    return _DIGESTS[identifier]


def _names(stated: Mapping[bytes, bytes], certificate: x509.Certificate) -> bool:
    """Whether the signing-certificate attribute names it, by its hash (RFC 5035 §3, RFC 2634 §5.4)."""
    octets = _encoded(certificate)
    if _SIGNING_CERTIFICATE_V2 in stated:
        first = _parts(_parts(_parts(stated[_SIGNING_CERTIFICATE_V2], der.SEQUENCE)[0], der.SEQUENCE)[0], der.SEQUENCE)
        hash_name, digest = ("sha256", first[0]) if first[0][0] == der.OCTET_STRING else (_hash_of(first[0]), first[1])
        return digest == der.octet_string(hashlib.new(hash_name, octets).digest())
    first = _parts(_parts(_parts(stated[_SIGNING_CERTIFICATE], der.SEQUENCE)[0], der.SEQUENCE)[0], der.SEQUENCE)
    return first[0] == der.octet_string(hashlib.sha1(octets, usedforsecurity=False).digest())


@lru_cache(maxsize=1024)
def _certificate(octets: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(octets)
        certificate.public_key()
    except Exception as error:  # InvalidVersion, UnsupportedAlgorithm and more, not all of them ValueErrors
        raise ValueError("a certificate that cannot be read") from error
    return certificate


@lru_cache(maxsize=1024)
def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    parts = der.children(certificate.tbs_certificate_bytes)
    return der.sequence((parts[3], parts[1]))


def _encoded(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
