"""Group commit: what threads ask for while others' work is being committed is done together, in the next transaction.

Nobody waits for company: who finds the line empty works at once and alone. Whoever comes meanwhile stands in line; the
first of them then works for all who stand there, in its own thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Place(Generic[Item, Outcome]):
    """Somebody in line. ``told`` is set when there is an outcome, or when ``group`` is theirs to work for."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.told = Event()
        self.group: Sequence[_Place[Item, Outcome]] = ()
        self.outcome: Outcome | BaseException | None = None


class GroupCommit(Generic[Item, Outcome]):
    """``work`` gives an outcome for each item, in their order; an exception as an outcome is raised where it belongs.

    What ``work`` itself raises, everybody in the group is told. At most ``most`` items are in a group, and at most
    ``at_once`` groups at work.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Outcome | Exception]], *, most: int = 256, at_once: int = 2
    ) -> None:
        self._work = work
        self._most, self._at_once = most, at_once
        self._line: deque[_Place[Item, Outcome]] = deque()  # empty wherever fewer than ``at_once`` are at work
        self._working = 0
        self._lock = Lock()

    def do(self, item: Item) -> Outcome:
        """What came of the item. Raises the exception that came of it, and what ``work`` raises."""
        place = _Place[Item, Outcome](item)
        with self._lock:
            if self._working < self._at_once:
                self._working += 1
                place.group = (place,)
            else:
                self._line.append(place)
        if not place.group:
            place.told.wait()
        if place.group:
            try:
                self._run(place.group)
            finally:
                self._hand_over()
        if isinstance(place.outcome, BaseException):
            raise place.outcome
        return place.outcome  # type: ignore[return-value]

    def _run(self, group: Sequence[_Place[Item, Outcome]]) -> None:
        outcomes: Sequence[Outcome | BaseException] = ()
        try:
            outcomes = self._work([place.item for place in group])
        except BaseException as error:
            outcomes = [error] * len(group)
            raise
        finally:
            for place, outcome in zip(group, outcomes, strict=True):
                place.outcome = outcome
                place.told.set()

    def _hand_over(self) -> None:
        """Give the place at work to the first in line, with all who stand there; give it up where nobody does."""
        with self._lock:
            if not self._line:
                self._working -= 1
                return
            group = [self._line.popleft() for _ in range(min(self._most, len(self._line)))]
        group[0].group = group
        group[0].told.set()
