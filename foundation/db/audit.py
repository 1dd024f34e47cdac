"""The services' audit trail: a hash chain, one row an act, written in the unit of work it belongs to.

Each row's hash covers its content and the hash before it; nothing can be changed, removed or put between without
breaking every later hash. Rows hold opaque ids and codes, never personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    func,
    select,
    update,
)

from foundation.canonical import canonical_json, digest
from foundation.clock import Clock, rfc3339
from foundation.db.engine import Database, StaleWrite
from foundation.db.rows import insert_rows
from foundation.db.types import UtcDateTime
from foundation.errors import CamTrustError

metadata = MetaData()

events = Table(
    "audit_events",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(100), nullable=False, index=True),
    Column("subject", String(200), nullable=False, index=True),
    Column("details", Text, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)

head = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)

GENESIS = bytes(32)

# Built once: every act of every service goes through them.
_HEAD_HELD = select(head).where(head.c.one == 1).with_for_update()
_HEAD_MOVED = (
    update(head)
    .where(head.c.one == 1, head.c.sequence == bindparam("before"))
    .values(sequence=bindparam("after"), hash=bindparam("value"))
)


class AuditChainBroken(CamTrustError):
    """The trail was changed: the row named is the first that does not follow."""

    code = "foundation.audit_chain_broken"


@dataclass(frozen=True)
class AuditEvent:
    """One act: who (opaque id), what (``room.verb``), on what (opaque id), and how it went."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: str
    hash: bytes


@dataclass(frozen=True)
class Act:
    """What :meth:`AuditTrail.append_many` writes: ``details`` are JSON values without personal data."""

    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


class AuditTrail:
    """Appends to the chain and checks it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def append(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one event in the caller's unit of work. ``details``: JSON values without personal data."""
        self.append_many(connection, [Act(actor, action, subject, details or {})])

    def append_many(self, connection: Connection, acts: Sequence[Act]) -> None:
        """Write several events, in their order, in the caller's unit of work: the head is held and moved once."""
        if not acts:
            return
        last = connection.execute(_HEAD_HELD).one()
        at, value, rows = self._clock.now(), last.hash, list[dict[str, Any]]()
        for sequence, act in enumerate(acts, last.sequence + 1):
            written = canonical_json(dict(act.details)).decode()
            value = _hash(value, sequence, at, act.actor, act.action, act.subject, written)
            rows.append(
                {
                    "sequence": sequence,
                    "at": at,
                    "actor": act.actor,
                    "action": act.action,
                    "subject": act.subject,
                    "details": written,
                    "hash": value,
                }
            )
        insert_rows(connection, events, rows)
        after = last.sequence + len(rows)
        moved = connection.execute(_HEAD_MOVED, {"before": last.sequence, "after": after, "value": value})
        if moved.rowcount != 1:
            raise StaleWrite

    def held(self, connection: Connection) -> tuple[int, bytes]:
        """Number and hash of the last event; nobody appends until the caller's unit of work ends."""
        last = connection.execute(_HEAD_HELD).one()
        return int(last.sequence), bytes(last.hash)

    def last_of(self, connection: Connection, action: str) -> datetime | None:
        """When this was last done."""
        found: datetime | None = connection.execute(
            select(func.max(events.c.at)).where(events.c.action == action)
        ).scalar()
        return found

    def verify(self, database: Database, seen: Callable[[int, bytes], None] | None = None) -> int:
        """Walk the chain up to its head as it is now; gives the number of events, raises AuditChainBroken.

        ``seen`` is told number and hash of each event. Services may append meanwhile: what comes after the head that
        was read is left to the next walk.
        """
        previous, count = GENESIS, 0
        with database.read() as connection:
            last = connection.execute(select(head).where(head.c.one == 1)).one()
            for event in _rows(connection, last.sequence):
                count += 1
                expected = _hash(previous, count, event.at, event.actor, event.action, event.subject, event.details)
                if event.sequence != count or event.hash != expected:
                    raise AuditChainBroken(sequence=count)
                previous = expected
                if seen is not None:
                    seen(count, expected)
        if (last.sequence, last.hash) != (count, previous):
            raise AuditChainBroken(sequence=count)
        return count


def create_head(connection: Connection) -> None:
    """Write the head of an empty chain, once, when the tables are made (by the migration)."""
    connection.execute(head.insert().values(one=1, sequence=0, hash=GENESIS))


def _rows(connection: Connection, until: int) -> Iterator[AuditEvent]:
    query = select(events).where(events.c.sequence <= until).order_by(events.c.sequence)
    with connection.execution_options(yield_per=1000).execute(query) as result:
        for row in result:
            yield AuditEvent(row.sequence, row.at, row.actor, row.action, row.subject, row.details, row.hash)


def _hash(previous: bytes, sequence: int, at: datetime, actor: str, action: str, subject: str, details: str) -> bytes:
    return digest([previous.hex(), sequence, rfc3339(at), actor, action, subject, details])
