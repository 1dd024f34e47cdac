"""OCSP messages as octets (RFC 6960 §4): a strict reader of requests, a writer of responses. Pure.

The writer echoes the CertID that was asked octet by octet, whichever way its hash algorithm was written; the builder of
`cryptography` rewrites it. Where both can express a response they give the same octets (a test holds this).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from issuing_ca import der_reader
from issuing_ca.errors import DerInvalid
from issuing_ca.signer import Signer

MAX_REQUEST = 10 * 1024
MAX_ASKED = 20  # certificates in one request

SHA1, SHA256 = "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1"
_HASHES = {der.oid(SHA1): "sha1", der.oid(SHA256): "sha256"}
_NONCE = der.oid("1.3.6.1.5.5.7.48.1.2")
_BASIC = der.oid("1.3.6.1.5.5.7.48.1.1")
_NULL = b"\x05\x00"
_ARCHIVE_CUTOFF = der.oid("1.3.6.1.5.5.7.48.1.6")
# Common PKI (ISIS-MTT) part 4 §3.1.2: certHash, the proof that the responder knows the very certificate
_CERT_HASH = der.oid("1.3.36.8.3.13")
_SHA256_ALGORITHM = der.sequence([der.oid(SHA256)])


class ResponseStatus(IntEnum):
    """OCSPResponseStatus (RFC 6960 §4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True)
class CertId:
    """Which certificate is asked about; ``hash`` is None where we do not know the algorithm, ``whole`` is echoed."""

    hash: str | None
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    whole: bytes


@dataclass(frozen=True)
class OcspRequest:
    """A request: what is asked, and the nonce (1 to 128 octets) if there is one."""

    asked: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True)
class CertStatus:
    """What is answered about one certificate: good when neither unknown nor revoked.

    ``certificate``: SHA-256 of the certificate where it is told that we issued exactly that one (certHash).
    """

    unknown: bool = False
    revoked_at: datetime | None = None
    reason: int | None = None
    certificate: bytes | None = None


def read_request(data: bytes) -> OcspRequest:
    """An OCSPRequest in DER. Its signature, if any, is not looked at: anybody may ask.

    Raises DerInvalid for anything else, for more than `MAX_ASKED` certificates, for a nonce of a length that RFC 9654
    §2.1 refuses, and for a critical extension that we do not know.
    """
    if len(data) > MAX_REQUEST:
        raise DerInvalid
    return usual_request(data) or any_request(data)


def any_request(data: bytes) -> OcspRequest:
    """The same, element by element."""
    outer = der_reader.read_all(der_reader.read_one(data, der_reader.SEQUENCE).content)
    if not 1 <= len(outer) <= 2 or outer[0].tag != der_reader.SEQUENCE or any(part.tag != 0xA0 for part in outer[1:]):
        raise DerInvalid
    parts = list(der_reader.read_all(outer[0].content))
    if parts and parts[0].tag == 0xA0:
        version = der_reader.read_one(parts.pop(0).content, der_reader.INTEGER)
        if der_reader.read_integer(version) != 0:
            raise DerInvalid
    if parts and parts[0].tag == 0xA1:
        parts.pop(0)  # requestorName says nothing to us
    if not parts or parts[0].tag != der_reader.SEQUENCE:
        raise DerInvalid
    requests = der_reader.read_all(parts.pop(0).content)
    extensions: tuple[der_reader.Extension, ...] = ()
    if parts and parts[0].tag == 0xA2:
        extensions = der_reader.read_extensions(parts.pop(0).content)
    if parts or not 1 <= len(requests) <= MAX_ASKED:
        raise DerInvalid
    return OcspRequest(tuple(_request(request) for request in requests), _nonce(extensions))


def usual_request(data: bytes) -> OcspRequest | None:
    """What nearly every client sends, read in one go: one certificate, SHA-1 or SHA-256, a nonce or none, nothing else.

    None for every other request, and whatever is not exactly that in DER: :func:`any_request` then says what it is (a
    test holds the two together). A third of the cost, of which every live answer pays the whole.
    """
    end, at = len(data), 0
    for _ in range(2):  # OCSPRequest, TBSRequest: both go to the end
        if end - at < 4 or data[at] != der_reader.SEQUENCE:
            return None
        length = data[at + 1]
        at += 2
        if length >= 0x80:
            if length != 0x81 or data[at] < 0x80:
                return None
            length = data[at]
            at += 1
        if length != end - at:
            return None
    if end - at < 6 or (data[at], data[at + 2], data[at + 4]) != _THREE_SEQUENCES:
        return None
    length = data[at + 1]  # requestList, its only Request, the CertID in it: all three end at one place
    stop = at + 2 + length
    if length >= 0x80 or stop > end or (data[at + 3], data[at + 5]) != (length - 2, length - 4):
        return None
    asked = _usual_cert_id(data[at + 4 : stop])
    if asked is None:
        return None
    if stop == end:
        return OcspRequest((asked,), None)
    size = end - stop - _AROUND_NONCE
    if 1 <= size <= _USUAL_NONCE and data.startswith(_before_nonce(size), stop):
        return OcspRequest((asked,), data[end - size :])
    return None


