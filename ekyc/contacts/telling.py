"""Telling a person what happened to what is theirs, by every contact that they ever proved.

Whoever took over a session, a phone number or a desk cannot keep the person from hearing of it: a contact that was
replaced is still told. Check: EKYC-TELLING.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import NotifierUnavailable
from ekyc.evidence.record import EvidenceKind
from ekyc.model import Enrolment
from ekyc.ports import Notice, Notifier


class Telling:
    """Composes notices to all contacts of a person."""

    def __init__(self, files: CaseFiles, notifier: Notifier) -> None:
        self._files, self._notifier = files, notifier

    def contacts(self, enrolment: Enrolment) -> tuple[tuple[str, str], ...]:
        """Channel and address of each contact that was proved, oldest first, each once. Raises OwnerDestroyed."""
        files = self._files
        with files.database.read() as connection:
            proved = [
                files.open_record(connection, enrolment, record)
                for record in store.ledger(connection, enrolment.id)
                if record.kind is EvidenceKind.CONTACT and record.outcome == "verified"
            ]
        return tuple(dict.fromkeys((one["channel"], one["address"]) for one in proved))

    def everyone(
        self,
        enrolment: Enrolment,
        template: str,
        params: Mapping[str, str] | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> tuple[Notice, ...]:
        """The notices, to be posted with what they are about. A channel that nothing delivers is left out."""
        notices = []
        for channel, address in self.contacts(enrolment):
            try:
                notices.append(
                    self._notifier.compose(
                        channel,
                        address,
                        template,
                        params or {},
                        person=enrolment.person_id,
                        language=enrolment.language,
                        expires_at=expires_at,
                    )
                )
            except NotifierUnavailable:
                continue
        return tuple(notices)

    def post(self, connection: Connection, notices: tuple[Notice, ...]) -> None:
        """In the transaction of what they are about."""
        for notice in notices:
            self._notifier.post(connection, notice)

    def tell_everyone(self, enrolment: Enrolment, template: str) -> None:
        """Compose and post, where what they are about is done already."""
        notices = self.everyone(enrolment, template)
        with self._files.database.unit_of_work() as connection:
            self.post(connection, notices)
