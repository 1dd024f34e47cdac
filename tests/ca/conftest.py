"""Fixtures of the issuing CA's tests: a real token, and both databases where they have a say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from tests.ca.acme_world import AcmeWorld, acme_world
from tests.ca.ca_world import World, make_world


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
