"""The repository of CMP's transactions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, select

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from issuing_ca.cmp.tables import metadata, transactions

__all__ = ["metadata"]

OPEN, WAITING, DONE = "open", "waiting", "done"


def begin(connection: Connection, transaction: bytes, reference: str, now: datetime, expires: datetime) -> bool:
    """Take a transaction id; False where it was used within its time."""
    over = and_(transactions.c.expires <= now, transactions.c.state != WAITING)  # what waits is upkeep's to end
    connection.execute(delete(transactions).where(over))
    values = {"id": transaction, "reference": reference, "state": OPEN, "nonce": b"", "expires": expires}
    return insert_once(connection, transactions, values)


def move(connection: Connection, transaction: bytes, before: str, after: str, **values: Any) -> None:
    """Raises StaleWrite."""
    same = and_(transactions.c.id == transaction, transactions.c.state == before)
    compare_and_set(connection, transactions, same, {"state": after, **values})


def unconfirmed(connection: Connection, now: datetime) -> tuple[Row[Any], ...]:
    """Transactions whose certificate was not confirmed in time."""
    query = select(transactions).where(transactions.c.state == WAITING, transactions.c.expires <= now)
    return tuple(connection.execute(query.order_by(transactions.c.expires).limit(200)))


def waiting(connection: Connection, transaction: bytes, now: datetime) -> Row[Any] | None:
    """A transaction that waits for its confirmation."""
    query = select(transactions).where(
        transactions.c.id == transaction, transactions.c.state == WAITING, transactions.c.expires > now
    )
    return connection.execute(query).one_or_none()
