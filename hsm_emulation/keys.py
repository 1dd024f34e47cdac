"""Key pairs inside the daemon: made, kept, used. Pure; what is allowed is decided here, what is stored elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from foundation.keys.errors import DataInvalid, MechanismInvalid, WrappedKeyInvalid
from foundation.keys.mechanisms import FAMILIES, SCHEMES, ecdsa_for, hash_for, padding_for, verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism

_MAKERS: dict[KeyAlgorithm, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    KeyAlgorithm.EC_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyAlgorithm.EC_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyAlgorithm.EC_P521: lambda: ec.generate_private_key(ec.SECP521R1()),
    KeyAlgorithm.RSA_2048: lambda: rsa.generate_private_key(65537, 2048),
    KeyAlgorithm.RSA_3072: lambda: rsa.generate_private_key(65537, 3072),
    KeyAlgorithm.RSA_4096: lambda: rsa.generate_private_key(65537, 4096),
    KeyAlgorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyAlgorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
    KeyAlgorithm.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
    KeyAlgorithm.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
}
_ML_DSA_KEYS = (mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey)


def make(algorithm: KeyAlgorithm) -> tuple[bytes, bytes]:
    """A new key pair: PKCS#8 DER of the private key, to be sealed at once, and SubjectPublicKeyInfo DER."""
    private = _MAKERS[algorithm]()
    return (
        private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


class LoadedKey:
    """A private key in the daemon's memory, with the public key that its signatures are verified with."""

    def __init__(self, private: bytes, public: bytes) -> None:
        """``private`` must come out of an AEAD that verified: RSA consistency (30 ms and more) is not checked again."""
        try:
            key = load_der_private_key(private, None, unsafe_skip_rsa_key_validation=True)
            self._public = cast(CertificateIssuerPublicKeyTypes, load_der_public_key(public))
        except (ValueError, UnsupportedAlgorithm):
            raise WrappedKeyInvalid from None
        self._private = key

    def sign(self, mechanism: Mechanism, data: bytes) -> bytes:
        """Sign and verify. Raises SignatureInvalid when the signature that was made does not verify."""
        signature = self._raw(mechanism, data)
        verify_signature(self._public, mechanism, signature, data)
        return signature

    def _raw(self, mechanism: Mechanism, data: bytes) -> bytes:
        key = self._private
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ecdsa_for(mechanism, data))
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding_for(mechanism, data), hash_for(mechanism, data))
        if mechanism is Mechanism.ML_DSA_EXTERNAL_MU and isinstance(key, _ML_DSA_KEYS):
            return key.sign_mu(data)
        if isinstance(
            key,
            ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey,
        ):
            return key.sign(data)
        raise MechanismInvalid


def check_request(algorithm: KeyAlgorithm, use: KeyUse, mechanism: Mechanism, data: bytes) -> None:
    """Whether a key of this algorithm and use may do this at all.

    Raises MechanismInvalid when the mechanism is not the key's, or takes a digest where the token must see the whole
    message (``KeyUse.certifies``); DataInvalid for an empty message, a digest that is not one of SHA-2, or no mu.
    """
    scheme = SCHEMES[mechanism]
    if scheme.family not in FAMILIES[algorithm] or (use.certifies and scheme.takes_digest):
        raise MechanismInvalid
    if not data:
        raise DataInvalid
    if scheme.takes_digest:
        hash_for(mechanism, data)
