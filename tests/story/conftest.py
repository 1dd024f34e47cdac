"""What the story's tests share: a whole installation on each database, opened once for the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.story.installation import Installation, Staff, installed
from tests.story.served import Server, served

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


@contextmanager
def _on(request: pytest.FixtureRequest, backend: str) -> Iterator[Installation]:
    """An installation on a fresh database of ``backend``, in a folder whose path is short: it holds Unix sockets."""
    folder, url = Path(tempfile.mkdtemp(prefix="camtrust-story-", dir="/tmp")), None
    server: PostgresServer | None = None
    try:
        if backend == "postgresql":
            server = request.getfixturevalue("postgres_server")
            url = server.fresh_database()
        with installed(folder / "home", url) as installation:
            yield installation
    finally:
        if server is not None and url is not None:
            server.drop_database(url)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def _opened(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with _on(request, request.param) as installation:
        yield installation


@pytest.fixture
def assembled(_opened: Installation, request: pytest.FixtureRequest) -> Installation:
    """The test runs twice: on an installation over SQLite, and on one over PostgreSQL. Tests share it."""
    request.node.user_properties.append(("database", _opened.services.database.dialect))
    return _opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def _breakable(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with _on(request, request.param) as installation:
        yield installation


@pytest.fixture
def breakable(_breakable: Installation, request: pytest.FixtureRequest) -> Installation:
    """Like ``assembled``, for tests that kill its processes."""
    request.node.user_properties.append(("database", _breakable.services.database.dialect))
    return _breakable


@pytest.fixture
def server() -> Iterator[tuple[Server, Callable[[httpx2.Client], Staff]]]:
    """`camtrust serve`, to be started, on a home of its own; and its review officer."""
    with served() as one:
        yield one
