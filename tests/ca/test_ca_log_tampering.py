"""Whoever changes the issuance log is found out: by those who kept a checkpoint, and by the service itself."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import delete, select, update

from foundation.merkle import EMPTY_ROOT
from issuing_ca.errors import LogBroken
from issuing_ca.tables import log_entries, log_head, log_tiles
from tests.ca.ca_world import World
from tests.ca.log_monitor import LogMisbehaves, Monitor
from tests.ca.log_world import LogWorld, log_served, with_log


@pytest.fixture
def logged(world: World) -> LogWorld:
    """Runs twice: on SQLite and on PostgreSQL."""
    return with_log(world)


def positions(logged: LogWorld) -> set[int | None]:
    with logged.world.database.read() as connection:
        return set(connection.execute(select(log_entries.c.position)).scalars())


@pytest.mark.parametrize("table", ["entries", "tiles"])
def test_a_changed_entry_is_noticed(logged: LogWorld, table: str) -> None:
    """Change one published octet of an entry, or of a tile, in the database: the monitor notices it, and so do we."""
    log = logged.log
    logged.record(300)
    with log_served(log) as address:
        monitor = Monitor(address, str(log.verifier_key()))
        monitor.watch()
        with logged.world.database.unit_of_work() as connection:
            if table == "entries":
                connection.execute(update(log_entries).where(log_entries.c.position == 17).values(entry=os.urandom(32)))
            else:
                connection.execute(
                    update(log_tiles)
                    .where(log_tiles.c.level == 0, log_tiles.c.number == 0)
                    .values(hashes=os.urandom(8192))
                )
        with pytest.raises(LogMisbehaves):
            monitor.watch()
    with pytest.raises(LogBroken):
        log.verify()


def test_a_removed_entry_is_noticed(logged: LogWorld) -> None:
    """Delete an entry: the monitor gets a bundle that does not fit its tile."""
    log = logged.log
    logged.record(20)
    with log_served(log) as address:
        monitor = Monitor(address, str(log.verifier_key()))
        monitor.watch()
        with logged.world.database.unit_of_work() as connection:
            connection.execute(delete(log_entries).where(log_entries.c.position == 5))
        with pytest.raises(LogMisbehaves, match="do not hash to their tile"):
            monitor.watch()
    with pytest.raises(LogBroken):
        log.verify()


def test_a_rewritten_log_is_noticed(logged: LogWorld) -> None:
    """Even the operator, with the log's own key, cannot write another history: the next checkpoint verifies, and does
    not fit what the monitor saw. A shorter one, from an older backup, does not either."""
    log = logged.log
    logged.record(20)
    with log_served(log) as address:
        monitor = Monitor(address, str(log.verifier_key()))
        seen = monitor.watch()
        for again in (25, 10):
            with logged.world.database.unit_of_work() as connection:
                for table in (log_entries, log_tiles, log_head):
                    connection.execute(delete(table))
            logged.record(again)
            assert log.integrate() == again == log.verify()
            with pytest.raises(LogMisbehaves, match=r"has changed|become shorter"):
                monitor.watch()
        assert monitor.entries == seen


def test_a_broken_log_signs_nothing_more(logged: LogWorld) -> None:
    """Where the stored tree is not the one that was signed, neither appending nor signing goes on."""
    log = logged.log
    logged.record(5)
    checkpoint = log.checkpoint()
    with logged.world.database.unit_of_work() as connection:
        hashes = connection.execute(select(log_tiles.c.hashes)).scalar_one()
        connection.execute(update(log_tiles).values(hashes=os.urandom(32) + hashes[32:]))
    logged.record(1)
    with pytest.raises(LogBroken):
        log.integrate()
    with pytest.raises(LogBroken):
        log.checkpoint()
    assert positions(logged) == {None, 0, 1, 2, 3, 4}
    with logged.world.database.unit_of_work() as connection:
        connection.execute(update(log_tiles).values(hashes=hashes[:64]))
    with pytest.raises(LogBroken):
        log.integrate()
    with logged.world.database.unit_of_work() as connection:
        connection.execute(update(log_tiles).values(hashes=hashes))
    assert log.integrate() == 6
    assert log.checkpoint() != checkpoint


def test_a_tree_and_its_head_changed_together_are_not_signed(logged: LogWorld) -> None:
    """Whoever changes tiles and head alike still cannot make us sign: the last checkpoint tells another root."""
    log = logged.log
    logged.record(5)
    log.integrate()
    with logged.world.database.unit_of_work() as connection:
        for table in (log_entries, log_tiles):
            connection.execute(delete(table))
        connection.execute(update(log_head).values(size=0, root=EMPTY_ROOT))
    logged.record(7)
    with pytest.raises(LogBroken):
        log.integrate()
