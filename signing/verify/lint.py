"""Before signing: what a document hides, or has prepared for later (the other side of `signing.verify.pdf_difference`).

Nothing here refuses a document. The signer is told, and decides.

    PRE-SCRIPT       an action or script that may run by itself
    PRE-LAYER        optional content
    PRE-ATTACHMENT   files inside
    PRE-UNUSED       pages, content or pictures that nothing shows now
    PRE-DANGLING     references to objects that are not there
    PRE-COVERING     an empty signature field over something that shows
    PRE-READERS      two parsers read it differently
    PRE-LIMIT        it could not be looked through
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

from signing.verify.model import Indication, Reason, distinct, noted
from signing.verify.pdf_covering import Covering
from signing.verify.pdf_fields import read_fields, rectangle
from signing.verify.pdf_layout import Layout
from signing.verify.pdf_objects import Ref, Revisions, Stream, TooComplex, entries_of
from signing.verify.pdf_second_reader import second_reading

_CLAUSE = "ISO 32000-2 §12.8"
_MAX_OBJECTS = 20_000
_RUNS = {"/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/Rendition", "/RichMediaExecute"}
_FILES = {"/EmbeddedFiles", "/EF", "/AF"}
_SHOWS = {"/Page", "/XObject", "/Annot", "/Filespec", "/EmbeddedFile"}


def lint_document(data: bytes, password: bytes | None = None) -> tuple[Reason, ...]:
    """What the signer should know of, as notes; nothing for a document that is what it shows. Raises nothing."""
    try:
        return distinct(_findings(data, password))
    except Exception:  # what cannot be read is refused by whoever is asked to sign it
        return (_note("PRE-LIMIT", "lint_limit"),)


def _note(rule: str, key: str, **params: str) -> Reason:
    return noted(rule, _CLAUSE, key, **params)


def _findings(data: bytes, password: bytes | None) -> list[Reason]:
    from pyhanko.pdf_utils.reader import PdfFileReader

    reader: Any = PdfFileReader(BytesIO(data), strict=True)
    if reader.encrypted:
        reader.decrypt(password or b"")
    revisions = Revisions(data, reader)
    layout, last = Layout(data, revisions), revisions.count - 1
    walk = _Walk(revisions, last)
    found = walk.findings()
    found += _covering(revisions, Covering(data, layout, revisions), last)
    if any(
        one.indication is Indication.TOTAL_FAILED for one in second_reading(data, revisions, layout, last, password)
    ):
        found.append(_note("PRE-READERS", "lint_readers"))
    return found


class _Walk:
    """Everything that the trailer leads to, and what it does not lead to."""

    def __init__(self, revisions: Revisions, last: int) -> None:
        self._revisions, self._last = revisions, last
        self._seen: set[Ref] = set()
        self._found: list[Reason] = []

    def findings(self) -> list[Reason]:
        self._follow(self._revisions.trailer(self._last))
        every = set().union(*(self._revisions.changed(one) for one in range(self._last + 1)))
        for ref in every - self._seen:
            value = self._revisions.get(ref, self._last) if self._revisions.exists(ref, self._last) else None
            if entries_of(value).get("/Type") not in ("/XRef", "/ObjStm") and _shows(value):
                self._found.append(_note("PRE-UNUSED", "lint_unused"))
        return self._found

    def _follow(self, root: Any) -> None:
        waiting = [root]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Ref):
                if value in self._seen:
                    continue
                self._seen.add(value)
                if len(self._seen) > _MAX_OBJECTS:
                    raise TooComplex
                if not self._revisions.exists(value, self._last):
                    self._found.append(_note("PRE-DANGLING", "lint_dangling"))
                    continue
                value = self._revisions.get(value, self._last)
            if isinstance(value, tuple):
                waiting.extend(value)
            entries = entries_of(value)
            self._look(entries)
            waiting.extend(entries.values())

    def _look(self, entries: Mapping[str, Any]) -> None:
        opened = entries.get("/OpenAction")
        runs = "/JS" in entries or "/AA" in entries or entries.get("/S") in _RUNS
        if runs or isinstance(self._revisions.resolve(opened, self._last), dict):  # a destination only shows a page
            self._found.append(_note("PRE-SCRIPT", "lint_script"))
        if "/OC" in entries or "/OCProperties" in entries:
            self._found.append(_note("PRE-LAYER", "lint_layer"))
        if _FILES & entries.keys():
            self._found.append(_note("PRE-ATTACHMENT", "lint_attachment"))


def _shows(value: Any) -> bool:
    """Whether an object that nothing leads to could be shown by an update that leads to it."""
    entries = entries_of(value)
    if isinstance(entries.get("/S"), int):
        return False  # the hints of a linearised file (Annex F)
    return isinstance(value, Stream) or entries.get("/Type") in _SHOWS or "/FT" in entries


def _covering(revisions: Revisions, covering: Covering, last: int) -> list[Reason]:
    def resolve(value: Any) -> Any:
        return revisions.resolve(value, last)

    form = revisions.catalog(last).get("/AcroForm")
    if form is None:
        return []
    found: list[Reason] = []
    for field in read_fields(form, resolve)[0].values():
        if field.kind != "/Sig" or field.value is not None:
            continue
        for _, entries in field.widgets:
            rect, page = rectangle(resolve(entries.get("/Rect"))), entries.get("/P")
            if rect is None or rect[0] == rect[2] or rect[1] == rect[3] or not isinstance(page, Ref):
                continue
            with suppress(Exception):  # a page that cannot be drawn says nothing
                if not covering.is_free(page, rect, last + 1):
                    found.append(_note("PRE-COVERING", "lint_covering", field=field.name))
    return found
