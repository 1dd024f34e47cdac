"""Tables of guardianship: invitations that a minor hands over, and who is whose guardian. Opaque ids alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    func,
    or_,
    select,
    update,
)

from ekyc import store
from ekyc.invitations import Invitations
from ekyc.model import State
from foundation.db.types import UtcDateTime

invitations = Invitations("ekyc_guardian_invitations")

guardianships = Table(
    "ekyc_guardianships",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False),
    Column("guardian_id", String(40), nullable=False, index=True),  # the person id of the guardian
    Column("relation", String(20), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("done_at", UtcDateTime, nullable=True),  # what follows from its end was done
    PrimaryKeyConstraint("enrolment_id", "guardian_id"),
)


def wards(connection: Connection, guardian_id: str) -> int:
    """Whose guardian a person is now, how many."""
    standing = (guardianships.c.guardian_id == guardian_id) & guardianships.c.ended_at.is_(None)
    return int(connection.execute(select(func.count()).select_from(guardianships).where(standing)).scalar_one())


def bind(connection: Connection, enrolment_id: str, guardian_id: str, relation: str, now: datetime) -> None:
    """From now on; again, where it had ended."""
    same = (guardianships.c.enrolment_id == enrolment_id) & (guardianships.c.guardian_id == guardian_id)
    connection.execute(guardianships.delete().where(same))
    values = {"enrolment_id": enrolment_id, "guardian_id": guardian_id, "relation": relation, "since": now}
    connection.execute(guardianships.insert().values(**values))


def of_guardian(connection: Connection, guardian_id: str) -> tuple[Row[Any], ...]:
    """Each guardianship of a person, oldest first."""
    query = select(guardianships).where(guardianships.c.guardian_id == guardian_id).order_by(guardianships.c.since)
    return tuple(connection.execute(query))


def end(connection: Connection, enrolment_id: str, guardian_id: str, now: datetime) -> bool:
    """End a guardianship that stands; whether it did."""
    one = (guardianships.c.enrolment_id == enrolment_id) & (guardianships.c.guardian_id == guardian_id)
    ended = update(guardianships).where(one & guardianships.c.ended_at.is_(None)).values(ended_at=now)
    return connection.execute(ended).rowcount == 1


def stands(connection: Connection, enrolment_id: str) -> bool:
    """Whether an enrolment has a guardian now."""
    one = (guardianships.c.enrolment_id == enrolment_id) & guardianships.c.ended_at.is_(None)
    return connection.execute(select(guardianships.c.guardian_id).where(one)).first() is not None


def unfinished(connection: Connection) -> Sequence[str]:
    """Enrolments whose guardianship ended, and what follows was not done."""
    query = select(guardianships.c.enrolment_id).where(
        guardianships.c.ended_at.is_not(None) & guardianships.c.done_at.is_(None)
    )
    return [str(one) for one in connection.execute(query.distinct()).scalars()]


def done(connection: Connection, enrolment_id: str, now: datetime) -> None:
    """What follows from its end was done."""
    ended = (guardianships.c.enrolment_id == enrolment_id) & guardianships.c.ended_at.is_not(None)
    connection.execute(update(guardianships).where(ended & guardianships.c.done_at.is_(None)).values(done_at=now))


def orphaned(connection: Connection, lost: Sequence[State]) -> Sequence[tuple[str, str]]:
    """Guardianships that stand while the guardian's own enrolment is in one of these states: enrolment, guardian."""
    theirs = store.enrolments.alias()
    query = (
        select(guardianships.c.enrolment_id, guardianships.c.guardian_id)
        .join(theirs, theirs.c.person_id == guardianships.c.guardian_id)
        .where(guardianships.c.ended_at.is_(None) & or_(*(theirs.c.state == state.value for state in lost)))
    )
    return [(str(row.enrolment_id), str(row.guardian_id)) for row in connection.execute(query)]
