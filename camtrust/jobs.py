"""Durable jobs: what the rooms asked for (`foundation.db.job_requests`) is run by DBOS, in one process of a home.

The engine keeps what it runs in a database of its own (``jobs.sqlite`` in the home, or a schema of PostgreSQL), so that
runs a killed server was at are taken up when it starts again. It is told names alone (kind, subject, number of the
run): what a run works with is in the services' database. A run is one call of a handler, which can be repeated: it may
have been cut off anywhere before. When it fails, the request waits longer each time and is run again.

Nobody else imports the engine (docs/decisions/0025-job-engine.md).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from foundation.clock import Clock
from foundation.db import job_requests
from foundation.db.engine import Database
from foundation.db.job_requests import JobRequest
from foundation.errors import CamTrustError

_log = logging.getLogger(__name__)

Handler = Callable[[str, Callable[[], bool]], datetime | None]
"""Does the work on a subject: gives when it wants to go on, None when it is done. The second argument says whether the
server is about to end: then it comes back soon, with a time to go on. Whatever it raises is a failure of the run."""

_QUEUE = "camtrust"
_AT_ONCE = 4  # runs at the same time
_HANDED_AT_ONCE = 200
_LOOK_EVERY = 0.25  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
_BEGUN = "PENDING"
_ALIVE = ["ENQUEUED", "DELAYED", _BEGUN]
_ASK_AGAIN_EVERY = 40  # looks: ten seconds
_PATIENCE = 30  # seconds that runs under way are given at the end
_FORGET_AFTER = timedelta(days=1)
_FORGET_EVERY = 2400  # looks: ten minutes
_one_engine = threading.Lock()


class _Json(Serializer):
    """What the engine keeps is text, never pickled objects: reading it runs nothing."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "json"


