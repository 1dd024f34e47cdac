"""Tables of stations and of the packets that came from them. Opaque ids, digests and sealed octets alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    UniqueConstraint,
    select,
)

from ekyc import store
from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime

stations = Table(
    "ekyc_stations",
    store.metadata,
    Column("id", String(20), primary_key=True),
    Column("officer_id", String(64), nullable=False),
    Column("public_key", LargeBinary(32), nullable=False),
    Column("private_sealed", LargeBinary, nullable=False),  # opens with a key that stays in the token
    Column("sequence", Integer, nullable=False),  # of the newest packet; 0 before the first
    Column("head", String(64), nullable=False),
    Column("last_closed_at", UtcDateTime, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime, nullable=True),
)

packets = Table(
    "ekyc_packets",
    store.metadata,
    Column("station_id", String(20), ForeignKey("ekyc_stations.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("case_id", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("officer_id", String(64), nullable=False),
    Column("brought_by", String(80), nullable=False),
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=True, unique=True),  # none: expired
    Column("claim_index", LargeBinary(32), nullable=True, unique=True),  # of the person's code, which is kept nowhere
    Column("contact_sealed", LargeBinary, nullable=True),
    Column("taken", Integer, nullable=False),  # how many of its items
    Column("done", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("station_id", "sequence"),
    UniqueConstraint("station_id", "case_id"),
)


def station(connection: Connection, station_id: str) -> Row[Any] | None:
    return connection.execute(select(stations).where(stations.c.id == station_id)).one_or_none()


def all_stations(connection: Connection) -> list[Row[Any]]:
    return list(connection.execute(select(stations).order_by(stations.c.issued_at, stations.c.id)).all())


def packet(connection: Connection, station_id: str, sequence: int) -> Row[Any] | None:
    one = (packets.c.station_id == station_id) & (packets.c.sequence == sequence)
    return connection.execute(select(packets).where(one)).one_or_none()


def claimed(connection: Connection, index: bytes) -> Row[Any] | None:
    """The packet whose person has the code of this index."""
    return connection.execute(select(packets).where(packets.c.claim_index == index)).one_or_none()


def collectors(connection: Connection, enrolment_id: str) -> frozenset[str]:
    """The officers who collected evidence for an enrolment."""
    query = select(packets.c.officer_id).where(packets.c.enrolment_id == enrolment_id)
    return frozenset(connection.execute(query).scalars())


def append(connection: Connection, row: dict[str, Any], head: str, closed_at: datetime) -> bool:
    """Put a packet behind those of its station. False where its case came before; StaleWrite where another one took
    its place in the chain.
    """
    behind = (
        (stations.c.id == row["station_id"])
        & (stations.c.sequence == row["sequence"] - 1)
        & (stations.c.head == head)
        & stations.c.withdrawn_at.is_(None)
    )
    moved = {"sequence": row["sequence"], "head": row["digest"], "last_closed_at": closed_at}
    compare_and_set(connection, stations, behind, moved)
    return insert_once(connection, packets, row)


def took(connection: Connection, row: Row[Any], taken: int, *, done: bool) -> None:
    """That this many items were taken over. Raises StaleWrite where somebody else took one at the same time."""
    one = (packets.c.station_id == row.station_id) & (packets.c.sequence == row.sequence)
    compare_and_set(connection, packets, one & (packets.c.taken == taken - 1), {"taken": taken, "done": done})
