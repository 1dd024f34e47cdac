"""A new master key, and the move of everything that is sealed under the old one.

    begin   a new version; from here on, whatever is sealed or touched is sealed under it
    step    so many of the rows that are still under an old version, in one transaction; the last destroys that version

Rows say which version they are under and both versions open until the last row has moved, so a rotation that is
interrupted anywhere has lost nothing and goes on with the next step, in whatever process.
"""

from __future__ import annotations

import sqlite3

from foundation.keys.errors import RotationUnderWay
from foundation.randomness import Randomness
from hsm_emulation import epoch
from hsm_emulation.attestation import Attestation
from hsm_emulation.audit import AuditLog
from hsm_emulation.master_keys import MasterKeys, add_master_key
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import seal, unseal
from hsm_emulation.sessions import Session, Sessions
from hsm_emulation.shared import changed
from hsm_emulation.signing import bound_to, key_of
from hsm_emulation.store import Store

MOST_ROWS = 1000


class Rotation:
    """Rotates the master key."""

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        masters: MasterKeys,
        attestation: Attestation,
        persons: Persons,
        audit: AuditLog,
        randomness: Randomness,
    ) -> None:
        self._store, self._sessions, self._masters, self._attestation = store, sessions, masters, attestation
        self._persons, self._audit, self._randomness = persons, audit, randomness

    def begin(self, session: Session) -> int:
        """Make the next version; gives its number. RotationUnderWay while rows are under an older one still."""

        def work(connection: sqlite3.Connection) -> int:
            epoch.require_newest(connection)
            if self._old(connection):
                raise RotationUnderWay
            version = self._masters.current(connection) + 1
            add_master_key(connection, self._sessions.master_key(), version, self._randomness)
            self._audit.append(connection, session.actor, "rotate-master", "token", "intent", {"version": version})
            return version

        return self._store.write(work)

    def step(self, session: Session, limit: int) -> int:
        """Move up to ``limit`` rows; gives how many are left. With 0 the old versions are destroyed, or were before."""

        def work(connection: sqlite3.Connection) -> tuple[int, bool]:
            old = self._old(connection)
            if not old:
                return 0, False
            self._attestation.rewrap(connection)
            moved = self._move_keys(connection, limit)
            self._persons.rewrap_some(connection, max(limit - moved, 0))
            left = self._count(connection)
            if left == 0:
                newest = self._masters.current(connection)
                connection.execute("DELETE FROM master_keys WHERE version < ?", (newest,))
                self._audit.append(connection, session.actor, "rotate-master", "token", "done", {"version": newest})
                changed(connection)
            return left, left == 0

        left, finished = self._store.write(work)
        if finished:
            self._masters.forget()
            self._store.scrub()
        return left

    def _move_keys(self, connection: sqlite3.Connection, limit: int) -> int:
        """The token's own keys; those of an owner are under the owner's key and have nothing to move."""
        newest = self._masters.current(connection)
        rows = connection.execute("SELECT * FROM keys WHERE master < ? LIMIT ?", (newest, limit)).fetchall()
        for row in rows:
            bound = bound_to(key_of(row))
            private = unseal(self._masters.key(connection, row["master"]), row["sealed"], bound)
            sealed = seal(self._masters.key(connection, newest), private, bound, self._randomness)
            connection.execute(
                "UPDATE keys SET master = ?, sealed = ? WHERE key_id = ?", (newest, sealed, row["key_id"])
            )
        if rows:
            changed(connection)
        return len(rows)

    def _count(self, connection: sqlite3.Connection) -> int:
        """How many rows are under an older version."""
        newest = self._masters.current(connection)
        counts = (
            "SELECT COUNT(*) FROM keys WHERE master < ?",
            "SELECT COUNT(*) FROM owners WHERE master < ? AND sealed IS NOT NULL",
        )
        return sum(int(connection.execute(query, (newest,)).fetchone()[0]) for query in counts)

    def _old(self, connection: sqlite3.Connection) -> bool:
        (count,) = connection.execute("SELECT COUNT(*) FROM master_keys").fetchone()
        return bool(count > 1)
