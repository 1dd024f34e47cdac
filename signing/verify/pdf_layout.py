"""Where the octets of each revision are, and which numbers they refer to, without asking the objects themselves.

L1  objects that a revision's table of contents lists stand in that revision            PDF-XREF
L2  its compressed objects are in object streams that it brought itself                 PDF-XREF
L3  nothing but white space stands between its objects, its table and its end           PDF-GAP
L4  no two entries of its table name the same octets                                    PDF-XREF
"""

from __future__ import annotations

import re
from collections import Counter

from signing.verify import pdf_bytes
from signing.verify.pdf_objects import Ref, Revisions, Stream

# possessive throughout: a run of digits or of white space is taken once, however long it is
_SPACE = rb"(?:[\x00\t\n\x0c\r ]++|%[^\r\n]*+[\r\n])++"
_REFERENCE = re.compile(rb"(?<![0-9])(\d++)" + _SPACE + rb"(\d++)" + _SPACE + rb"R(?![A-Za-z])")
_END = re.compile(
    rb"[\x00\t\n\x0c\r ]*(?:endobj[\x00\t\n\x0c\r ]*)?startxref[\x00\t\n\x0c\r ]+\d+[\x00\t\n\x0c\r ]+%%EOF"
)
_WHITE = b"\x00\t\n\x0c\r "


class Layout:
    """The octets of one file by revision; each revision is read once."""

    def __init__(self, data: bytes, revisions: Revisions) -> None:
        self._data, self._revisions = data, revisions
        self._references: dict[int, Counter[Ref]] = {}
        self._referred: dict[int, frozenset[Ref]] = {}

    def end(self, revision: int) -> int:
        """The offset behind the ``%%EOF`` of a revision; behind its table where that has none."""
        at = self._revisions.end_of_table(revision)
        found = _END.match(self._data, at)
        return found.end() if found else at

    def _begin(self, revision: int) -> int:
        """Where a revision begins. The two tables of a linearised file stand in another order than they hold."""
        return max((self.end(one) for one in range(revision)), default=0)

    def objections(self, revision: int) -> set[str]:
        """L1-L4 for a revision after the first: the rules that it breaks."""
        found: set[str] = set()
        begin, end = self._begin(revision), self.end(revision)
        at = begin
        for start, stop in self._revisions.spans(revision):
            if start < at or stop > end or stop <= start:  # L1, L4
                found.add("PDF-XREF")
                continue
            if self._data[at:start].strip(_WHITE):  # L3
                found.add("PDF-GAP")
            at = stop
        if end == self._revisions.end_of_table(revision):
            found.add("PDF-GAP")
        used, brought = self._revisions.containers(revision)
        if not used <= brought:  # L2
            found.add("PDF-XREF")
        return found

    def sole_reference(self, ref: Ref, revision: int) -> bool:
        """Whether no revision up to ``revision`` refers to ``ref`` from more than one place."""
        return all(self._counted(one)[ref] <= 1 for one in range(revision + 1))

    def referred(self, revision: int) -> frozenset[Ref]:
        """All that revisions up to ``revision`` refer to, whether or not it is there."""
        if revision not in self._referred:
            earlier = self.referred(revision - 1) if revision else frozenset()
            self._referred[revision] = earlier | self._counted(revision).keys()
        return self._referred[revision]

    def _counted(self, revision: int) -> Counter[Ref]:
        if revision not in self._references:
            outside = pdf_bytes.outside_streams(self._data, self._begin(revision), self.end(revision))
            texts = [outside, *self._compressed(revision)]
            found = (Ref(int(one[1]), int(one[2])) for text in texts for one in _REFERENCE.finditer(text))
            self._references[revision] = Counter(found)
        return self._references[revision]

    def _compressed(self, revision: int) -> list[bytes]:
        """The decoded object streams of a revision."""
        return [
            self._revisions.decoded(Ref(number, 0), revision)
            for number in self._revisions.containers(revision)[0]
            if isinstance(self._revisions.get(Ref(number, 0), revision), Stream)
        ]
