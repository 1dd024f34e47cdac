"""The token's own store: one SQLite file, which several processes read and write at once.

A transaction takes what is waiting, runs each piece in a savepoint of its own and commits once. Writers queue at a lock
in the kernel. The lock is let go before the disk is waited for: whoever then waits shares one fdatasync of the
write-ahead log with all who committed before it began. Nothing is answered before what it rests on is on the disk;
when the disk fails once, nothing is answered any more.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from foundation.keys.errors import (
    TokenAlreadyInitialised,
    TokenFormatUnsupported,
    TokenNotInitialised,
    TokenUnavailable,
)
from hsm_emulation.sealing import FORMAT
from hsm_emulation.shared import ProcessLock, Shared, StoreConnection
from hsm_emulation.staged import Staged

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

FILE = "token.sqlite"
_WRITE_LOCK, _SYNC_LOCK = "write.lock", "sync.lock"
_CHECKPOINT = 2000  # pages of the write-ahead log

_log = logging.getLogger("camtrust.hsm")

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE operators (
  role TEXT PRIMARY KEY, salt BLOB NOT NULL, wrapped BLOB NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, locked_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE quorum_requests (nonce TEXT PRIMARY KEY, digest TEXT NOT NULL, expires INTEGER NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE cards (
  identifier INTEGER NOT NULL, threshold INTEGER NOT NULL, count INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE TABLE keys (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, key_id TEXT NOT NULL UNIQUE, label TEXT NOT NULL UNIQUE,
  algorithm TEXT NOT NULL, use TEXT NOT NULL, owner TEXT, public_key BLOB NOT NULL,
  policy TEXT NOT NULL, enabled INTEGER NOT NULL, master INTEGER, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX keys_owner ON keys (owner);
CREATE INDEX keys_use ON keys (use);
CREATE TABLE key_states (key_id TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE policies (hash TEXT PRIMARY KEY, canonical BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE master_keys (version INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE token_keys (
  name TEXT PRIMARY KEY, master INTEGER NOT NULL, public_key BLOB NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE owners (
  owner TEXT PRIMARY KEY, master INTEGER NOT NULL, sealed BLOB, factors INTEGER NOT NULL DEFAULT 0, destroyed TEXT,
  certificate BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX owners_master ON owners (master) WHERE sealed IS NOT NULL;
CREATE TABLE wrapped_keys (key_id TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX wrapped_keys_owner ON wrapped_keys (owner);
CREATE TABLE factors (owner TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE activations (
  token_hash BLOB PRIMARY KEY, key_id TEXT NOT NULL, owner TEXT NOT NULL, audience TEXT NOT NULL,
  expires INTEGER NOT NULL, method TEXT NOT NULL, used BLOB NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX activations_expires ON activations (expires);
CREATE INDEX activations_owner ON activations (owner);
CREATE TABLE activation_digests (
  token_hash BLOB PRIMARY KEY REFERENCES activations ON DELETE CASCADE, digests TEXT NOT NULL
) STRICT;
CREATE TABLE requests (
  nonce BLOB PRIMARY KEY, owner TEXT NOT NULL, act TEXT NOT NULL, expires INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX requests_owner ON requests (owner);
CREATE INDEX requests_expires ON requests (expires);
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
  outcome TEXT NOT NULL, details TEXT NOT NULL, hash BLOB NOT NULL
) STRICT;
"""


