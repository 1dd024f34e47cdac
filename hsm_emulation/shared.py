"""What the daemon's processes share in memory: a counter that says whether what one of them has cached is still so.

The memory is anonymous, made before the fork, and gone with the last process: nothing of it is ever on a disk.
"""

from __future__ import annotations

import mmap
import sqlite3
import struct

_COUNTER = struct.Struct("=Q")


class Shared:
    """Memory of one daemon. Make it before forking.

    ``generation`` goes up when keys, persons, sessions or policies change. A cache is filled like this, and used only
    while the generation is the one that was read *before* the store was::

        generation = shared.generation
        if self._generation != generation:
            self._cache.clear()
            self._generation = generation

    A transaction that changes such a thing calls :func:`changed`. What must not happen by mistake (a use too many, a
    disabled key that signs) is checked in the store, within the transaction; a cache is never the judge of it.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def generation(self) -> int:
        """How often something that may be cached has changed."""
        return int(_COUNTER.unpack_from(self._memory, 0)[0])

    def bump(self) -> None:
        """Something has changed. For the store, which holds the write lock: one process at a time."""
        _COUNTER.pack_into(self._memory, 0, self.generation + 1)


class StoreConnection(sqlite3.Connection):
    """A connection to the token's store. ``changed``: this transaction changes what processes may have cached."""

    changed = False


def changed(connection: sqlite3.Connection) -> None:
    """Say, within a transaction, that it changes keys, persons, sessions or policies: the generation will go up."""
    if isinstance(connection, StoreConnection):
        connection.changed = True
