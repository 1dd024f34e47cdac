"""One process (or thread) waits for the disk for all workers, so that none of them ever does.

A worker that has committed says so and goes on with other requests. Here the disk is asked to keep everything that was
committed until then, and every worker is told how far it has come; keys whose intents are kept are used then.
"""

from __future__ import annotations

import os
from contextlib import suppress

from foundation.keys.errors import TokenUnavailable
from hsm_emulation.store import Store


class Syncing:
    """Who wants the disk asked, and who is told. Made before forking; ``workers``: how many."""

    def __init__(self, workers: int) -> None:
        self._wanted = os.eventfd(0, os.EFD_CLOEXEC)
        self.told = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(workers)]
        self._over = False

    def want(self) -> None:
        """Something was committed."""
        os.eventfd_write(self._wanted, 1)

    def run(self, store: Store) -> None:
        """Ask the disk whenever somebody wants it, until :meth:`stop`."""
        while not self._over:
            os.eventfd_read(self._wanted)
            with suppress(TokenUnavailable):  # every worker sees it
                store.keep(store.shared.committed)
            for one in self.told:
                os.eventfd_write(one, 1)

    def stop(self) -> None:
        """End a :meth:`run` in this process."""
        self._over = True
        self.want()

    def close(self) -> None:
        """No more of this."""
        for one in (self._wanted, *self.told):
            os.close(one)
