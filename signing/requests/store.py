"""The tables of signing requests. What is personal in them is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.model import Level
from signing.requests.errors import RequestClosed
from signing.requests.model import RequestState, SigningRequest, Stop
from signing.store import metadata

requests = Table(
    "signing_requests",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("request_id", String(64), nullable=False, unique=True),
    Column("person", String(200), nullable=False, index=True),
    Column("client_id", String(200), nullable=False, index=True),
    Column("state", String(20), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("level", String(10)),
    Column("passkey_only", Boolean, nullable=False),
    Column("details", LargeBinary, nullable=False),  # sealed
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    sqlite_autoincrement=True,
)

held = Table(
    "signing_request_documents",
    metadata,
    Column("document_id", String(64), primary_key=True),
    Column("request_id", String(64), nullable=False, index=True),
    Column("place", Integer, nullable=False),
)

blocks = Table(
    "signing_request_blocks",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("client_id", String(200), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
)

counts = Table(
    "signing_request_counts",
    metadata,
    Column("person", String(200), primary_key=True),
    Column("client_id", String(200), primary_key=True),  # empty: of all clients together
    Column("day", String(10), primary_key=True),
    Column("count", Integer, nullable=False),
)

stops = Table(
    "signing_request_stops",
    metadata,
    Column("client_id", String(200), primary_key=True),
    Column("stopped_at", UtcDateTime, nullable=False),
    Column("stopped_by", String(200), nullable=False),
    Column("released_at", UtcDateTime),
)


def insert_request(
    connection: Connection, request: SigningRequest, details: bytes, document_ids: Sequence[str]
) -> None:
    connection.execute(
        requests.insert().values(
            request_id=request.request_id,
            person=request.person,
            client_id=request.client_id,
            state=request.state.value,
            version=request.version,
            level=request.level.value if request.level else None,
            passkey_only=request.passkey_only,
            details=details,
            created_at=request.created_at,
            expires_at=request.expires_at,
        )
    )
    rows = [
        {"document_id": document_id, "request_id": request.request_id, "place": place}
        for place, document_id in enumerate(document_ids)
    ]
    connection.execute(held.insert(), rows)


def request_of(connection: Connection, column: str, who: str, request_id: str) -> tuple[SigningRequest, bytes] | None:
    """One request and its sealed details, of this ``person`` or ``client_id``; another's is as absent as none."""
    row = connection.execute(
        select(requests).where(requests.c[column] == who, requests.c.request_id == request_id)
    ).one_or_none()
    return (_request(row), row.details) if row else None


def requests_of(
    connection: Connection, column: str, who: str, state: RequestState | None, before: int | None, limit: int
) -> list[tuple[SigningRequest, bytes]]:
    """A page of the requests to a ``person`` or of a ``client_id``, the newest first."""
    query = select(requests).where(requests.c[column] == who).order_by(requests.c.sequence.desc()).limit(limit)
    if state is not None:
        query = query.where(requests.c.state == state.value)
    if before is not None:
        query = query.where(requests.c.sequence < before)
    return [(_request(row), row.details) for row in connection.execute(query)]


def change(connection: Connection, request: SigningRequest, state: RequestState, at: datetime) -> None:
    """End a request that still is as it was read. Raises RequestClosed when it is not."""
    same = (requests.c.request_id == request.request_id) & (requests.c.version == request.version)
    same &= requests.c.state == RequestState.WAITING.value
    values = {"state": state.value, "version": request.version + 1, "decided_at": at}
    try:
        compare_and_set(connection, requests, same, values)
    except StaleWrite:
        raise RequestClosed from None


def expired(connection: Connection, now: datetime, limit: int) -> list[SigningRequest]:
    """Requests that wait still and were not answered in time."""
    late = (requests.c.state == RequestState.WAITING.value) & (requests.c.expires_at <= now)
    return [_request(row) for row in connection.execute(select(requests).where(late).limit(limit))]


def documents_of(connection: Connection, request_id: str) -> tuple[str, ...]:
    """The ids of a request's documents, in the order they were sent."""
    query = select(held.c.document_id).where(held.c.request_id == request_id).order_by(held.c.place)
    return tuple(connection.execute(query).scalars())


