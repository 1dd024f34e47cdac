"""Documents that were reported lost or stolen: kept as keyed indexes, so that the list tells nothing about anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from ekyc.casefile import CaseFiles
from ekyc.evidence.tables import lost_documents
from foundation.db.once import insert_once
from foundation.http.actor import Actor

ROLE = "ekyc-lost-documents"
_INDEX = "lost-document"


@dataclass(frozen=True)
class LostDocument:
    """A document by its issuing state (three letters) and number, as in the machine-readable lines."""

    issuer: str
    number: str = field(repr=False)


class LostDocuments:
    """The list, and the officers' way to change it."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def report(self, officer: Actor, documents: Sequence[LostDocument]) -> int:
        """Add documents; gives how many were new. The numbers are kept nowhere, not in the audit trail either."""
        files = self._files
        indexes = {self._index(one) for one in documents}
        with files.database.unit_of_work() as connection:
            row = {"reported_by": str(officer), "reported_at": files.clock.now()}
            added = sum(insert_once(connection, lost_documents, {"index": one, **row}) for one in sorted(indexes))
            files.audit.append(connection, str(officer), "ekyc.lost_reported", "lost-documents", {"added": added})
        return added

    def found_again(self, officer: Actor, documents: Sequence[LostDocument]) -> int:
        """Take documents off the list; gives how many were on it."""
        files = self._files
        indexes = [self._index(one) for one in documents]
        with files.database.unit_of_work() as connection:
            query = lost_documents.delete().where(lost_documents.c.index.in_(indexes))
            removed = connection.execute(query).rowcount
            files.audit.append(connection, str(officer), "ekyc.lost_found", "lost-documents", {"removed": removed})
        return removed

    def holds(self, issuer: str, number: str) -> bool:
        """Whether a document is on the list. Not for use inside a unit of work."""
        query = select(lost_documents.c.index).where(
            lost_documents.c.index == self._index(LostDocument(issuer, number))
        )
        with self._files.database.read() as connection:
            return connection.execute(query).first() is not None

    def _index(self, document: LostDocument) -> bytes:
        number = "".join(document.number.split()).upper()
        return self._files.index.of(_INDEX, document.issuer.rstrip("<").encode(), number.encode())
