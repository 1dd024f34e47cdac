"""Whether this is the newest state of the store, as far as anybody outside has witnessed it.

A copy of the token's files that is put back has forgotten signatures, destructions and revocations since. The token
cannot know that by itself: so a client keeps the last checkpoint that the token signed, somewhere else, and shows it
when it logs in. A store that does not contain it is older (or another branch), and signs nothing from then on, also
after a restart, until it is accepted; that begins a new epoch, of which the old checkpoints say nothing any more.
"""

from __future__ import annotations

import sqlite3

from foundation.keys.attestation import Checkpoint
from foundation.keys.errors import StoreRolledBack
from hsm_emulation.audit import AuditLog
from hsm_emulation.shared import changed

_EPOCH, _BEHIND = "epoch", "behind"
FIRST = 1


def begin(connection: sqlite3.Connection) -> None:
    """The first epoch of a new store."""
    connection.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (_EPOCH, str(FIRST).encode()))


def current(connection: sqlite3.Connection) -> int:
    """The store's epoch."""
    (value,) = connection.execute("SELECT value FROM meta WHERE name = ?", (_EPOCH,)).fetchone()
    return int(value)


def require_newest(connection: sqlite3.Connection) -> None:
    """StoreRolledBack for a store that was found to be older than what was witnessed, and was not accepted since."""
    if connection.execute("SELECT 1 FROM meta WHERE name = ?", (_BEHIND,)).fetchone():
        raise StoreRolledBack


def contains(connection: sqlite3.Connection, witnessed: Checkpoint) -> bool:
    """Whether the store has come as far as was witnessed, on the same way; one of an older epoch says nothing."""
    epoch = current(connection)
    if witnessed.epoch != epoch:
        return witnessed.epoch < epoch
    row = connection.execute("SELECT hash FROM audit WHERE sequence = ?", (witnessed.sequence,)).fetchone()
    return row is not None and bytes(row[0]).hex() == witnessed.hash


def note(connection: sqlite3.Connection, audit: AuditLog, actor: str, witnessed: Checkpoint) -> None:
    """Write down that the store is older than what was witnessed, unless it is not: from then on it signs nothing."""
    if contains(connection, witnessed):
        return
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (_BEHIND, str(witnessed.sequence).encode())
    )
    details = {"epoch": witnessed.epoch, "sequence": witnessed.sequence}
    audit.append(connection, actor, "rollback-found", "token", StoreRolledBack.code, details)
    changed(connection)


def put_back(connection: sqlite3.Connection, sequence: int) -> None:
    """Say of a store that was just restored that it is older than what was; ``sequence``: of its last row."""
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (_BEHIND, str(sequence).encode()))


def accept(connection: sqlite3.Connection, audit: AuditLog, actor: str) -> int:
    """Take the store as it is for the newest there is, in a new epoch; whoever calls this has asked the quorum."""
    epoch = current(connection) + 1
    connection.execute("UPDATE meta SET value = ? WHERE name = ?", (str(epoch).encode(), _EPOCH))
    connection.execute("DELETE FROM meta WHERE name = ?", (_BEHIND,))
    audit.append(connection, actor, "accept-store", "token", "done", {"epoch": epoch})
    changed(connection)
    return epoch
