"""Machine-readable lines read from an image, for the person to confirm. Control: EKYC-IMAGE.

Nothing is taken over silently: the person sends the lines that they were shown, or types others. What holds by every
check digit is kept beside, so that it can be compared with what is typed: number and dates alone, for names have no
digit that would tell a misread letter.
"""

from __future__ import annotations

from dataclasses import dataclass

from ekyc import mrz
from ekyc.casefile import CaseFiles
from ekyc.documents.cross_check import said
from ekyc.documents.desk import local_day
from ekyc.documents.images import ImageDesk
from ekyc.evidence.record import EvidenceKind
from ekyc.evidence.sources import EvidenceSources
from ekyc.findings import Finding, ImageOutcome
from ekyc.imaging.letters import SIZES, LetterReader
from ekyc.model import TAKES_EVIDENCE, Enrolment
from foundation.http.actor import Actor

_GUARDED = ("document_type", "document_number", "date_of_birth", "date_of_expiry")


@dataclass(frozen=True)
class Reading:
    """Lines that were found (None: none), and whether they hold as they were read or only after a repair."""

    lines: tuple[str, ...] | None
    exact: bool
    cross_check: Finding | None
    enrolment: Enrolment


class ImageReadingDesk:
    """Reads an image that was kept."""

    def __init__(self, files: CaseFiles, sources: EvidenceSources, images: ImageDesk, letters: LetterReader) -> None:
        self._files = files
        self._sources = sources
        self._images = images
        self._letters = letters

    def read(self, actor: Actor, enrolment_id: str, image_id: str) -> Reading:
        """Look for lines. Raises ImageUnknown, LetterReaderMissing, the Image errors, TooMuchEvidence, StaleWrite."""
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *TAKES_EVIDENCE)
        image, today = self._images.open(enrolment, image_id), local_day(files.clock.now())
        found = None
        for size in SIZES:
            better = mrz.found_lines(self._letters.read(image, size), today)
            found = better if found is None or (better is not None and better[1]) else found
            if found is not None and found[1]:
                break
        if found is None:
            return Reading(None, False, None, enrolment)
        lines, exact = found
        if not exact:
            return Reading(lines, False, None, enrolment)
        says = {name: value for name, value in said(mrz.read(lines, today)).items() if name in _GUARDED}
        facts = {"image": image_id, "layout": str(says["document_type"]).partition("/")[0]}
        finding = Finding(EvidenceKind.IMAGE, ImageOutcome.READ, (), facts, {"says": says})
        compared = self._sources.compared(enrolment, image=says)
        moved = files.add(actor, enrolment, finding, *([compared] if compared else []))
        return Reading(lines, True, compared, moved)
