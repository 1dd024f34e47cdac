"""The daemon's own audit log: a hash chain in the token's store. Intent before an act, result after.

An act whose intent cannot be written does not happen. Rows hold opaque ids and codes; never a PIN, a code, a digest
preimage or personal data. The chain shows change, removal and insertion; cutting off its end shows against a copy.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring
from typing import Any

from foundation.canonical import canonical_json
from foundation.clock import Clock, rfc3339
from foundation.keys.errors import AuditBroken
from hsm_emulation.shared import StoreConnection
from hsm_emulation.store import Store

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
    ) -> int:
        """Write one row in the caller's transaction; gives its number. All rows of a transaction have one time."""
        known = connection if isinstance(connection, StoreConnection) else None
        at = known.at if known else None
        if at is None:
            at = rfc3339(self._clock.now())
        last = (known.tail if known else None) or connection.execute(_LAST).fetchone()
        sequence, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
        written = canonical_json(dict(details)).decode() if details else "{}"
        following = _hash(previous, sequence, at, actor, action, subject, outcome, written)
        row = (sequence, at, actor, action, subject, outcome, written, following)
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if known:
            known.tail, known.at = (sequence, following), at
        return sequence

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


class Results:
    """The rows that say how acts of one kind went which are done many times a second. Each names the numbers of the
    intents that it answers for, so that one row, in the next transaction, does for many. ``action``: the kind.
    """

    def __init__(self, store: Store, audit: AuditLog, action: str) -> None:
        self._store, self._audit, self._action = store, audit, action
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], list[int]] | None = None

    def done(self, actor: str, subject: str, intent: int) -> None:
        """What was meant by this intent is done. If it cannot be written, the next intent cannot either."""
        with self._lock:
            if self._open is None:
                self._open = {}
                self._store.submit(partial(self._write, self._open))
            self._open.setdefault((actor, subject), []).append(intent)

    def _write(self, results: dict[tuple[str, str], list[int]], connection: sqlite3.Connection) -> None:
        """May run again when its transaction failed: what it writes is settled when it first runs."""
        with self._lock:
            if self._open is results:
                self._open = None
        for (actor, subject), intents in results.items():
            self._audit.append(connection, actor, self._action, subject, "done", {"intents": intents})


def _hash(previous: bytes, sequence: int, *texts: str) -> bytes:
    """SHA-256 of the canonical JSON of ``[previous in hex, sequence, texts...]``, put together here: it is done for
    every row.
    """
    written = ",".join(map(encode_basestring, texts))
    return hashlib.sha256(f'["{previous.hex()}",{sequence},{written}]'.encode()).digest()
