"""Keys of a token as key objects of `cryptography`: they hold a handle, never a key.

:func:`private_key` gives an object that certificate, CSR, CRL and OCSP builders accept. It asks the key store for each
signature and verifies it, because a builder takes whatever comes back. What would give the key away raises
KeyUnextractable.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.utils import Buffer

from foundation.keys.errors import KeyUnextractable, MechanismInvalid
from foundation.keys.mechanisms import mechanism_for, message_representative, verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, Mechanism

__all__ = ["TokenKey", "mechanism_for", "private_key", "public_key"]


def public_key(info: KeyInfo) -> CertificateIssuerPublicKeyTypes:
    """The public key of a token's key, as an object of `cryptography`."""
    return cast(CertificateIssuerPublicKeyTypes, load_der_public_key(info.public_key))


def private_key(store: KeyStore, info: KeyInfo, activation: bytes | None = None) -> CertificateIssuerPrivateKeyTypes:
    """A private-key object that signs in ``store``. ``activation`` goes with each signature, for keys that need one.

    Signing raises the store's errors, and SignatureInvalid when what came back does not verify.
    """
    return cast(CertificateIssuerPrivateKeyTypes, _CLASSES[info.algorithm](store, info, activation))


class TokenKey:
    """What the handles of all algorithms share."""

    def __init__(self, store: KeyStore, info: KeyInfo, activation: bytes | None = None) -> None:
        self.info = info
        self._store = store
        self._activation = activation
        self._public = public_key(info)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.info.key_id}>"

    @abstractmethod
    def public_key(self) -> Any:
        """The public half, as the key class of the algorithm says."""

    def _sign(self, mechanism: Mechanism, data: bytes) -> bytes:
        signature = self._store.sign(self.info.key_id, mechanism, data, activation=self._activation)
        verify_signature(self._public, mechanism, signature, data)
        return signature

    def _hashed(
        self, data: bytes, algorithm: Prehashed | hashes.HashAlgorithm, *, pss: bool = False
    ) -> tuple[Mechanism, bytes]:
        """Certifying keys send the whole message, so that the token sees what it signs; the others send a digest."""
        if isinstance(algorithm, Prehashed):
            if len(data) != algorithm.digest_size:
                raise ValueError("the digest does not have the length of its hash")
            return mechanism_for(self.info, _HASH_OF_SIZE.get(algorithm.digest_size), True, pss=pss), data
        if self.info.use.certifies:
            return mechanism_for(self.info, algorithm, False, pss=pss), data
        mechanism = mechanism_for(self.info, algorithm, True, pss=pss)
        digest = hashes.Hash(algorithm)
        digest.update(data)
        return mechanism, digest.finalize()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise KeyUnextractable

    private_bytes = _refuse
    private_bytes_raw = _refuse
    private_numbers = _refuse
    __copy__ = _refuse
    __deepcopy__ = _refuse
    __reduce__ = _refuse

    def _unsupported(self, *_: object, **__: object) -> NoReturn:
        raise MechanismInvalid

    exchange = _unsupported
    decrypt = _unsupported


_HASH_OF_SIZE: dict[int, hashes.HashAlgorithm] = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}


class EcTokenKey(TokenKey, ec.EllipticCurvePrivateKey):
    """An EC key in a token."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return cast(ec.EllipticCurvePublicKey, self._public)

    @property
    def curve(self) -> ec.EllipticCurve:
        return self.public_key().curve

    @property
    def key_size(self) -> int:
        return self.public_key().key_size

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise MechanismInvalid
        return self._sign(*self._hashed(bytes(data), signature_algorithm.algorithm))


class RsaTokenKey(TokenKey, rsa.RSAPrivateKey):
    """An RSA key in a token: PKCS#1 v1.5, and PSS with the parameters of RFC 4055 §3.1."""

    def public_key(self) -> rsa.RSAPublicKey:
        return cast(rsa.RSAPublicKey, self._public)

    @property
    def key_size(self) -> int:
        return self.public_key().key_size

    def sign(
        self,
        data: Buffer,
        padding: Any,
        algorithm: Prehashed | hashes.HashAlgorithm | NoDigestInfo,
    ) -> bytes:
        if isinstance(algorithm, NoDigestInfo):
            raise MechanismInvalid
        return self._sign(*self._hashed(bytes(data), algorithm, pss=_is_pss(padding, algorithm)))


