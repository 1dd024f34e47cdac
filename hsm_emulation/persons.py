"""Persons (owners): a random key each, made when it is first needed, destroyed for good with everything under it."""

from __future__ import annotations

import sqlite3
from typing import Any

from foundation.clock import Clock, rfc3339
from foundation.keys.errors import OwnerDestroyed, WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal
from hsm_emulation.sessions import Session, Sessions
from hsm_emulation.shared import changed
from hsm_emulation.store import Store

_DATA_KEY = b"CTK1"


class Persons:
    """Person keys and the data keys wrapped under them (`foundation.keys.port.PersonKeys`)."""

    def __init__(self, store: Store, sessions: Sessions, audit: AuditLog, clock: Clock, randomness: Randomness) -> None:
        self._store, self._sessions, self._audit = store, sessions, audit
        self._clock, self._randomness = clock, randomness

    def key(self, owner: str) -> bytes:
        """The owner's key, made when there is none. OwnerDestroyed; WrappedKeyInvalid for an edited row."""
        row = _row(self._store.read(), owner)
        return self._open(owner, row) if row else self._store.write(lambda connection: self.key_in(connection, owner))

    def key_in(self, connection: sqlite3.Connection, owner: str) -> bytes:
        """The same inside a writing transaction."""
        row = _row(connection, owner)
        if row:
            return self._open(owner, row)
        key = self._randomness.bytes(KEY_LENGTH)
        sealed = seal(self._sessions.master_key(), key, _bound_to(owner, False), self._randomness)
        connection.execute("INSERT INTO owners (owner, sealed) VALUES (?, ?)", (owner, sealed))
        return key

    def existing_key(self, owner: str, connection: sqlite3.Connection | None = None) -> bytes | None:
        """The owner's key, or None where there never was one. OwnerDestroyed; WrappedKeyInvalid for an edited row."""
        row = _row(connection or self._store.read(), owner)
        return self._open(owner, row) if row else None

    def _open(self, owner: str, row: sqlite3.Row) -> bytes:
        if row["destroyed"] is not None or row["sealed"] is None:
            raise OwnerDestroyed
        return unseal(self._sessions.master_key(), row["sealed"], _bound_to(owner, bool(row["factors"])))

    def has_factors(self, owner: str) -> bool:
        """Whether this owner's factors were ever confirmed. Meant for after :meth:`key`, which checks the seal."""
        row = _row(self._store.read(), owner)
        return row is not None and bool(row["factors"])

    def mark_factors(self, connection: sqlite3.Connection, owner: str, key: bytes) -> None:
        """Note, under the seal of the person's key, that factors are confirmed.

        Whoever deletes the row of the factors, to enrol others for the same keys, is then refused; and if the note is
        edited too, the person's key does not open.
        """
        sealed = seal(self._sessions.master_key(), key, _bound_to(owner, True), self._randomness)
        connection.execute("UPDATE owners SET sealed = ?, factors = 1 WHERE owner = ?", (sealed, owner))

    def new_data_key(self, owner: str, purpose: str) -> tuple[bytes, bytes]:
        """A fresh data key, and it wrapped under the owner's key, bound to owner and purpose."""
        key = self._randomness.bytes(KEY_LENGTH)
        return key, _DATA_KEY + seal(self.key(owner), key, _data_key_of(owner, purpose), self._randomness)

    def open_data_key(self, owner: str, purpose: str, wrapped: bytes) -> bytes:
        """Unwrap. OwnerDestroyed; WrappedKeyInvalid for another owner, another purpose, or any changed byte."""
        key = self.existing_key(owner)
        if key is None or not wrapped.startswith(_DATA_KEY):
            raise WrappedKeyInvalid
        return unseal(key, wrapped[len(_DATA_KEY) :], _data_key_of(owner, purpose))

    def destroy(self, session: Session, owner: str) -> list[str]:
        """Destroy the owner's key, keys, factors and activations, and leave a tombstone. Gives the ids of the keys.

        An owner who is unknown gets the tombstone too; one who is destroyed stays so (nothing happens).
        """
        row = _row(self._store.read(), owner)
        if row and row["destroyed"] is not None:
            return []
        self._store.write(
            lambda connection: self._audit.append(connection, session.actor, "destroy-owner", owner, "intent")
        )

        def work(connection: sqlite3.Connection) -> list[str]:
            found = connection.execute("SELECT key_id FROM keys WHERE owner = ? ORDER BY sequence", (owner,))
            keys = [one["key_id"] for one in found]
            for table in ("keys", "factors", "activations"):
                connection.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,))  # noqa: S608 (our three names)
            connection.execute(
                "INSERT INTO owners (owner, sealed, destroyed) VALUES (?, NULL, ?) ON CONFLICT (owner)"
                " DO UPDATE SET sealed = NULL, destroyed = excluded.destroyed WHERE owners.destroyed IS NULL",
                (owner, rfc3339(self._clock.now())),
            )
            changed(connection)
            self._audit.append(connection, session.actor, "destroy-owner", owner, "done", {"keys": keys})
            return keys

        keys = self._store.write(work)
        self._store.scrub()
        return keys


def _row(connection: sqlite3.Connection, owner: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM owners WHERE owner = ?", (owner,)).fetchone()
    return row


def _bound_to(owner: str, factors: bool) -> dict[str, Any]:
    return {"what": "person-key", "owner": owner, "factors": factors}


def _data_key_of(owner: str, purpose: str) -> dict[str, Any]:
    return {"what": "data-key", "owner": owner, "purpose": purpose}