class Jobs:
    """The engine while it runs; made by :func:`running_jobs`."""

    def __init__(self, database: Database, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self._database, self._clock, self._handlers = database, clock, handlers
        self._ending = threading.Event()
        self.under_way: set[str] = set()  # the names of the runs that are at work here
        self._idle: frozenset[str] = frozenset()  # begun by the engine, and at work nowhere, when last looked

    def ask_again(self) -> None:
        """Ask for what was handed on and nobody works at: the engine lost it or was put back from a copy, or it or we
        could not write down what became of the run (the disk was full, say).

        A run that the engine has begun is given until the next time to be at work. One that is then begun late finds
        that another was asked for, and does nothing.
        """
        with self._database.read() as connection:
            handed = job_requests.handed(connection)
        waiting, begun = set[str](), set[str]()
        for first in range(0, len(handed), _HANDED_AT_ONCE):
            names = [one.name for one in handed[first : first + _HANDED_AT_ONCE]]
            for found in DBOS.list_workflows(workflow_ids=names, status=_ALIVE, load_input=False, load_output=False):
                (begun if found.status == _BEGUN else waiting).add(found.workflow_id)
        idle = frozenset(begun - self.under_way)
        alive = (waiting | begun) - (idle & self._idle)
        self._idle = idle
        lost = [one for one in handed if one.name not in alive]
        if lost:
            with self._database.unit_of_work() as connection:
                for one in lost:
                    job_requests.again(connection, one, self._clock.now())

    def look(self) -> int:
        """Hand on what is due; gives how many. The engine takes the same run once, however often it is handed on."""
        with self._database.read() as connection:
            due = job_requests.due_requests(connection, self._clock.now(), _HANDED_AT_ONCE)
        for one in due:
            with SetWorkflowID(one.name):
                DBOS.enqueue_workflow(_QUEUE, self.workflow, one.kind, one.subject, one.run)
        if due:
            with self._database.unit_of_work() as connection:
                for one in due:
                    job_requests.handed_on(connection, one)
        return len(due)

    def run(self, kind: str, subject: str, run: int) -> None:
        """One run, unless it was done before. What became of it and could not be written down is told in the log."""
        name = JobRequest(kind, subject, run, 0).name
        self.under_way.add(name)
        try:
            self._run(kind, subject, run)
        except Exception as error:  # the database failed: the run is asked for again
            _log.error("job %s was not settled: %s", kind, _name(error))
        finally:
            self.under_way.discard(name)

    def _run(self, kind: str, subject: str, run: int) -> None:
        with self._database.read() as connection:
            one = job_requests.current_run(connection, kind, subject, run)
        if one is None:
            return
        if self._ending.is_set():
            self._settle(one, self._clock.now())
            return
        try:
            due = self._handlers[kind](subject, self._ending.is_set)
        except Exception as error:  # the text of an error may quote data
            _log.error("job %s failed (%d times before): %s", kind, one.failures, _name(error))
            self._settle(one, self._clock.now() + pause(one.failures), failed=True)
        else:
            self._settle(one, due)

    workflow: Callable[[str, str, int], None]

    def _settle(self, one: JobRequest, due: datetime | None, *, failed: bool = False) -> None:
        with self._database.unit_of_work() as connection:
            if due is None:
                job_requests.done(connection, one)
            else:
                job_requests.again(connection, one, due, failed=failed)

    def waiting(self) -> int:
        """How many requests are not done yet."""
        with self._database.read() as connection:
            return job_requests.counts(connection)["all"]

    def end(self) -> None:
        """Runs under way are asked to come back."""
        self._ending.set()

    def keep_looking(self) -> None:
        """Until the end. What fails is told and tried again."""
        looks = 0
        while not self._ending.wait(_LOOK_EVERY):
            try:
                self.look()
                if looks % _ASK_AGAIN_EVERY == _ASK_AGAIN_EVERY - 1:
                    self.ask_again()
                if looks % _FORGET_EVERY == 0:
                    self._forget()
            except Exception as error:
                _log.error("jobs: %s", _name(error))
            looks += 1

    def _forget(self) -> None:
        before = (self._clock.now() - _FORGET_AFTER).isoformat()
        for _ in range(100):
            old = DBOS.list_workflows(
                status=["SUCCESS", "ERROR"], end_time=before, limit=500, load_input=False, load_output=False
            )
            if not old:
                return
            DBOS.delete_workflows([one.workflow_id for one in old])


def _name(error: Exception) -> str:
    return error.code if isinstance(error, CamTrustError) else type(error).__qualname__


def pause(failures: int) -> timedelta:
    """How long a request waits after a run failed, ``failures`` others having failed before it."""
    grown: timedelta = _FIRST_PAUSE * 2 ** min(failures, 20)
    return min(grown, _LONGEST_PAUSE)


@contextmanager
def running_jobs(engine_url: str, database: Database, clock: Clock, handlers: Mapping[str, Handler]) -> Iterator[Jobs]:
    """Run jobs for as long as the block runs. One at a time in a process, and in one process of a home.

    ``engine_url``: where the engine keeps its own state, as SQLAlchemy has it.
    """
    if not _one_engine.acquire(blocking=False):
        raise RuntimeError("the job engine runs in this process already")
    try:
        jobs = Jobs(database, clock, handlers)
        config: DBOSConfig = {
            "name": "camtrust",
            "system_database_url": engine_url,
            "dbos_system_schema": "camtrust_jobs",
            "application_version": "1",  # else changed code would leave the runs of before behind
            "executor_id": "camtrust",
            "serializer": _Json(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "max_executor_threads": _AT_ONCE + 4,
        }
        DBOS(config=config)
        its_log = logging.getLogger("dbos")
        its_log.handlers, its_log.propagate = [], True  # it writes where everybody writes
        try:
            jobs.workflow = DBOS.workflow(name="camtrust.job", max_recovery_attempts=None)(_workflow_of(jobs))
            DBOS.launch()  # takes up the runs that it was at
            jobs.ask_again()
            DBOS.register_queue(_QUEUE, worker_concurrency=_AT_ONCE, polling_interval_sec=_LOOK_EVERY)
            looking = threading.Thread(target=jobs.keep_looking, name="jobs", daemon=True)
            looking.start()
            try:
                yield jobs
            finally:
                jobs.end()
                looking.join(_PATIENCE)
        finally:
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=_PATIENCE if jobs.under_way else 0)
    finally:
        _one_engine.release()


def _workflow_of(jobs: Jobs) -> Callable[[str, str, int], None]:
    def work(kind: str, subject: str, run: int) -> None:
        jobs.run(kind, subject, run)

    return work
