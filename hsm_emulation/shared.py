"""What the daemon's processes share in memory: whether what is cached is still so, and how far the disk has come.

The memory is anonymous, made before the fork, and gone with the last process: nothing of it is ever on a disk.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sqlite3
import threading
from pathlib import Path
from types import TracebackType

_PAGES = 64
_GENERATION, _DIRTY, _BROKEN, _COMMITTED, _SYNCED, _LAST_ROW, _SESSIONS = range(7)
_LAST_HASH = slice(64, 96)
_HANDED, _CLOSED = 64, 192  # a number for each worker
MOST_WORKERS = 128
SESSION_AREA = mmap.PAGESIZE


class Shared:
    """Memory of one daemon. Make it before forking. Numbers are whole: one process never sees half of another's write.

    ``generation`` goes up when keys, persons, sessions or policies change. A cache is filled like this, and used only
    while the generation is the one that was read *before* the store was::

        generation = shared.generation
        if self._generation != generation:
            self._cache.clear()
            self._generation = generation

    A transaction that changes such a thing calls :func:`changed`. What must not happen by mistake (a use too many, a
    disabled key that signs) is checked in the store, within the transaction; a cache is never the judge of it.

    Everything but ``generation``, ``broken`` and ``synced`` is for the holder of the store's write lock.
    """

    def __init__(self) -> None:
        self.memory = memoryview(mmap.mmap(-1, _PAGES * mmap.PAGESIZE))
        self._numbers = self.memory.cast("Q")

    @property
    def generation(self) -> int:
        """How often something that may be cached has changed."""
        return self._numbers[_GENERATION]

    def bump(self) -> None:
        """Something has changed."""
        self._numbers[_GENERATION] += 1

    @property
    def sessions(self) -> int:
        """How often the table of sessions has changed."""
        return self._numbers[_SESSIONS]

    def bump_sessions(self) -> None:
        """A session began or ended."""
        self._numbers[_SESSIONS] += 1

    def connections(self, worker: int) -> int:
        """How many connections this worker has."""
        return self._numbers[_HANDED + worker] - self._numbers[_CLOSED + worker]

    def connection_handed(self, worker: int) -> None:
        """For the process that accepts connections: this worker gets one more."""
        self._numbers[_HANDED + worker] += 1

    def connection_closed(self, worker: int) -> None:
        """For this worker: one less."""
        self._numbers[_CLOSED + worker] += 1

    def forget_connections(self, worker: int) -> None:
        """This worker is gone, and its connections with it."""
        self._numbers[_HANDED + worker] = self._numbers[_CLOSED + worker] = 0

    @property
    def dirty(self) -> bool:
        """Whether a writer is at work, or was when it died: then what is noted here may not be what is in the store."""
        return bool(self._numbers[_DIRTY])

    @dirty.setter
    def dirty(self, value: bool) -> None:
        self._numbers[_DIRTY] = int(value)

    @property
    def broken(self) -> bool:
        """Whether the disk once failed to keep what it was given: nothing is done any more until a new start."""
        return bool(self._numbers[_BROKEN])

    def break_off(self) -> None:
        """The disk has failed."""
        self._numbers[_BROKEN] = 1

    @property
    def committed(self) -> int:
        """The number of the last commit."""
        return self._numbers[_COMMITTED]

    @committed.setter
    def committed(self, value: int) -> None:
        self._numbers[_COMMITTED] = value

    @property
    def synced(self) -> int:
        """The number of the last commit that is on the disk."""
        return self._numbers[_SYNCED]

    @synced.setter
    def synced(self, value: int) -> None:
        self._numbers[_SYNCED] = value

    @property
    def tail(self) -> tuple[int, bytes] | None:
        """Number and hash of the audit log's last row; None when it must be looked up."""
        sequence = self._numbers[_LAST_ROW]
        return (sequence, bytes(self.memory[_LAST_HASH])) if sequence else None

    @tail.setter
    def tail(self, value: tuple[int, bytes] | None) -> None:
        if value is None:
            self._numbers[_LAST_ROW] = 0
        else:
            self.memory[_LAST_HASH] = value[1]
            self._numbers[_LAST_ROW] = value[0]


class StoreConnection(sqlite3.Connection):
    """A connection to the token's store.

    ``changed``: this transaction changes what processes may have cached. ``tail``: number and hash of the audit log's
    last row as this transaction sees it, None when not known. ``at``: the time of this transaction's audit rows.
    """

    changed = False
    at: str | None = None
    tail: tuple[int, bytes] | None = None


def changed(connection: sqlite3.Connection) -> None:
    """Say, within a transaction, that it changes keys, persons, sessions or policies: the generation will go up."""
    if isinstance(connection, StoreConnection):
        connection.changed = True


class ProcessLock:
    """A lock among threads and processes: waiting sleeps in the kernel, and a process that dies lets it go.

    Each process makes its own, after the fork.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._among_threads = threading.Lock()

    def __enter__(self) -> None:
        self._among_threads.acquire()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self._among_threads.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._among_threads.release()

    def close(self) -> None:
        """No more locking."""
        os.close(self._descriptor)
