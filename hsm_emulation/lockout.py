"""How long to wait after wrong tries: kept in the store, doubling, the same for operators and persons."""

from __future__ import annotations

FREE_TRIES = 5
FIRST_WAIT = 60
LONGEST_WAIT = 24 * 3600


def wait_after(failures: int) -> int:
    """Seconds to wait after this many wrong tries in a row: none before the fifth, then 60, 120, ... up to a day."""
    if failures < FREE_TRIES:
        return 0
    return min(LONGEST_WAIT, FIRST_WAIT << min(failures - FREE_TRIES, 20))
