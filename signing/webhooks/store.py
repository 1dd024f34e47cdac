"""The tables of webhooks. Addresses are sealed: they can carry secrets. Messages carry ids alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Row, String, Table, Text, delete, select

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.store import metadata
from signing.webhooks.model import Delivery, DeliveryState, EventKind

endpoints = Table(
    "signing_webhooks",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("url", LargeBinary, nullable=False),  # sealed
    Column("events", Text, nullable=False),  # JSON
    Column("created_at", UtcDateTime, nullable=False),
)

deliveries = Table(
    "signing_webhook_deliveries",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("delivery_id", String(64), nullable=False, unique=True),
    Column("endpoint_id", String(64), nullable=False, index=True),
    Column("owner", String(200), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("tried_at", UtcDateTime),
    Column("answer", Integer),
    Column("problem", String(100)),
    sqlite_autoincrement=True,
)


def insert_endpoint(
    connection: Connection, endpoint_id: str, owner: str, url: bytes, events: frozenset[EventKind], at: datetime
) -> None:
    listed = json.dumps(sorted(one.value for one in events))
    values = {"endpoint_id": endpoint_id, "owner": owner, "url": url, "events": listed, "created_at": at}
    connection.execute(endpoints.insert().values(**values))


def endpoints_of_owner(connection: Connection, owner: str) -> list[Row[Any]]:
    """All of an owner's, the oldest first; ``url`` as it is sealed."""
    query = select(endpoints).where(endpoints.c.owner == owner)
    return list(connection.execute(query.order_by(endpoints.c.created_at, endpoints.c.endpoint_id)))


def endpoint(connection: Connection, endpoint_id: str) -> Row[Any] | None:
    return connection.execute(select(endpoints).where(endpoints.c.endpoint_id == endpoint_id)).one_or_none()


def remove_endpoint(connection: Connection, owner: str, endpoint_id: str) -> bool:
    """Remove an address with its messages; False where it is not this owner's."""
    here = (endpoints.c.endpoint_id == endpoint_id) & (endpoints.c.owner == owner)
    if connection.execute(delete(endpoints).where(here)).rowcount != 1:
        return False
    connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
    return True


def insert_delivery(connection: Connection, one: Delivery) -> None:
    connection.execute(
        deliveries.insert().values(
            delivery_id=one.delivery_id,
            endpoint_id=one.endpoint_id,
            owner=one.owner,
            kind=one.kind.value,
            body=one.body,
            state=one.state.value,
            tries=one.tries,
            created_at=one.created_at,
        )
    )


def delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    row = connection.execute(select(deliveries).where(deliveries.c.delivery_id == delivery_id)).one_or_none()
    return _delivery(row) if row else None


def deliveries_of(connection: Connection, endpoint_id: str, before: int | None, limit: int) -> tuple[Delivery, ...]:
    """A page of messages to an address, the newest first."""
    query = select(deliveries).where(deliveries.c.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(deliveries.c.sequence < before)
    rows = connection.execute(query.order_by(deliveries.c.sequence.desc()).limit(limit))
    return tuple(_delivery(row) for row in rows)


def settle(connection: Connection, one: Delivery, state: DeliveryState, **values: Any) -> bool:
    """Write down a try of a message that still is as it was read; False when it is not."""
    same = (deliveries.c.delivery_id == one.delivery_id) & (deliveries.c.tries == one.tries)
    try:
        compare_and_set(connection, deliveries, same, {"state": state.value, "tries": one.tries + 1, **values})
    except StaleWrite:
        return False
    return True


def forget(connection: Connection, before: datetime) -> int:
    """Remove messages that were settled, from before a time; gives how many."""
    over = (deliveries.c.created_at < before) & (deliveries.c.state != DeliveryState.WAITING.value)
    return connection.execute(delete(deliveries).where(over)).rowcount


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        sequence=row.sequence,
        delivery_id=row.delivery_id,
        endpoint_id=row.endpoint_id,
        owner=row.owner,
        kind=EventKind(row.kind),
        body=row.body,
        state=DeliveryState(row.state),
        tries=row.tries,
        created_at=row.created_at,
        tried_at=row.tried_at,
        answer=row.answer,
        problem=row.problem,
    )
