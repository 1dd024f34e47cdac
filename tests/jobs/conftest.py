"""Where jobs are asked for and run: the services' database, and one for the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import pytest

from camtrust.jobs import Handler, Jobs, running_jobs
from foundation.clock import SystemClock
from foundation.db import job_requests
from foundation.db.engine import Database

Start = Callable[[Mapping[str, Handler]], AbstractContextManager[Jobs]]


def wait_until(holds: Callable[[], bool], what: str, tries: int = 600) -> None:
    """Look every 0.1 s, at most ``tries`` times."""
    pause = Event()
    for _ in range(tries):
        if holds():
            return
        pause.wait(0.1)
    raise AssertionError(f"it did not come to that: {what}")


@pytest.fixture
def start(database: Database, database_url: str, tmp_path: Path) -> Start:
    """Starts the engine, as often as wanted, one after another: on a file beside SQLite, or in PostgreSQL itself."""
    job_requests.metadata.create_all(database.engine)
    url = database_url if database.dialect == "postgresql" else f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return lambda handlers: running_jobs(url, database, SystemClock(), handlers)
