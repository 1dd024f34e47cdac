"""Public keys and signatures as chips and their certificates state them, by a closed list of algorithms.

RSA PKCS#1 v1.5 and PSS, ECDSA; SHA-1, SHA-224 to SHA-512 (ICAO 9303-12 §4.1.6). SHA-1 and short RSA keys are checked,
and told as weak: documents of their time are still about, and a check that fails is worth knowing. Nothing else counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asn1crypto import core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from ekyc.chip.curves import NAMED, CurveUnsupported, implemented, match_explicit
from ekyc.chip.der import BIT_STRING, INTEGER, NULL, OID, SEQUENCE, Fields, Malformed, single
from foundation.x509.signature_check import SIGNATURE_ALGORITHMS, Scheme

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 (told as weak, never a pass)
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_HASH_OIDS: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
# What the rest of CamTrust has no place for, beside the algorithms that it reads everywhere.
_SCHEMES: Mapping[str, tuple[Scheme, str | None]] = {
    **{
        identifier: (scheme, name)
        for identifier, (scheme, name) in SIGNATURE_ALGORITHMS.items()
        if name in HASHES or scheme is Scheme.RSA_PSS
    },
    "1.2.840.113549.1.1.5": (Scheme.RSA_PKCS1, "sha1"),  # RFC 3279 §2.2.1
    "1.2.840.113549.1.1.14": (Scheme.RSA_PKCS1, "sha224"),  # RFC 4055 §5
    "1.2.840.10045.4.1": (Scheme.ECDSA, "sha1"),  # RFC 3279 §2.2.3
    "1.2.840.10045.4.3.1": (Scheme.ECDSA, "sha224"),  # RFC 5758 §3.2
    "1.2.840.113549.1.1.1": (Scheme.RSA_PKCS1, None),  # rsaEncryption in CMS: the digest stands beside (RFC 3370 §3.2)
}
_RSA_ENCRYPTION, _RSA_PSS, _EC_PUBLIC_KEY = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1"
_MGF1 = "1.2.840.113549.1.1.8"

MINIMUM_RSA, STRONG_RSA, MAXIMUM_RSA = 1024, 2048, 8192  # bits
MAXIMUM_EXPONENT = 1 << 32


class AlgorithmUnsupported(Exception):
    """An algorithm, hash or key that is not in the list; the argument says which."""


@dataclass(frozen=True)
class SignatureAlgorithm:
    """How a signature was made. ``hash_name`` None: the digest stands beside (CMS with rsaEncryption)."""

    scheme: Scheme
    hash_name: str | None
    mask_hash: str | None = None
    salt: int | None = None

    def weaknesses(self, key: PublicKey) -> tuple[str, ...]:
        """What about it no longer proves anything: SHA-1, RSA under 2048 bits."""
        short = (f"rsa-{key.key_size}",) if isinstance(key, rsa.RSAPublicKey) and key.key_size < STRONG_RSA else ()
        return (("sha1",) if self.hash_name == "sha1" else ()) + short


def oid(raw: bytes) -> str:
    """OBJECT IDENTIFIER, DER, as dotted text."""
    try:
        return str(core.ObjectIdentifier.load(raw, strict=True).dotted)
    except (ValueError, TypeError) as error:
        raise Malformed("object identifier") from error


def digest(name: str, data: bytes) -> bytes:
    """Hash ``data``; KeyError for a name that is not in :data:`HASHES`."""
    state = hashes.Hash(HASHES[name])
    state.update(data)
    return state.finalize()


def read_hash(algorithm: bytes) -> str:
    """AlgorithmIdentifier of a digest, parameters NULL or absent (RFC 5754 §2). Malformed, AlgorithmUnsupported."""
    fields = Fields(single(algorithm, SEQUENCE).content)
    identifier = oid(fields.next(OID).raw)
    _no_parameters(fields)
    name = _HASH_OIDS.get(identifier)
    if name is None:
        raise AlgorithmUnsupported(f"digest {identifier}")
    return name


def read_signature_algorithm(algorithm: bytes) -> SignatureAlgorithm:
    """AlgorithmIdentifier of a signature. Raises Malformed, AlgorithmUnsupported."""
    fields = Fields(single(algorithm, SEQUENCE).content)
    identifier = oid(fields.next(OID).raw)
    known = _SCHEMES.get(identifier)
    if known is None:
        raise AlgorithmUnsupported(f"signature {identifier}")
    scheme, name = known
    if scheme is Scheme.RSA_PSS:
        return _pss(fields)
    _no_parameters(fields)
    return SignatureAlgorithm(scheme, name)


def read_public_key(info: bytes) -> PublicKey:
    """SubjectPublicKeyInfo, DER. Raises Malformed, AlgorithmUnsupported, CurveUnsupported, CurveForged."""
    outer = Fields(single(info, SEQUENCE).content)
    algorithm = Fields(outer.next(SEQUENCE).content)
    bits = outer.next(BIT_STRING).content
    outer.end()
    if not bits or bits[0] != 0:
        raise Malformed("unused bits")
    identifier = oid(algorithm.next(OID).raw)
    if identifier in (_RSA_ENCRYPTION, _RSA_PSS):
        return _rsa(bits[1:])
    if identifier != _EC_PUBLIC_KEY:
        raise AlgorithmUnsupported(f"key {identifier}")
    parameters = algorithm.next()
    algorithm.end()
    if parameters.tag == OID:
        curve = oid(parameters.raw)
        if curve not in NAMED:
            raise CurveUnsupported(curve)
        name = NAMED[curve]
    elif parameters.tag == SEQUENCE:
        name = match_explicit(parameters)
    else:
        raise CurveUnsupported("implicit parameters")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(implemented(name), bits[1:])
    except ValueError as error:  # not a point of the curve
        raise Malformed("point") from error


def verify(key: PublicKey, algorithm: SignatureAlgorithm, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` is one over the whole ``message``. A scheme for another kind of key is none."""
    chosen = HASHES.get(algorithm.hash_name or "")
    if chosen is None:
        return False
    try:
        if algorithm.scheme is Scheme.ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(chosen))
        elif algorithm.scheme is Scheme.RSA_PKCS1 and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), chosen)
        elif algorithm.scheme is Scheme.RSA_PSS and isinstance(key, rsa.RSAPublicKey):
            mask = padding.MGF1(HASHES[algorithm.mask_hash or ""])
            key.verify(signature, message, padding.PSS(mask, algorithm.salt or 0), chosen)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _no_parameters(fields: Fields) -> None:
    parameters = fields.optional(NULL)
    if parameters is not None and parameters.content:
        raise Malformed("parameters")
    fields.end()


