"""Which algorithm goes with which key, in one place: a key decides its signature algorithm, nobody else does.

P-256 SHA-256, P-384 SHA-384, P-521 SHA-512 (RFC 5758), RSA PKCS#1 v1.5 SHA-256 (RFC 4055), Ed25519 (RFC 8410) and
ML-DSA (RFC 9881) without a separate hash.
"""

from __future__ import annotations

from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)

from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der, oids
from foundation.x509.errors import AlgorithmInvalid, SignatureWrong

_CURVES = {"secp256r1": KeyAlgorithm.EC_P256, "secp384r1": KeyAlgorithm.EC_P384, "secp521r1": KeyAlgorithm.EC_P521}
_RSA = {2048: KeyAlgorithm.RSA_2048, 3072: KeyAlgorithm.RSA_3072, 4096: KeyAlgorithm.RSA_4096}

SIGNATURE_OIDS = {
    KeyAlgorithm.EC_P256: oids.ECDSA_SHA256,
    KeyAlgorithm.EC_P384: oids.ECDSA_SHA384,
    KeyAlgorithm.EC_P521: oids.ECDSA_SHA512,
    KeyAlgorithm.RSA_2048: oids.RSA_SHA256,
    KeyAlgorithm.RSA_3072: oids.RSA_SHA256,
    KeyAlgorithm.RSA_4096: oids.RSA_SHA256,
    KeyAlgorithm.ED25519: oids.ED25519,
    KeyAlgorithm.ML_DSA_44: oids.ML_DSA_44,
    KeyAlgorithm.ML_DSA_65: oids.ML_DSA_65,
    KeyAlgorithm.ML_DSA_87: oids.ML_DSA_87,
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    oids.ECDSA_SHA256: hashes.SHA256(),
    oids.ECDSA_SHA384: hashes.SHA384(),
    oids.ECDSA_SHA512: hashes.SHA512(),
    oids.RSA_SHA256: hashes.SHA256(),
}


def _point_header(curve: str, octets: int) -> bytes:
    """A SubjectPublicKeyInfo of a named curve up to and with the octet that starts an uncompressed point."""
    algorithm = der.sequence([der.oid(oids.EC_PUBLIC_KEY), der.oid(curve)])
    return der.sequence([algorithm, der.bit_string(b"\x04" + bytes(octets))])[:-octets]


# By the length of the whole, which no two curves share (RFC 5480 §2).
POINT_HEADERS = {
    len(header) + octets: header
    for curve, octets in (("1.2.840.10045.3.1.7", 64), ("1.3.132.0.34", 96), ("1.3.132.0.35", 132))
    for header in (_point_header(curve, octets),)
}
_ECDSA = {
    "secp256r1": ec.ECDSA(hashes.SHA256()),
    "secp384r1": ec.ECDSA(hashes.SHA384()),
    "secp521r1": ec.ECDSA(hashes.SHA512()),
}


def key_algorithm(public_key: object) -> KeyAlgorithm:
    """The algorithm of a public key; AlgorithmInvalid for one that CamTrust has no use for (odd curve, odd size)."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        algorithm = _CURVES.get(public_key.curve.name)
        if algorithm is not None:
            return algorithm
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size in _RSA:
        return _RSA[public_key.key_size]
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return KeyAlgorithm.ED25519
    if isinstance(public_key, mldsa.MLDSA44PublicKey):
        return KeyAlgorithm.ML_DSA_44
    if isinstance(public_key, mldsa.MLDSA65PublicKey):
        return KeyAlgorithm.ML_DSA_65
    if isinstance(public_key, mldsa.MLDSA87PublicKey):
        return KeyAlgorithm.ML_DSA_87
    raise AlgorithmInvalid(what=_describe(public_key))


def _describe(public_key: object) -> str:
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return public_key.curve.name
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    return type(public_key).__name__


def signature_oid(public_key: object) -> str:
    """The signature algorithm that a key makes, as a dotted OID."""
    return SIGNATURE_OIDS[key_algorithm(public_key)]


def signature_hash(public_key: object) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """The hash that goes with a signing key; None where the algorithm brings its own (Ed25519, ML-DSA)."""
    return _HASHES.get(signature_oid(public_key))  # type: ignore[return-value]


def algorithm_identifier(public_key: object) -> bytes:
    """AlgorithmIdentifier, DER, of the signatures that a key makes: parameters NULL for RSA (RFC 4055 §5), absent for
    all others (RFC 5758 §3.2, RFC 8410 §3, RFC 9881 §2)."""
    return signature_algorithm_identifier(signature_oid(public_key))


@cache
def signature_algorithm_identifier(identifier: str) -> bytes:
    """The same by the dotted OID of the signature algorithm."""
    return der.sequence([der.oid(identifier), der.tlv(der.NULL, b"") if identifier == oids.RSA_SHA256 else b""])


def sign(key: CertificateIssuerPrivateKeyTypes, message: bytes) -> bytes:
    """Sign a whole message as X.509 does (RFC 5280 §4.1.1.3) and verify what came back; SignatureWrong otherwise."""
    public_key = key.public_key()
    hash_algorithm = signature_hash(public_key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and hash_algorithm is not None:
        signature = key.sign(message, ec.ECDSA(hash_algorithm))
    elif isinstance(key, rsa.RSAPrivateKey) and hash_algorithm is not None:
        signature = key.sign(message, padding.PKCS1v15(), hash_algorithm)
    elif isinstance(
        key,
        ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey,
    ):
        signature = key.sign(message)
    else:
        raise AlgorithmInvalid(what=type(key).__name__)
    verify(public_key, signature, message)
    return signature


def verify(public_key: CertificateIssuerPublicKeyTypes, signature: bytes, message: bytes) -> None:
    """Verify a signature over a whole message under the key's own algorithm; SignatureWrong when it is not one."""
    try:
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            ecdsa = _ECDSA.get(public_key.curve.name)
            if ecdsa is None:
                raise AlgorithmInvalid(what=_describe(public_key))
            public_key.verify(signature, message, ecdsa)
        elif isinstance(public_key, rsa.RSAPublicKey) and (hash_algorithm := signature_hash(public_key)) is not None:
            public_key.verify(signature, message, padding.PKCS1v15(), hash_algorithm)
        elif isinstance(
            public_key,
            ed25519.Ed25519PublicKey | mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey,
        ):
            public_key.verify(signature, message)
        else:
            raise AlgorithmInvalid(what=_describe(public_key))
    except InvalidSignature:
        raise SignatureWrong from None


@cache
def throwaway_key(algorithm: KeyAlgorithm) -> CertificateIssuerPrivateKeyTypes:
    """A key of this process that nobody trusts: for lint signatures before the real one. Made once per algorithm."""
    if algorithm is KeyAlgorithm.EC_P256:
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm is KeyAlgorithm.EC_P384:
        return ec.generate_private_key(ec.SECP384R1())
    if algorithm is KeyAlgorithm.EC_P521:
        return ec.generate_private_key(ec.SECP521R1())
    if algorithm in _RSA.values():
        return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.value.removeprefix("rsa-")))
    if algorithm is KeyAlgorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm is KeyAlgorithm.ML_DSA_44:
        return mldsa.MLDSA44PrivateKey.generate()
    if algorithm is KeyAlgorithm.ML_DSA_65:
        return mldsa.MLDSA65PrivateKey.generate()
    return mldsa.MLDSA87PrivateKey.generate()
