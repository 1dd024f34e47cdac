"""Signatures that others made: which algorithms count, and whether the mathematics holds.

Unlike `foundation.x509.algorithms`, which fixes what our own keys make, this reads what a certificate, CRL, OCSP
response or CMS signature claims and refuses anything that the rules do not name. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3-256": hashes.SHA3_256(),
    "sha3-384": hashes.SHA3_384(),
    "sha3-512": hashes.SHA3_512(),
}


class Scheme(StrEnum):
    """Signature schemes; the hash stands beside."""

    ECDSA = "ecdsa"
    RSA_PKCS1 = "rsa-pkcs1v15"
    RSA_PSS = "rsa-pss"
    EDDSA = "eddsa"
    ML_DSA = "ml-dsa"


# RFC 5758 §3.2, RFC 4055 §5, RFC 8410 §3, RFC 9881 §2, NIST CSOR. SHA-1 and MD5 have no place here.
SIGNATURE_ALGORITHMS: dict[str, tuple[Scheme, str | None]] = {
    "1.2.840.10045.4.3.2": (Scheme.ECDSA, "sha256"),
    "1.2.840.10045.4.3.3": (Scheme.ECDSA, "sha384"),
    "1.2.840.10045.4.3.4": (Scheme.ECDSA, "sha512"),
    "2.16.840.1.101.3.4.3.10": (Scheme.ECDSA, "sha3-256"),
    "2.16.840.1.101.3.4.3.11": (Scheme.ECDSA, "sha3-384"),
    "2.16.840.1.101.3.4.3.12": (Scheme.ECDSA, "sha3-512"),
    "1.2.840.113549.1.1.11": (Scheme.RSA_PKCS1, "sha256"),
    "1.2.840.113549.1.1.12": (Scheme.RSA_PKCS1, "sha384"),
    "1.2.840.113549.1.1.13": (Scheme.RSA_PKCS1, "sha512"),
    "1.2.840.113549.1.1.10": (Scheme.RSA_PSS, None),  # the hash is in the parameters
    "1.3.101.112": (Scheme.EDDSA, None),
    "1.3.101.113": (Scheme.EDDSA, None),
    "2.16.840.1.101.3.4.3.17": (Scheme.ML_DSA, None),
    "2.16.840.1.101.3.4.3.18": (Scheme.ML_DSA, None),
    "2.16.840.1.101.3.4.3.19": (Scheme.ML_DSA, None),
}


@dataclass(frozen=True)
class AlgorithmRules:
    """Which algorithms count, as data. RSA sizes in bits; curves and hashes by name."""

    hashes: frozenset[str] = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
    curves: frozenset[str] = frozenset({"secp256r1", "secp384r1", "secp521r1"})
    minimum_rsa: int = 2048
    maximum_rsa: int = 8192


class Outcome(StrEnum):
    """What a check found."""

    VALID = "valid"
    WRONG = "wrong"  # the mathematics does not hold
    REFUSED = "refused"  # an algorithm, hash, curve or size that the rules do not name


def key_allowed(key: object, rules: AlgorithmRules) -> bool:
    """Whether a public key is of a kind and size that the rules name."""
    if isinstance(key, rsa.RSAPublicKey):
        return rules.minimum_rsa <= key.key_size <= rules.maximum_rsa
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in rules.curves
    return isinstance(
        key,
        ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey
        | mldsa.MLDSA44PublicKey
        | mldsa.MLDSA65PublicKey
        | mldsa.MLDSA87PublicKey,
    )


def check_signature(
    key: CertificatePublicKeyTypes,
    scheme: Scheme,
    hash_name: str | None,
    signature: bytes,
    message: bytes,
    rules: AlgorithmRules,
    pss: padding.PSS | None = None,
) -> Outcome:
    """Check ``signature`` over the whole ``message``. ``pss`` for RSA-PSS alone: its salt length and mask function."""
    if not key_allowed(key, rules):
        return Outcome.REFUSED
    hash_algorithm = None
    if scheme in (Scheme.ECDSA, Scheme.RSA_PKCS1, Scheme.RSA_PSS):
        if hash_name not in rules.hashes or hash_name not in HASHES:
            return Outcome.REFUSED
        hash_algorithm = HASHES[hash_name]
    try:
        if scheme is Scheme.ECDSA and isinstance(key, ec.EllipticCurvePublicKey) and hash_algorithm:
            key.verify(signature, message, ec.ECDSA(hash_algorithm))
        elif scheme is Scheme.RSA_PKCS1 and isinstance(key, rsa.RSAPublicKey) and hash_algorithm:
            key.verify(signature, message, padding.PKCS1v15(), hash_algorithm)
        elif scheme is Scheme.RSA_PSS and isinstance(key, rsa.RSAPublicKey) and hash_algorithm and pss:
            key.verify(signature, message, pss, hash_algorithm)
        elif (scheme is Scheme.EDDSA and isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)) or (
            scheme is Scheme.ML_DSA
            and isinstance(key, mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey)
        ):
            key.verify(signature, message)
        else:
            return Outcome.WRONG  # a scheme for another kind of key: substitution
    except (InvalidSignature, ValueError):
        return Outcome.WRONG
    except UnsupportedAlgorithm:
        return Outcome.REFUSED
    return Outcome.VALID


def check_named(
    key: CertificatePublicKeyTypes,
    algorithm: str,
    hash_algorithm: hashes.HashAlgorithm | None,
    parameters: object,
    signature: bytes,
    message: bytes,
    rules: AlgorithmRules,
) -> Outcome:
    """Check a signature whose algorithm is told as X.509 tells it: a dotted OID and what `cryptography` read of it."""
    known = SIGNATURE_ALGORITHMS.get(algorithm)
    if known is None:
        return Outcome.REFUSED
    scheme, hash_name = known
    pss: padding.PSS | None = None
    if scheme is Scheme.RSA_PSS:
        if not isinstance(parameters, padding.PSS) or hash_algorithm is None:
            return Outcome.REFUSED
        pss, hash_name = parameters, hash_algorithm.name
    return check_signature(key, scheme, hash_name, signature, message, rules, pss)
