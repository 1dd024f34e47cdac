"""Tables of vouching: invitations, who vouched for whom, and the communes' words. Opaque ids and codes alone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    func,
    select,
    update,
)

from ekyc import store
from ekyc.invitations import Invitations
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime

invitations = Invitations("ekyc_vouch_invitations")

vouchings = Table(
    "ekyc_vouchings",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False),
    Column("voucher_id", String(40), nullable=False, index=True),  # the person id of the voucher
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("enrolment_id", "voucher_id"),
)

communes = Table(
    "ekyc_communes",
    store.metadata,
    Column("code", String(6), primary_key=True),
    Column("words", Integer, nullable=False),  # of two words at once, the row lets one be counted before the other
)

commune_words = Table(
    "ekyc_commune_words",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), primary_key=True),
    Column("commune", String(6), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
)


def vouch(connection: Connection, enrolment_id: str, voucher_id: str, now: datetime) -> None:
    """From now on this person vouches for the enrolment."""
    same = (vouchings.c.enrolment_id == enrolment_id) & (vouchings.c.voucher_id == voucher_id)
    connection.execute(vouchings.delete().where(same))
    connection.execute(vouchings.insert().values(enrolment_id=enrolment_id, voucher_id=voucher_id, at=now))


def vouchers(connection: Connection, enrolment_id: str) -> frozenset[str]:
    """The persons who ever vouched for an enrolment."""
    query = select(vouchings.c.voucher_id).where(vouchings.c.enrolment_id == enrolment_id)
    return frozenset(str(one) for one in connection.execute(query).scalars())


def vouched_since(connection: Connection, voucher_id: str, since: datetime, but: str) -> int:
    """For how many enrolments a person vouched since a time, one of them not counted."""
    theirs = (vouchings.c.voucher_id == voucher_id) & (vouchings.c.at > since) & (vouchings.c.enrolment_id != but)
    return int(connection.execute(select(func.count()).select_from(vouchings).where(theirs)).scalar_one())


def related(connection: Connection, voucher_id: str, others: Collection[str], ward_id: str) -> bool:
    """Whether a voucher vouched for one of the others, or one of them or the ward (all person ids) for the voucher."""
    persons = store.enrolments
    query = (
        select(vouchings.c.enrolment_id)
        .join(persons, persons.c.id == vouchings.c.enrolment_id)
        .where(
            ((vouchings.c.voucher_id == voucher_id) & persons.c.person_id.in_(others))
            | (vouchings.c.voucher_id.in_([*others, ward_id]) & (persons.c.person_id == voucher_id))
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def one_name(connection: Connection, first: str, second: str) -> bool:
    """Whether two enrolments are of the same name and birth."""
    query = select(store.enrolments.c.namesake_index).where(store.enrolments.c.id.in_([first, second]))
    found = list(connection.execute(query).scalars())
    return len(found) == 2 and found[0] is not None and found[0] == found[1]


def speak(connection: Connection, enrolment_id: str, commune: str, now: datetime, since: datetime) -> int:
    """A commune's word for an enrolment; gives for how many others it spoke since a time. Holds the commune's row."""
    insert_once(connection, communes, {"code": commune, "words": 0})
    counted = update(communes).where(communes.c.code == commune).values(words=communes.c.words + 1)
    connection.execute(counted)
    theirs = (commune_words.c.commune == commune) & (commune_words.c.at > since)
    others = theirs & (commune_words.c.enrolment_id != enrolment_id)
    before = connection.execute(select(func.count()).select_from(commune_words).where(others)).scalar_one()
    connection.execute(commune_words.delete().where(commune_words.c.enrolment_id == enrolment_id))
    connection.execute(commune_words.insert().values(enrolment_id=enrolment_id, commune=commune, at=now))
    return int(before)
