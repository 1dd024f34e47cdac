"""The migrations make exactly the tables that the rooms declare, on both databases, from nothing and again."""

from __future__ import annotations

from datetime import UTC, datetime

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData

from camtrust.database import all_metadata, revisions, upgrade
from foundation.clock import SetClock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database

CLOCK = SetClock(datetime(2026, 11, 1, tzinfo=UTC))


def together() -> MetaData:
    """Every room's tables in one collection."""
    merged = MetaData()
    for metadata in all_metadata():
        for table in metadata.tables.values():
            table.to_metadata(merged)
    return merged


def test_the_schema_is_what_the_rooms_declare(database: Database) -> None:
    """After `upgrade` nothing is left to generate, and the audit chain has its head."""
    upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, together()) == []
    with database.unit_of_work() as connection:
        AuditTrail(CLOCK).append(connection, "test", "test.act", "subject")
    assert AuditTrail(CLOCK).verify(database) == 1


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    """A second `upgrade` finds the newest revision and leaves the data alone."""
    upgrade(database)
    first = revisions(database)
    assert first[0] == first[1]
    upgrade(database)
    assert revisions(database) == first
