"""Certification requests (PKCS#10, RFC 2986): a public key and the proof that its holder has the private one.

What a request asks for in extensions is never taken: extensions come from the profile alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import SignatureAlgorithmOID

from foundation.x509 import der
from foundation.x509.algorithms import POINT_HEADERS, key_algorithm, signature_hash
from foundation.x509.errors import AlgorithmInvalid, CsrInvalid, SignatureWrong

Item = TypeVar("Item")
Result = TypeVar("Result")

# What these keys sign requests with (RFC 5758 §3.2).
_ECDSA = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: ec.ECDSA(hashes.SHA256()),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: ec.ECDSA(hashes.SHA384()),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: ec.ECDSA(hashes.SHA512()),
}


class ProvenKey(NamedTuple):
    """The public key of a request that proves possession of it, and the same as SubjectPublicKeyInfo, DER."""

    public_key: CertificatePublicKeyTypes
    encoded: bytes


_TEXTS = frozenset((0x0C, 0x13))  # UTF8String, PrintableString

MAX_BYTES = 64 * 1024  # an ML-DSA-87 request in PEM is about 10 kB


def read_csr(data: bytes) -> x509.CertificateSigningRequest:
    """One request, PEM or DER, whose signature proves possession of its key (RFC 2986 §3).

    CsrInvalid for what is not one, is too long, has a key of an algorithm that we do not certify, or does not prove it.
    """
    asked = _read(data)
    _require_proof(asked)
    return asked.request


def proven_key(data: bytes) -> ProvenKey:
    """The key of such a request, for whoever needs nothing else of it: it is read once. Raises CsrInvalid."""
    return _proven_key(_read(data))


def proven_keys(requests: Sequence[bytes]) -> list[ProvenKey | CsrInvalid]:
    """The same for many: for each its key, or what would be raised. All are read before the first signature is
    verified: a processor that does one kind of work at a time does it in its caches."""
    read = [_tried(_read, data) for data in requests]
    return [one if isinstance(one, CsrInvalid) else _tried(_proven_key, one) for one in read]


class _Asked(NamedTuple):
    """A request that was read; that its key signed it is still to be seen."""

    request: x509.CertificateSigningRequest
    tbs: bytes
    public_key: CertificatePublicKeyTypes


def _tried(work: Callable[[Item], Result], item: Item) -> Result | CsrInvalid:
    try:
        return work(item)
    except CsrInvalid as error:
        return error


def _read(data: bytes) -> _Asked:
    if len(data) > MAX_BYTES:
        raise CsrInvalid(reason="it is too long")
    try:
        if data[:1] == b"\x30":
            request = x509.load_der_x509_csr(data)
        else:
            if data.count(b"-----BEGIN") != 1:
                raise CsrInvalid(reason="it does not hold exactly one request")
            request = x509.load_pem_x509_csr(data)
        public_key = request.public_key()
        key_algorithm(public_key)
        tbs = request.tbs_certrequest_bytes
        _read_subject(request, tbs)
    except (ValueError, UnsupportedAlgorithm, TypeError, x509.InvalidVersion):
        raise CsrInvalid(reason="it cannot be read") from None
    except AlgorithmInvalid as error:
        raise CsrInvalid(reason=f"its key is of a kind that is not certified: {error.params['what']}") from None
    return _Asked(request, tbs, public_key)


def _require_proof(asked: _Asked) -> None:
    try:
        proven = _proven(*asked)
    except (ValueError, UnsupportedAlgorithm, TypeError):
        raise CsrInvalid(reason="it cannot be read") from None
    if not proven:
        raise CsrInvalid(reason="its signature does not prove possession of the key")


def _proven_key(asked: _Asked) -> ProvenKey:
    _require_proof(asked)
    return ProvenKey(asked.public_key, _encoded(asked.tbs, asked.public_key))


def _read_subject(request: x509.CertificateSigningRequest, tbs: bytes) -> None:
    """The library reads a name when it is asked for: here, rather than where nobody expects an error. ValueError.

    It makes an object of each attribute, which few need: plain text is seen to be text without it.
    """
    start = der.read(tbs)[1] + 3  # behind version, an INTEGER of one octet (RFC 2986 §4.1)
    if not _is_plain(tbs[start : der.read(tbs, start)[2]]):
        request.subject  # noqa: B018


def _is_plain(subject: bytes) -> bool:
    """Whether a Name that a parser has accepted holds nothing but text that decodes; others may be readable too."""
    for part in der.children(subject):
        attributes = der.children(part)
        if not attributes:
            return False  # RFC 5280 §4.1.2.4: SIZE (1..MAX), which the library asks for when the name is read
        for attribute in attributes:
            _, start, _ = der.read(attribute)
            value = attribute[start + 2 + attribute[start + 1] :]  # behind the type, an OID of less than 128 octets
            if len(value) < 3 or value[0] not in _TEXTS or value[1] > 0x7F:
                return False
            value[2:].decode()
    return True


def _encoded(tbs: bytes, public_key: CertificatePublicKeyTypes) -> bytes:
    """The key as DER: as it stands in the request where it can be written in one way alone, or else written anew."""
    subject = der.read(tbs)[1] + 3  # behind version, an INTEGER of one octet (RFC 2986 §4.1)
    start = der.read(tbs, subject)[2]
    found = tbs[start : der.read(tbs, start)[2]]
    header = POINT_HEADERS.get(len(found))
    if header is not None and found.startswith(header):
        return found
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _proven(request: x509.CertificateSigningRequest, tbs: bytes, public_key: CertificatePublicKeyTypes) -> bool:
    """Whether the request is signed with its own key, which is read already (`is_signature_valid` reads it again)."""
    ecdsa = _ECDSA.get(request.signature_algorithm_oid)
    if ecdsa is None or not isinstance(public_key, ec.EllipticCurvePublicKey):
        return request.is_signature_valid
    try:
        public_key.verify(request.signature, tbs, ecdsa)
    except InvalidSignature:
        return False
    return True


def build_csr(subject: x509.Name, key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A request as PEM, signed with the key (a handle will do); SignatureWrong when what came back does not verify."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(key, signature_hash(key.public_key()))
    if not request.is_signature_valid:
        raise SignatureWrong
    return request.public_bytes(Encoding.PEM)
