"""The repository of CMP's transactions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, select, update

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from issuing_ca.cmp.tables import metadata, transactions

__all__ = ["metadata"]

OPEN, POLLING, WAITING, DONE = "open", "polling", "waiting", "done"  # waiting: for the confirmation


def begin(
    connection: Connection, transaction: bytes, reference: str, signer: str, now: datetime, expires: datetime
) -> bool:
    """Take a transaction id; False where it was used within its time."""
    # what waits is upkeep's to end
    over = and_(transactions.c.expires <= now, transactions.c.state.not_in((POLLING, WAITING)))
    connection.execute(delete(transactions).where(over))
    values = {"id": transaction, "reference": reference, "signer": signer, "state": OPEN, "nonce": b""}
    return insert_once(connection, transactions, values | {"expires": expires})


def move(connection: Connection, transaction: bytes, before: str, after: str, **values: Any) -> None:
    """Raises StaleWrite."""
    same = and_(transactions.c.id == transaction, transactions.c.state == before)
    compare_and_set(connection, transactions, same, {"state": after, **values})


def poll(connection: Connection, transaction: bytes, request: str, **values: Any) -> None:
    """Have a transaction wait for officers, in place of any other one that waits for the same request.

    Raises StaleWrite.
    """
    older = and_(transactions.c.request == request, transactions.c.state == POLLING)
    connection.execute(update(transactions).where(older).values(state=DONE))
    move(connection, transaction, OPEN, POLLING, request=request, **values)


def say(connection: Connection, transaction: bytes, nonce: bytes) -> None:
    """Keep the nonce that the next message of a transaction must bring back."""
    connection.execute(update(transactions).where(transactions.c.id == transaction).values(nonce=nonce))


def late(connection: Connection, state: str, now: datetime) -> tuple[Row[Any], ...]:
    """Transactions whose certificate was not confirmed, or not come for, in time."""
    query = select(transactions).where(transactions.c.state == state, transactions.c.expires <= now)
    return tuple(connection.execute(query.order_by(transactions.c.expires).limit(200)))


def standing(connection: Connection, transaction: bytes, state: str, now: datetime) -> Row[Any] | None:
    """A transaction that waits for officers, or for its confirmation."""
    query = select(transactions).where(
        transactions.c.id == transaction, transactions.c.state == state, transactions.c.expires > now
    )
    return connection.execute(query).one_or_none()
