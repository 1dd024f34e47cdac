"""Operations in stages, so that many of them share one commit, and no key is used before its intent is on the disk.

begin      an ordinary method that checks, loads, and gives a Staged; raises what is refused
work       runs in a transaction that it shares with others: the intent's audit row, uses, counters
finish     runs when that transaction is on the disk: private-key operations, and the answer
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Staged(Generic[T]):
    """What is left of an operation after it began.

    ``work`` may run a second time, after a first time that was rolled back: it changes nothing but the store, and what
    it hands to ``finish`` it sets anew. What it raises undoes this operation alone and is its answer. ``finish`` runs
    once, only after the commit; ``weight`` is how many private-key operations it makes.
    """

    work: Callable[[sqlite3.Connection], None]
    finish: Callable[[], T]
    weight: int = 1
