"""Who of the enrolled is meant, when the base registry speaks of the holder of a document."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from ekyc import store
from ekyc.casefile import CaseFiles


class RegistrySubjectIndex:
    """Finds persons by the blind index over their document, as enrolment made it."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def find(self, document_number: str, date_of_birth: date) -> tuple[bytes, tuple[str, ...]]:
        """The index, and the opaque ids of whoever enrolled with it; none where nobody did, or the data was erased."""
        index = self._files.index.of("subject", document_number.encode(), date_of_birth.isoformat().encode())
        table = store.enrolments.c
        query = select(table.person_id).where(table.subject_index == index).distinct().order_by(table.person_id)
        with self._files.database.read() as connection:
            return index, tuple(connection.execute(query).scalars())
