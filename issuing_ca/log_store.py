"""The issuance log's repository, the same on SQLite and PostgreSQL.

``ca_log_entries`` is outbox and log in one: a row without a position waits to be sequenced. Positions, tiles and the
head are written by whoever holds the head's row, and never change afterwards but by growing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select, update

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.once import insert_once
from foundation.db.rows import insert_rows
from foundation.log_proof import EntryKind, Opening
from foundation.merkle import EMPTY_ROOT, TILE_WIDTH, TileReader
from issuing_ca.tables import log_entries, log_head, log_tiles


@dataclass(frozen=True)
class Head:
    """How far the log goes (``size``, ``root``), and the newest checkpoint with how far that one goes."""

    size: int
    root: bytes
    checkpoint: bytes | None
    checkpoint_size: int


@dataclass(frozen=True)
class LogEntry:
    """An entry with its opening; ``position`` is None while it waits."""

    position: int | None
    entry: bytes
    opening: Opening


def head(connection: Connection, *, lock: bool = False) -> Head:
    """The head of the log; with ``lock`` it is held to the end of the unit of work. The first one is made here."""
    query = select(log_head).where(log_head.c.one == 1)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None and lock:
        insert_once(connection, log_head, {"one": 1, "size": 0, "root": EMPTY_ROOT, "checkpoint_size": 0})
        row = connection.execute(query.with_for_update()).one()
    if row is None:
        return Head(0, EMPTY_ROOT, None, 0)
    return Head(row.size, row.root, row.checkpoint, row.checkpoint_size)


def add_entries(connection: Connection, openings: Sequence[Opening]) -> None:
    """Entries that wait for their positions. Nothing is locked, so that issuing does not queue up here."""
    rows = [
        {
            "kind": opening.kind.value,
            "digest": opening.digest,
            "label": opening.label,
            "at": opening.at,
            "blinding": opening.blinding,
            "entry": opening.commitment,
        }
        for opening in openings
    ]
    insert_rows(connection, log_entries, rows)


def waiting(connection: Connection, limit: int) -> tuple[LogEntry, ...]:
    """The entries that wait, oldest first; among equals the order says nothing (commitments are random)."""
    query = select(log_entries).where(log_entries.c.position.is_(None))
    rows = connection.execute(query.order_by(log_entries.c.at, log_entries.c.entry).limit(limit))
    return tuple(_entry(row) for row in rows)


def is_waiting(connection: Connection) -> bool:
    """Whether any entry waits."""
    query = select(log_entries.c.kind).where(log_entries.c.position.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def place(connection: Connection, entries: Sequence[LogEntry], first: int) -> None:
    """Give waiting entries the positions from ``first`` on. Raises StaleWrite where one of them waits no more.

    That no two have the same position is the database's to keep.
    """
    statement = (
        update(log_entries)
        .where(log_entries.c.entry == bindparam("which"), log_entries.c.position.is_(None))
        .values(position=bindparam("there"))
    )
    connection.execute(statement, [{"which": one.entry, "there": first + at} for at, one in enumerate(entries)])
    placed = select(func.count()).select_from(log_entries).where(log_entries.c.position >= first)
    if connection.execute(placed).scalar_one() != len(entries):
        raise StaleWrite


def put_tiles(connection: Connection, tiles: Mapping[tuple[int, int], bytes]) -> None:
    """Write tiles that are new or have grown."""
    for (level, number), hashes in tiles.items():
        values = {"level": level, "number": number, "hashes": hashes}
        if not insert_once(connection, log_tiles, values):
            where = and_(log_tiles.c.level == level, log_tiles.c.number == number)
            compare_and_set(connection, log_tiles, where, {"hashes": hashes})


def tile(connection: Connection, level: int, number: int) -> bytes:
    """The hashes of a tile as far as it has grown; nothing where there is none."""
    where = and_(log_tiles.c.level == level, log_tiles.c.number == number)
    hashes: bytes | None = connection.execute(select(log_tiles.c.hashes).where(where)).scalar_one_or_none()
    return bytes(hashes or b"")


def tile_reader(connection: Connection) -> TileReader:
    """Tiles for `foundation.merkle`, each read once."""
    known: dict[tuple[int, int], bytes] = {}

    def read(level: int, number: int) -> bytes:
        if (level, number) not in known:
            known[level, number] = tile(connection, level, number)
        return known[level, number]

    return read


def grow(connection: Connection, before: Head, size: int, root: bytes) -> None:
    """Move the head on, by compare-and-set. Raises StaleWrite."""
    where = and_(log_head.c.one == 1, log_head.c.size == before.size)
    compare_and_set(connection, log_head, where, {"size": size, "root": root})


def publish(connection: Connection, checkpoint: bytes, size: int) -> None:
    """Put a checkpoint of a larger tree (or the first) in place of the last. Raises StaleWrite: another is as new."""
    older = or_(log_head.c.checkpoint.is_(None), log_head.c.checkpoint_size < size)
    values = {"checkpoint": checkpoint, "checkpoint_size": size}
    compare_and_set(connection, log_head, and_(log_head.c.one == 1, older), values)


def replace_checkpoint(connection: Connection, before: bytes, after: bytes) -> None:
    """The same checkpoint with more signatures. Raises StaleWrite."""
    where = and_(log_head.c.one == 1, log_head.c.checkpoint == before)
    compare_and_set(connection, log_head, where, {"checkpoint": after})


def entry_of(connection: Connection, digest: bytes, kind: EntryKind | None = None) -> LogEntry | None:
    """The entry about these octets (SHA-256)."""
    kinds = [one.value for one in (EntryKind if kind is None else (kind,))]  # the key begins with the kind
    query = select(log_entries).where(log_entries.c.kind.in_(kinds), log_entries.c.digest == digest)
    row = connection.execute(query.limit(1)).one_or_none()
    return _entry(row) if row is not None else None


def openings_of(connection: Connection, kind: EntryKind) -> tuple[Opening, ...]:
    """Every opening of a kind of which there are few."""
    query = select(log_entries).where(log_entries.c.kind == kind.value)
    return tuple(_entry(row).opening for row in connection.execute(query))


def digests_of(connection: Connection, label: bytes) -> tuple[bytes, ...]:
    """What is recorded under a label."""
    query = select(log_entries.c.digest).where(log_entries.c.label == label)
    return tuple(bytes(value) for value in connection.execute(query).scalars())


def bundle(connection: Connection, first: int, count: int) -> tuple[bytes, ...]:
    """Entries from a position on, as they are published."""
    where = and_(log_entries.c.position >= first, log_entries.c.position < first + count)
    query = select(log_entries.c.entry).where(where).order_by(log_entries.c.position)
    return tuple(bytes(value) for value in connection.execute(query).scalars())


def chunks(connection: Connection, size: int) -> Iterator[tuple[LogEntry, ...]]:
    """The first ``size`` entries in the order of the log, a tile's width at a time."""
    for first in range(0, size, TILE_WIDTH):
        where = and_(log_entries.c.position >= first, log_entries.c.position < min(first + TILE_WIDTH, size))
        query = select(log_entries).where(where).order_by(log_entries.c.position)
        yield tuple(_entry(row) for row in connection.execute(query))


def _entry(row: Row[Any]) -> LogEntry:
    opening = Opening(EntryKind(row.kind), bytes(row.digest), bytes(row.label), row.at, bytes(row.blinding))
    return LogEntry(row.position, bytes(row.entry), opening)
