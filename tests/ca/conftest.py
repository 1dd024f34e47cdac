"""Fixtures of the issuing CA's tests: a real token, and both databases where they have a say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.process import initialise
from hsm_emulation.sealing import Cost, Costs
from tests.ca.acme_world import AcmeWorld, acme_world
from tests.ca.ca_world import World, make_world

_CHEAP = Costs(operator=Cost(1024, 1), person=Cost(1024, 1))


@pytest.fixture
def token(clock: SetClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HsmClient]:
    """A token of the test's own, on the test's clock: a timestamping key signs the time of its token alone."""
    directory = tmp_path_factory.mktemp("token") / "token"
    pin = "specimen-user-pin"
    initialise(directory, "specimen-so-pin", pin, costs=_CHEAP, clock=clock)
    with Daemon(directory, clock) as daemon, HsmClient(daemon.socket_path, timeout=20) as client:
        client.login(pin)
        yield client


@pytest.fixture
def world(database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> World:
    """Runs twice: on SQLite and on PostgreSQL."""
    return make_world(database, clock, token, tmp_path)


@pytest.fixture
def small_world(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> World:
    """On SQLite alone, for what no database has a say in."""
    return make_world(sqlite_database, clock, token, tmp_path)


@pytest.fixture
def door(database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> Iterator[AcmeWorld]:
    """Runs twice: on SQLite and on PostgreSQL."""
    with acme_world(database, clock, token, tmp_path) as world:
        yield world


@pytest.fixture
def small_door(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> Iterator[AcmeWorld]:
    """On SQLite alone."""
    with acme_world(sqlite_database, clock, token, tmp_path) as world:
        yield world