def holding(connection: Connection, document_ids: Sequence[str]) -> dict[str, str]:
    """Which of these documents a request that waits holds: the request's id, by document."""
    query = (
        select(held.c.document_id, held.c.request_id)
        .join_from(held, requests, held.c.request_id == requests.c.request_id)
        .where(held.c.document_id.in_(document_ids), requests.c.state == RequestState.WAITING.value)
    )
    return {row.document_id: row.request_id for row in connection.execute(query)}


def waiting(connection: Connection, person: str, client_id: str | None = None) -> int:
    """How many requests wait for a person, of one client or of all."""
    query = select(func.count()).where(requests.c.person == person, requests.c.state == RequestState.WAITING.value)
    if client_id is not None:
        query = query.where(requests.c.client_id == client_id)
    return connection.execute(query).scalar_one()


# --- limits, blocks and stops -------------------------------------------------------------------------------------


def count_up(connection: Connection, person: str, client_id: str, day: str, most: int) -> bool:
    """Count one more on this day; False where there were ``most`` already. Whoever counts waits for who came before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"person": person, "client_id": client_id, "day": day}
    connection.execute(dialect.insert(counts).values(**row, count=0).on_conflict_do_nothing())
    here = (counts.c.person == person) & (counts.c.client_id == client_id) & (counts.c.day == day)
    raised = update(counts).where(here, counts.c.count < most).values(count=counts.c.count + 1)
    return connection.execute(raised).rowcount == 1


def forget_counts(connection: Connection, day: str) -> None:
    """Counts of days before this one say nothing any more."""
    connection.execute(delete(counts).where(counts.c.day < day))


def block(connection: Connection, person: str, client_id: str, at: datetime) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(blocks).values(person=person, client_id=client_id, since=at)
    connection.execute(row.on_conflict_do_nothing())


def unblock(connection: Connection, person: str, client_id: str) -> bool:
    gone = connection.execute(delete(blocks).where(blocks.c.person == person, blocks.c.client_id == client_id))
    return gone.rowcount == 1


def blocked_by(connection: Connection, person: str) -> tuple[str, ...]:
    """The clients that a person takes no requests of."""
    query = select(blocks.c.client_id).where(blocks.c.person == person).order_by(blocks.c.since, blocks.c.client_id)
    return tuple(connection.execute(query).scalars())


def stop_of(connection: Connection, client_id: str) -> tuple[Stop | None, datetime | None]:
    """The stop that a client is under, if it is; and when it was released last."""
    row = connection.execute(select(stops).where(stops.c.client_id == client_id)).one_or_none()
    if row is None:
        return None, None
    if row.released_at is not None:
        return None, row.released_at
    return Stop(row.client_id, row.stopped_at, row.stopped_by), None


def stop(connection: Connection, client_id: str, by: str, at: datetime) -> bool:
    """Stop a client; False where it is stopped already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(stops).values(client_id=client_id, stopped_at=at, stopped_by=by)
    if connection.execute(row.on_conflict_do_nothing()).rowcount == 1:
        return True
    again = update(stops).where(stops.c.client_id == client_id, stops.c.released_at.is_not(None))
    return connection.execute(again.values(stopped_at=at, stopped_by=by, released_at=None)).rowcount == 1


def release(connection: Connection, client_id: str, at: datetime) -> bool:
    """Let a stopped client ask again; False where it is not stopped."""
    here = (stops.c.client_id == client_id) & stops.c.released_at.is_(None)
    return connection.execute(update(stops).where(here).values(released_at=at)).rowcount == 1


def stopped(connection: Connection) -> list[Stop]:
    """The clients that are stopped."""
    rows = connection.execute(select(stops).where(stops.c.released_at.is_(None)).order_by(stops.c.stopped_at))
    return [Stop(row.client_id, row.stopped_at, row.stopped_by) for row in rows]


def _request(row: Row[Any]) -> SigningRequest:
    return SigningRequest(
        sequence=row.sequence,
        request_id=row.request_id,
        person=row.person,
        client_id=row.client_id,
        state=RequestState(row.state),
        version=row.version,
        level=Level(row.level) if row.level else None,
        passkey_only=row.passkey_only,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
    )
