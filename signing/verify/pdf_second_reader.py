"""A second parser reads the same file: qpdf, through pikepdf, each revision by itself (ISO 32000-2 §7.5).

    E1  it opens the first signed revision and every later one, without repairing anything
    E2  catalog, pages with their contents, form fields and signatures of the first signed revision are the same
    E3  each object that a later revision writes is the same

Where the two differ, a viewer may show what the verifier did not judge: PDF-ENGINES. Nothing is said where qpdf is not
installed but that one parser judged alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from io import RawIOBase
from typing import Any

from signing.verify.model import Reason, SubIndication, failed, noted
from signing.verify.pdf_layout import Layout
from signing.verify.pdf_objects import Name, Ref, Revisions, Stream, entries_of

_CLAUSE = "ISO 32000-2 §7.5"
_MAX_DEPTH = 60
_MAX_PAGES = 20_000
_MAX_BODY = 4 * 1024 * 1024  # longer stream bodies are compared by their length


def second_reading(
    data: bytes, revisions: Revisions, layout: Layout, first: int, password: bytes | None
) -> tuple[Reason, ...]:
    """E1-E3 from revision ``first`` on. Raises MemoryError alone."""
    if find_spec("pikepdf") is None:
        return (noted("PDF-ENGINES", _CLAUSE, "verify_one_reader"),)
    try:
        same = all(_agrees(data, revisions, layout, first, at, password) for at in range(first, revisions.count))
    except MemoryError:
        raise
    except Exception:  # E1: PdfError, and what odd objects provoke
        same = False
    if same:
        return ()
    return (failed("PDF-ENGINES", _CLAUSE, "verify_readers_differ", SubIndication.FORMAT_FAILURE),)


def _agrees(data: bytes, revisions: Revisions, layout: Layout, first: int, at: int, password: bytes | None) -> bool:
    import pikepdf

    with pikepdf.open(
        _Prefix(data, layout.end(at) if at + 1 < revisions.count else len(data)),  # type: ignore[arg-type]
        password=(password or b"").decode("utf-8", "replace"),
        suppress_warnings=True,
        attempt_recovery=False,
        inherit_page_attributes=False,
    ) as other:
        reading = _Reading(revisions, at, other)
        if revisions.trailer(at).get("/Root") != Ref(*other.Root.objgen):
            return False
        refs = reading.first_objects() if at == first else iter(revisions.changed(at))
        return all(reading.same(ref) for ref in refs)


class _Prefix(RawIOBase):
    """The first octets of a file, without a copy of them."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._view, self._at = memoryview(data)[:size], 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, len(self._view))[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._view[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


class _Reading:
    """One revision by both parsers."""

    def __init__(self, revisions: Revisions, at: int, other: Any) -> None:
        self._revisions, self._at, self._other = revisions, at, other
        self._encrypted = bool(other.is_encrypted)

    def first_objects(self) -> Iterator[Ref]:
        """E2: the objects that make up what is shown and signed."""
        catalog = self._revisions.trailer(self._at).get("/Root")
        if isinstance(catalog, Ref):
            yield catalog
        entries = self._revisions.catalog(self._at)
        yield from self._tree(entries.get("/Pages"), "/Kids", ("/Contents", "/Annots", "/Resources"))
        form = entries.get("/AcroForm")
        if isinstance(form, Ref):
            yield form
        fields = self._resolve(entries_of(self._resolve(form)).get("/Fields"))
        for field in fields if isinstance(fields, tuple) else ():
            yield from self._tree(field, "/Kids", ("/V", "/AP"))

    def _tree(self, root: Any, kids: str, more: tuple[str, ...]) -> Iterator[Ref]:
        waiting, seen = [root], set()
        while waiting:
            ref = waiting.pop()
            if not isinstance(ref, Ref) or ref in seen:
                continue
            seen.add(ref)
            if len(seen) > _MAX_PAGES:
                raise ValueError("too many nodes")
            yield ref
            node = entries_of(self._resolve(ref))
            below = self._resolve(node.get(kids))
            waiting.extend(below if isinstance(below, tuple) else ())
            for key in more:
                value = node.get(key)
                if isinstance(value, Ref):
                    yield value
                items = self._resolve(value)
                yield from (one for one in (items if isinstance(items, tuple) else ()) if isinstance(one, Ref))

    def _resolve(self, value: Any) -> Any:
        return self._revisions.resolve(value, self._at)

    def same(self, ref: Ref) -> bool:
        ours = self._revisions.get(ref, self._at)
        if isinstance(ours, Stream) and ours.entries.get("/Type") in ("/XRef", "/ObjStm"):
            return True  # what is in them was compared; qpdf does not give them out
        return self._equal(ours, _plain(self._other.get_object(ref.number, ref.generation), top=True))

    def _equal(self, ours: Any, theirs: Any) -> bool:
        if isinstance(ours, Ref) and not isinstance(theirs, Ref):
            ours = self._resolve(ours)  # qpdf gives numbers and the like for references to them
        if isinstance(ours, Stream) and isinstance(theirs, Stream):
            length = len(ours.body) == len(theirs.body)
            body = length and (len(ours.body) > _MAX_BODY or ours.body == theirs.body)
            return (body or self._encrypted) and self._equal(dict(ours.entries), dict(theirs.entries))
        if isinstance(ours, dict) and isinstance(theirs, dict):
            keys = ours.keys() | theirs.keys()
            if self._encrypted and "/ByteRange" in ours and ours.get("/Type") in (None, "/DocTimeStamp"):
                keys -= {"/Contents"}  # which qpdf takes for encrypted where the type is not /Sig
            return all(self._equal(ours.get(key), theirs.get(key)) for key in keys)
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            return len(ours) == len(theirs) and all(self._equal(a, b) for a, b in zip(ours, theirs, strict=True))
        return bool(type(ours) is type(theirs) or _are_numbers(ours, theirs)) and bool(ours == theirs)


def _are_numbers(one: Any, other: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))


def _plain(value: Any, depth: int = 0, *, top: bool = False) -> Any:
    """A pikepdf object as `signing.verify.pdf_objects` has it."""
    import pikepdf

    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal | float):
        return float(value)
    if value.is_indirect and not top:
        return Ref(*value.objgen)
    if isinstance(value, pikepdf.Name):
        return Name(str(value))
    if isinstance(value, pikepdf.String):
        return bytes(value)
    if isinstance(value, pikepdf.Array):
        return tuple(_plain(one, depth + 1) for one in value)
    if isinstance(value, pikepdf.Stream):
        entries = {str(key): _plain(one, depth + 1) for key, one in value.stream_dict.items()}
        return Stream(entries, value.read_raw_bytes())
    if isinstance(value, pikepdf.Dictionary):
        return {str(key): _plain(one, depth + 1) for key, one in value.items()}
    raise ValueError("an object of no known kind")
