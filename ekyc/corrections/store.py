"""Table of corrections: what waits for officers, or for its certificate. Names stand in the ledger alone, sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, Integer, Row, String, Table, Text, insert, select, update

from ekyc import store
from foundation.db.types import UtcDateTime

WAITING, CORRECTED, REFUSED, REPLACED = "waiting", "corrected", "refused", "replaced"

corrections = Table(
    "ekyc_corrections",
    store.metadata,
    Column("id", String(40), primary_key=True),
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False, index=True),
    Column("sequence", Integer, nullable=False),  # of the record in the ledger that has the document
    Column("serial", String(64), nullable=False),  # of the certificate that says what was
    Column("state", String(10), nullable=False, index=True),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("first_by", String(200), nullable=True),
    Column("first_reason", String(60), nullable=True),
    Column("first_method", String(20), nullable=True),
    Column("first_seen", String(64), nullable=True),
    Column("first_signature", Text, nullable=True),
    Column("decided_at", UtcDateTime, nullable=True),
    Column("done_at", UtcDateTime, nullable=True),
)


def request(connection: Connection, values: Mapping[str, Any]) -> None:
    """A new correction; one that waits is replaced by it."""
    same = (corrections.c.enrolment_id == values["enrolment_id"]) & (corrections.c.state == WAITING)
    connection.execute(update(corrections).where(same).values(state=REPLACED, decided_at=values["requested_at"]))
    connection.execute(insert(corrections).values(**values, state=WAITING))


def last(connection: Connection, enrolment_id: str) -> Row[Any] | None:
    """The newest correction of an enrolment."""
    query = select(corrections).where(corrections.c.enrolment_id == enrolment_id)
    return connection.execute(query.order_by(corrections.c.sequence.desc()).limit(1)).first()


def change(connection: Connection, correction_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a correction; the caller holds the enrolment."""
    connection.execute(update(corrections).where(corrections.c.id == correction_id).values(**values))


def waiting(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """Corrections that wait for officers, oldest first."""
    query = select(corrections).where(corrections.c.state == WAITING)
    return connection.execute(query.order_by(corrections.c.requested_at, corrections.c.id).limit(limit)).all()


def unfinished(connection: Connection) -> Sequence[Row[Any]]:
    """Corrections that were decided, and whose new certificate is not there."""
    query = select(corrections).where((corrections.c.state == CORRECTED) & corrections.c.done_at.is_(None))
    return connection.execute(query).all()


def renamed(connection: Connection, enrolment_id: str, serial: str) -> bool:
    """Whether a certificate says what was corrected since."""
    query = select(corrections.c.id).where(
        (corrections.c.enrolment_id == enrolment_id)
        & (corrections.c.serial == serial)
        & (corrections.c.state == CORRECTED)
    )
    return connection.execute(query.limit(1)).first() is not None
