"""What each signature mechanism is: the keys it fits, the hash it uses, whether it takes a digest, how to verify it.

Shared by everything that stands on either side of the key store: the handles, the emulated HSM and the PKCS#11 adapter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from foundation.keys.errors import DataInvalid, MechanismInvalid, SignatureInvalid
from foundation.keys.port import KeyAlgorithm, KeyInfo, Mechanism


class Family(StrEnum):
    """The signature schemes behind the mechanisms."""

    ECDSA = "ecdsa"
    RSA_PKCS1 = "rsa-pkcs1"
    RSA_PSS = "rsa-pss"
    EDDSA = "eddsa"
    ML_DSA = "ml-dsa"


@dataclass(frozen=True)
class Scheme:
    """A mechanism taken apart. ``hash`` is None where the input tells it (digests) or where there is none."""

    family: Family
    hash: str | None = None
    takes_digest: bool = False


SCHEMES: Mapping[Mechanism, Scheme] = {
    Mechanism.ECDSA: Scheme(Family.ECDSA, takes_digest=True),
    Mechanism.ECDSA_SHA256: Scheme(Family.ECDSA, "sha256"),
    Mechanism.ECDSA_SHA384: Scheme(Family.ECDSA, "sha384"),
    Mechanism.ECDSA_SHA512: Scheme(Family.ECDSA, "sha512"),
    Mechanism.RSA_PKCS: Scheme(Family.RSA_PKCS1, takes_digest=True),
    Mechanism.SHA256_RSA_PKCS: Scheme(Family.RSA_PKCS1, "sha256"),
    Mechanism.SHA384_RSA_PKCS: Scheme(Family.RSA_PKCS1, "sha384"),
    Mechanism.SHA512_RSA_PKCS: Scheme(Family.RSA_PKCS1, "sha512"),
    Mechanism.RSA_PKCS_PSS: Scheme(Family.RSA_PSS, takes_digest=True),
    Mechanism.SHA256_RSA_PKCS_PSS: Scheme(Family.RSA_PSS, "sha256"),
    Mechanism.SHA384_RSA_PKCS_PSS: Scheme(Family.RSA_PSS, "sha384"),
    Mechanism.SHA512_RSA_PKCS_PSS: Scheme(Family.RSA_PSS, "sha512"),
    Mechanism.EDDSA: Scheme(Family.EDDSA),
    Mechanism.ML_DSA: Scheme(Family.ML_DSA),
    Mechanism.ML_DSA_EXTERNAL_MU: Scheme(Family.ML_DSA, takes_digest=True),
}

_RSA = frozenset({Family.RSA_PKCS1, Family.RSA_PSS})
FAMILIES: Mapping[KeyAlgorithm, frozenset[Family]] = {
    KeyAlgorithm.EC_P256: frozenset({Family.ECDSA}),
    KeyAlgorithm.EC_P384: frozenset({Family.ECDSA}),
    KeyAlgorithm.EC_P521: frozenset({Family.ECDSA}),
    KeyAlgorithm.RSA_2048: _RSA,
    KeyAlgorithm.RSA_3072: _RSA,
    KeyAlgorithm.RSA_4096: _RSA,
    KeyAlgorithm.ED25519: frozenset({Family.EDDSA}),
    KeyAlgorithm.ML_DSA_44: frozenset({Family.ML_DSA}),
    KeyAlgorithm.ML_DSA_65: frozenset({Family.ML_DSA}),
    KeyAlgorithm.ML_DSA_87: frozenset({Family.ML_DSA}),
}

_WholeMessageKey: TypeAlias = (
    ed25519.Ed25519PublicKey | mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
)
_ML_DSA_KEYS = (mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)
_WHOLE_MESSAGE_KEYS: Mapping[Family, tuple[type[_WholeMessageKey], ...]] = {
    Family.EDDSA: (ed25519.Ed25519PublicKey,),
    Family.ML_DSA: _ML_DSA_KEYS,
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
MU_LENGTH = 64
_HASH_OF_LENGTH: Mapping[int, str] = {32: "sha256", 48: "sha384", 64: "sha512"}


def mechanism_for(
    info: KeyInfo, hash_algorithm: hashes.HashAlgorithm | None, prehashed: bool, *, pss: bool = False
) -> Mechanism:
    """The mechanism by which the key ``info`` signs with this hash (None for Ed25519 and ML-DSA).

    ``prehashed``: the input is a digest, or the mu of ML-DSA. ``pss``: RSA with PSS (salt as long as the digest, MGF1
    with the same hash).
    Raises MechanismInvalid for a pair that no token should sign with (SHA-1, a hash for Ed25519, ...).
    """
    families = FAMILIES[info.algorithm]
    family = Family.RSA_PSS if pss else next(iter(families - {Family.RSA_PSS}))
    if family not in families:
        raise MechanismInvalid
    if family in (Family.EDDSA, Family.ML_DSA):
        wanted = Scheme(family, takes_digest=prehashed)
        if hash_algorithm is not None or (prehashed and family is Family.EDDSA):
            raise MechanismInvalid
    elif hash_algorithm is None or hash_algorithm.name not in _HASHES:
        raise MechanismInvalid
    else:
        wanted = Scheme(family, None if prehashed else hash_algorithm.name, takes_digest=prehashed)
    return next(mechanism for mechanism, scheme in SCHEMES.items() if scheme == wanted)


def hash_for(mechanism: Mechanism, data: bytes) -> hashes.HashAlgorithm | Prehashed:
    """The hash argument that `cryptography` wants for ``data``; DataInvalid for a digest of no SHA-2 length."""
    scheme = SCHEMES[mechanism]
    if scheme.hash is not None:
        return _HASHES[scheme.hash]
    name = _HASH_OF_LENGTH.get(len(data))
    if name is None or (mechanism is Mechanism.ML_DSA_EXTERNAL_MU and len(data) != MU_LENGTH):
        raise DataInvalid
    return Prehashed(_HASHES[name])


@lru_cache(maxsize=64)
def _ecdsa(mechanism: Mechanism, digest_length: int) -> ec.ECDSA:
    return ec.ECDSA(hash_for(mechanism, bytes(digest_length)))


def ecdsa_for(mechanism: Mechanism, data: bytes) -> ec.ECDSA:
    """The ECDSA argument that `cryptography` wants for ``data``; DataInvalid for a digest of no SHA-2 length."""
    return _ecdsa(mechanism, len(data) if SCHEMES[mechanism].takes_digest else 0)


def padding_for(mechanism: Mechanism, data: bytes) -> padding.PKCS1v15 | padding.PSS:
    """The RSA padding of a mechanism: PKCS#1 v1.5, or PSS with MGF1 of the same hash and a salt as long as it
    (RFC 4055 §3.1).
    """
    if SCHEMES[mechanism].family is Family.RSA_PKCS1:
        return padding.PKCS1v15()
    algorithm = hash_for(mechanism, data)
    name = _HASH_OF_LENGTH[algorithm.digest_size]
    return padding.PSS(mgf=padding.MGF1(_HASHES[name]), salt_length=algorithm.digest_size)


def authorised_digest(mechanism: Mechanism, data: bytes) -> bytes:
    """The digest that an activation must name for ``data`` to be signed by ``mechanism``.

    A digest mechanism: the digest itself, or the mu of ML-DSA. A mechanism that names a hash: that hash of the message.
    Ed25519 and ML-DSA take the whole message; there it is SHA-512 of it (the digest that CMS pairs with them:
    RFC 8419 §3.1, RFC 9882 §3.3).
    """
    scheme = SCHEMES[mechanism]
    if scheme.takes_digest:
        return data
    return hashlib.new(scheme.hash or "sha512", data).digest()


def message_representative(public_key: CertificateIssuerPublicKeyTypes, message: bytes) -> bytes:
    """The mu of ML-DSA (FIPS 204 §6.2, line 6) for a message under this key, without a context: what a token signs that
    need not see the message. MechanismInvalid for a key of another kind.
    """
    if not isinstance(public_key, _ML_DSA_KEYS):
        raise MechanismInvalid
    hasher = mldsa.MLDSAMuHasher(public_key)
    hasher.update(message)
    return hasher.finalize()


def verify_signature(
    public_key: CertificateIssuerPublicKeyTypes, mechanism: Mechanism, signature: bytes, data: bytes
) -> None:
    """Verify what a token made. Raises SignatureInvalid; MechanismInvalid when key and mechanism do not fit."""
    family = SCHEMES[mechanism].family
    try:
        if family is Family.ECDSA and isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, data, ecdsa_for(mechanism, data))
        elif family in _RSA and isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, padding_for(mechanism, data), hash_for(mechanism, data))
        elif mechanism is Mechanism.ML_DSA_EXTERNAL_MU and isinstance(public_key, _ML_DSA_KEYS):
            public_key.verify_mu(signature, data)
        elif family in _WHOLE_MESSAGE_KEYS and isinstance(public_key, _WHOLE_MESSAGE_KEYS[family]):
            public_key.verify(signature, data)
        else:
            raise MechanismInvalid
    except InvalidSignature:
        raise SignatureInvalid from None
