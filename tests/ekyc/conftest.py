"""The world of tests/ekyc/story.py, and one simulated registry for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ekyc.config import RegistryHttpSettings
from ekyc.registry.http import HttpRegistry
from ekyc.registry_simulation.process import RegistryProcess
from foundation.clock import SetClock
from foundation.db.engine import Database
from hsm_emulation.client import HsmClient
from tests.ekyc.families import Factors
from tests.ekyc.notice_servers import server_certificate
from tests.ekyc.story import World


@pytest.fixture(scope="session")
def running_registry() -> Iterator[RegistryProcess]:
    """The simulated registry as a process of its own."""
    with RegistryProcess.start() as process:
        yield process


@pytest.fixture
def registry_process(running_registry: RegistryProcess) -> Iterator[RegistryProcess]:
    """The simulated registry, as well as can be at the start and after the test."""
    running_registry.switch()
    yield running_registry
    running_registry.switch()


@pytest.fixture
def registry(registry_process: RegistryProcess) -> Iterator[HttpRegistry]:
    """The adapter to the simulated registry. It waits for long: a process on a busy machine is not one that is down."""
    adapter = HttpRegistry(RegistryHttpSettings(url=registry_process.url, timeout_seconds=60))
    yield adapter
    adapter.close()


@pytest.fixture
def world(sqlite_database: Database, token: HsmClient, clock: SetClock, registry: HttpRegistry) -> World:
    """On SQLite, for tests to which the database is indifferent."""
    return World(sqlite_database, token, clock, registry)


@pytest.fixture
def both_worlds(database: Database, token: HsmClient, clock: SetClock, registry: HttpRegistry) -> World:
    """The test runs twice: on SQLite and on PostgreSQL."""
    return World(database, token, clock, registry)


@pytest.fixture
def sqlite_path_or_none(database_url: str) -> Path | None:
    """The file of the SQLite database, when the test runs on SQLite."""
    return Path(database_url.removeprefix("sqlite:///")) if database_url.startswith("sqlite") else None


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The mail server's certificate and key."""
    return server_certificate(tmp_path)


@pytest.fixture
def family(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose guardians show simple codes."""
    monkeypatch.setattr(world.service.guardians, "_factors", Factors())
    return world
