"""What operators see of whoever asks people to sign: reports of those who did not expect it, and stopped clients."""

from __future__ import annotations

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor
from signing.cursor import read_cursor, write_cursor
from signing.requests import store
from signing.requests.errors import RequestNotFound
from signing.requests.model import Report, Stop
from signing.requests.reports import Reports
from signing.service import MAX_PAGE


class RequestOversight:
    """Reports, stops and releases. Who reported, and what the documents are, operators do not see."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock, reports: Reports) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._reports = reports

    def reports(self, cursor: str | None = None, limit: int = 50) -> tuple[tuple[Report, ...], str | None]:
        """A page of reports, the newest first, and the cursor of the following one. CursorInvalid."""
        limit, before = max(1, min(limit, MAX_PAGE)), read_cursor(cursor)
        found = self._reports.page(before, limit + 1)
        return tuple(found[:limit]), write_cursor(found[limit - 1].sequence) if len(found) > limit else None

    def stopped(self) -> tuple[Stop, ...]:
        """The clients that may ask nobody."""
        with self._database.read() as connection:
            return tuple(store.stopped(connection))

    def stop(self, by: Actor, client_id: str) -> None:
        """Let a client ask nobody any more; what waits of it cannot be signed meanwhile. Stopped twice is stopped."""
        with self._database.unit_of_work() as connection:
            if store.stop(connection, client_id, str(by), self._clock.now()):
                self._audit.append(connection, str(by), "signing.requester_stopped", client_id, {"by": str(by)})

    def release(self, by: Actor, client_id: str) -> None:
        """Let a stopped client ask again; reports from before count no more. RequestNotFound: it is not stopped."""
        with self._database.unit_of_work() as connection:
            if not store.release(connection, client_id, self._clock.now()):
                raise RequestNotFound
            self._audit.append(connection, str(by), "signing.requester_released", client_id)