def create(directory: Path, fill: Work[None]) -> None:
    """Make the store of a new token, whole or not at all. Raises TokenAlreadyInitialised where one is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    final, partial = directory / FILE, directory / f".{FILE}.{os.getpid()}"
    if final.exists():
        raise TokenAlreadyInitialised
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        connection = sqlite3.connect(partial, isolation_level=None)
        try:
            connection.executescript("PRAGMA synchronous=FULL; BEGIN IMMEDIATE;" + SCHEMA)
            fill(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
        try:
            os.link(partial, final)  # unlike a rename, this never replaces a token
        except FileExistsError:
            raise TokenAlreadyInitialised from None
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one piece of a transaction."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        """The value that the work gave; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Store:
    """An open store. A process opens its own, after the fork. ``close`` writes what was submitted."""

    def __init__(self, directory: Path, shared: Shared | None = None) -> None:
        """``shared``: the memory of the daemon's processes, made before they were forked."""
        self.shared = shared or Shared()
        self.directory = directory
        self._path = directory / FILE
        if not self._path.exists():
            raise TokenNotInitialised
        self._local = threading.local()
        self._waiting: list[Work[Any]] = []
        self._writer = self._connect()  # a file that is no token is told now, not at the first write
        written = self._writer.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if written is None or written[0] != FORMAT.encode():
            self._writer.close()
            raise TokenFormatUnsupported
        # Commits do not wait for the disk themselves (NORMAL); _keep does, once for many of them.
        self._writer.execute("PRAGMA synchronous=NORMAL")
        self._writer.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
        self._log_file = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)
        self._locks: list[ProcessLock] = []
        self._write_lock, self._sync_lock = self.lock(_WRITE_LOCK), self.lock(_SYNC_LOCK)
        self._readers: list[StoreConnection] = []
        self._closed = False

    def _connect(self) -> StoreConnection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=30, factory=StoreConnection, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("SELECT 1 FROM meta LIMIT 1")
        except sqlite3.DatabaseError:
            connection.close()
            raise TokenNotInitialised from None
        connection.row_factory = sqlite3.Row
        return connection

    def read(self) -> sqlite3.Connection:
        """This thread's connection, for reading alone."""
        connection: StoreConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
            self._readers.append(connection)
        return connection

    def lock(self, name: str) -> ProcessLock:
        """A lock of this name among the processes that have the store open."""
        lock = ProcessLock(self._path.parent / name)
        self._locks.append(lock)
        return lock

    @property
    def exclusive(self) -> ProcessLock:
        """The lock of writers, for what else must be done by one process at a time. Not while holding it already."""
        return self._write_lock

    def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; come back when it is on the disk. What it raises undoes it and comes back."""
        [outcome] = self.transact([work])
        value: T = outcome.result()
        return value

    def carry_out(self, staged: Staged[T]) -> T:
        """The work and then the finish of one operation."""
        self.write(staged.work)
        return staged.finish()

    def submit(self, work: Work[Any]) -> None:
        """Have ``work`` done in the next transaction, or at the latest by :meth:`flush`."""
        if self._closed:
            raise TokenUnavailable
        self._waiting.append(work)

    @property
    def waiting(self) -> bool:
        """Whether something is submitted and not yet written."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Write what was submitted."""
        if self._waiting:
            self.transact([])

    def transact(self, works: Sequence[Work[Any]]) -> list[Outcome[Any]]:
        """Run all works in one transaction, a savepoint each; come back when it is on the disk.

        An outcome each, in order. When it cannot be committed or kept, the outcome of every one is TokenUnavailable.
        """
        outcomes, commit = self.commit(works)
        try:
            self.keep(commit)
        except TokenUnavailable as error:
            return _failed(works, error)
        return outcomes

    def commit(self, works: Sequence[Work[Any]]) -> tuple[list[Outcome[Any]], int]:
        """The same without waiting for the disk: outcomes, and the number of the commit that must be kept
        (:meth:`keep`) before anything may rest on them.
        """
        if self._closed or self.shared.broken:
            return _failed(works, None), 0
        waiting: list[Work[Any]] = []
        try:
            with self._write_lock:
                waiting, self._waiting = self._waiting, waiting
                return self._transaction(waiting, works), self.shared.committed
        except Exception as error:  # a full disk, say: nothing of it happened, and everybody is told so
            self._waiting[:0] = waiting
            return _failed(works, error), 0

    def kept(self, commit: int) -> bool:
        """Whether this commit is on the disk. TokenUnavailable when the disk has failed."""
        if self.shared.broken:
            raise TokenUnavailable
        return self.shared.synced >= commit

    def keep(self, commit: int) -> None:
        """Come back when this commit is on the disk. TokenUnavailable when the disk has failed."""
        if self.kept(commit):
            return
        with self._sync_lock:
            if self.kept(commit):
                return
            upto = self.shared.committed
            try:
                os.fdatasync(self._log_file)
            except OSError as error:  # what the disk has now is unknown, and a second try would not tell (fsync(2))
                self.shared.break_off()
                _log.critical("the token's disk failed; nothing is done any more: %s", type(error).__name__)
                raise TokenUnavailable from error
            self.shared.synced = upto

    def scrub(self) -> None:
        """Empty the write-ahead log, so that what was deleted is in no file (deleted pages are overwritten already)."""
        with self._write_lock, suppress(sqlite3.OperationalError):  # a reader is inside: a later checkpoint does it
            self._writer.execute("PRAGMA busy_timeout=1000")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Write what is waiting, then stop."""
        if not self._closed:
            self.flush()
            self._closed = True
            with self._write_lock:
                self._writer.close()
            for reader in self._readers:
                reader.close()
            os.close(self._log_file)
            for lock in self._locks:
                lock.close()

    def _transaction(self, first: Sequence[Work[Any]], works: Sequence[Work[Any]]) -> list[Outcome[Any]]:
        """With the write lock held. ``first`` must all succeed; of ``works`` each may fail by itself."""
        connection, shared = self._writer, self.shared
        if shared.dirty:  # a writer died here: its commit may be in the store without having been noted
            shared.tail = None
            shared.bump()
        shared.dirty = True
        connection.changed, connection.tail, connection.at = False, shared.tail, None
        before = connection.total_changes
        connection.execute("BEGIN IMMEDIATE")
        try:
            for work in first:
                work(connection)
            outcomes = [_run(connection, work) for work in works]
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            shared.tail = None
            raise
        if connection.total_changes != before:
            shared.committed += 1
        shared.tail = connection.tail
        if connection.changed:
            shared.bump()
        shared.dirty = False
        return outcomes


def _run(connection: StoreConnection, work: Work[Any]) -> Outcome[Any]:
    tail = connection.tail
    connection.execute("SAVEPOINT one")
    try:
        outcome = Outcome(work(connection))
    except Exception as error:
        connection.execute("ROLLBACK TO one")
        connection.tail = tail
        outcome = Outcome(error=error)
    connection.execute("RELEASE one")
    return outcome


def _failed(works: Sequence[Work[Any]], cause: BaseException | None) -> list[Outcome[Any]]:
    failure = TokenUnavailable()
    failure.__cause__ = cause
    return [Outcome(error=failure) for _ in works]
