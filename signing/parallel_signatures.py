"""Two signatures of one signer over one content that name each other, so that none can be taken away (RFC 5752).

For seals that outlive an algorithm: the key on a curve signs as ever, and beside it a key of ML-DSA. Each signed
attribute has the hash of the other signature's signed attributes, in which the hash of its own is left out, and the
other's certificate. In CMS both are SignerInfos of one message. PDF takes one SignerInfo (EN 319 142-1 §6.3): there the
second one, a message of its own over the same byte range, travels as an unsigned attribute of the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation import arc
from foundation.x509 import der
from signing.cms_parts import DIGESTS, CmsParts

MULTIPLE_SIGNATURES_OID = "1.2.840.113549.1.9.16.2.51"
MULTIPLE_SIGNATURES = der.oid(MULTIPLE_SIGNATURES_OID)
PARALLEL_MESSAGE = der.oid(arc.PARALLEL_MESSAGE)
"""The unsigned attribute of a PDF signature with the message of the signature beside it, in the example arc."""
PARALLEL_HEADER = f"urn:oid:{arc.PARALLEL_SIGNER}"
"""The protected member of a JSON Web Signature with the x5t#S256 of the signature beside it."""

Attributes = Sequence[tuple[bytes, bytes]]
"""Attributes, each by the DER of its type and its one value."""


@dataclass(frozen=True)
class Partner:
    """What a signature says of the one beside it. ``algorithm``: its signature algorithm, as an AlgorithmIdentifier."""

    certificate: x509.Certificate
    hash_name: str
    algorithm: bytes


def announcing(
    make_own: Callable[[Attributes], bytes], own: Partner, make_other: Callable[[Attributes], bytes], other: Partner
) -> bytes:
    """The signed attributes of a signature that names the other (RFC 5752 §4.4.1). ``make_own``, ``make_other``: the
    signed attributes of each with these besides."""
    blank = make_other(((MULTIPLE_SIGNATURES, _value(own, other.hash_name, b"")),))
    digest = hashlib.new(own.hash_name, blank).digest()
    return make_own(((MULTIPLE_SIGNATURES, _value(other, own.hash_name, digest)),))


def announced_by(signature: CmsParts) -> bytes | None:
    """What a signature says of another one, DER; None where it is alone. ValueError for a form of another kind."""
    found = [one for one in map(der.children, der.children(signature.attributes)) if one[0] == MULTIPLE_SIGNATURES]
    if not found:
        return None
    ((value,),) = (der.children(one[1]) for one in found)
    return value


def names(signature: CmsParts, other: CmsParts, signer: bytes | None) -> bool:
    """Whether the first announces exactly the second, whose certificate is ``signer`` (DER; None: not known)."""
    try:
        value = announced_by(signature)
        if value is None:
            return False
        body, algorithm, hashed, *rest = der.children(value)
        digest_algorithm, digest = der.children(hashed)
        name = next(name for name, one in DIGESTS.items() if one == digest_algorithm == signature.signer[2])
        same = digest == der.octet_string(hashlib.new(name, _blanked(other)).digest())
        certified = not rest or (signer is not None and rest[0] == _certificate_id(signer))
    except (ValueError, IndexError, StopIteration):
        return False
    return same and certified and body == other.signer[2] and algorithm == other.signer[4]


def _value(of: Partner, hash_name: str, digest: bytes) -> bytes:
    """MultipleSignatures (RFC 5752 §3): digest algorithm, signature algorithm, hash of attributes, certificate."""
    hashed = der.sequence((DIGESTS[hash_name], der.octet_string(digest)))
    identified = _certificate_id(of.certificate.public_bytes(Encoding.DER))
    return der.sequence((DIGESTS[of.hash_name], of.algorithm, hashed, identified))


def _certificate_id(certificate: bytes) -> bytes:
    """ESSCertIDv2 with SHA-256, the default that DER leaves out (RFC 5035 §4)."""
    return der.sequence((der.octet_string(hashlib.sha256(certificate).digest()),))


def _blanked(signature: CmsParts) -> bytes:
    """Its signed attributes as the other one hashed them: without the hash in what it says itself."""
    found = []
    for attribute in der.children(signature.attributes):
        kind, values = der.children(attribute)
        if kind == MULTIPLE_SIGNATURES:
            (value,) = der.children(values)
            body, algorithm, hashed, *rest = der.children(value)
            blank = der.sequence((der.children(hashed)[0], der.octet_string(b"")))
            attribute = der.sequence((kind, der.set_of((der.sequence((body, algorithm, blank, *rest)),))))
        found.append(attribute)
    return der.set_of(found)
