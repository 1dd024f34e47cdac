"""The table of held seals. What is personal in it is sealed; documents are in the blobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, Row, String, Table, delete, select

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.forms import Form
from signing.held.errors import HeldSealClosed
from signing.held.model import HeldSeal, HeldState, RefusalReason
from signing.model import Level
from signing.store import Sealed, metadata

held_seals = Table(
    "signing_held_seals",
    metadata,
    Column("held_id", String(64), primary_key=True),
    Column("client", String(200), nullable=False, index=True),
    Column("credential_id", String(64), nullable=False),
    Column("name", LargeBinary, nullable=False),  # sealed
    Column("password", LargeBinary),  # sealed
    Column("field", LargeBinary),  # sealed
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("encrypted", Boolean, nullable=False),
    Column("form", String(30), nullable=False),
    Column("level", String(10), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime, nullable=False, index=True),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
    Column("reason", String(20)),
    Column("problem", String(100)),
)


def insert(connection: Connection, held: HeldSeal, sealed: Sealed) -> None:
    """Store a new one."""
    connection.execute(
        held_seals.insert().values(
            held_id=held.held_id,
            client=held.client,
            credential_id=held.credential_id,
            name=sealed.name,
            password=sealed.password,
            field=sealed.field,
            sha256=held.sha256,
            size=held.size,
            pages=held.pages,
            encrypted=held.encrypted,
            form=str(held.form),
            level=held.level.value,
            state=held.state.value,
            version=held.version,
            asked_at=held.asked_at,
            expires=held.expires,
        )
    )


def find(connection: Connection, held_id: str) -> tuple[HeldSeal, Sealed] | None:
    """One by its id."""
    row = connection.execute(select(held_seals).where(held_seals.c.held_id == held_id)).one_or_none()
    return None if row is None else (_held(row), Sealed(row.name, row.password, row.field))


def of_clients(
    connection: Connection, clients: Sequence[str], state: HeldState | None, limit: int
) -> Sequence[tuple[HeldSeal, Sealed]]:
    """What these clients asked for, the newest first."""
    query = select(held_seals).where(held_seals.c.client.in_(clients))
    if state is not None:
        query = query.where(held_seals.c.state == state.value)
    rows = connection.execute(query.order_by(held_seals.c.asked_at.desc(), held_seals.c.held_id).limit(limit))
    return [(_held(row), Sealed(row.name, row.password, row.field)) for row in rows]


def waiting(connection: Connection, client: str) -> int:
    """How many of a client's wait."""
    same = (held_seals.c.client == client) & (held_seals.c.state == HeldState.WAITING.value)
    return len(connection.execute(select(held_seals.c.held_id).where(same)).all())


def change(connection: Connection, held: HeldSeal, state: HeldState, **values: Any) -> None:
    """Move one that still is as it was read. Raises HeldSealClosed when it is not."""
    same = (held_seals.c.held_id == held.held_id) & (held_seals.c.version == held.version)
    try:
        compare_and_set(connection, held_seals, same, {"state": state.value, "version": held.version + 1, **values})
    except StaleWrite:
        raise HeldSealClosed from None


def remove(connection: Connection, held: HeldSeal) -> bool:
    """Delete the row of one that still is as it was read; False when it is not."""
    same = (held_seals.c.held_id == held.held_id) & (held_seals.c.version == held.version)
    return connection.execute(delete(held_seals).where(same)).rowcount == 1


def older(connection: Connection, waiting_until: datetime, kept_since: datetime) -> Sequence[HeldSeal]:
    """Those that ran out, and those whose result was kept for long enough."""
    open_ones = held_seals.c.state == HeldState.WAITING.value
    ran_out = open_ones & (held_seals.c.expires <= waiting_until)
    done = ~open_ones & (held_seals.c.asked_at <= kept_since)
    return [_held(row) for row in connection.execute(select(held_seals).where(ran_out | done))]


def _held(row: Row[Any]) -> HeldSeal:
    return HeldSeal(
        held_id=row.held_id,
        client=row.client,
        credential_id=row.credential_id,
        sha256=row.sha256,
        size=row.size,
        pages=row.pages,
        encrypted=row.encrypted,
        form=Form.parse(row.form),
        level=Level(row.level),
        state=HeldState(row.state),
        version=row.version,
        asked_at=row.asked_at,
        expires=row.expires,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=RefusalReason(row.reason) if row.reason else None,
        problem=row.problem,
    )
