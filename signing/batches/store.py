"""The tables of batches. What is in the documents is in the blobs, sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.rows import insert_rows
from foundation.db.types import UtcDateTime
from signing.batches.model import Batch, BatchState, Item, ItemState
from signing.forms import Form
from signing.model import Level
from signing.store import metadata

batches = Table(
    "signing_batches",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("batch_id", String(64), nullable=False, unique=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("credential_id", String(64), nullable=False),
    Column("form", String(30), nullable=False),
    Column("level", String(10), nullable=False),
    Column("options", LargeBinary),  # sealed: names of fields are written by people
    Column("state", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("kept_until", UtcDateTime, nullable=False, index=True),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    sqlite_autoincrement=True,
)

items = Table(
    "signing_batch_documents",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    Column("document_id", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("blob", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("state", String(20), nullable=False),
    Column("refusal", String(100)),
    Column("told", Text),  # JSON: what fills the sentence
    Column("sealed_sha256", LargeBinary(32)),
    Column("settled_at", UtcDateTime),
    Index("signing_batch_documents_number", "batch_id", "number", unique=True),
    Index("signing_batch_documents_state", "batch_id", "state", "number"),
)


# --- batches ------------------------------------------------------------------------------------------------------


def insert_batch(connection: Connection, batch: Batch) -> None:
    connection.execute(
        batches.insert().values(
            batch_id=batch.batch_id,
            owner=batch.owner,
            credential_id=batch.credential_id,
            form=str(batch.form),
            level=batch.level.value,
            options=batch.options,
            state=batch.state.value,
            created_at=batch.created_at,
            kept_until=batch.kept_until,
        )
    )


def batch_of_owner(connection: Connection, owner: str, batch_id: str) -> Batch | None:
    """One batch, of this owner; another's is as absent as one that never was."""
    return _one(connection, (batches.c.owner == owner) & (batches.c.batch_id == batch_id))


def batch(connection: Connection, batch_id: str) -> Batch | None:
    """One batch, for the service's own work."""
    return _one(connection, batches.c.batch_id == batch_id)


def hold(connection: Connection, batch_id: str) -> None:
    """Nobody else changes this batch until the transaction ends (SQLite has one writer anyway)."""
    connection.execute(select(batches.c.state).where(batches.c.batch_id == batch_id).with_for_update())