def _usual_cert_id(whole: bytes) -> CertId | None:
    for before, name, size in _USUAL:
        if not whole.startswith(before, 2):
            continue
        at = 2 + len(before)
        key = at + size + 2
        number = key + size + 2
        if number >= len(whole) or whole[at + size : key] != before[-2:]:
            return None
        content = whole[number:]
        if whole[number - 2] != der_reader.INTEGER or whole[number - 1] != len(content) or content[0] >= 0x80:
            return None
        if content[0] == 0 and (len(content) == 1 or content[1] < 0x80):
            return None
        serial = int.from_bytes(content, "big")
        return CertId(name, whole[at : at + size], whole[key : key + size], serial, whole)
    return None


def _request(element: der_reader.Element) -> CertId:
    parts = der_reader.read_all(element.content) if element.tag == der_reader.SEQUENCE else ()
    if not 1 <= len(parts) <= 2 or parts[0].tag != der_reader.SEQUENCE:
        raise DerInvalid
    if len(parts) == 2 and parts[1].tag != 0xA0:
        raise DerInvalid
    if len(parts) == 2 and any(one.critical for one in der_reader.read_extensions(parts[1].content)):
        raise DerInvalid
    fields = der_reader.read_all(parts[0].content)
    tags = tuple(field.tag for field in fields)
    if tags != (der_reader.SEQUENCE, der_reader.OCTET_STRING, der_reader.OCTET_STRING, der_reader.INTEGER):
        raise DerInvalid
    algorithm = der_reader.read_all(fields[0].content)
    if not 1 <= len(algorithm) <= 2 or algorithm[0].tag != der_reader.OID:
        raise DerInvalid
    plain = len(algorithm) == 1 or algorithm[1].whole == _NULL
    return CertId(
        hash=_HASHES.get(algorithm[0].whole) if plain else None,
        issuer_name_hash=fields[1].content,
        issuer_key_hash=fields[2].content,
        serial=der_reader.read_integer(fields[3]),
        whole=parts[0].whole,
    )


def _nonce(extensions: Sequence[der_reader.Extension]) -> bytes | None:
    nonce = None
    for extension in extensions:
        if der.tlv(der.OID, extension.oid) == _NONCE:
            nonce = der_reader.read_one(extension.value, der_reader.OCTET_STRING).content
            if not 1 <= len(nonce) <= 128:
                raise DerInvalid
        elif extension.critical:
            raise DerInvalid
    return nonce


def error_response(status: ResponseStatus) -> bytes:
    """An OCSPResponse without content, which nobody signs."""
    return der.sequence([der.enumerated(status)])


