"""Services' keys in a PKCS#11 module, persons' keys beside it in the emulated HSM, as one key store.

Where a key is decided by its use alone, when it is made and ever after: keys that need their owner's activation are in
the emulated HSM, all others in the module. A service's key that lies in the emulated HSM (made before the setting was
changed) is not found: what the setting promises is either so, or nothing works. A module signs no statements about its
keys, so an attestation of them is refused by name, and never made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from foundation.keys.capabilities import Capabilities, Feature
from foundation.keys.errors import AttestationUnsupported, KeyHandleInvalid
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism, WrappedKey
from hsm_emulation.client import HsmClient

if TYPE_CHECKING:
    from foundation.keys.pkcs11.store import Pkcs11KeyStore


class SplitKeys:
    """Every protocol of the port. ``services`` and ``persons`` stay the caller's to close."""

    def __init__(self, services: Pkcs11KeyStore, persons: HsmClient) -> None:
        self._services, self._persons = services, persons
        self._in_module: set[str] = set()  # ids of keys that were seen in the module: a key does not move
        # Factors and PersonKeys are the emulated HSM's.
        self.enrol, self.confirm, self.check, self.activate = (
            persons.enrol,
            persons.confirm,
            persons.check,
            persons.activate,
        )
        self.new_data_key, self.open_data_key = persons.new_data_key, persons.open_data_key
        self.destroy_owner = persons.destroy_owner

    # -- KeyStore

    def capabilities(self) -> Capabilities:
        """What the module can do, with what the emulated HSM adds for persons. Policy is not inside for all keys."""
        features = self._persons.capabilities().features - {Feature.POLICY_INSIDE, Feature.ATTESTATION}
        return replace(self._services.capabilities(), features=features)

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        """Make a key pair where keys of this use are."""
        return self._of_use(use).generate(label, algorithm, use, owner, policy)

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        """The keys that match, those of the module first."""
        if use is not None:
            return self._of_use(use).find(label=label, use=use, owner=owner)
        persons = self._persons.find(label=label, owner=owner)
        return self._services.find(label=label, owner=owner) + tuple(one for one in persons if _is_persons(one))

    def get(self, key_id: str) -> KeyInfo:
        """One key; KeyHandleInvalid where there is none."""
        try:
            found = self._services.get(key_id)
        except KeyHandleInvalid:
            found = self._persons.get(key_id)
            if not _is_persons(found):
                raise
            return found
        self._in_module.add(key_id)
        return found

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        """Sign where the key is."""
        return self._of(key_id).sign(key_id, mechanism, data, activation=activation, content=content)

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> list[bytes]:
        """Sign where the key is."""
        return self._of(key_id).sign_many(key_id, mechanism, inputs, activation=activation, contents=contents)

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        """Disable or enable where the key is."""
        self._of(key_id).set_enabled(key_id, enabled)

    def destroy(self, key_id: str) -> None:
        """Destroy where the key is."""
        self._of(key_id).destroy(key_id)

    # -- WrappedKeys: persons' alone

    def generate_wrapped(
        self, owner: str, algorithm: KeyAlgorithm, use: KeyUse, policy: KeyPolicy | None = None
    ) -> WrappedKey:
        return self._persons.generate_wrapped(owner, algorithm, use, policy)

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], *, activation: bytes | None = None
    ) -> list[bytes]:
        return self._persons.sign_wrapped(wrapped, mechanism, inputs, activation=activation)

    def rewrap(self, wrapped: bytes) -> bytes:
        return self._persons.rewrap(wrapped)

    def wrapped_keys(self, owner: str) -> tuple[KeyInfo, ...]:
        return self._persons.wrapped_keys(owner)

    def set_wrapped_enabled(self, owner: str, key_id: str, enabled: bool) -> None:
        self._persons.set_wrapped_enabled(owner, key_id, enabled)

    def destroy_wrapped(self, owner: str, key_id: str) -> None:
        self._persons.destroy_wrapped(owner, key_id)

    def renew_person(self, owner: str) -> None:
        self._persons.renew_person(owner)

    # -- Attesting

    def attest(self, key_id: str) -> bytes:
        """About a person's key; AttestationUnsupported for a key of the module, which says whether it is emulated."""
        if self._of(key_id) is self._persons:
            return self._persons.attest(key_id)
        raise AttestationUnsupported(emulated=self._services.capabilities().emulated)

    def token_key(self) -> bytes:
        """The key of the token that speaks, which is the emulated HSM."""
        return self._persons.token_key()

    def _of_use(self, use: KeyUse) -> KeyStore:
        return self._persons if use.needs_activation else self._services

    def _of(self, key_id: str) -> KeyStore:
        if key_id in self._in_module:
            return self._services
        return self._of_use(self.get(key_id).use)


def _is_persons(info: KeyInfo) -> bool:
    return info.use.needs_activation
