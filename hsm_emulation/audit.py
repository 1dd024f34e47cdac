"""The daemon's own audit log: a hash chain in the token's store. Intent before an act, result after.

An act whose intent cannot be written does not happen. Rows hold opaque ids and codes; never a PIN, a code, a digest
preimage or personal data. The chain shows change, removal and insertion; cutting off its end shows against a copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.canonical import canonical_json, digest
from foundation.clock import Clock, rfc3339
from foundation.keys.errors import AuditBroken
from hsm_emulation.shared import StoreConnection

GENESIS = bytes(32)
_LAST = "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1"


@dataclass(frozen=True)
class Entry:
    """One row: what (``action``) was done to what (``subject``, an opaque id), by whom, and how it went.

    ``outcome`` is ``intent``, ``done``, or the code of the error.
    """

    sequence: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: str
    details: str
    hash: bytes


class AuditLog:
    """Appends to the chain, reads and checks it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def append(
        self,
        connection: sqlite3.Connection,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one row in the caller's transaction."""
        tail = connection.tail if isinstance(connection, StoreConnection) else None
        last = tail or connection.execute(_LAST).fetchone()
        sequence, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
        row = (sequence, rfc3339(self._clock.now()), actor, action, subject, outcome)
        written = canonical_json(dict(details or {})).decode()
        following = _hash(previous, *row, written)
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, written, following))
        if isinstance(connection, StoreConnection):
            connection.tail = (sequence, following)

    @staticmethod
    def entries(connection: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
        """Up to ``limit`` rows after sequence number ``after``."""
        query = "SELECT * FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return [Entry(*row) for row in connection.execute(query, (after, limit))]

    @staticmethod
    def verify(connection: sqlite3.Connection) -> int:
        """Walk the chain; gives the number of rows. Raises AuditBroken with the first row that does not follow."""
        previous, count = GENESIS, 0
        for row in connection.execute("SELECT * FROM audit ORDER BY sequence"):
            count += 1
            entry = Entry(*row)
            expected = _hash(
                previous, count, entry.at, entry.actor, entry.action, entry.subject, entry.outcome, entry.details
            )
            if entry.sequence != count or entry.hash != expected:
                raise AuditBroken(sequence=count)
            previous = expected
        return count


def _hash(previous: bytes, *fields: str | int) -> bytes:
    return digest([previous.hex(), *fields])
