"""Persons (owners): one sealed record each, made when first needed, destroyed for good with everything under it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from foundation.clock import Clock, rfc3339
from foundation.keys.errors import OwnerDestroyed, WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.attestation import Attestation
from hsm_emulation.audit import AuditLog
from hsm_emulation.master_keys import MasterKeys
from hsm_emulation.person_record import PersonRecord
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.shared import changed
from hsm_emulation.store import Store

_DATA_KEY = b"CTK1"


class Persons:
    """Persons' records, and the data keys wrapped under their keys (`foundation.keys.port.PersonKeys`)."""

    def __init__(
        self,
        store: Store,
        masters: MasterKeys,
        attestation: Attestation,
        audit: AuditLog,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store, self._masters, self._attestation, self._audit = store, masters, attestation, audit
        self._clock, self._randomness = clock, randomness

    def record(self, owner: str, connection: sqlite3.Connection | None = None) -> PersonRecord | None:
        """The owner's record, None where there never was one. OwnerDestroyed; WrappedKeyInvalid for an edited row."""
        connection = connection or self._store.read()
        row = _row(connection, owner)
        if row is None:
            return None
        try:
            return self._open(connection, owner, row)
        except WrappedKeyInvalid:
            moved = _row(connection, owner)  # a rotation that ended in between destroyed the version it was read under
            if moved is None or tuple(moved) == tuple(row):
                raise
            return self._open(connection, owner, moved)

    def record_in(self, connection: sqlite3.Connection, owner: str) -> PersonRecord:
        """The owner's record, made when there is none, in a writing transaction. Raises what :meth:`record` does."""
        found = self.record(owner, connection)
        if found is not None:
            return found
        made = PersonRecord(self._randomness.bytes(KEY_LENGTH), {1: self._randomness.bytes(KEY_LENGTH)})
        connection.execute(
            "INSERT INTO owners (owner, master, sealed) VALUES (?, ?, ?)",
            (owner, *self._seal(connection, owner, made, False)),
        )
        return made

    def save(self, connection: sqlite3.Connection, owner: str, record: PersonRecord) -> None:
        """Write a changed record, under the newest master key, in the transaction in which it was read."""
        row = _row(connection, owner)
        if row is None or row["destroyed"] is not None:
            raise OwnerDestroyed
        self._update(connection, owner, record, bool(row["factors"]))

    def key(self, owner: str) -> bytes:
        """The owner's key, made when there is none. OwnerDestroyed; WrappedKeyInvalid for an edited row."""
        return self.existing_key(owner) or self._store.write(lambda connection: self.key_in(connection, owner))

    def key_in(self, connection: sqlite3.Connection, owner: str) -> bytes:
        """The same inside a writing transaction."""
        return self.record_in(connection, owner).key

    def existing_key(self, owner: str, connection: sqlite3.Connection | None = None) -> bytes | None:
        """The owner's key, or None where there never was one. OwnerDestroyed; WrappedKeyInvalid for an edited row."""
        record = self.record(owner, connection)
        return record.key if record else None

    def has_factors(self, owner: str, connection: sqlite3.Connection | None = None) -> bool:
        """Whether this owner's factors were ever confirmed. Meant for after :meth:`key`, which checks the seal."""
        row = _row(connection or self._store.read(), owner)
        return row is not None and bool(row["factors"])

    def mark_factors(self, connection: sqlite3.Connection, owner: str, key: bytes) -> None:
        """Note, under the record's seal, that factors are confirmed; ``key`` is the owner's, as the caller read it.

        Whoever deletes the row of the factors, to enrol others for the same keys, is then refused; and if the note is
        edited too, the record does not open.
        """
        record = self.record(owner, connection)
        if record is None or record.key != key:
            raise OwnerDestroyed
        self._update(connection, owner, record, True)

    def lose_factors(self, connection: sqlite3.Connection, owner: str) -> list[str]:
        """Delete the owner's factors, keys, and what waits for them; gives the keys' ids. OwnerDestroyed.

        Their key stays, and what it opens. Their wrapping key does not: no wrapping of theirs is ever opened again;
        and the generation of their factors moves on, so that those lost are none if somebody puts them back.
        """
        record = self.record_in(connection, owner)
        wrapping = {record.generation + 1: self._randomness.bytes(KEY_LENGTH)}
        lost = replace(record, wrapping=wrapping, keys={}, factors=record.factors + 1)
        self._update(connection, owner, lost, False)
        changed(connection)
        return _delete_all(connection, owner)

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

    def rewrap(self, connection: sqlite3.Connection, owner: str) -> None:
        """Seal the owner's record under the newest master key, unless it is so already or is destroyed."""
        row = _row(connection, owner)
        if row is None or row["sealed"] is None or row["master"] == self._masters.current(connection):
            return
        self._update(connection, owner, self._open(connection, owner, row), bool(row["factors"]))

    def rewrap_some(self, connection: sqlite3.Connection, limit: int) -> None:
        """:meth:`rewrap` up to so many records that are under an older master key."""
        newest = self._masters.current(connection)
        query = "SELECT owner FROM owners WHERE master < ? AND sealed IS NOT NULL LIMIT ?"
        for row in connection.execute(query, (newest, limit)).fetchall():
            self.rewrap(connection, row["owner"])

    def destroy(self, session: Session, owner: str) -> bytes:
        """Destroy the owner's record, keys, factors and activations, and leave a tombstone. Gives the certificate of
        destruction, which is kept with the tombstone: asked again, nothing happens and the same certificate comes.

        An owner who is unknown gets the tombstone too.
        """
        row = _row(self._store.read(), owner)
        if row and row["destroyed"] is not None:
            return bytes(row["certificate"])
        self._store.write(
            lambda connection: self._audit.append(connection, session.actor, "destroy-owner", owner, "intent")
        )

        def work(connection: sqlite3.Connection) -> bytes:
            row = _row(connection, owner)
            if row and row["destroyed"] is not None:
                return bytes(row["certificate"])  # somebody else was quicker
            keys = _delete_all(connection, owner)
            certificate = self._attestation.destruction(connection, owner, keys)
            connection.execute(
                "INSERT INTO owners (owner, master, sealed, destroyed, certificate) VALUES (?, 0, NULL, ?, ?)"
                " ON CONFLICT (owner) DO UPDATE SET sealed = NULL, destroyed = excluded.destroyed,"
                " certificate = excluded.certificate",
                (owner, rfc3339(self._clock.now()), certificate),
            )
            changed(connection)
            self._audit.append(connection, session.actor, "destroy-owner", owner, "done", {"keys": keys})
            return certificate

        certificate = self._store.write(work)
        self._store.scrub()
        return certificate

    def _open(self, connection: sqlite3.Connection, owner: str, row: sqlite3.Row) -> PersonRecord:
        if row["destroyed"] is not None or row["sealed"] is None:
            raise OwnerDestroyed
        master = self._masters.key(connection, row["master"])
        return PersonRecord.decode(unseal(master, row["sealed"], _bound_to(owner, bool(row["factors"]))))

    def _seal(
        self, connection: sqlite3.Connection, owner: str, record: PersonRecord, factors: bool
    ) -> tuple[int, bytes]:
        version = self._masters.current(connection)
        master = self._masters.key(connection, version)
        return version, seal(master, record.encode(), _bound_to(owner, factors), self._randomness)

    def _update(self, connection: sqlite3.Connection, owner: str, record: PersonRecord, factors: bool) -> None:
        connection.execute(
            "UPDATE owners SET master = ?, sealed = ?, factors = ? WHERE owner = ?",
            (*self._seal(connection, owner, record, factors), int(factors), owner),
        )


def _delete_all(connection: sqlite3.Connection, owner: str) -> list[str]:
    """Every row of the owner's but their record; gives the ids of their keys."""
    keys: list[str] = []
    for table in ("keys", "wrapped_keys"):
        found = connection.execute(f"SELECT key_id FROM {table} WHERE owner = ? ORDER BY key_id", (owner,))  # noqa: S608 (our two names)
        keys += [one["key_id"] for one in found]
    for table in ("keys", "wrapped_keys", "factors", "activations", "requests"):
        connection.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,))  # noqa: S608 (our five names)
    return keys


def _row(connection: sqlite3.Connection, owner: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM owners WHERE owner = ?", (owner,)).fetchone()
    return row


def _bound_to(owner: str, factors: bool) -> dict[str, Any]:
    return {"what": "person", "owner": owner, "factors": factors}


def _data_key_of(owner: str, purpose: str) -> dict[str, Any]:
    return {"what": "data-key", "owner": owner, "purpose": purpose}
