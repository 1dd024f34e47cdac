"""The tables of persons' histories: every use of a key, sealed for the person, and the notices that wait to be sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, String, Table, Text, delete, select, update

from foundation.db.types import UtcDateTime
from signing.store import metadata

history = Table(
    "signing_history",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("record_id", String(64), nullable=False, unique=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("record", LargeBinary, nullable=False),  # sealed: names of documents are personal
    Column("digest", LargeBinary(32), nullable=False),  # of the record: what the log commits to
    Column("completion", Text),  # JSON: what came of it
    sqlite_autoincrement=True,
)

notices = Table(
    "signing_notices",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("record_id", String(64), nullable=False, index=True),
    Column("owner", String(200), nullable=False),
    Column("act", String(20), nullable=False),
    Column("digests", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Stored:
    """A row of the history; ``record`` is sealed."""

    sequence: int
    record_id: str
    record: bytes
    digest: bytes
    completion: dict[str, Any] | None


@dataclass(frozen=True)
class Waiting:
    """A notice that was not sent yet."""

    sequence: int
    owner: str
    act: str
    count: int
    at: datetime


def insert(connection: Connection, record_id: str, owner: str, record: bytes, digest: bytes) -> None:
    connection.execute(history.insert().values(record_id=record_id, owner=owner, record=record, digest=digest))


def complete(connection: Connection, record_id: str, completion: dict[str, Any]) -> None:
    """Write down what came of it."""
    told = json.dumps(completion, sort_keys=True)
    connection.execute(update(history).where(history.c.record_id == record_id).values(completion=told))


def of_owner(connection: Connection, owner: str, before: int | None, limit: int) -> Sequence[Stored]:
    """A page of an owner's history, the newest first."""
    query = select(history).where(history.c.owner == owner).order_by(history.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(history.c.sequence < before)
    return [
        Stored(
            row.sequence,
            row.record_id,
            bytes(row.record),
            bytes(row.digest),
            None if row.completion is None else json.loads(row.completion),
        )
        for row in connection.execute(query)
    ]


def add_notice(connection: Connection, record_id: str, owner: str, act: str, count: int, at: datetime) -> None:
    connection.execute(notices.insert().values(record_id=record_id, owner=owner, act=act, digests=count, at=at))


def drop_notice(connection: Connection, record_id: str) -> None:
    """Nothing came of it: the person is not told."""
    connection.execute(delete(notices).where(notices.c.record_id == record_id))


def waiting(connection: Connection, limit: int) -> Sequence[Waiting]:
    """The oldest notices that wait."""
    rows = connection.execute(select(notices).order_by(notices.c.sequence).limit(limit))
    return [Waiting(row.sequence, row.owner, row.act, row.digests, row.at) for row in rows]


def sent(connection: Connection, sequences: Sequence[int]) -> None:
    """They were sent."""
    connection.execute(delete(notices).where(notices.c.sequence.in_(sequences)))
