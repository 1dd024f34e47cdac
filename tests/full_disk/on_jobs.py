"""Jobs whose services' database, or whose engine's database, is on a full disk: each is done, without a new start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from camtrust import jobs
from foundation.clock import SystemClock
from foundation.db import job_requests
from foundation.db.engine import Database, open_database
from tests.full_disk.conftest import SmallDisk
from tests.jobs.conftest import wait_until
from tests.jobs.test_jobs import ask, asked


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody works at is looked for every second."""
    monkeypatch.setattr(jobs, "_ASK_AGAIN_EVERY", 4)


def test_the_services_database_is_full_when_a_run_ends(disk: SmallDisk, sqlite_database: Database) -> None:
    """What became of runs cannot be written down: they are run once more when there is room, and all is done."""
    job_requests.metadata.create_all(sqlite_database.engine)
    begun, go, ran = Event(), Event(), list[str]()

    def work(subject: str, _: Callable[[], bool]) -> None:
        ran.append(subject)
        begun.set()
        assert go.wait(60)

    elsewhere = Path("/tmp") / f"{disk.path.name}-jobs.sqlite"
    try:
        with jobs.running_jobs(f"sqlite:///{elsewhere}", sqlite_database, SystemClock(), {"count": work}) as engine:
            for number in range(3):
                ask(sqlite_database, "count", str(number))
            assert begun.wait(60)
            with disk.full():
                go.set()
                wait_until(lambda: len(ran) == 3 and not engine.under_way, "every run has ended")
                assert asked(sqlite_database) == 3
            wait_until(lambda: asked(sqlite_database) == 0, "they are done")
        assert set(ran) == {"0", "1", "2"}
    finally:
        for file in elsewhere.parent.glob(f"{elsewhere.name}*"):
            file.unlink()


def test_the_engine_s_database_is_full(disk: SmallDisk, tmp_path: Path) -> None:
    """What is asked for waits; what was at work comes to its end; afterwards all are done, in the same process."""
    services = Path("/tmp") / f"{disk.path.name}-services.sqlite"
    database = open_database(f"sqlite:///{services}")
    begun, go, done = Event(), Event(), list[str]()

    def work(subject: str, _: Callable[[], bool]) -> None:
        begun.set()
        assert go.wait(60)
        done.append(subject)

    try:
        job_requests.metadata.create_all(database.engine)
        with jobs.running_jobs(f"sqlite:///{tmp_path / 'jobs.sqlite'}", database, SystemClock(), {"count": work}):
            ask(database, "count", "before")
            assert begun.wait(60)
            with disk.full():
                for number in range(5):
                    ask(database, "count", str(number))
                go.set()
                wait_until(lambda: done == ["before"], "what was at work has ended")
                Event().wait(2)  # the engine tries again meanwhile, in vain
            wait_until(lambda: asked(database) == 0, "they are done")
        assert sorted(done) == ["0", "1", "2", "3", "4", "before"]
    finally:
        database.close()
        for file in services.parent.glob(f"{services.name}*"):
            file.unlink()
