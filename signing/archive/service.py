"""Each night every signed document that is kept gets evidence, and what ends soon is renewed: one timestamp for many.

AR-RECORD   a document that was signed since gets an evidence record over the signed file: whatever its format and
            level, one timestamp is shared by a thousand
AR-RENEW    a record whose last timestamp is by a unit whose certificate ends within `RENEW_BEFORE` gets one more
            over that one: one timestamp for all that share it
AR-ALONE    what cannot be read (its owner left, its file is lost) is counted, and holds up nothing else
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.job_requests import request_job
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor
from signing import store as documents
from signing.archive import store
from signing.archive.errors import EvidenceNotFound
from signing.custody import Custody
from signing.errors import DocumentNotFound
from signing.evidence_record import HASH, EvidenceRecord
from signing.seal_policy import PHNOM_PENH
from signing.sign.extend import Extender
from signing.verify.cms import read_message

JOB = "signing.archive"
"""The kind of job that does a night's work; its subject is the night, as a date."""

RENEW_BEFORE = timedelta(days=60)
_FROM_HOUR = 1  # of Cambodia's clock
_AT_ONCE = 1000
_TOKENS = 100
_log = logging.getLogger(__name__)


class Archive:
    """The evidence of the documents that are kept."""

    def __init__(
        self, database: Database, audit: AuditTrail, clock: Clock, custody: Custody, extender: Extender
    ) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._custody, self._extender = custody, extender

    def ask(self) -> bool:
        """Have the night's work done, once a night; called by the upkeep at any time. Whether it was asked for now."""
        now = self._clock.now()
        here = now.astimezone(PHNOM_PENH)
        if here.hour < _FROM_HOUR:
            return False
        night = here.date().isoformat()
        with self._database.read() as connection:
            if store.night(connection, night) is not None:
                return False
        with self._database.unit_of_work() as connection:
            if not store.open_night(connection, night, now):
                return False
            return request_job(connection, JOB, night, now)

    def run(self, night: str, ending: Callable[[], bool]) -> datetime | None:
        """The job. Gives when to go on, None when the night's work is done. Raises TimestampUnavailable, ….

        It can be cut off anywhere: what is done is in the tables, and what is not is found again.
        """
        with self._database.read() as connection:
            asked = store.night(connection, night)
        if asked is None or asked.finished_at is not None:
            return None
        if not (self._record(night, ending) and self._renew(night, asked.asked_at, ending)):
            return self._clock.now()
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            gone = store.forget_removed(connection)
            store.close_night(connection, night, now)
            told = store.night(connection, night)
            assert told is not None  # noqa: S101 - it was there above, and nothing removes one
            details = {"recorded": told.recorded, "renewed": told.renewed, "unreadable": told.unreadable, "gone": gone}
            self._audit.append(connection, "service:signing", "signing.archive_renewed", night, details)
        return None

    def evidence(self, actor: Actor, document_id: str) -> bytes:
        """The evidence record (DER) of one of the actor's documents, about its signed file.

        Raises DocumentNotFound, EvidenceNotFound.
        """
        with self._database.read() as connection:
            if documents.document_of_owner(connection, actor.id, document_id) is None:
                raise DocumentNotFound
            found = store.record(connection, document_id)
        if found is None:
            raise EvidenceNotFound
        return found

    # --------------------------------------------------------------------------------------------------------------

    def _record(self, night: str, ending: Callable[[], bool]) -> bool:
        """AR-RECORD; False when it was told to stop."""
        after = 0
        while True:
            with self._database.read() as connection:
                page = store.without_record(connection, after, _AT_ONCE)
            if not page:
                return True
            digests, unreadable = dict[str, bytes](), 0
            for _, document_id, owner in page:
                digest = self._digest(owner, document_id)
                if digest is None:
                    unreadable += 1
                else:
                    digests[document_id] = digest
            made = self._extender.record_digests(list(digests.values())) if digests else []
            rows = [
                {"document_id": document_id, **_columns(record), "renewed_at": self._clock.now()}
                for document_id, record in zip(digests, made, strict=True)
            ]
            with self._database.unit_of_work() as connection:
                added = store.add_records(connection, rows)
                store.count(connection, night, recorded=added, unreadable=unreadable)
            after = page[-1][0]
            if ending():
                return False

    def _renew(self, night: str, since: datetime, ending: Callable[[], bool]) -> bool:
        """AR-RENEW; False when it was told to stop. What was renewed this night is not renewed again in it."""
        while True:
            soon = self._clock.now() + RENEW_BEFORE
            with self._database.read() as connection:
                tokens = store.tokens_that_end(connection, soon, since, _TOKENS)
            if not tokens:
                return True
            for token in tokens:
                with self._database.read() as connection:
                    found = store.records_of_token(connection, token, _AT_ONCE)
                self._renew_together(night, token, found)
                if ending():
                    return False

    def _renew_together(self, night: str, token: bytes, found: Sequence[tuple[str, bytes]]) -> None:
        made = self._extender.renew_records([record for _, record in found])
        with self._database.unit_of_work() as connection:
            done = 0
            for (document_id, _), record in zip(found, made, strict=True):
                values = {**_columns(record), "renewed_at": self._clock.now()}
                done += store.replace_record(connection, document_id, token, values)
            store.count(connection, night, renewed=done)

    def _digest(self, owner: str, document_id: str) -> bytes | None:
        with self._database.read() as connection:
            found = documents.document_of_owner(connection, owner, document_id)
        if found is None:
            return None
        try:
            return hashlib.new(HASH, self._custody.signed(found[0])).digest()
        except CamTrustError as error:
            if error.kind in (Kind.UNAVAILABLE, Kind.THROTTLED):
                raise
            _log.warning("archive: a signed document cannot be read: %s", error.code)
            return None


def _columns(record: bytes) -> dict[str, object]:
    """What the table says about a record: its last timestamp, and when that ends."""
    token = EvidenceRecord.parse(record).chain[-1].token
    unit = read_message(token).candidates[0]
    return {"record": record, "token": hashlib.sha256(token).digest(), "ends_at": unit.not_valid_after_utc}
