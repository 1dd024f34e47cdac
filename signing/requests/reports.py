"""Reports of people who did not expect to be asked, and what too many of them do: the client is stopped.

Whatever asks a person to sign is reported here: a signing request, a prompt of the CSC API, an authorisation page. On
that page nobody has said yet who they are: such a report is shown to operators and counts for nothing, else whoever
opens a client's page a few times could stop it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, Integer, Row, String, Table, func, select

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.types import UtcDateTime
from signing.requests import store
from signing.requests.errors import RequestersStopped
from signing.requests.model import Report, ReportKind
from signing.store import metadata

_log = logging.getLogger(__name__)

THAT_STOP = 3
"""So many people who did not expect what a client asks stop it."""
BY_REPORTS = "reports"

reports = Table(
    "signing_reports",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(20), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("client_id", String(200), nullable=False, index=True),
    Column("person", String(200)),  # None: it is not known who reported it
    Column("asked_at", UtcDateTime, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)


class Reports:
    """Takes reports, and stops whom too many people report."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock, that_stop: int = THAT_STOP) -> None:
        self._database, self._audit, self._clock, self._that_stop = database, audit, clock, that_stop

    def add(
        self,
        connection: Connection,
        kind: ReportKind,
        subject: str,
        client_id: str,
        person: str | None,
        asked_at: datetime,
    ) -> None:
        """Take a report in the caller's transaction; when it stands, :meth:`judge` the client."""
        values = {"kind": kind.value, "subject": subject, "client_id": client_id, "person": person}
        connection.execute(reports.insert().values(**values, asked_at=asked_at, reported_at=self._clock.now()))

    def judge(self, client_id: str) -> None:
        """Stop a client that too many people have reported: it can ask nobody until an operator releases it."""
        with self._database.unit_of_work() as connection:
            stopped, released = store.stop_of(connection, client_id)
            if stopped is not None or _reporters(connection, client_id, released) < self._that_stop:
                return
            if store.stop(connection, client_id, BY_REPORTS, self._clock.now()):
                self._audit.append(connection, "signing", "signing.requester_stopped", client_id, {"by": BY_REPORTS})
                _log.warning("client %s asks nobody to sign any more: too many people did not expect it", client_id)

    def stopped(self, client_id: str) -> bool:
        """Whether a client may ask nobody."""
        with self._database.read() as connection:
            return store.stop_of(connection, client_id)[0] is not None

    def require_none_stopped(self) -> None:
        """RequestersStopped while people's reports have stopped a client and no operator has looked: for readiness."""
        with self._database.read() as connection:
            found = [one.client_id for one in store.stopped(connection) if one.by == BY_REPORTS]
        if found:
            raise RequestersStopped(clients=", ".join(found[:5]), count=len(found))

    def page(self, before: int | None, limit: int) -> Sequence[Report]:
        """A page of reports, the newest first."""
        query = select(reports).order_by(reports.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(reports.c.sequence < before)
        with self._database.read() as connection:
            return [_report(row) for row in connection.execute(query)]


def _reporters(connection: Connection, client_id: str, since: datetime | None) -> int:
    """How many people reported what a client asks since it was released last."""
    query = select(func.count(func.distinct(reports.c.person))).where(reports.c.client_id == client_id)
    if since is not None:
        query = query.where(reports.c.reported_at > since)
    return connection.execute(query).scalar_one()


def _report(row: Row[tuple[object, ...]]) -> Report:
    return Report(row.subject, row.client_id, row.asked_at, row.reported_at, ReportKind(row.kind), row.sequence)
