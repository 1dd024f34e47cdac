"""Many small questions answered together: what waits while a thread is busy is its next batch.

A question costs a change of thread, a database transaction and a round trip to the token; a batch shares the first two.
How many may wait is bounded: beyond that, whoever asks is told to come later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from issuing_ca.errors import Overloaded

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_Waiting = tuple[Question, "asyncio.Future[Answer]"]


class Batches(Generic[Question, Answer]):
    """Awaited by endpoints, from any event loop; ``work`` runs in up to ``threads`` threads at once.

    ``work`` gives an answer for each question, in their order; an exception in the place of an answer is raised where
    it was asked. What ``work`` itself raises, everybody in the batch is told.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Question]], Sequence[Answer | Exception]],
        name: str,
        *,
        threads: int = 2,
        most: int = 32,
        waiting: int = 2048,
    ) -> None:
        self._work = work
        self._threads, self._most, self._limit = threads, most, waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._running = 0
        self._starting = False
        self._lock = Lock()

    async def ask(self, question: Question) -> Answer:
        """The answer to one question. Raises Overloaded where too many wait already, and what ``work`` raises."""
        return await self._put(question)

    def _put(self, question: Question) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        with self._lock:
            if len(self._waiting) >= self._limit:
                raise Overloaded(retry_after=1.0)
            self._waiting.append((question, future))
            start = not self._starting and self._running < self._threads
            self._starting |= start
        if start:  # after all that the loop has read by now: its questions are one batch
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        with self._lock:
            self._starting = False
            threads = min(-(-len(self._waiting) // self._most), self._threads - self._running)
            self._running += threads
        for _ in range(threads):
            self._pool.submit(self._drain)

    def _drain(self) -> None:
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                if not batch:
                    self._running -= 1
                    return
            answers: Sequence[Answer | Exception] | Exception
            try:
                answers = self._work([question for question, _ in batch])
            except Exception as error:
                answers = error
            loops = {future.get_loop() for _, future in batch}
            for loop in loops:
                told = [
                    (future, answers if isinstance(answers, Exception) else answers[at])
                    for at, (_, future) in enumerate(batch)
                    if future.get_loop() is loop
                ]
                try:
                    loop.call_soon_threadsafe(_tell, told)
                except RuntimeError:  # the loop was closed: nobody waits any more
                    continue


def _tell(told: Sequence[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, answer in told:
        if future.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