def batches_of_owner(connection: Connection, owner: str, before: int | None, limit: int) -> tuple[Batch, ...]:
    """A page of an owner's batches, the newest first."""
    query = select(batches).where(batches.c.owner == owner).order_by(batches.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(batches.c.sequence < before)
    return tuple(_batch(row) for row in connection.execute(query))


def count_under_way(connection: Connection, owner: str) -> int:
    alive = batches.c.state.in_([state.value for state in BatchState if not state.over])
    return connection.execute(select(func.count()).where(batches.c.owner == owner, alive)).scalar_one()


def under_way(connection: Connection, owner: str) -> tuple[Batch, ...]:
    """An owner's batches that are not over."""
    alive = batches.c.state.in_([state.value for state in BatchState if not state.over])
    return tuple(_batch(row) for row in connection.execute(select(batches).where(batches.c.owner == owner, alive)))


def move(connection: Connection, batch: Batch, state: BatchState, **values: Any) -> bool:
    """Move a batch that still is in the state it was read in; False when it is not."""
    same = (batches.c.batch_id == batch.batch_id) & (batches.c.state == batch.state.value)
    try:
        compare_and_set(connection, batches, same, {"state": state.value, **values})
    except StaleWrite:
        return False
    return True


def kept_no_longer(connection: Connection, now: datetime, limit: int) -> tuple[Batch, ...]:
    """Batches whose time has come, but for those that are worked on."""
    past = (batches.c.kept_until <= now) & (batches.c.state != BatchState.RUNNING.value)
    return tuple(_batch(row) for row in connection.execute(select(batches).where(past).limit(limit)))


def remove_batch(connection: Connection, batch_id: str) -> None:
    connection.execute(delete(items).where(items.c.batch_id == batch_id))
    connection.execute(delete(batches).where(batches.c.batch_id == batch_id))


# --- documents ----------------------------------------------------------------------------------------------------


def add_items(connection: Connection, added: Sequence[Item]) -> None:
    rows = [
        {
            "batch_id": one.batch_id,
            "document_id": one.document_id,
            "number": one.number,
            "blob": one.blob,
            "size": one.size,
            "sha256": one.sha256,
            "state": one.state.value,
        }
        for one in added
    ]
    insert_rows(connection, items, rows)


def item(connection: Connection, batch_id: str, document_id: str) -> Item | None:
    row = connection.execute(
        select(items).where(items.c.batch_id == batch_id, items.c.document_id == document_id)
    ).one_or_none()
    return _item(row) if row else None


def known(connection: Connection, batch_id: str, document_ids: Sequence[str]) -> dict[str, bytes]:
    """The hashes of those documents that the batch has already."""
    columns = select(items.c.document_id, items.c.sha256)
    rows = connection.execute(columns.where(items.c.batch_id == batch_id, items.c.document_id.in_(document_ids)))
    return {row.document_id: row.sha256 for row in rows}


def next_number_and_octets(connection: Connection, batch_id: str) -> tuple[int, int]:
    """The number that the next document gets, and the octets of all that there are."""
    query = select(func.coalesce(func.max(items.c.number) + 1, 0), func.coalesce(func.sum(items.c.size), 0))
    row = connection.execute(query.where(items.c.batch_id == batch_id)).one()
    return int(row[0]), int(row[1])


def items_of(
    connection: Connection,
    batch_id: str,
    after: int,
    limit: int,
    states: Sequence[ItemState] = tuple(ItemState),
) -> tuple[Item, ...]:
    """Documents in the order they came, from the one after ``after`` on."""
    here = (items.c.batch_id == batch_id) & (items.c.number > after)
    if len(states) < len(ItemState):
        here &= items.c.state.in_([one.value for one in states])
    return tuple(
        _item(row) for row in connection.execute(select(items).where(here).order_by(items.c.number).limit(limit))
    )


def settle(connection: Connection, one: Item, state: ItemState, **values: Any) -> bool:
    """Move a document that still is in the state it was read in; False when it is not."""
    same = (items.c.batch_id == one.batch_id) & (items.c.document_id == one.document_id)
    try:
        compare_and_set(connection, items, same & (items.c.state == one.state.value), {"state": state.value, **values})
    except StaleWrite:
        return False
    return True


def counted(connection: Connection, batch_id: str) -> dict[ItemState, tuple[int, int]]:
    """How many documents there are in each state, and their octets."""
    query = select(items.c.state, func.count(), func.sum(items.c.size)).where(items.c.batch_id == batch_id)
    rows = connection.execute(query.group_by(items.c.state))
    return {ItemState(state): (number, int(octets)) for state, number, octets in rows}


def settled_since(connection: Connection, batch_id: str, since: datetime) -> int:
    query = select(func.count()).where(items.c.batch_id == batch_id, items.c.settled_at >= since)
    return connection.execute(query).scalar_one()


def _one(connection: Connection, here: ColumnElement[bool]) -> Batch | None:
    row = connection.execute(select(batches).where(here)).one_or_none()
    return _batch(row) if row else None


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        sequence=row.sequence,
        batch_id=row.batch_id,
        owner=row.owner,
        credential_id=row.credential_id,
        form=Form.parse(row.form),
        level=Level(row.level),
        options=row.options,
        state=BatchState(row.state),
        created_at=row.created_at,
        kept_until=row.kept_until,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _item(row: Row[Any]) -> Item:
    return Item(
        batch_id=row.batch_id,
        document_id=row.document_id,
        number=row.number,
        blob=row.blob,
        size=row.size,
        sha256=row.sha256,
        state=ItemState(row.state),
        refusal=row.refusal,
        told=row.told,
        sealed_sha256=row.sealed_sha256,
        settled_at=row.settled_at,
    )
