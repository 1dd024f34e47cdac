"""A pyHanko signer that holds a key handle only: every signature is made, and checked, by the key store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from foundation.keys.errors import SignatureInvalid
from foundation.keys.mechanisms import SCHEMES, Family, mechanism_for, message_representative, verify_signature
from foundation.keys.port import KeyInfo, Mechanism
from foundation.x509.algorithms import algorithm_identifier, signature_hash
from signing.cms_parts import pss_identifier
from signing.errors import KeyUnsupported
from signing.model import Signatory
from signing.ports import SignsDigests

_OCTETS, _ML_DSA_OCTETS = 1024, 4627  # RSA-8192; ML-DSA-87 (FIPS 204 Table 2)


@dataclass(frozen=True)
class SigningAlgorithm:
    """How a key signs: by which hash, and by which mechanism over a digest. ML-DSA signs a mu, and its hash is the one
    that goes with it in signed attributes (RFC 9882 §3.3)."""

    hash_name: str
    mechanism: Mechanism

    def representative(self, certificate: x509.Certificate, message: bytes) -> bytes:
        """What the key store is given for a message under the certificate's key: its hash, or its mu."""
        if self.mechanism is Mechanism.ML_DSA_EXTERNAL_MU:
            public_key: Any = certificate.public_key()
            return message_representative(public_key, message)
        return hashlib.new(self.hash_name, message).digest()

    def identifier(self, certificate: x509.Certificate) -> bytes:
        """The AlgorithmIdentifier of its signatures, DER."""
        if self.pss:
            return pss_identifier(self.hash_name)
        return algorithm_identifier(certificate.public_key())

    @property
    def pss(self) -> bool:
        """Whether it is RSA with PSS."""
        return SCHEMES[self.mechanism].family is Family.RSA_PSS

    @property
    def most_octets(self) -> int:
        """No signature by it is longer."""
        return _ML_DSA_OCTETS if self.mechanism is Mechanism.ML_DSA_EXTERNAL_MU else _OCTETS


def signing_algorithm(info: KeyInfo, certificate: x509.Certificate, *, pss: bool = False) -> SigningAlgorithm:
    """The algorithm of a key by its certificate; ``pss``: RSA signs with PSS, which says nothing to other keys.

    KeyUnsupported for keys that sign whole messages alone (EdDSA)."""
    public_key = certificate.public_key()
    chosen = signature_hash(public_key)
    if is_ml_dsa(certificate):
        return SigningAlgorithm("sha512", Mechanism.ML_DSA_EXTERNAL_MU)
    if chosen is None:
        raise KeyUnsupported
    padded = pss and isinstance(public_key, rsa.RSAPublicKey)
    return SigningAlgorithm(chosen.name, mechanism_for(info, chosen, prehashed=True, pss=padded))


def is_ml_dsa(certificate: x509.Certificate) -> bool:
    """Whether the certificate's key is one of ML-DSA."""
    kinds = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
    return isinstance(certificate.public_key(), kinds)


def sign_digests(
    keys: SignsDigests,
    signatory: Signatory,
    algorithm: SigningAlgorithm,
    digests: Sequence[bytes],
    activation: bytes | None = None,
) -> list[bytes]:
    """Have every digest signed in one call, or none, and verify the results under the certificate's key.

    Raises what the key store raises; SignatureInvalid.
    """
    if signatory.wrapped is not None:
        signatures = keys.sign_wrapped(signatory.wrapped, algorithm.mechanism, digests, activation=activation)
    else:
        signatures = keys.sign_many(signatory.key_id, algorithm.mechanism, digests, activation=activation)
    public_key: Any = signatory.certificate.public_key()
    if len(signatures) != len(digests):
        raise SignatureInvalid
    for digest, signature in zip(digests, signatures, strict=True):
        verify_signature(public_key, algorithm.mechanism, signature, digest)
    return signatures


def asn1(certificate: x509.Certificate) -> Any:
    """The same certificate as asn1crypto has it."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


class TokenSigner(Signer):
    """For pyHanko's own machinery: seals and in-process signing. ``activation`` for keys that need their owner."""

    def __init__(self, keys: SignsDigests, signatory: Signatory, *, activation: bytes | None = None) -> None:
        store: Any = SimpleCertificateStore
        registry = store()
        registry.register_multiple([asn1(certificate) for certificate in signatory.chain])
        super().__init__(signing_cert=asn1(signatory.certificate), cert_registry=registry, embed_roots=False)
        self._keys = keys
        self._signatory = signatory
        self._activation = activation
        self._algorithm = signing_algorithm(keys.get(signatory.key_id), signatory.certificate)
        if self._algorithm.mechanism is Mechanism.ML_DSA_EXTERNAL_MU:
            raise KeyUnsupported

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """The signature over ``data``; with ``dry_run`` as many zero octets as it would have, without using the key."""
        if digest_algorithm != self._algorithm.hash_name:
            raise KeyUnsupported
        if dry_run:
            public_key: Any = self._signatory.certificate.public_key()
            return bytes(public_key.key_size // 8 if isinstance(public_key, rsa.RSAPublicKey) else 150)
        digest = hashlib.new(digest_algorithm, data).digest()
        (signature,) = sign_digests(self._keys, self._signatory, self._algorithm, [digest], self._activation)
        return signature
