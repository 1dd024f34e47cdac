"""What the sources in an enrolment say by now, and how they compare: document, chip, lines read from an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ekyc.casefile import CaseFiles
from ekyc.chip import ChipOutcome
from ekyc.documents.cross_check import Said, cross_check
from ekyc.evidence.record import Evidence, EvidenceKind
from ekyc.findings import Finding, ImageOutcome
from ekyc.model import Enrolment

# The record of each source that counts: the last of its kind, if it has one of these outcomes.
_SOURCES: Mapping[str, tuple[EvidenceKind, frozenset[str]]] = {
    "document": (EvidenceKind.DOCUMENT, frozenset({"valid"})),
    "chip": (EvidenceKind.CHIP, frozenset({ChipOutcome.AUTHENTIC.value, ChipOutcome.WEAK.value})),
    "image": (EvidenceKind.IMAGE, frozenset({ImageOutcome.READ.value})),
}


class EvidenceSources:
    """Reads the ledger's sealed contents to compare them."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def compared(self, enrolment: Enrolment, **new: Said | None) -> Finding | None:
        """The cross-check of what is known, ``new`` sources (by name) in the place of those recorded before.

        None where there is nothing to compare. Not for use inside a unit of work.
        """
        ledger = self._files.ledger(enrolment)
        sources = {name: content for name, content in new.items() if content is not None}
        with self._files.database.read() as connection:
            for name, (kind, outcomes) in _SOURCES.items():
                record = _counting(ledger, kind, outcomes)
                if name not in new and record is not None:
                    content = self._files.open_record(connection, enrolment, record)
                    sources[name] = content.get("says", content)
        return cross_check(sources)


def _counting(ledger: Sequence[Evidence], kind: EvidenceKind, outcomes: frozenset[str]) -> Evidence | None:
    """The last record of a kind; of images the last that was read, for others came between."""
    of_kind = [
        one for one in ledger if one.kind is kind and (kind is not EvidenceKind.IMAGE or one.outcome in outcomes)
    ]
    return of_kind[-1] if of_kind and of_kind[-1].outcome in outcomes else None
