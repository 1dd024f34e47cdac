"""Tables of recalls: what was called back, by which two officers, and how far it got with each enrolment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, PrimaryKeyConstraint, Row, String, Table, Text, select, update

from ekyc import store
from ekyc.evidence.record import Evidence
from foundation.db.engine import compare_and_set
from foundation.db.types import UtcDateTime

recalls = Table(
    "ekyc_recalls",
    store.metadata,
    Column("id", String(40), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("confirmed_by", String(200), nullable=True),
    Column("confirmed_at", UtcDateTime, nullable=True),
    Column("done_at", UtcDateTime, nullable=True),
)

items = Table(
    "ekyc_recall_items",
    store.metadata,
    Column("recall_id", String(40), ForeignKey("ekyc_recalls.id"), nullable=False),
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False),
    Column("moved_at", UtcDateTime, nullable=True),
    Column("done_at", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("recall_id", "enrolment_id"),
)


def holders(connection: Connection, conditions: Mapping[str, Any]) -> tuple[str, ...]:
    """Enrolments with a record whose columns have these values; facts are looked at by whoever asks."""
    query = select(store.evidence.c.enrolment_id).distinct()
    for name, value in conditions.items():
        query = query.where(store.evidence.c[name] == value)
    return tuple(connection.execute(query.order_by(store.evidence.c.enrolment_id)).scalars())


def propose(connection: Connection, values: Mapping[str, Any]) -> None:
    """Write a proposal down."""
    connection.execute(recalls.insert().values(**values))


def load(connection: Connection, recall_id: str) -> Row[Any] | None:
    """One recall."""
    return connection.execute(select(recalls).where(recalls.c.id == recall_id)).first()


def confirm(connection: Connection, recall_id: str, by: str, at: datetime, enrolment_ids: Sequence[str]) -> None:
    """Confirmed once, with its list. Raises StaleWrite where it was confirmed meanwhile."""
    unconfirmed = (recalls.c.id == recall_id) & recalls.c.confirmed_by.is_(None)
    compare_and_set(connection, recalls, unconfirmed, {"confirmed_by": by, "confirmed_at": at})
    if enrolment_ids:
        rows = [{"recall_id": recall_id, "enrolment_id": one} for one in enrolment_ids]
        connection.execute(items.insert(), rows)


def unfinished(connection: Connection) -> tuple[str, ...]:
    """Confirmed recalls that are not done."""
    query = select(recalls.c.id).where(recalls.c.confirmed_at.is_not(None) & recalls.c.done_at.is_(None))
    return tuple(connection.execute(query).scalars())


def items_of(connection: Connection, recall_id: str) -> tuple[Row[Any], ...]:
    """How far a recall got with each enrolment."""
    return tuple(connection.execute(select(items).where(items.c.recall_id == recall_id).order_by(items.c.enrolment_id)))


def mark(connection: Connection, recall_id: str, enrolment_id: str, column: str, at: datetime) -> None:
    """It was moved (``moved_at``), or all is done with it (``done_at``)."""
    which = (items.c.recall_id == recall_id) & (items.c.enrolment_id == enrolment_id)
    connection.execute(update(items).where(which).values({column: at}))


def finish(connection: Connection, recall_id: str, at: datetime) -> None:
    """Every enrolment of the recall is done."""
    connection.execute(update(recalls).where(recalls.c.id == recall_id).values(done_at=at))


def approving(connection: Connection, enrolment_id: str) -> tuple[int, str, Mapping[str, Any]] | None:
    """The last decision, if it approved: how many records it was over, its level, the policy's canonical form."""
    kept = store.kept_decisions(connection, enrolment_id)
    if not kept:
        return None
    count, document, policy = kept[-1]
    said = json.loads(document)
    return (count, said["level"], json.loads(policy)) if said["outcome"] == "approved" else None


def ledger(connection: Connection, enrolment_id: str) -> tuple[Evidence, ...]:
    """All records of an enrolment."""
    return store.ledger(connection, enrolment_id)
