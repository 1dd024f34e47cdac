"""The audit trail's heads in the issuance log: a trail whose end was cut off, or that was written anew, is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from foundation.db import audit
from foundation.log_proof import EntryKind
from issuing_ca import log_store
from issuing_ca.audit_heads import AuditHeads
from issuing_ca.errors import AuditHeadMissing, LogBroken
from issuing_ca.tables import log_entries
from tests.ca.ca_world import World
from tests.ca.log_world import LogWorld, with_log


@pytest.fixture
def logged(world: World) -> LogWorld:
    """A CA with its log; runs twice: on SQLite and on PostgreSQL."""
    return with_log(world)


def heads(logged: LogWorld) -> AuditHeads:
    """As another process would see it."""
    world = logged.world
    return AuditHeads(world.database, world.audit, world.clock, logged.log)


def acts(logged: LogWorld, count: int) -> None:
    world = logged.world
    for number in range(count):
        with world.database.unit_of_work() as connection:
            world.audit.append(connection, "operator:x", "test.done", f"subject-{number}")


def cut(logged: LogWorld, last: int) -> None:
    """What whoever owns the database can do: the events after ``last`` are gone, and the head says so."""
    with logged.world.database.unit_of_work() as connection:
        value = connection.execute(select(audit.events.c.hash).where(audit.events.c.sequence == last)).scalar_one()
        connection.execute(delete(audit.events).where(audit.events.c.sequence > last))
        connection.execute(update(audit.head).values(sequence=last, hash=value))


def test_each_hour_s_head_is_in_the_log(logged: LogWorld) -> None:
    """The first at once, the next after an hour and not before; the log signs them, and the trail meets them all."""
    made = heads(logged)
    acts(logged, 3)
    assert made.publish()
    assert not made.publish()
    logged.world.clock.advance(timedelta(minutes=59))
    assert not heads(logged).publish()
    acts(logged, 2)
    logged.world.clock.advance(timedelta(minutes=1))
    assert heads(logged).publish()
    acts(logged, 1)
    walked = made.verify()
    assert (walked.heads, walked.published_at) == (2, logged.world.clock.now())
    with logged.world.database.read() as connection:
        found = log_store.openings_of(connection, EntryKind.AUDIT)
    logged.log.integrate()
    assert [logged.log.inclusion(one.digest, EntryKind.AUDIT).opening for one in found] == list(found)


def test_a_trail_whose_end_was_cut_off(logged: LogWorld) -> None:
    """The chain is whole and its head agrees, so it tells nothing by itself; the published head is missing. What came
    after the newest head can be cut off unseen: an hour at most."""
    made = heads(logged)
    acts(logged, 3)
    made.publish()
    events = made.verify().events
    acts(logged, 4)
    cut(logged, events + 1)
    assert made.verify().events == events + 1
    acts(logged, 2)
    logged.world.clock.advance(timedelta(hours=1))
    made.publish()
    cut(logged, events + 1)
    assert logged.world.audit.verify(logged.world.database) == events + 1
    with pytest.raises(AuditHeadMissing, match="published"):
        made.verify()


def test_a_trail_that_was_written_anew(logged: LogWorld) -> None:
    """One actor is changed and every later hash made again: the chain verifies, the published head is missing."""
    acts(logged, 5)
    made, world = heads(logged), logged.world
    made.publish()
    with world.database.unit_of_work() as connection:
        previous = audit.GENESIS
        for row in connection.execute(select(audit.events).order_by(audit.events.c.sequence)).all():
            actor = "operator:nobody" if row.sequence == 4 else row.actor
            previous = audit._hash(previous, row.sequence, row.at, actor, row.action, row.subject, row.details)
            same = audit.events.c.sequence == row.sequence
            connection.execute(update(audit.events).where(same).values(actor=actor, hash=previous))
        connection.execute(update(audit.head).values(hash=previous))
    assert world.audit.verify(world.database) > 0
    with pytest.raises(AuditHeadMissing):
        made.verify()


def test_the_head_taken_out_of_the_log_too(logged: LogWorld) -> None:
    """Then the log is not the one that was signed."""
    acts(logged, 3)
    made = heads(logged)
    made.publish()
    logged.log.integrate()
    assert logged.log.verify() > 0
    cut(logged, 1)
    with logged.world.database.unit_of_work() as connection:
        connection.execute(delete(log_entries).where(log_entries.c.kind == EntryKind.AUDIT.value))
    assert made.verify().events == 1
    with pytest.raises(LogBroken):
        logged.log.verify()


def test_two_processes_publish_one_head(logged: LogWorld) -> None:
    """Whoever comes second finds that it is done."""
    acts(logged, 3)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda one: one.publish(), [heads(logged) for _ in range(4)]))
    assert sorted(done) == [False, False, False, True]
    assert heads(logged).verify().heads == 1