class Ed25519TokenKey(TokenKey, ed25519.Ed25519PrivateKey):
    """An Ed25519 key in a token."""

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return cast(ed25519.Ed25519PublicKey, self._public)

    def sign(self, data: Buffer) -> bytes:
        return self._sign(Mechanism.EDDSA, bytes(data))


class _MlDsaTokenKey(TokenKey):
    def sign(self, data: Buffer, context: Buffer | None = None) -> bytes:
        """Pure ML-DSA without a context, as X.509 and CMS use it (RFC 9881 §2, RFC 9882 §3).

        Certifying keys send the whole message; the others send its mu, and the message stays here.
        """
        if context:
            raise MechanismInvalid
        if self.info.use.certifies:
            return self._sign(Mechanism.ML_DSA, bytes(data))
        return self.sign_mu(message_representative(self._public, bytes(data)))

    def sign_mu(self, mu: Buffer) -> bytes:
        """Sign a mu (FIPS 204 §6.2) that was made elsewhere; MechanismInvalid for a certifying key."""
        return self._sign(Mechanism.ML_DSA_EXTERNAL_MU, bytes(mu))


class MlDsa44TokenKey(_MlDsaTokenKey, mldsa.MLDSA44PrivateKey):
    """An ML-DSA-44 key in a token."""

    def public_key(self) -> mldsa.MLDSA44PublicKey:
        return cast(mldsa.MLDSA44PublicKey, self._public)


class MlDsa65TokenKey(_MlDsaTokenKey, mldsa.MLDSA65PrivateKey):
    """An ML-DSA-65 key in a token."""

    def public_key(self) -> mldsa.MLDSA65PublicKey:
        return cast(mldsa.MLDSA65PublicKey, self._public)


class MlDsa87TokenKey(_MlDsaTokenKey, mldsa.MLDSA87PrivateKey):
    """An ML-DSA-87 key in a token."""

    def public_key(self) -> mldsa.MLDSA87PublicKey:
        return cast(mldsa.MLDSA87PublicKey, self._public)


_CLASSES: dict[KeyAlgorithm, Callable[[KeyStore, KeyInfo, bytes | None], TokenKey]] = {
    KeyAlgorithm.EC_P256: EcTokenKey,
    KeyAlgorithm.EC_P384: EcTokenKey,
    KeyAlgorithm.EC_P521: EcTokenKey,
    KeyAlgorithm.RSA_2048: RsaTokenKey,
    KeyAlgorithm.RSA_3072: RsaTokenKey,
    KeyAlgorithm.RSA_4096: RsaTokenKey,
    KeyAlgorithm.ED25519: Ed25519TokenKey,
    KeyAlgorithm.ML_DSA_44: MlDsa44TokenKey,
    KeyAlgorithm.ML_DSA_65: MlDsa65TokenKey,
    KeyAlgorithm.ML_DSA_87: MlDsa87TokenKey,
}


def _is_pss(scheme: Any, algorithm: Prehashed | hashes.HashAlgorithm) -> bool:
    """False for PKCS#1 v1.5, True for the one PSS that the mechanisms know; MechanismInvalid for any other padding."""
    if isinstance(scheme, padding.PKCS1v15):
        return False
    if not isinstance(scheme, padding.PSS) or not isinstance(scheme.mgf, padding.MGF1):
        raise MechanismInvalid
    # `cryptography` has no public accessor for either; a change there fails the tests of PSS, not silently.
    salt, mask_hash = scheme._salt_length, scheme.mgf._algorithm
    salted = salt is padding.PSS.DIGEST_LENGTH or salt == algorithm.digest_size
    if not salted or mask_hash.digest_size != algorithm.digest_size:
        raise MechanismInvalid
    return True