class ResponseWriter:
    """Writes successful responses of one responder, whose certificate goes along; SHA-1 of its key names it.

    What does not change from one response to the next is encoded once, here; :meth:`write` splices the rest in
    (architecture, practice 16). ``archive_cutoff``: since when revocations are told, expired certificates' among them
    (RFC 6960 §4.4.4); with it every SingleResponse says so.
    """

    def __init__(self, responder: x509.Certificate, signer: Signer, archive_cutoff: datetime | None = None) -> None:
        self.not_before, self.not_after = responder.not_valid_before_utc, responder.not_valid_after_utc
        # RFC 6960 §4.2.1: KeyHash is SHA-1
        key_hash = x509.SubjectKeyIdentifier.from_public_key(signer.public_key).digest
        self._responder_id = der.tlv(0xA2, der.octet_string(key_hash))
        self._algorithm = signer.algorithm
        self._certificates = der.explicit(0, der.sequence([responder.public_bytes(Encoding.DER)]))
        self._cutoff = b""
        if archive_cutoff is not None:
            self._cutoff = der.sequence((_ARCHIVE_CUTOFF, der.octet_string(der.generalized_time(archive_cutoff))))
        self._signer = signer

    def write(
        self,
        answers: Sequence[tuple[CertId, CertStatus]],
        produced_at: datetime,
        this_update: datetime,
        next_update: datetime,
        nonce: bytes | None,
    ) -> bytes:
        """A signed OCSPResponse; times in UTC and whole seconds."""
        return self.sign_all([self.data(answers, produced_at, this_update, next_update, nonce)])[0]

    def sign_all(self, datas: Sequence[bytes]) -> list[bytes]:
        """Signed OCSPResponses over what :meth:`data` gave, in one round trip to the token."""
        signatures = self._signer.sign_many(datas)
        return [self._response(data, signature) for data, signature in zip(datas, signatures, strict=True)]

    def _response(self, data: bytes, signature: bytes) -> bytes:
        basic = der.tlv(der.SEQUENCE, data + self._algorithm + der.bit_string(signature) + self._certificates)
        content = der.tlv(0xA0, der.tlv(der.SEQUENCE, _BASIC + der.tlv(der.OCTET_STRING, basic)))
        return der.tlv(der.SEQUENCE, _SUCCESSFUL + content)

    def data(
        self,
        answers: Sequence[tuple[CertId, CertStatus]],
        produced_at: datetime,
        this_update: datetime,
        next_update: datetime,
        nonce: bytes | None,
    ) -> bytes:
        """The ResponseData that is signed."""
        times = _time(this_update) + der.tlv(0xA0, _time(next_update))
        singles = b"".join([self._single(cert_id, status, times) for cert_id, status in answers])
        content = self._responder_id + _time(produced_at) + der.tlv(der.SEQUENCE, singles)
        if nonce is not None:
            extension = der.tlv(der.SEQUENCE, _NONCE + der.octet_string(der.octet_string(nonce)))
            content += der.tlv(0xA1, der.tlv(der.SEQUENCE, extension))
        return der.tlv(der.SEQUENCE, content)

    def _single(self, cert_id: CertId, status: CertStatus, times: bytes) -> bytes:
        extensions = self._cutoff
        if status.certificate is not None:
            extensions += _cert_hash(status.certificate)
        content = cert_id.whole + _status(status) + times
        if extensions:
            content += der.tlv(0xA1, der.tlv(der.SEQUENCE, extensions))
        return der.tlv(der.SEQUENCE, content)


_THREE_SEQUENCES = (der_reader.SEQUENCE,) * 3
_USUAL = tuple(  # what stands between the CertID's length and the hash of the issuer's name; whose hash; its octets
    (der.sequence([der.oid(identifier), *parameters]) + bytes((der_reader.OCTET_STRING, size)), name, size)
    for identifier, name, size in ((SHA1, "sha1", 20), (SHA256, "sha256", 32))
    for parameters in ([_NULL], [])
)
_USUAL_NONCE = 64  # octets; longer ones have lengths of two octets


@lru_cache(maxsize=_USUAL_NONCE)
def _before_nonce(size: int) -> bytes:
    """The extensions of a request with a nonce of ``size`` octets and nothing else, up to the nonce itself."""
    extension = der.sequence((_NONCE, der.octet_string(der.octet_string(bytes(size)))))
    return der.tlv(0xA2, der.sequence((extension,)))[:-size]


_AROUND_NONCE = len(_before_nonce(1))

_time = lru_cache(maxsize=64)(der.generalized_time)  # the same few, for as long as a second lasts
_SUCCESSFUL = der.enumerated(ResponseStatus.SUCCESSFUL)


def _cert_hash(digest: bytes) -> bytes:
    """CertHash ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier, certificateHash OCTET STRING }, not critical."""
    return der.sequence((_CERT_HASH, der.octet_string(der.sequence((_SHA256_ALGORITHM, der.octet_string(digest))))))


def plain_request(cert_id: bytes) -> bytes:
    """The shortest OCSPRequest about one CertID: version 1, no requestor, no extensions."""
    return der.sequence([der.sequence([der.sequence([der.sequence([cert_id])])])])


def cert_id(issuer_name_hash: bytes, issuer_key_hash: bytes, serial: int) -> bytes:
    """A CertID with SHA-1 and NULL parameters, as nearly every client writes it."""
    algorithm = der.sequence([der.oid(SHA1), _NULL])
    return der.sequence(
        (algorithm, der.octet_string(issuer_name_hash), der.octet_string(issuer_key_hash), der.integer(serial))
    )


def _status(status: CertStatus) -> bytes:
    if status.unknown:
        return b"\x82\x00"
    if status.revoked_at is None:
        return b"\x80\x00"
    parts = der.generalized_time(status.revoked_at)
    if status.reason:
        parts += der.explicit(0, der.enumerated(status.reason))
    return der.tlv(0xA1, parts)