def _rsa(encoded: bytes) -> rsa.RSAPublicKey:
    fields = Fields(single(encoded, SEQUENCE).content)
    modulus, exponent = fields.next(INTEGER).integer(), fields.next(INTEGER).integer()
    fields.end()
    if modulus <= 0 or exponent < 3 or exponent % 2 == 0:
        raise Malformed("RSA key")
    if not MINIMUM_RSA <= modulus.bit_length() <= MAXIMUM_RSA or exponent > MAXIMUM_EXPONENT:
        raise AlgorithmUnsupported(f"rsa-{modulus.bit_length()}")
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise Malformed("RSA key") from error


def _pss(fields: Fields) -> SignatureAlgorithm:
    """RSASSA-PSS-params (RFC 4055 §3.1); what is absent has its default. The mask is MGF1, the trailer 1."""
    parameters = Fields(fields.next(SEQUENCE).content)
    fields.end()
    name = mask = "sha1"
    salt = 20
    if (chosen := parameters.optional(0xA0)) is not None:
        name = read_hash(chosen.content)
    if (chosen := parameters.optional(0xA1)) is not None:
        generator = Fields(single(chosen.content, SEQUENCE).content)
        if oid(generator.next(OID).raw) != _MGF1:
            raise AlgorithmUnsupported("mask generation")
        mask = read_hash(generator.next(SEQUENCE).raw)
        generator.end()
    if (chosen := parameters.optional(0xA2)) is not None:
        salt = single(chosen.content, INTEGER).integer()
    if (chosen := parameters.optional(0xA3)) is not None and single(chosen.content, INTEGER).integer() != 1:
        raise Malformed("trailer")
    parameters.end()
    if not 0 <= salt <= 1024:
        raise Malformed("salt")
    return SignatureAlgorithm(Scheme.RSA_PSS, name, mask, salt)
