"""The key store: what everybody knows about private keys, which is how to ask for a signature.

Shaped like PKCS#11 v3: keys are handles, mechanisms have CKM names, failures have CKR names. No call gives a private
key, changes an attribute, or decrypts at large. Implemented by the emulated HSM's client and by the PKCS#11 adapter;
one contract suite (`tests/keys/contract.py`) runs on every implementation.

Keys that certify (``KeyUse.certifies``) take the whole message, so that the token sees what it signs; the others take
a digest, made where the document is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from foundation.keys.capabilities import Capabilities
    from foundation.keys.policy import KeyPolicy

MOST_INPUTS = 1000  # signed by one call of sign_many


class KeyAlgorithm(StrEnum):
    """Key pairs that a token can make."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    EC_P521 = "ec-p521"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"


class Mechanism(StrEnum):
    """Signature mechanisms, by their PKCS#11 names. Signatures come in the form that X.509 and CMS use (ECDSA: DER).

    Those that name a hash take the whole message; ``CKM_ECDSA`` and ``CKM_RSA_PKCS``/``_PSS`` take a digest, whose
    hash is told by its length (32, 48 or 64 octets: SHA-256, SHA-384, SHA-512; SHA-2 only).
    ``CKM_ML_DSA_EXTERNAL_MU`` takes the 64 octets of mu (FIPS 204 §6.2), made where the document is.
    """

    ECDSA = "CKM_ECDSA"
    ECDSA_SHA256 = "CKM_ECDSA_SHA256"
    ECDSA_SHA384 = "CKM_ECDSA_SHA384"
    ECDSA_SHA512 = "CKM_ECDSA_SHA512"
    RSA_PKCS = "CKM_RSA_PKCS"
    SHA256_RSA_PKCS = "CKM_SHA256_RSA_PKCS"
    SHA384_RSA_PKCS = "CKM_SHA384_RSA_PKCS"
    SHA512_RSA_PKCS = "CKM_SHA512_RSA_PKCS"
    RSA_PKCS_PSS = "CKM_RSA_PKCS_PSS"
    SHA256_RSA_PKCS_PSS = "CKM_SHA256_RSA_PKCS_PSS"
    SHA384_RSA_PKCS_PSS = "CKM_SHA384_RSA_PKCS_PSS"
    SHA512_RSA_PKCS_PSS = "CKM_SHA512_RSA_PKCS_PSS"
    EDDSA = "CKM_EDDSA"
    ML_DSA = "CKM_ML_DSA"
    ML_DSA_EXTERNAL_MU = "CKM_ML_DSA_EXTERNAL_MU"


class KeyUse(StrEnum):
    """What a key is for; fixed when it is made, enforced by the token."""

    ROOT_CA = "root-ca"
    ISSUING_CA = "issuing-ca"
    TSA_CA = "tsa-ca"
    OCSP_RESPONDER = "ocsp-responder"
    TSA = "tsa"
    CITIZEN_SIGN = "citizen-sign"
    ORGANISATION_SEAL = "organisation-seal"
    REGISTRATION_AUTHORITY = "registration-authority"
    TRUST_LIST = "trust-list"
    AUDIT = "audit"
    LOG = "log"
    IDENTITY_PROVIDER = "identity-provider"
    WEBHOOKS = "webhooks"

    @property
    def certifies(self) -> bool:
        """Whether the token must see the whole message (CA, OCSP, TSA)."""
        return self in (self.ROOT_CA, self.ISSUING_CA, self.TSA_CA, self.OCSP_RESPONDER, self.TSA)

    @property
    def needs_activation(self) -> bool:
        """Whether each signature needs its owner's activation (EN 419 241: sole control)."""
        return self is self.CITIZEN_SIGN


@dataclass(frozen=True)
class KeyInfo:
    """A key as the outside knows it.

    ``public_key`` is a DER SubjectPublicKeyInfo; ``owner`` an opaque person id; ``policy`` the hash of its KeyPolicy.
    """

    key_id: str
    label: str
    algorithm: KeyAlgorithm
    use: KeyUse
    public_key: bytes
    owner: str | None
    enabled: bool
    policy: str


class KeyStore(Protocol):
    """Keys behind handles. Every failure is a `foundation.keys.errors` class."""

    def capabilities(self) -> Capabilities:
        """What it declares that it can do: that works, and what is not declared is refused."""
        ...

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        """Make a key pair inside. The label must not exist. A key that needs activation must have an owner.

        ``policy``: what it may sign (None: what keys of this use may, `foundation.keys.policy.DEFAULTS`). PolicyInvalid
        for one that allows more than the use does; PolicyUnsupported where the token cannot enforce it.
        """
        ...

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        """The keys that match every argument given, oldest first."""
        ...

    def get(self, key_id: str) -> KeyInfo:
        """One key; KeyHandleInvalid where there is none."""
        ...

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        """Sign ``data`` (whole message or digest, as the mechanism says); the token verifies before it answers.

        ``content``: for a timestamping key, the TSTInfo that ``data``, CMS SignedAttributes, is over. A token that
        enforces policies raises PolicyRefused for what the key's policy does not let it sign.
        """
        ...

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> list[bytes]:
        """Sign 1 to MOST_INPUTS inputs with one key by one mechanism: a signature for each, in order, or none.

        ``contents``: for a timestamping key, the content of each.
        """
        ...

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        """Disable a key whose certificate is suspended or revoked, or enable it again."""
        ...

    def destroy(self, key_id: str) -> None:
        """Destroy a key for good."""
        ...


