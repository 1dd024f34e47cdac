"""Files from outside are judged in processes of their own, bounded in time and memory; none takes another along.

A worker reads and computes: it may write no file, and no core is left of it. What exceeds a bound, or ends its worker,
is INDETERMINATE / FMT-LIMIT. The pipes are pipes: no socket is opened.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """Of one file: seconds by the clock, and octets of address space of the process that judges it."""

    seconds: float = 120
    memory: int = 6144 * MIB


STANDARD = Bounds()


class Exceeded:
    """Stands for the answer about a file that was too much, or that ended its worker."""


def each(
    items: Sequence[Item],
    prepare: Callable[[], Callable[[Item], Answer]],
    jobs: int,
    bounds: Bounds,
) -> Iterator[Answer | Exceeded]:
    """The answers in the order of the items, by ``jobs`` workers.

    ``prepare`` is called once in each worker and gives what answers; a module's function or a partial of one.
    """
    answers: dict[int, Answer | Exceeded] = {}
    waiting = iter(range(len(items)))
    workers: list[_Worker[Item, Answer]] = []
    told = 0
    try:
        for _, index in zip(range(min(jobs, len(items))), waiting, strict=False):
            workers.append(_Worker(prepare, bounds))
            workers[-1].give(index, items[index])
        while told < len(items):
            ready = set(wait([one.answers for one in workers], timeout=min(one.left() for one in workers)))
            for place, worker in enumerate(workers):
                if worker.answers not in ready and worker.left() > 0:
                    continue
                answers[worker.index] = worker.take() if worker.answers in ready else Exceeded()
                if isinstance(answers[worker.index], Exceeded):
                    worker.end()
                    workers[place] = worker = _Worker(prepare, bounds)
                following = next(waiting, None)
                if following is None:
                    worker.end()
                else:
                    worker.give(following, items[following])
            workers = [one for one in workers if one.alive]
            while told in answers:
                yield answers.pop(told)
                told += 1
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Item, Answer]):
    """One process, what it was given, and until when."""

    def __init__(self, prepare: Callable[[], Callable[[Item], Answer]], bounds: Bounds) -> None:
        # a process with one thread can be copied; where others run (a progress bar), a new one is started
        context: Any = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
        theirs, self._questions = context.Pipe(duplex=False)
        self.answers, told = context.Pipe(duplex=False)
        self._bounds = bounds
        self._process = context.Process(target=_work, args=(theirs, told, prepare, bounds), daemon=True)
        self._process.start()
        theirs.close()
        told.close()
        self.index, self.alive, self._until = -1, True, 0.0

    def give(self, index: int, item: Item) -> None:
        self.index, self._until = index, _now() + self._bounds.seconds
        try:
            self._questions.send(item)
        except OSError:  # it ended already: its end is seen when its answer is taken
            self._until = 0.0

    def left(self) -> float:
        return max(0.0, self._until - _now())

    def take(self) -> Answer | Exceeded:
        try:
            answer: Answer | None = self.answers.recv()
        except (EOFError, OSError):
            return Exceeded()
        return Exceeded() if answer is None else answer

    def end(self) -> None:
        self.alive = False
        self._process.kill()
        self._process.join()
        self._questions.close()
        self.answers.close()


def _now() -> float:
    """Seconds of a clock that only goes forward. Nothing of a verdict rests on it."""
    import os

    return os.times().elapsed


def _work(
    questions: Connection, answers: Connection, prepare: Callable[[], Callable[[Item], Answer]], bounds: Bounds
) -> None:
    confine(bounds)
    answer = prepare()
    while True:
        try:
            item = questions.recv()
        except (EOFError, OSError):
            return
        try:
            answers.send(answer(item))
        except MemoryError:
            answers.send(None)


def confine(bounds: Bounds) -> None:
    """Bound this process for good: its memory, and that it writes no file and leaves no core."""
    import resource

    for kind, limit in (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (value, value))
