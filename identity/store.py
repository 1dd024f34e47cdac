"""The room's tables: actors, assertions that were used, sessions of persons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, Text, delete, select, update

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.http.actor import ActorKind
from identity.model import ActorStatus, RegisteredActor

metadata = MetaData()

actors = Table(
    "identity_actors",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("label", String(200), nullable=False),
    Column("roles", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False, unique=True),
    Column("status", String(20), nullable=False),
    Column("registered_by", String(200), nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("person_id", String(200)),
)

# One row for each assertion that was used and could still be valid.
assertions = Table(
    "identity_assertions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

sessions = Table(
    "identity_sessions",
    metadata,
    Column("token_digest", LargeBinary(32), primary_key=True),
    Column("person_id", String(200), nullable=False, index=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("idle_until", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime, nullable=True),
)


@dataclass(frozen=True)
class SessionRow:
    """A session as it is stored: without its token."""

    token_digest: bytes
    person_id: str
    expires_at: datetime
    idle_until: datetime


class ActorStore:
    """Registered actors."""

    def add(self, connection: Connection, actor: RegisteredActor) -> bool:
        """Store a new actor; False where its key is registered already."""
        values = {
            "id": actor.id,
            "kind": actor.kind.value,
            "label": actor.label,
            "roles": json.dumps(sorted(actor.roles)),
            "public_key": actor.public_key,
            "status": actor.status.value,
            "registered_by": actor.registered_by,
            "registered_at": actor.registered_at,
            "person_id": actor.person_id,
        }
        return insert_once(connection, actors, values)

    def get(self, connection: Connection, actor_id: str) -> RegisteredActor | None:
        row = connection.execute(select(actors).where(actors.c.id == actor_id)).one_or_none()
        return None if row is None else _actor(row)

    def is_officer(self, connection: Connection, person_id: str) -> bool:
        """Whether an officer who is not disabled is enrolled as this person."""
        same = (actors.c.person_id == person_id) & (actors.c.kind == ActorKind.OFFICER.value)
        active = same & (actors.c.status == ActorStatus.ACTIVE.value)
        return connection.execute(select(actors.c.id).where(active).limit(1)).first() is not None

    def page(self, connection: Connection, after: str, limit: int) -> Sequence[RegisteredActor]:
        """At most ``limit`` actors whose ids come after ``after``, in the order of their ids."""
        rows = connection.execute(select(actors).where(actors.c.id > after).order_by(actors.c.id).limit(limit))
        return [_actor(row) for row in rows]

    def disable(self, connection: Connection, actor_id: str) -> None:
        """Raises StaleWrite where it is not active (any more)."""
        active = (actors.c.id == actor_id) & (actors.c.status == ActorStatus.ACTIVE.value)
        compare_and_set(connection, actors, active, {"status": ActorStatus.DISABLED.value})


class AssertionStore:
    """Assertions that were used: each digest once."""

    def use(self, connection: Connection, digest: bytes, expires_at: datetime) -> bool:
        """Remember an assertion; False where it was used before."""
        return insert_once(connection, assertions, {"digest": digest, "expires_at": expires_at})

    def prune(self, connection: Connection, now: datetime) -> int:
        return connection.execute(delete(assertions).where(assertions.c.expires_at <= now)).rowcount


class SessionStore:
    """Sessions of persons."""

    def add(self, connection: Connection, row: SessionRow, opened_at: datetime) -> None:
        connection.execute(
            sessions.insert().values(
                token_digest=row.token_digest,
                person_id=row.person_id,
                opened_at=opened_at,
                expires_at=row.expires_at,
                idle_until=row.idle_until,
            )
        )

    def current(self, connection: Connection, token_digest: bytes, now: datetime) -> SessionRow | None:
        """The session if it is open, not idle for too long, and not past its end."""
        row = connection.execute(
            select(sessions).where(
                sessions.c.token_digest == token_digest,
                sessions.c.closed_at.is_(None),
                sessions.c.expires_at > now,
                sessions.c.idle_until > now,
            )
        ).one_or_none()
        return None if row is None else SessionRow(row.token_digest, row.person_id, row.expires_at, row.idle_until)

    def extend(self, connection: Connection, token_digest: bytes, idle_until: datetime) -> None:
        """Move the idle limit, unless it was closed meanwhile."""
        open_row = (sessions.c.token_digest == token_digest) & sessions.c.closed_at.is_(None)
        connection.execute(update(sessions).where(open_row).values(idle_until=idle_until))

    def close(self, connection: Connection, token_digest: bytes, now: datetime) -> None:
        """Raises StaleWrite where it is not open (any more)."""
        open_row = (sessions.c.token_digest == token_digest) & sessions.c.closed_at.is_(None)
        compare_and_set(connection, sessions, open_row, {"closed_at": now})

    def close_all(self, connection: Connection, person_id: str, now: datetime) -> int:
        """Close every open session of a person; gives how many."""
        open_rows = (sessions.c.person_id == person_id) & sessions.c.closed_at.is_(None)
        return connection.execute(update(sessions).where(open_rows).values(closed_at=now)).rowcount

    def prune(self, connection: Connection, now: datetime) -> int:
        return connection.execute(delete(sessions).where(sessions.c.expires_at <= now)).rowcount


def _actor(row: Any) -> RegisteredActor:
    return RegisteredActor(
        id=row.id,
        kind=ActorKind(row.kind),
        label=row.label,
        roles=frozenset(json.loads(row.roles)),
        public_key=bytes(row.public_key),
        status=ActorStatus(row.status),
        registered_by=row.registered_by,
        registered_at=row.registered_at,
        person_id=row.person_id,
    )
