"""Notices to a person about their signing key, over the contact that they proved; without names of documents."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import EnrolmentUnknown
from ekyc.evidence.record import EvidenceKind
from ekyc.ports import Notifier


class KeyNoticeDesk:
    """Finds the contact and sends."""

    def __init__(self, files: CaseFiles, notifier: Notifier) -> None:
        self._files, self._notifier = files, notifier

    def tell(self, connection: Connection, person_id: str, template: str, params: Mapping[str, str]) -> None:
        """Put it into the outbox, in the caller's transaction.

        Raises EnrolmentUnknown for a person without a contact, and what the notifier and the vault raise.
        """
        enrolment = store.load_of_person(connection, person_id)
        if enrolment.erased_at is not None:
            raise EnrolmentUnknown
        contact = self._files.open(connection, enrolment, EvidenceKind.CONTACT)
        notice = self._notifier.compose(
            contact["channel"], contact["address"], template, params, person=person_id, language=enrolment.language
        )
        self._notifier.post(connection, notice)
