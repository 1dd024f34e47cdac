"""The small world of tests/web/world.py, on both databases or on SQLite alone."""

from __future__ import annotations

import pytest

from foundation.clock import SetClock
from foundation.db.engine import Database
from tests.web.world import World


@pytest.fixture
def world(sqlite_database: Database, clock: SetClock) -> World:
    """On SQLite, for tests to which the database is indifferent."""
    return World(sqlite_database, clock)


@pytest.fixture
def both_worlds(database: Database, clock: SetClock) -> World:
    """The test runs twice: on SQLite and on PostgreSQL."""
    return World(database, clock)
