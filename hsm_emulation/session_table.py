"""The sessions of a daemon, in the memory that its processes share: a session begun in one is good in all.

A session's row holds what its login unlocked, sealed under the session's token, which the client alone has: whoever
reads this memory, or a copy of it, cannot open it. It is on no disk and ends with the daemon.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from foundation.keys.errors import TokenUnavailable
from hsm_emulation.shared import SESSION_AREA, ProcessLock, Shared

_SLOT = struct.Struct("=BBH4xd32s80s")  # in use, role, length of what is sealed, last seen, hash of the token, sealed
_FULL_RETRY = 60


@dataclass(frozen=True)
class Row:
    """``role``: a number; ``sealed``: what :mod:`hsm_emulation.sessions` put there; ``seen``: monotonic seconds."""

    token_hash: bytes
    role: int
    sealed: bytes
    seen: float


class SessionTable:
    """One process's view of the table. ``lock`` is held here; the caller must not hold it."""

    def __init__(self, shared: Shared, lock: ProcessLock) -> None:
        self._shared, self._lock = shared, lock
        self._area = shared.memory[SESSION_AREA:]
        self._slots = len(self._area) // _SLOT.size

    def add(self, token_hash: bytes, role: int, sealed: bytes) -> None:
        """A new session. TokenUnavailable (``retry_after``) when there are as many as fit."""
        with self._lock:
            for slot in range(self._slots):
                if not self._area[slot * _SLOT.size]:
                    row = (1, role, len(sealed), time.monotonic(), token_hash, sealed)
                    _SLOT.pack_into(self._area, slot * _SLOT.size, *row)
                    self._shared.bump_sessions()
                    return
        raise TokenUnavailable(retry_after=_FULL_RETRY)

    def find(self, token_hash: bytes) -> Row | None:
        """The session of this token's hash."""
        with self._lock:
            return next((row for _, row in self._rows() if row.token_hash == token_hash), None)

    def all(self) -> list[Row]:
        """Every session there is."""
        with self._lock:
            return [row for _, row in self._rows()]

    def remove(self, token_hash: bytes) -> bool:
        """End a session; whether it was there."""
        with self._lock:
            for slot, row in self._rows():
                if row.token_hash == token_hash:
                    self._area[slot * _SLOT.size : (slot + 1) * _SLOT.size] = bytes(_SLOT.size)
                    self._shared.bump_sessions()
                    return True
        return False

    def seen(self, token_hashes: set[bytes]) -> None:
        """These sessions are in use now."""
        with self._lock:
            for slot, row in self._rows():
                if row.token_hash in token_hashes:
                    values = (1, row.role, len(row.sealed), time.monotonic(), row.token_hash, row.sealed)
                    _SLOT.pack_into(self._area, slot * _SLOT.size, *values)

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """Rows lie one after another but for gaps; the area after the last one is searched too, which is cheap."""
        for slot in range(self._slots):
            if self._area[slot * _SLOT.size]:
                _, role, length, seen, token_hash, sealed = _SLOT.unpack_from(self._area, slot * _SLOT.size)
                yield slot, Row(token_hash, role, sealed[:length], seen)
