"""The audit trail tells every change to it, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, update

from foundation.clock import SetClock
from foundation.db import audit
from foundation.db.audit import AuditChainBroken, AuditTrail, create_head
from foundation.db.engine import Database

LENGTH = 6


@pytest.fixture
def trail(database: Database, clock: SetClock) -> AuditTrail:
    """A chain of six events."""
    audit.metadata.create_all(database.engine)
    made = AuditTrail(clock)
    with database.unit_of_work() as connection:
        create_head(connection)
    for number in range(LENGTH):
        with database.unit_of_work() as connection:
            made.append(connection, "operator:x", "test.done", f"subject-{number}", {"number": number, "text": "ខ្មែរ"})
    return made


def test_a_whole_chain_verifies(database: Database, trail: AuditTrail) -> None:
    """Six events, each hash over the one before, and a head that agrees."""
    assert trail.verify(database) == LENGTH


def test_a_rolled_back_act_leaves_nothing(database: Database, trail: AuditTrail) -> None:
    """The event is in the unit of work of its act: no act, no event, and the chain goes on."""

    def fail() -> None:
        with database.unit_of_work() as connection:
            trail.append(connection, "operator:x", "test.undone", "subject")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert trail.verify(database) == LENGTH
    with database.unit_of_work() as connection:
        trail.append(connection, "operator:x", "test.done", "subject")
    assert trail.verify(database) == LENGTH + 1


def _change(column: str, value: object) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(
        update(audit.events).where(audit.events.c.sequence == 3).values({column: value})
    )


def _remove(sequence: int) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(delete(audit.events).where(audit.events.c.sequence == sequence))


def _swap(connection: Connection) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        connection.execute(update(audit.events).where(audit.events.c.sequence == old).values(sequence=new))


def _head(connection: Connection) -> None:
    connection.execute(update(audit.head).values(sequence=LENGTH - 1))


@pytest.mark.parametrize(
    "tamper",
    [
        _change("actor", "operator:y"),
        _change("action", "test.undone"),
        _change("subject", "subject-9"),
        _change("details", "{}"),
        _change("hash", bytes(32)),
        _remove(1),
        _remove(3),
        _remove(LENGTH),
        _swap,
        _head,
    ],
    ids=["actor", "action", "subject", "details", "hash", "first", "middle", "last", "swapped", "head"],
)
def test_every_kind_of_tampering_is_told(
    database: Database, trail: AuditTrail, tamper: Callable[[Connection], object]
) -> None:
    """A changed column, a removed first, middle or last event, two swapped events and a moved head are all found."""
    with database.unit_of_work() as connection:
        tamper(connection)
    with pytest.raises(AuditChainBroken):
        trail.verify(database)


def test_concurrent_writers_make_one_chain(database: Database, trail: AuditTrail) -> None:
    """Four writers append at once: no event is lost, none stands twice, and the chain verifies, also meanwhile."""
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(15):
                with database.unit_of_work() as connection:
                    trail.append(connection, name, "test.done", str(number))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(f"writer-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):  # an auditor looks on; whatever is being written, the chain is whole
        assert trail.verify(database) >= LENGTH
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert trail.verify(database) == LENGTH + 60
