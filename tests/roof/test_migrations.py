"""The migrations make exactly the tables that the rooms declare, on both databases, from nothing and again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, bindparam, text

from camtrust.database import _config, all_metadata, revisions, upgrade
from foundation.clock import SetClock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.types import UtcDateTime
from issuing_ca import status_journal, store
from issuing_ca.rollback import verify_journal

CLOCK = SetClock(datetime(2026, 11, 1, tzinfo=UTC))


def together() -> MetaData:
    """Every room's tables in one collection."""
    merged = MetaData()
    for metadata in all_metadata():
        for table in metadata.tables.values():
            table.to_metadata(merged)
    return merged


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")  # both on SQLite alone
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
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


def test_what_was_revoked_before_there_was_a_journal_is_in_it(database: Database) -> None:
    """From the first schema with two revocations, one hold and a CRL: the trees verify, and a new CRL is due."""
    with database.engine.connect() as connection, connection.begin():
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for name, changes in (("issuing", 3), ("tsa", 0)):
            connection.execute(
                text(
                    "INSERT INTO ca_authorities (name, kind, key_id, request, crl_number, status_changes, created_at) "
                    "VALUES (:name, 'issuing', 'key', :blob, 5, :changes, :at)"
                ).bindparams(bindparam("at", type_=UtcDateTime())),
                {"name": name, "blob": b"x", "changes": changes, "at": CLOCK.now()},
            )
        for serial, state, reason in (
            ("b2", "held", "certificateHold"),
            ("a1", "revoked", "superseded"),
            ("c3", "issued", None),
        ):
            connection.execute(
                text(
                    "INSERT INTO ca_certificates (serial, authority, profile, state, owner, public_key_digest, "
                    "subject_digest, tbs_digest, requested_by, prepared_at, not_before, not_after, revoked_at, reason) "
                    "VALUES (:serial, 'issuing', 'officer', :state, 'o', '', '', '', 'o', "
                    ":at, :at, :at, :revoked, :reason)"
                ).bindparams(bindparam("at", type_=UtcDateTime()), bindparam("revoked", type_=UtcDateTime())),
                {
                    "serial": serial,
                    "state": state,
                    "reason": reason,
                    "at": CLOCK.now(),
                    "revoked": CLOCK.now() if reason else None,
                },
            )
        connection.execute(
            text(
                "INSERT INTO ca_crls (authority, number, this_update, next_update, covers, crl) "
                "VALUES ('issuing', 5, :at, :at, 3, :blob)"
            ).bindparams(bindparam("at", type_=UtcDateTime())),
            {"at": CLOCK.now(), "blob": b"x"},
        )
    upgrade(database)
    assert verify_journal(database) == {"issuing": 2, "tsa": 0}
    with database.read() as connection:
        assert [change.serial for change in status_journal.since(connection, "issuing", 0)] == ["a1", "b2"]
        kept = store.latest_crl(connection, "issuing")
        assert kept is not None
        assert (kept.number, kept.covers, kept.scope) == (5, 0, "full")
