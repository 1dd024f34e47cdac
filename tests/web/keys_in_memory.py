"""A person's keys and factors in memory, for tests of what is around them; the real ones are tested in tests/keys."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.keys.errors import (
    CodeUsed,
    FactorsNotEnrolled,
    OwnerDestroyed,
    PinIncorrect,
    PinLocked,
    WrappedKeyInvalid,
)
from foundation.keys.port import Activation, TotpEnrolment


class MemoryPersonKeys:
    """Implements `foundation.keys.port.PersonKeys`; ``down`` makes every call raise it."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}
        self._destroyed: set[str] = set()
        self.down: Exception | None = None

    def new_data_key(self, owner: str, purpose: str) -> tuple[bytes, bytes]:
        self._check(owner)
        key, nonce = os.urandom(32), os.urandom(12)
        wrapping = AESGCM(self._keys.setdefault(owner, os.urandom(32)))
        return key, nonce + wrapping.encrypt(nonce, key, purpose.encode())

    def open_data_key(self, owner: str, purpose: str, wrapped: bytes) -> bytes:
        self._check(owner)
        try:
            return AESGCM(self._keys.get(owner, bytes(32))).decrypt(wrapped[:12], wrapped[12:], purpose.encode())
        except InvalidTag:
            raise WrappedKeyInvalid from None

    def destroy_owner(self, owner: str) -> bytes:
        self._keys.pop(owner, None)
        self._destroyed.add(owner)
        return b"SPECIMEN certificate"

    def _check(self, owner: str) -> None:
        if self.down is not None:
            raise self.down
        if owner in self._destroyed:
            raise OwnerDestroyed


class MemoryFactors:
    """Implements `foundation.keys.port.Factors.check` for persons that are added; five wrong tries lock."""

    def __init__(self) -> None:
        self._pins: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._used: set[tuple[str, str]] = set()

    def add(self, owner: str, pin: str) -> None:
        self._pins[owner] = pin

    def check(self, owner: str, pin: str, totp: str) -> None:
        if owner not in self._pins:
            raise FactorsNotEnrolled
        if self._tries.get(owner, 0) >= 5:
            raise PinLocked(retry_after=300)
        if self._pins[owner] != pin:
            self._tries[owner] = self._tries.get(owner, 0) + 1
            raise PinIncorrect
        if (owner, totp) in self._used:
            raise CodeUsed
        self._used.add((owner, totp))

    def enrol(self, owner: str, pin: str) -> TotpEnrolment:
        raise NotImplementedError

    def confirm(self, owner: str, totp: str) -> None:
        raise NotImplementedError

    def activate(self, key_id: str, digests: Sequence[bytes], pin: str, totp: str, audience: str) -> Activation:
        raise NotImplementedError
