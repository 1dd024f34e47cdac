"""The versions of the master key, under which service keys and persons' records are sealed.

    what operators unlock --AES-GCM--> master key 1, 2, ... --AES-GCM--> service keys, and one record for each person

Every sealed row says which version it is under. New rows are sealed under the newest; old ones open as long as their
version is there. `hsm_emulation.rotation` makes a new version and moves the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from foundation.keys.errors import WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal


def add_master_key(connection: sqlite3.Connection, unlocked: bytes, version: int, randomness: Randomness) -> bytes:
    """Make this version, sealed under what operators unlock; gives the key."""
    key = randomness.bytes(KEY_LENGTH)
    sealed = seal(unlocked, key, _bound_to(version), randomness)
    connection.execute("INSERT INTO master_keys (version, sealed) VALUES (?, ?)", (version, sealed))
    return key


class MasterKeys:
    """Opens versions of the master key. ``unlocked`` gives what operators unlock, or raises NotLoggedIn.

    What was opened is kept while ``generation`` stays the same: another process may have destroyed a version.
    """

    def __init__(self, unlocked: Callable[[], bytes], generation: Callable[[], int]) -> None:
        self._unlocked, self._generation = unlocked, generation
        self._known: tuple[bytes, int, dict[int, bytes]] = (b"", -1, {})

    def current(self, connection: sqlite3.Connection) -> int:
        """The newest version."""
        (version,) = connection.execute("SELECT MAX(version) FROM master_keys").fetchone()
        return int(version)

    def key(self, connection: sqlite3.Connection, version: int) -> bytes:
        """One version. NotLoggedIn; WrappedKeyInvalid for one that is not there (destroyed, or an edited row)."""
        unlocked, generation = self._unlocked(), self._generation()
        under, of, known = self._known
        if under != unlocked or of != generation:
            known = {}
            self._known = (unlocked, generation, known)
        key = known.get(version)
        if key is None:
            row = connection.execute("SELECT sealed FROM master_keys WHERE version = ?", (version,)).fetchone()
            if row is None:
                raise WrappedKeyInvalid
            key = known[version] = unseal(unlocked, row[0], _bound_to(version))
        return key

    def forget(self) -> None:
        """Nobody is logged in any more, or a version was destroyed."""
        self._known = (b"", -1, {})


def _bound_to(version: int) -> dict[str, object]:
    return {"what": "master-key-version", "version": version}
