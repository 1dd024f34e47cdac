"""Whether a client may ask a person at all: what it may say, whom it may ask, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.printable import is_line
from signing.errors import LevelNotAllowed, TooManyDocuments
from signing.forms import PADES, Form
from signing.model import CredentialStatus, Level
from signing.pdf_options import PdfOptions
from signing.requests import store
from signing.requests.errors import RequesterStopped, RequestInvalid, RequestNotDeliverable, RequestsTooMany
from signing.requests.model import RequestLimits
from signing.seal_policy import PHNOM_PENH
from signing.service import SigningService

LONGEST_PURPOSE, LONGEST_REFERENCE = 500, 200  # characters


@dataclass(frozen=True)
class SentDocument:
    """A document as a client sends it."""

    name: str
    data: bytes
    form: Form = PADES
    options: PdfOptions = field(default_factory=PdfOptions)


class Delivery:
    """Checks a request before anything of it is kept, and counts it."""

    def __init__(self, database: Database, signing: SigningService, limits: RequestLimits) -> None:
        self._database, self._signing, self._limits = database, signing, limits
        self._forgotten = ""

    def check(
        self,
        purpose: str,
        reference: str | None,
        sent: Sequence[SentDocument],
        level: Level | None,
        lasts: timedelta,
    ) -> None:
        if not is_line(purpose, LONGEST_PURPOSE):
            raise RequestInvalid(field="purpose")
        if reference is not None and not is_line(reference, LONGEST_REFERENCE):
            raise RequestInvalid(field="reference")
        if not self._limits.shortest <= lasts <= self._limits.longest:
            raise RequestInvalid(field="expires_in")
        if not sent:
            raise RequestInvalid(field="documents")
        config = self._signing.config
        if len(sent) > config.maximum_batch_documents:
            raise TooManyDocuments(limit=config.maximum_batch_documents)
        for one in sent:
            asked = one.form.level(level, config.default_level)
            if not asked.includes(Level.B_T):
                raise LevelNotAllowed(level=asked.value)

    def deliverable(self, client: Actor, person: str) -> None:
        with self._database.read() as connection:
            stopped = store.stop_of(connection, client.id)[0] is not None
            blocked = client.id in store.blocked_by(connection, person)
        if stopped:
            raise RequesterStopped
        mine = self._signing.credentials(Actor(ActorKind.PERSON, person))
        if blocked or not any(one.status is CredentialStatus.ACTIVE for one in mine):
            raise RequestNotDeliverable

    def forget(self, now: datetime) -> None:
        """Forget the counts of days that are over, for whoever may still be counting on the one before; once a day."""
        day = _day(now - timedelta(days=1))
        if day != self._forgotten:
            with self._database.unit_of_work() as connection:
                store.forget_counts(connection, day)
            self._forgotten = day

    def count(self, connection: Connection, client_id: str, person: str, now: datetime) -> None:
        """Use up one request. The count of the day comes first: it makes whoever asks the same person wait in turn."""
        limits, day = self._limits, _day(now)
        for who, most in (("", limits.daily_in_all), (client_id, limits.daily_of_client)):
            if not store.count_up(connection, person, who, day, most):
                raise RequestsTooMany(limit=most)
        if store.waiting(connection, person) >= limits.waiting_in_all:
            raise RequestsTooMany(limit=limits.waiting_in_all)
        if store.waiting(connection, person, client_id) >= limits.waiting_of_client:
            raise RequestsTooMany(limit=limits.waiting_of_client)


def _day(moment: datetime) -> str:
    return moment.astimezone(PHNOM_PENH).date().isoformat()
