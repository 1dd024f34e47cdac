"""The tables of the archive: an evidence record for each document, and what each night did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, Row, String, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from foundation.db.rows import insert_new_rows
from foundation.db.types import UtcDateTime
from signing.model import DocumentState
from signing.store import documents, metadata

records = Table(
    "signing_evidence_records",
    metadata,
    Column("document_id", String(64), primary_key=True),
    Column("token", LargeBinary(32), nullable=False, index=True),  # SHA-256 of the last timestamp
    Column("ends_at", UtcDateTime, nullable=False, index=True),  # when the certificate of its unit does
    Column("renewed_at", UtcDateTime, nullable=False),
    Column("record", LargeBinary, nullable=False),  # DER
)

nights = Table(
    "signing_archive_nights",
    metadata,
    Column("night", String(10), primary_key=True),  # of Cambodia's clock
    Column("asked_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("recorded", Integer, nullable=False),
    Column("renewed", Integer, nullable=False),
    Column("unreadable", Integer, nullable=False),
)


def open_night(connection: Connection, night: str, at: datetime) -> bool:
    """Begin a night; False for one that was begun before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"night": night, "asked_at": at, "recorded": 0, "renewed": 0, "unreadable": 0}
    statement = dialect.insert(nights).values(values).on_conflict_do_nothing()
    return connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount == 1


def night(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(nights).where(nights.c.night == name)).one_or_none()


def count(connection: Connection, name: str, **more: int) -> None:
    """Add to what a night did."""
    values = {column: nights.c[column] + number for column, number in more.items()}
    connection.execute(update(nights).where(nights.c.night == name).values(values))


def close_night(connection: Connection, name: str, at: datetime) -> None:
    connection.execute(update(nights).where(nights.c.night == name).values(finished_at=at))


def without_record(connection: Connection, after: int, limit: int) -> Sequence[tuple[int, str, str]]:
    """Signed documents that have no record: sequence, id and owner, from the one after ``after`` on."""
    query = (
        select(documents.c.sequence, documents.c.document_id, documents.c.owner)
        .outerjoin_from(documents, records, documents.c.document_id == records.c.document_id)
        .where(
            documents.c.state == DocumentState.SIGNED.value,
            records.c.document_id.is_(None),
            documents.c.sequence > after,
        )
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(documents.c.sequence).limit(limit))]


def add_records(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Keep the records of documents that have none; gives how many."""
    return insert_new_rows(connection, records, rows)


def tokens_that_end(connection: Connection, ends_before: datetime, renewed_before: datetime, limit: int) -> list[bytes]:
    """Tokens (by digest) at the end of records, whose units' certificates end before a time."""
    here = (records.c.ends_at <= ends_before) & (records.c.renewed_at < renewed_before)
    query = select(records.c.token).where(here).group_by(records.c.token)
    return list(connection.execute(query.order_by(func.min(records.c.ends_at)).limit(limit)).scalars())


def records_of_token(connection: Connection, token: bytes, limit: int) -> list[tuple[str, bytes]]:
    """Document ids and records that end with a token."""
    query = select(records.c.document_id, records.c.record).where(records.c.token == token)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(records.c.document_id).limit(limit))]


def replace_record(connection: Connection, document_id: str, before: bytes, values: Mapping[str, Any]) -> bool:
    """Put a renewed record in place of the one that ends with the token ``before``; False where that is gone."""
    same = (records.c.document_id == document_id) & (records.c.token == before)
    return connection.execute(update(records).where(same).values(**values)).rowcount == 1


def record(connection: Connection, document_id: str) -> bytes | None:
    found: bytes | None = connection.execute(
        select(records.c.record).where(records.c.document_id == document_id)
    ).scalar()
    return found


def forget_removed(connection: Connection) -> int:
    """Remove the records of documents that are no more; gives how many."""
    kept = select(documents.c.document_id)
    return connection.execute(delete(records).where(records.c.document_id.not_in(kept))).rowcount
