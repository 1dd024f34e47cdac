"""What came after a signature: allowed, or not (ISO 32000-2 §12.8.2.2; EN 319 142-1 §5.4).

Each later revision is compared with the one before it (`signing.verify.pdf_difference`), once for all signatures. Then:

    D1  nothing of what the comparison refuses                                                     PDF-...
    D2  the document modification rules of the signature allow it (DocMDP, field lock)             PDF-DOCMDP, PDF-LOCK
    D3  fields that were filled in were empty, and show exactly their value                        PDF-FORM,
                                                                                                   PDF-APPEARANCE
    D4  what became visible covers nothing that was there (`signing.verify.pdf_covering`)          PDF-COVERING
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from signing.verify.model import Reason, SubIndication, distinct, failed, indeterminate, noted
from signing.verify.pdf_appearance import Shown
from signing.verify.pdf_covering import Covering
from signing.verify.pdf_difference import CLAUSE, Comparison, Level, Step
from signing.verify.pdf_fields import Appeared, Filling
from signing.verify.pdf_layout import Layout
from signing.verify.pdf_objects import Revisions
from signing.verify.pdf_second_reader import second_reading
from signing.verify.policy import Policy


class History:
    """The revisions of one file, each compared with the one before it when it is first asked for."""

    def __init__(self, data: bytes, reader: Any) -> None:
        self.revisions = Revisions(data, reader)
        self.layout = Layout(data, self.revisions)
        self._covering = Covering(data, self.layout, self.revisions)
        self._data, self._first = data, self.revisions.count - 1
        self._steps: dict[int, Step] = {}
        self._covered: dict[int, list[str]] = {}

    def signed_in(self, revision: int) -> None:
        """A signature stands in ``revision``."""
        self._first = min(self._first, revision)

    def second_reading(self, password: bytes | None) -> tuple[Reason, ...]:
        """What a second parser says, from the first signed revision on."""
        return second_reading(self._data, self.revisions, self.layout, self._first, password)

    def step(self, revision: int) -> Step:
        if revision not in self._steps:
            try:
                found = Comparison(self.revisions, self.layout, revision).step()
            except MemoryError:
                raise
            except Exception:  # odd objects, or more than is examined
                found = Step()
                found.refuse("PDF-CHANGES")
            self._steps[revision] = found
        return self._steps[revision]

    def covered(self, revision: int) -> list[str]:
        """The fields that became visible with ``revision`` and cover something, or could (D4)."""
        if revision not in self._covered:
            self._covered[revision] = self._covering.covered(revision, self.step(revision).visible)
        return self._covered[revision]

    def places(self, revision: int) -> tuple[tuple[int, tuple[float, float, float, float]], ...]:
        """Where what came after ``revision`` and was not refused shows: page index and rectangle, in shares."""
        found = []
        for later in range(revision + 1, self.revisions.count):
            step = self.step(later)
            shown: list[Appeared | Filling] = [*step.visible, *step.filled]
            for one in shown:
                if one.rect is not None:
                    with suppress(Exception):  # a page that is not in the page tree shows nothing
                        found.append(self._covering.share_of(one.page, one.rect, later))
        return tuple(found)


def review_changes(history: History, revision: int, signature: Any, field: Any, policy: Policy) -> list[Reason]:
    """D1-D4 for everything behind ``revision``. Raises nothing but what reading the signature's own entries raises."""
    doc_mdp, field_mdp = _rules(signature, field)
    reasons: list[Reason] = []
    level = Level.NOTHING
    for later in range(revision + 1, history.revisions.count):
        step = history.step(later)
        reasons += step.problems  # D1
        level = max(level, step.level)
        if step.problems:
            continue
        if doc_mdp is not None and step.level > min(doc_mdp, Level.FORMS):  # D2
            reasons.append(failed("PDF-DOCMDP", CLAUSE, "verify_docmdp", SubIndication.FORMAT_FAILURE))
        for name in [*step.signed, *(one.field for one in step.filled)]:
            if field_mdp is not None and field_mdp.holds(name):
                reasons.append(failed("PDF-LOCK", CLAUSE, "verify_locked", SubIndication.FORMAT_FAILURE, field=name))
        for filling in step.filled:
            reasons += _filled(filling, policy)
        if not policy.later_visible_signatures:
            reasons += [
                indeterminate(
                    "PDF-COVERING", CLAUSE, "verify_later_visible", SubIndication.SIG_CONSTRAINTS_FAILURE, field=name
                )
                for name in history.covered(later)
            ]
    if not reasons and level > Level.NOTHING:
        key = "verify_later_evidence" if level is Level.EVIDENCE else "verify_later_signatures"
        reasons.append(noted("PDF-CHANGES", CLAUSE, key))
    return list(distinct(reasons))


def _filled(filling: Filling, policy: Policy) -> list[Reason]:
    """D3."""
    if filling.shown is Shown.OTHER:
        return [
            failed("PDF-APPEARANCE", CLAUSE, "verify_appearance", SubIndication.FORMAT_FAILURE, field=filling.field)
        ]
    if policy.later_form_filling or (filling.was_empty and filling.shown is Shown.VALUE):
        return [noted("PDF-FORM", CLAUSE, "verify_later_filled", field=filling.field)]
    key, sub = "verify_later_form", SubIndication.SIG_CONSTRAINTS_FAILURE
    return [indeterminate("PDF-FORM", CLAUSE, key, sub, field=filling.field)]


@dataclass(frozen=True)
class FieldLock:
    """Which fields a signature locks (ISO 32000-2 Tables 237 and 260). ``fields``: the array as it was read.

    pyHanko has the same; its signing half comes with it, an HTTP client and all, which nothing else here needs.
    """

    action: str
    fields: Any

    @classmethod
    def read(cls, entries: Any) -> FieldLock:
        """Of a lock dictionary or FieldMDP parameters. Raises KeyError or ValueError for what is neither."""
        action = str(entries["/Action"])
        if action not in ("/All", "/Include", "/Exclude"):
            raise ValueError("a field lock's action is All, Include or Exclude")
        return cls(action, () if action == "/All" else entries["/Fields"])

    def holds(self, name: str) -> bool:
        """Whether the field is locked: it or a field that it is under is named, or is not. Raises ValueError."""
        if self.action == "/All":
            return True
        # by index, which follows references; iterating does not
        named = [self.fields[place] for place in range(len(self.fields))]
        if not all(isinstance(one, str) for one in named):
            raise ValueError("a field lock names fields by text strings")
        return any(name == one or name.startswith(f"{one}.") for one in named) == (self.action == "/Include")


def _rules(signature: Any, field: Any) -> tuple[int | None, FieldLock | None]:
    """The DocMDP level and the field lock that go with a signature (ISO 32000-2 §12.8.2.2, §12.7.5.5)."""
    doc_mdp: int | None = None
    field_mdp: FieldLock | None = None
    for reference in signature.get("/Reference", ()):
        transform = reference.get_object()
        if transform.get("/TransformMethod") == "/DocMDP":
            doc_mdp = int(transform["/TransformParams"].get("/P", 2))
        elif transform.get("/TransformMethod") == "/FieldMDP":
            field_mdp = FieldLock.read(transform["/TransformParams"])
    lock = field.get("/Lock")
    if lock is not None:
        lock = lock.get_object()  # an indirect reference as a rule (Table 234), which get() does not follow
        if "/P" in lock:
            doc_mdp = min(int(lock["/P"]), 3 if doc_mdp is None else doc_mdp)
        if field_mdp is None:
            field_mdp = FieldLock.read(lock)
    return doc_mdp, field_mdp
