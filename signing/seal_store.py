"""The tables of seal policies: what each client may, and how many seals it made on each day."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, String, Table, Text, select, update
from sqlalchemy.dialects import postgresql, sqlite

from foundation.db.types import UtcDateTime
from signing.store import metadata

policies = Table(
    "signing_seal_policies",
    metadata,
    Column("client_id", String(200), primary_key=True),
    Column("policy", Text, nullable=False),  # JSON
    Column("set_at", UtcDateTime, nullable=False),
)

uses = Table(
    "signing_seal_uses",
    metadata,
    Column("client_id", String(200), primary_key=True),
    Column("day", String(10), primary_key=True),  # of Cambodia's clock
    Column("count", Integer, nullable=False),
)


def policy_of(connection: Connection, client_id: str) -> dict[str, Any] | None:
    """The policy that is kept for a client."""
    text = connection.execute(select(policies.c.policy).where(policies.c.client_id == client_id)).scalar()
    return None if text is None else dict(json.loads(text))


def policies_of_all(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    """Every client that has a policy of its own, with it."""
    rows = connection.execute(select(policies.c.client_id, policies.c.policy).order_by(policies.c.client_id))
    return [(client_id, dict(json.loads(policy))) for client_id, policy in rows]


def keep_policy(connection: Connection, client_id: str, policy: dict[str, Any], at: datetime) -> None:
    """Keep a policy in place of the one before."""
    values = {"policy": json.dumps(policy, sort_keys=True), "set_at": at}
    changed = connection.execute(update(policies).where(policies.c.client_id == client_id).values(**values))
    if changed.rowcount == 0:
        connection.execute(policies.insert().values(client_id=client_id, **values))


def count_up(connection: Connection, client_id: str, day: str, most: int) -> bool:
    """Count one more on this day; False where there were ``most`` already. However many ask at once."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = dialect.insert(uses).values(client_id=client_id, day=day, count=0).on_conflict_do_nothing()
    connection.execute(first)
    here = (uses.c.client_id == client_id) & (uses.c.day == day) & (uses.c.count < most)
    return connection.execute(update(uses).where(here).values(count=uses.c.count + 1)).rowcount == 1
