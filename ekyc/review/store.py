"""Tables of reviews: whose turn a case is, and which cases are sealed tests of the officers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    func,
    select,
    update,
)

from ekyc import store
from ekyc.model import Enrolment, State
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime

OPEN, DONE, RELEASED = "open", "done", "released"

seats = Table(
    "ekyc_review_seats",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False),
    Column("seat", Integer, nullable=False),
    Column("officer_id", String(64), nullable=False, index=True),
    Column("assigned_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("state", String(10), nullable=False),
    PrimaryKeyConstraint("enrolment_id", "seat"),
)

tests = Table(
    "ekyc_review_tests",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), primary_key=True),
    Column("expected", LargeBinary, nullable=False),  # the verdicts that are right, sealed for the service
    Column("seeded_by", String(200), nullable=False),
    Column("officer_id", String(64), nullable=True),
    Column("right", Boolean, nullable=True),
    Column("at", UtcDateTime, nullable=True),
)


@dataclass(frozen=True)
class Seat:
    """One officer's turn at a case."""

    seat: int
    officer_id: str
    due_at: datetime
    state: str


def seats_of(connection: Connection, enrolment_id: str) -> tuple[Seat, ...]:
    """All turns at a case, the first one first."""
    query = select(seats.c.seat, seats.c.officer_id, seats.c.due_at, seats.c.state)
    rows = connection.execute(query.where(seats.c.enrolment_id == enrolment_id).order_by(seats.c.seat))
    return tuple(Seat(*row) for row in rows)


def take_seat(connection: Connection, enrolment_id: str, seat: Seat, now: datetime) -> bool:
    """Write a turn down; False where somebody else wrote that one first."""
    values = {"enrolment_id": enrolment_id, **vars(seat), "assigned_at": now}
    return insert_once(connection, seats, values)


def end_seat(connection: Connection, enrolment_id: str, seat: int, state: str) -> None:
    """An open turn is done or released."""
    which = (seats.c.enrolment_id == enrolment_id) & (seats.c.seat == seat) & (seats.c.state == OPEN)
    connection.execute(update(seats).where(which).values(state=state))


def end_all(connection: Connection, enrolment_id: str) -> None:
    """Whoever had a turn has spoken: the next one must be another."""
    connection.execute(update(seats).where(seats.c.enrolment_id == enrolment_id).values(state=DONE))


def waiting(connection: Connection, states: Sequence[State], now: datetime, limit: int) -> tuple[Enrolment, ...]:
    """Cases whose turn is nobody's, or whose officer let the time pass."""
    current = (
        select(seats.c.enrolment_id)
        .where((seats.c.state == OPEN) & (seats.c.due_at > now))
        .where(seats.c.enrolment_id == store.enrolments.c.id)
    )
    query = store.selected().where(store.enrolments.c.state.in_([state.value for state in states]) & ~current.exists())
    rows = connection.execute(query.order_by(store.enrolments.c.review_due_at).limit(limit))
    return tuple(store.enrolment_of(row) for row in rows)


def assigned_to(
    connection: Connection, officer_id: str, states: Sequence[State], after: str | None, limit: int
) -> tuple[Enrolment, ...]:
    """The cases whose turn is this officer's, by id (which is random), from behind ``after``."""
    query = (
        store.selected()
        .join(seats, seats.c.enrolment_id == store.enrolments.c.id)
        .where((seats.c.officer_id == officer_id) & (seats.c.state == OPEN))
        .where(store.enrolments.c.state.in_([state.value for state in states]))
    )
    if after is not None:
        query = query.where(store.enrolments.c.id > after)
    rows = connection.execute(query.order_by(store.enrolments.c.id).limit(limit))
    return tuple(store.enrolment_of(row) for row in rows)


def add_test(connection: Connection, enrolment_id: str, expected: bytes, seeded_by: str) -> None:
    """Mark a case as a sealed test."""
    connection.execute(tests.insert().values(enrolment_id=enrolment_id, expected=expected, seeded_by=seeded_by))


def expected_of(connection: Connection, enrolment_id: str) -> bytes | None:
    """The sealed answer of a test case; None for a case that is none."""
    found = connection.execute(select(tests.c.expected).where(tests.c.enrolment_id == enrolment_id)).scalar()
    return None if found is None else bytes(found)


def answer_test(connection: Connection, enrolment_id: str, officer_id: str, right: bool, at: datetime) -> None:
    """How an officer did."""
    values = {"officer_id": officer_id, "right": right, "at": at}
    connection.execute(update(tests).where(tests.c.enrolment_id == enrolment_id).values(values))


def test_results(connection: Connection) -> tuple[tuple[str, int, int], ...]:
    """For each officer: sealed tests answered, and answered right."""
    done = select(tests.c.officer_id, tests.c.right).where(tests.c.right.is_not(None)).subquery()
    rows = connection.execute(
        select(done.c.officer_id, func.count(), func.sum(done.c.right.cast(Integer)))
        .group_by(done.c.officer_id)
        .order_by(done.c.officer_id)
    )
    return tuple((row[0], int(row[1]), int(row[2])) for row in rows)
