"""Pictures and notes of a person's document, for that person alone; kept for a while in memory, never on a disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor
from signing import store
from signing.custody import Custody
from signing.errors import DocumentNotFound
from signing.forms import PADES
from signing.model import Document, DocumentState
from signing.preview.drawing import BOUNDS, MOST_PAGES, Drawn, Task
from signing.preview.worker import in_a_process
from signing.verify.model import Reason
from signing.verify.sandbox import Bounds

_TOGETHER = 4  # pages drawn by one process
_AT_ONCE = 2  # processes
_PATIENCE = 30.0  # seconds to wait for one
_KEPT_OCTETS = 64 * 1024 * 1024
_KEPT_NOTES = 1000

Value = TypeVar("Value")


class PageNotFound(CamTrustError):
    """No such page, or no page at all: pictures are of PDFs, up to `signing.preview.drawing.MOST_PAGES` pages."""

    code = "signing.page_not_found"
    kind = Kind.NOT_FOUND


class PageNotDrawn(CamTrustError):
    """Drawing it took more than is allowed, or failed."""

    code = "signing.page_not_drawn"
    kind = Kind.INVALID


class PreviewBusy(CamTrustError):
    """Others are being drawn."""

    code = "signing.preview_busy"
    kind = Kind.THROTTLED


class Previews:
    """Draws what a person is about to sign, or has signed."""

    def __init__(self, database: Database, custody: Custody, bounds: Bounds = BOUNDS) -> None:
        self._database, self._custody, self._bounds = database, custody, bounds
        self._running = threading.BoundedSemaphore(_AT_ONCE)
        self._pages: _Kept[bytes] = _Kept(len, _KEPT_OCTETS)
        self._notes: _Kept[tuple[Reason, ...]] = _Kept(lambda _: 1, _KEPT_NOTES)

    def page(self, person: Actor, document_id: str, number: int) -> bytes:
        """Page ``number`` (from 1 on) as PNG; of the signed file, once there is one.

        Raises DocumentNotFound, PageNotFound, PageNotDrawn, PreviewBusy.
        """
        return self.page_of(*self._document(person, document_id), number)

    def page_of(self, document: Document, sealed: store.Sealed, number: int) -> bytes:
        """The same of a document that the caller may see. PageNotFound, PageNotDrawn, PreviewBusy."""
        document_id = document.document_id
        last = min(document.pages, MOST_PAGES)
        if document.form != PADES or not 1 <= number <= last:
            raise PageNotFound
        kept = self._pages.get((document_id, document.signed_version, number))
        if kept is not None:
            return kept
        wanted = tuple(range(number - 1, min(number - 1 + _TOGETHER, last)))
        drawn = self._drawn([Task(self._octets(document), self._custody.password(document, sealed), wanted)])
        if drawn is None or drawn[0].failed or len(drawn[0].pages) != len(wanted):
            raise PageNotDrawn
        for index, picture in zip(wanted, drawn[0].pages, strict=True):
            self._pages.put((document_id, document.signed_version, index + 1), picture)
        return drawn[0].pages[0]

    def picture(self, name: str, data: bytes) -> bytes:
        """The first page of a PDF of our own making as PNG. ``name``: by which it is kept; the same octets have one.

        Raises PageNotDrawn, PreviewBusy.
        """
        kept = self._pages.get(name)
        if kept is None:
            drawn = self._drawn([Task(data, None, (0,))])
            if drawn is None or drawn[0].failed or len(drawn[0].pages) != 1:
                raise PageNotDrawn
            kept = drawn[0].pages[0]
            self._pages.put(name, kept)
        return kept

    def notes(self, person: Actor, document_id: str) -> tuple[Reason, ...]:
        """What the document hides or has prepared (`signing.verify.lint`); nothing for what is no PDF.

        Raises DocumentNotFound, PageNotDrawn when it could not be looked through in time, PreviewBusy.
        """
        return self.notes_of(person, [document_id])[document_id]

    def notes_of(self, person: Actor, document_ids: Sequence[str]) -> dict[str, tuple[Reason, ...]]:
        """The same of several documents, by one process."""
        found: dict[str, tuple[Reason, ...]] = {}
        tasks: dict[str, Task] = {}
        for document_id in document_ids:
            document, sealed = self._document(person, document_id)
            kept = () if document.form != PADES else self._notes.get(document_id)
            if kept is None:
                password = self._custody.password(document, sealed)
                tasks[document_id] = Task(self._custody.original(document), password)
            else:
                found[document_id] = kept
        drawn = self._drawn(list(tasks.values())) if tasks else []
        if drawn is None:
            raise PageNotDrawn
        for document_id, one in zip(tasks, drawn, strict=True):
            self._notes.put(document_id, one.notes)
            found[document_id] = one.notes
        return found

    def _document(self, person: Actor, document_id: str) -> tuple[Document, store.Sealed]:
        with self._database.read() as connection:
            found = store.document_of_owner(connection, person.id, document_id)
        if found is None:
            raise DocumentNotFound
        return found

    def _octets(self, document: Document) -> bytes:
        signed = document.state is DocumentState.SIGNED
        return self._custody.signed(document) if signed else self._custody.original(document)

    def _drawn(self, tasks: Sequence[Task]) -> list[Drawn] | None:
        if not self._running.acquire(timeout=_PATIENCE):
            raise PreviewBusy(retry_after=_PATIENCE)
        try:
            return in_a_process(tasks, self._bounds)
        finally:
            self._running.release()


class _Kept(Generic[Value]):
    """The newest values, up to a weight together."""

    def __init__(self, weight: Callable[[Value], int], most: int) -> None:
        self._weight, self._most, self._total = weight, most, 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        with self._lock:
            before = self._values.pop(key, None)
            self._total += self._weight(value) - (self._weight(before) if before is not None else 0)
            self._values[key] = value
            while self._total > self._most and self._values:
                _, gone = self._values.popitem(last=False)
                self._total -= self._weight(gone)