@dataclass(frozen=True)
class TotpEnrolment:
    """What the person's authenticator app needs, shown once: an ``otpauth://`` address (RFC 6238 secret inside)."""

    provisioning_uri: str


@dataclass(frozen=True)
class Activation:
    """Signature activation data: single use per digest, bound to key and digests, expiring."""

    token: bytes
    expires: datetime


@dataclass(frozen=True)
class WrappedKey:
    """A person's key whose private half the caller keeps, sealed: ``wrapped`` opens inside the token alone."""

    info: KeyInfo
    wrapped: bytes


class WrappedKeys(Protocol):
    """Persons' keys by the million: kept by the services, sealed under a key of the person that never leaves the token.

    Which wrapping is good and whether the key may be used stands in the token alone: a wrapping that was swapped,
    edited, or taken from an old copy does not sign (WrappedKeyInvalid), nor does one of a destroyed key
    (KeyHandleInvalid) or person (OwnerDestroyed).
    """

    def generate_wrapped(
        self, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None = None
    ) -> WrappedKey:
        """Make a key pair for a person. ``KeyInfo.label`` is the key's id. DataInvalid for a use that certifies."""
        ...

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        """Sign 1 to 1000 inputs, all or none, in order; otherwise like `KeyStore.sign`."""
        ...

    def rewrap(self, wrapped: bytes) -> bytes:
        """The same key under the person's newest wrapping key, to be kept instead; the same octets when nothing is to
        be done. The old wrapping is good until the new one is used for the first time, and never after.
        """
        ...

    def wrapped_keys(self, owner: str) -> tuple[KeyInfo, ...]:
        """The live wrapped keys of a person."""
        ...

    def set_wrapped_enabled(self, owner: str, key_id: str, enabled: bool) -> None:
        """Disable a key whose certificate is suspended or revoked, or enable it again. KeyHandleInvalid."""
        ...

    def destroy_wrapped(self, owner: str, key_id: str) -> None:
        """Destroy a key for good, wherever its wrappings are kept. KeyHandleInvalid."""
        ...

    def renew_person(self, owner: str) -> None:
        """Give a person a new wrapping key; their keys move to it with :meth:`rewrap`."""
        ...


class Factors(Protocol):
    """A person's second factors. Secrets, steps and lock-out live in the token and are checked there."""

    def enrol(self, owner: str, pin: str) -> TotpEnrolment:
        """Set the signing PIN (6 to 12 digits) and make a TOTP seed; pending until confirmed, then fixed."""
        ...

    def confirm(self, owner: str, totp: str) -> None:
        """Prove that the authenticator holds the seed. The code is used up."""
        ...

    def check(self, owner: str, pin: str, totp: str) -> None:
        """Check both factors; raise PinIncorrect, PinLocked or FactorsNotEnrolled. A code is good once."""
        ...

    def activate(self, key_id: str, digests: Sequence[bytes], pin: str, totp: str, audience: str) -> Activation:
        """Check both factors of the key's owner and permit exactly these digests to be signed, once each."""
        ...


class PersonKeys(Protocol):
    """Data keys of persons, for the vault. Each is wrapped under a random key of that person, which never leaves."""

    def new_data_key(self, owner: str, purpose: str) -> tuple[bytes, bytes]:
        """A fresh 32-octet data key, and the same key wrapped under the owner's key, bound to the purpose."""
        ...

    def open_data_key(self, owner: str, purpose: str, wrapped: bytes) -> bytes:
        """Unwrap; raise OwnerDestroyed or WrappedKeyInvalid (wrong owner, wrong purpose, or changed)."""
        ...

    def destroy_owner(self, owner: str) -> bytes:
        """Destroy the person's key and all keys and factors of theirs: what was sealed can never be read again.

        Gives the certificate of destruction (`foundation.keys.attestation`), the same one when asked again.
        """
        ...


class Attesting(Protocol):
    """Says what the token vouches for, in documents that `foundation.keys.attestation.verify` checks anywhere."""

    def attest(self, key_id: str) -> bytes:
        """A signed statement about a key of the token, or a person's wrapped key. KeyHandleInvalid."""
        ...

    def token_key(self) -> bytes:
        """The public key that the token's statements are verified with, a DER SubjectPublicKeyInfo."""
        ...
