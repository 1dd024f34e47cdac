"""The token's own store: one SQLite file. Reads are a connection per thread; all writes go through one thread.

The writing thread takes what is waiting, runs it in one transaction (a savepoint each) and commits once: an answer is
given when its write is on the disk (WAL, synchronous=FULL), and many answers share one fsync.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from foundation.keys.errors import (
    TokenAlreadyInitialised,
    TokenFormatUnsupported,
    TokenNotInitialised,
    TokenUnavailable,
)
from hsm_emulation.sealing import FORMAT
from hsm_emulation.shared import Shared, StoreConnection
from hsm_emulation.staged import Staged

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

FILE = "token.sqlite"
_BATCH = 256

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE operators (
  role TEXT PRIMARY KEY, salt BLOB NOT NULL, wrapped BLOB NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, locked_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE keys (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, key_id TEXT NOT NULL UNIQUE, label TEXT NOT NULL UNIQUE,
  algorithm TEXT NOT NULL, use TEXT NOT NULL, owner TEXT, public_key BLOB NOT NULL,
  policy TEXT NOT NULL, enabled INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX keys_owner ON keys (owner);
CREATE INDEX keys_use ON keys (use);
CREATE TABLE policies (hash TEXT PRIMARY KEY, canonical BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE master_keys (version INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE owners (
  owner TEXT PRIMARY KEY, master INTEGER NOT NULL, sealed BLOB, factors INTEGER NOT NULL DEFAULT 0, destroyed TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE wrapped_keys (key_id TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX wrapped_keys_owner ON wrapped_keys (owner);
CREATE TABLE factors (owner TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE activations (
  token_hash BLOB PRIMARY KEY, key_id TEXT NOT NULL, owner TEXT NOT NULL, audience TEXT NOT NULL,
  expires INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX activations_expires ON activations (expires);
CREATE INDEX activations_owner ON activations (owner);
CREATE TABLE activation_digests (
  token_hash BLOB NOT NULL REFERENCES activations ON DELETE CASCADE, position INTEGER NOT NULL, digest BLOB NOT NULL,
  used INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (token_hash, position)
) STRICT, WITHOUT ROWID;
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


class Store:
    """An open store. ``close`` waits for what was submitted."""

    def __init__(self, directory: Path, shared: Shared | None = None) -> None:
        """``shared``: the memory of the daemon's processes, made before they were forked."""
        self.shared = shared or Shared()
        self._path = directory / FILE
        if not self._path.exists():
            raise TokenNotInitialised
        self._local = threading.local()
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        self._closed = False
        connection = self._connect()  # a file that is no token is told now, not at the first write
        written = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        connection.close()
        if written is None or written[0] != FORMAT.encode():
            raise TokenFormatUnsupported
        self._writer = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._writer.start()

    def _connect(self) -> StoreConnection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30, factory=StoreConnection)
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
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
        return connection

    def release(self) -> None:
        """Close this thread's connection; called when a thread ends."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            connection.close()

    def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; come back when it is on the disk. What it raises undoes it and comes back."""
        return self.submit(work).result()

    def carry_out(self, staged: Staged[T]) -> T:
        """The work and then the finish of one operation."""
        self.write(staged.work)
        return staged.finish()

    def submit(self, work: Work[T]) -> Future[T]:
        """Like :meth:`write`, without waiting."""
        future: Future[T] = Future()
        if self._closed:
            raise TokenUnavailable
        self._queue.put((work, future))
        return future

    def scrub(self) -> None:
        """Empty the write-ahead log, so that what was deleted is in no file (deleted pages are overwritten already)."""
        with suppress(sqlite3.OperationalError):  # a reader is inside; the next checkpoint does it
            connection = self._connect()
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def close(self) -> None:
        """Write what is waiting, then stop."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
        self.release()

    def _run(self) -> None:
        connection = self._connect()
        try:
            while (first := self._queue.get()) is not None:
                batch, more = [first], True
                while more and len(batch) < _BATCH:
                    try:
                        item = self._queue.get_nowait()
                    except Empty:
                        break
                    if item is None:
                        self._queue.put(None)
                        more = False
                    else:
                        batch.append(item)
                _commit(connection, batch)
                if connection.changed:
                    connection.changed = False
                    self.shared.bump()
        finally:
            connection.close()


def _commit(connection: sqlite3.Connection, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
    results: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for work, future in batch:
            connection.execute("SAVEPOINT one")
            try:
                results.append((future, work(connection), None))
            except Exception as error:
                connection.execute("ROLLBACK TO one")
                results.append((future, None, error))
            connection.execute("RELEASE one")
        connection.execute("COMMIT")
    except Exception as error:  # a full disk, say: nothing of the batch happened, and everybody is told so
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        failure = TokenUnavailable()
        failure.__cause__ = error
        results = [(future, None, failure) for _, future in batch]
    for future, value, problem in results:
        if problem is None:
            future.set_result(value)
        else:
            future.set_exception(problem)
