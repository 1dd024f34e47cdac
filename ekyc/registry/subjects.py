"""When the base registry speaks of the holder of a document: who is meant, and what follows for their enrolment.

A death closes the way: approved enrolments are suspended for good, others rejected. A lost card is put on the list of
lost documents, and whoever is enrolled with it is suspended until two officers bring them back. What becomes of the
certificates is the CA's to do. Check: EKYC-REGISTRY.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.documents.lost import LostDocument, LostDocuments
from ekyc.evidence.record import EvidenceKind
from ekyc.model import CERTIFYING, CLOSED, TRANSITIONS, Enrolment, State
from foundation.http.actor import Actor

_REASONS = {"deceased": "reason_person_deceased", "card-lost": "reason_document_reported_lost"}


class RegistrySubjectIndex:
    """Finds persons by the blind index over their document, as enrolment made it, and follows what is told of them."""

    def __init__(self, files: CaseFiles, lost: LostDocuments) -> None:
        self._files = files
        self._lost = lost

    def find(self, document_number: str, date_of_birth: date) -> tuple[bytes, tuple[str, ...]]:
        """The index, and the opaque ids of whoever enrolled with it; none where nobody did, or the data was erased."""
        index = self._files.index.of("subject", document_number.encode(), date_of_birth.isoformat().encode())
        table = store.enrolments.c
        query = select(table.person_id).where(table.subject_index == index).distinct().order_by(table.person_id)
        with self._files.database.read() as connection:
            return index, tuple(connection.execute(query).scalars())

    def follow(self, actor: Actor, event_id: str, kind: str, document_number: str, persons: tuple[str, ...]) -> None:
        """What a ``death`` or a ``card-lost`` means for the enrolments of these persons. Once more changes nothing."""
        outcome, otherwise = ("deceased", State.REJECTED) if kind == "death" else ("card-lost", State.NEEDS_INPUT)
        if outcome == "card-lost":
            self._lost.report(actor, [LostDocument("KHM", document_number)])
        for person in persons:
            self._follow(person, outcome, event_id, otherwise)

    def _follow(self, person: str, outcome: str, event_id: str, otherwise: State) -> None:
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load_of_person(connection, person)
        to = State.SUSPENDED if enrolment.state in (*CERTIFYING, State.SUSPENDED) else otherwise
        if enrolment.state in CLOSED or enrolment.erased_at is not None or not self._changes(enrolment, to, outcome):
            return
        sealed = files.seal(enrolment, EvidenceKind.REGISTRY, {"event": event_id})
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.REGISTRY, outcome, sealed, "service:ekyc")
            if enrolment.state is to:
                moved = store.change(connection, enrolment, {"reason": _REASONS[outcome]})
                files.audit.append(connection, "service:ekyc", "ekyc.reason_changed", moved.id, {"reason": outcome})
            else:
                files.advance(connection, enrolment, to, "service:ekyc", reason=_REASONS[outcome])

    def _changes(self, enrolment: Enrolment, to: State, outcome: str) -> bool:
        if enrolment.state is to:  # suspended already: a death is a reason that there is no way back from
            return outcome == "deceased" and enrolment.reason != _REASONS[outcome]
        return to in TRANSITIONS[enrolment.state]
