"""Timestamp messages as octets (RFC 3161): a strict reader of requests, a writer of tokens. Pure.

The CMS around a timestamp is the same each time but for imprint, serial, time and signature, so it is written from
parts that are encoded once (architecture, practice 16).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from foundation.x509.algorithms import signature_hash
from issuing_ca import der_reader
from issuing_ca.errors import DerInvalid, TimestampRefused
from issuing_ca.signer import Signer

MAX_REQUEST = 10 * 1024

HASH_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_HASHES = {der.oid(oid): name for name, oid in HASH_OIDS.items()}
_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
_NULL = b"\x05\x00"

_ID_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_ID_TST_INFO = der.oid("1.2.840.113549.1.9.16.1.4")
_ID_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_ID_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_ID_SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")
_V1, _V3 = der.integer(1), der.integer(3)


class Failure(IntEnum):
    """PKIFailureInfo bits that a TSA answers with (RFC 3161 §2.4.2)."""

    BAD_ALG = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    SYSTEM_FAILURE = 25


def refusal(failure: Failure) -> TimestampRefused:
    """The error that says this failure."""
    return TimestampRefused(failure, failure.name.lower().replace("_", " "))


@dataclass(frozen=True)
class TimestampRequest:
    """A TimeStampReq. ``imprint`` is the MessageImprint as it came, to be echoed; ``policy`` an encoded OID,
    ``nonce`` an encoded INTEGER."""

    imprint: bytes
    policy: bytes | None
    nonce: bytes | None
    certificates: bool


def read_request(data: bytes) -> TimestampRequest:
    """A TimeStampReq in DER (RFC 3161 §2.4.1).

    Raises DerInvalid for what cannot be read, TimestampRefused for a hash algorithm that is not accepted, an imprint of
    the wrong length, another version, or any extension.
    """
    if len(data) > MAX_REQUEST:
        raise DerInvalid
    parts = list(der_reader.read_all(der_reader.read_one(data, der.SEQUENCE).content))
    if len(parts) < 2 or parts[1].tag != der.SEQUENCE:
        raise DerInvalid
    if der_reader.read_integer(parts[0]) != 1:
        raise refusal(Failure.BAD_REQUEST)
    _check_imprint(parts[1])
    imprint = parts[1].whole
    rest = parts[2:]
    policy = rest.pop(0).whole if rest and rest[0].tag == der.OID else None
    nonce = None
    if rest and rest[0].tag == der.INTEGER:
        der_reader.read_integer(rest[0])
        nonce = rest.pop(0).whole
    certificates = der_reader.read_boolean(rest.pop(0)) if rest and rest[0].tag == der_reader.BOOLEAN else False
    if rest and rest[0].tag == 0xA0 and len(rest) == 1:
        raise refusal(Failure.UNACCEPTED_EXTENSION)
    if rest:
        raise DerInvalid
    return TimestampRequest(imprint, policy, nonce, certificates)


def _check_imprint(element: der_reader.Element) -> None:
    fields = der_reader.read_all(element.content)
    if len(fields) != 2 or fields[0].tag != der.SEQUENCE or fields[1].tag != der.OCTET_STRING:
        raise DerInvalid
    algorithm = der_reader.read_all(fields[0].content)
    if not 1 <= len(algorithm) <= 2 or algorithm[0].tag != der.OID:
        raise DerInvalid
    name = _HASHES.get(algorithm[0].whole)
    if name is None or (len(algorithm) == 2 and algorithm[1].whole != _NULL):
        raise refusal(Failure.BAD_ALG)
    if len(fields[1].content) != _SIZES[name]:
        raise refusal(Failure.BAD_DATA_FORMAT)


def message_imprint(digest: bytes, hash_name: str) -> bytes:
    """A MessageImprint; TimestampRefused for a hash that is not accepted or a digest of another length."""
    if hash_name not in _SIZES:
        raise refusal(Failure.BAD_ALG)
    if len(digest) != _SIZES[hash_name]:
        raise refusal(Failure.BAD_DATA_FORMAT)
    return der.sequence((der.sequence([der.oid(HASH_OIDS[hash_name])]), der.octet_string(digest)))


def granted(token: bytes) -> bytes:
    """A TimeStampResp with a token."""
    return der.sequence((der.sequence([der.integer(0)]), token))


def rejected(failure: int) -> bytes:
    """A TimeStampResp that says why there is no token: one named bit, no trailing zero bits (X.690 §11.2.2)."""
    octets = bytes(failure // 8) + bytes((0x80 >> failure % 8,))
    bits = der.tlv(der.BIT_STRING, bytes((7 - failure % 8,)) + octets)
    return der.sequence([der.sequence((der.integer(2), bits))])


@dataclass(frozen=True)
class TokenDraft:
    """What one token says. ``imprint`` is an encoded MessageImprint, ``nonce`` an encoded INTEGER, ``accuracy`` as
    :func:`encoded_accuracy` gives it; ``certificates``: whether they go along."""

    imprint: bytes
    serial: int
    at: datetime
    nonce: bytes | None
    certificates: bool
    accuracy: bytes


class TokenWriter:
    """Writes the tokens of one TSA unit: CMS SignedData over a TSTInfo (RFC 3161 §2.4.2, RFC 5652, RFC 5816).

    ``chain``: certificates that go along with the unit's own when certificates are asked for.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        signer: Signer,
        policy: str,
    ) -> None:
        whole = certificate.public_bytes(Encoding.DER)
        hash_algorithm = signature_hash(signer.public_key)
        # RFC 8419 §3.1 and RFC 9882 §3.3 pair SHA-512 with the schemes that bring their own hash
        self._hash = hash_algorithm.name if hash_algorithm is not None else "sha512"
        digest_algorithm = der.sequence([der.oid(HASH_OIDS[self._hash])])
        issuer, serial = certificate.issuer.public_bytes(), der.integer(certificate.serial_number)
        self._key = signer
        self.not_before, self.not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        self.policy = der.oid(policy)
        self._head = _V3 + set_of([digest_algorithm])
        self._certificates = set_of([whole, *(one.public_bytes(Encoding.DER) for one in chain)], 0xA0)
        self._signer = _V1 + der.sequence((issuer, serial)) + digest_algorithm
        self._content_type = _attribute(_ID_CONTENT_TYPE, _ID_TST_INFO)
        # ESSCertIDv2: SHA-256 is the default and so left out; issuer and serial pin the certificate further
        issuer_serial = der.sequence((der.sequence([der.explicit(4, issuer)]), serial))
        ess = der.sequence((der.octet_string(hashlib.sha256(whole).digest()), issuer_serial))
        self._signing_certificate = _attribute(_ID_SIGNING_CERTIFICATE_V2, der.sequence([der.sequence([ess])]))

    def write(self, drafts: Sequence[TokenDraft]) -> list[bytes]:
        """A TimeStampToken for each, signed in one round trip to the token."""
        infos, attributes = [], []
        for one in drafts:
            content = _V1 + self.policy + one.imprint + der.integer(one.serial) + _gen_time(one.at)
            infos.append(der.tlv(der.SEQUENCE, content + one.accuracy + (one.nonce or b"")))
            digest = _attribute(_ID_MESSAGE_DIGEST, der.octet_string(hashlib.new(self._hash, infos[-1]).digest()))
            attributes.append(b"".join(sorted((self._content_type, digest, self._signing_certificate))))
        signatures = self._key.sign_many([der.tlv(der.SET, one) for one in attributes], infos)
        return [self._token(*parts) for parts in zip(drafts, infos, attributes, signatures, strict=True)]

    def _token(self, draft: TokenDraft, info: bytes, attributes: bytes, signature: bytes) -> bytes:
        signer = self._signer + der.tlv(0xA0, attributes) + self._key.algorithm + der.octet_string(signature)
        content = der.tlv(der.SEQUENCE, _ID_TST_INFO + der.tlv(0xA0, der.octet_string(info)))
        signers = der.tlv(der.SET, der.tlv(der.SEQUENCE, signer))
        signed = self._head + content + (self._certificates if draft.certificates else b"") + signers
        return der.tlv(der.SEQUENCE, _ID_SIGNED_DATA + der.tlv(0xA0, der.tlv(der.SEQUENCE, signed)))


def encoded_accuracy(error: timedelta) -> bytes:
    """Accuracy ::= SEQUENCE { seconds, millis [0], micros [1] }, rounded up to a millisecond, without zero parts."""
    seconds, millis = divmod(-(-error // timedelta(milliseconds=1)) or 1, 1000)
    parts = der.integer(seconds) if seconds else b""
    if millis:
        parts += b"\x80" + der.integer(millis)[1:]
    return der.tlv(der.SEQUENCE, parts)


def set_of(items: Iterable[bytes], tag: int = der.SET) -> bytes:
    """A SET OF, its members in the ascending order of their encodings (X.690 §11.6): strict clients refuse less."""
    return der.tlv(tag, b"".join(sorted(items)))


def _attribute(oid: bytes, value: bytes) -> bytes:
    return der.sequence((oid, set_of([value])))


def _gen_time(at: datetime) -> bytes:
    # RFC 3161 §2.4.2: a fraction only where there is one, without trailing zeros
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return der.tlv(der.GENERALIZED_TIME, (at.strftime("%Y%m%d%H%M%S") + fraction + "Z").encode())
