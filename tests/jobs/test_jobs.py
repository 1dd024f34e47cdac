"""Jobs that were asked for are run, whatever is in the way: errors, an end in the middle, an engine without memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from camtrust.jobs import pause, running_jobs
from foundation.clock import SystemClock
from foundation.db import job_requests
from foundation.db.engine import Database
from foundation.db.job_requests import request_job
from foundation.errors import InternalError
from tests.jobs.conftest import Start, wait_until

NOW = SystemClock()


def ask(database: Database, kind: str, subject: str, due: datetime | None = None) -> bool:
    """As a room does, in a unit of work of its own."""
    with database.unit_of_work() as connection:
        return request_job(connection, kind, subject, NOW.now(), due=due)


def counts(database: Database) -> Mapping[str, int]:
    """How many requests there are, and how many of them failed when they were last run."""
    with database.read() as connection:
        return job_requests.counts(connection)


def asked(database: Database) -> int:
    """How many requests there are."""
    return counts(database)["all"]


def test_each_request_is_run_once(database: Database, start: Start) -> None:
    """Sixty subjects: each is run exactly once, and nothing is left."""
    done: list[str] = []

    def work(subject: str, _: Callable[[], bool]) -> None:
        done.append(subject)

    with start({"count": work}):
        first = [ask(database, "count", str(one)) for one in range(60)]
        assert all(first)
        wait_until(lambda: asked(database) == 0, "all are done")
    assert sorted(done, key=int) == [str(one) for one in range(60)]


def test_a_request_belongs_to_its_transaction(database: Database, start: Start) -> None:
    """Rolled back with what it belongs to, it was never asked for; asked for twice it is one."""

    def broken() -> None:
        with database.unit_of_work() as connection:
            request_job(connection, "count", "one", NOW.now())
            raise InternalError

    with pytest.raises(InternalError):
        broken()
    assert asked(database) == 0
    assert ask(database, "count", "one")
    assert not ask(database, "count", "one")


def test_what_fails_is_run_again_later(database: Database, start: Start) -> None:
    """A run that raises is counted and waits; the next one comes to its end. A kind without a handler only waits."""
    ran: list[str] = []

    def work(subject: str, _: Callable[[], bool]) -> datetime | None:
        ran.append(subject)
        if len(ran) == 1:
            raise InternalError
        return None

    with start({"fails": work}):
        ask(database, "unknown", "one")
        ask(database, "fails", "one")
        wait_until(lambda: ran == ["one", "one"] and counts(database) == {"all": 1, "failing": 1}, "the second run")


def test_waiting_grows_to_a_quarter_of_an_hour() -> None:
    """Five seconds, doubled each time, never more than fifteen minutes."""
    assert [pause(number).total_seconds() for number in (0, 1, 2)] == [5, 10, 20]
    assert pause(10_000) == timedelta(minutes=15)


def test_going_on_and_later(database: Database, start: Start) -> None:
    """A handler that gives a time is run again then, as often as it says; one that is not due is not run."""
    turns: list[str] = []

    def work(subject: str, _: Callable[[], bool]) -> datetime | None:
        turns.append(subject)
        return NOW.now() if len(turns) < 5 else None

    with start({"turns": work}):
        ask(database, "turns", "later", NOW.now() + timedelta(hours=1))
        ask(database, "turns", "now")
        wait_until(lambda: asked(database) == 1, "five turns")
    assert turns == ["now"] * 5


def test_the_end_in_the_middle(database: Database, start: Start) -> None:
    """A run that is told that the server ends comes back; after the next start it goes on and ends."""
    begun, finished = Event(), Event()

    def until_told(subject: str, ending: Callable[[], bool]) -> datetime | None:
        begun.set()
        wait_until(ending, "the end")
        return NOW.now()

    with start({"long": until_told}):
        ask(database, "long", "one")
        assert begun.wait(60)
    assert asked(database) == 1
    with start({"long": lambda *_: finished.set()}):
        wait_until(lambda: finished.is_set() and asked(database) == 0, "it goes on")


def test_an_engine_without_memory_loses_nothing(database: Database, tmp_path: Path) -> None:
    """What was handed on to an engine whose database is gone is run by the next one, and by the old one no more."""
    job_requests.metadata.create_all(database.engine)
    done: list[str] = []

    def work(subject: str, _: Callable[[], bool]) -> None:
        done.append(subject)

    ask(database, "count", "one")
    with database.unit_of_work() as connection:
        [one] = job_requests.due_requests(connection, NOW.now(), 10)
        job_requests.handed_on(connection, one)
    with running_jobs(f"sqlite:///{tmp_path / 'new.sqlite'}", database, NOW, {"count": work}) as jobs:
        wait_until(lambda: asked(database) == 0, "it is run")
        jobs.run(one.kind, one.subject, one.run)
        assert done == ["one"]


def test_one_engine_a_process(database: Database, start: Start) -> None:
    """A second engine beside the first is refused: the library would give the first one."""
    with start({}), pytest.raises(RuntimeError), start({}):
        pass
    with start({}):
        pass
