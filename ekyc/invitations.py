"""Invitations: codes that a person hands to somebody else, good once and for a time. Kept as keyed indexes alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, ForeignKey, LargeBinary, String, Table, func, select

from ekyc import store
from foundation.db.engine import compare_and_set
from foundation.db.types import UtcDateTime


class Invitations:
    """The invitations of one purpose, in a table of their own: a code of another purpose is none of them."""

    def __init__(self, table: str) -> None:
        self._table = Table(
            table,
            store.metadata,
            Column("index", LargeBinary(32), primary_key=True),  # keyed index of the code, which is kept nowhere
            Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), nullable=False, index=True),
            Column("expires_at", UtcDateTime, nullable=False),
            Column("used_at", UtcDateTime, nullable=True),
        )

    def add(self, connection: Connection, index: bytes, enrolment_id: str, expires_at: datetime) -> None:
        """One more invitation."""
        values = {"index": index, "enrolment_id": enrolment_id, "expires_at": expires_at}
        connection.execute(self._table.insert().values(**values))

    def forget(self, connection: Connection, enrolment_id: str) -> None:
        """Those that an enrolment made are good no more."""
        connection.execute(self._table.delete().where(self._table.c.enrolment_id == enrolment_id))

    def made_by(self, connection: Connection, enrolment_id: str) -> int:
        """How many an enrolment made."""
        mine = self._table.c.enrolment_id == enrolment_id
        return int(connection.execute(select(func.count()).select_from(self._table).where(mine)).scalar_one())

    def enrolment_of(self, connection: Connection, index: bytes, now: datetime) -> str | None:
        """The enrolment of an invitation that is good."""
        columns = self._table.c
        good = (columns.index == index) & columns.used_at.is_(None) & (columns.expires_at > now)
        found = connection.execute(select(columns.enrolment_id).where(good)).scalar()
        return None if found is None else str(found)

    def use(self, connection: Connection, index: bytes, now: datetime) -> None:
        """Good once. Raises StaleWrite where it was used meanwhile."""
        unused = (self._table.c.index == index) & self._table.c.used_at.is_(None)
        compare_and_set(connection, self._table, unused, {"used_at": now})
