"""A key store in this process's memory, for benchmarks alone: what the same service does without a token's round trip.

It signs with `cryptography`; the service verifies each signature, as it does with a token's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.clock import SystemClock
from foundation.keys.attestation import TOKEN_KEY_HASH, KeyAttestation, document
from foundation.keys.errors import KeyHandleInvalid
from foundation.keys.mechanisms import hash_for
from foundation.keys.policy import KeyPolicy, policy_for
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism

_CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}


class MemoryKeys:
    """Implements `foundation.keys.port.KeyStore` and `Attesting` for EC keys."""

    def __init__(self) -> None:
        self._own = ec.generate_private_key(ec.SECP256R1())
        self._keys: dict[str, tuple[KeyInfo, ec.EllipticCurvePrivateKey]] = {}

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        key = ec.generate_private_key(_CURVES[algorithm])
        public = key.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        info = KeyInfo(f"key-{len(self._keys)}", label, algorithm, use, spki, owner, True, policy_for(use, policy).hash)
        self._keys[info.key_id] = info, key
        return info

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        return tuple(
            info
            for info, _ in self._keys.values()
            if label in (None, info.label) and use in (None, info.use) and owner in (None, info.owner)
        )

    def get(self, key_id: str) -> KeyInfo:
        if key_id not in self._keys:
            raise KeyHandleInvalid
        return self._keys[key_id][0]

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,  # noqa: ARG002
        content: bytes | None = None,  # noqa: ARG002
    ) -> bytes:
        return self._keys[key_id][1].sign(data, ec.ECDSA(hash_for(mechanism, data)))

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,  # noqa: ARG002
    ) -> list[bytes]:
        return [self.sign(key_id, mechanism, data, activation=activation) for data in inputs]

    def attest(self, key_id: str) -> bytes:
        info = self.get(key_id)
        said = KeyAttestation(
            token="00" * 8,
            key_id=key_id,
            owner=info.owner,
            algorithm=info.algorithm.value,
            use=info.use.value,
            public_key=hashlib.sha256(info.public_key).hexdigest(),
            policy=info.policy,
            kept="token",
            version=1,
            at=SystemClock().now(),
        )
        return document(said, lambda octets: self._own.sign(octets, ec.ECDSA(TOKEN_KEY_HASH)))

    def token_key(self) -> bytes:
        return self._own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        info, key = self._keys[key_id]
        self._keys[key_id] = replace(info, enabled=enabled), key

    def destroy(self, key_id: str) -> None:
        del self._keys[key_id]
