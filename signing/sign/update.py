"""An incremental update of a PDF: changed and new objects, a cross-reference section, a trailer (ISO 32000-2 §7.5.6).

What stands already is never rewritten, nor copied: :meth:`Update.section` gives the octets to append and nothing else,
and afterwards the same update goes on to the next section, so that a document is parsed once for all its revisions.
The cross-reference section is of the kind of the one before it, a table or a stream: readers may refuse a mixture.
Objects are pyHanko's, which knows how to encrypt them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import PdfHandler

from signing.sign.pdf_objects import Dictionary, array, name, number, octets, reference, stream

_WRITTEN_ANEW = frozenset({"/Root", "/Size", "/Prev", "/ID", "/XRefStm"})
_FREE_ENTRY_STREAM = bytes(9) + b"\xff\xff"


class Hole(generic.PdfObject):
    """A hexadecimal string of zeros with room for ``octets``. After writing, ``at`` is the place of its ``<``."""

    def __init__(self, octets: int) -> None:
        self.width = 2 * octets + 2
        self.at = -1

    def write_to_stream(self, stream: Any, *_: Any, **__: Any) -> None:
        """Never encrypted (ISO 32000-2 §7.6.2)."""
        self.at = stream.tell()
        stream.write(b"<" + b"0" * (self.width - 2) + b">")


class Range(generic.PdfObject):
    """A ByteRange with room for numbers that are known only after writing."""

    WIDTH = 4 + 3 * 11

    def __init__(self) -> None:
        self.at = -1

    def write_to_stream(self, stream: Any, *_: Any, **__: Any) -> None:
        self.at = stream.tell()
        stream.write(b" " * self.WIDTH)

    @classmethod
    def octets(cls, before: int, after: int, rest: int) -> bytes:
        """The array, filled up with white space."""
        return f"[0 {before} {after} {rest}]".encode().ljust(cls.WIDTH)


class Update(PdfHandler):
    """Sections to be appended behind the ``length`` octets that ``reader`` has read, opened with its password."""

    def __init__(self, reader: PdfFileReader, length: int) -> None:
        read: Any = reader
        self._reader = read
        self._root = read.trailer.raw_get("/Root").reference
        self._trailer = {key: value for key, value in read.trailer.flatten().items() if key not in _WRITTEN_ANEW}
        self._first_id = _first_id(read)
        self._next = int(read.trailer["/Size"])
        self._previous = int(read.last_startxref)
        self._streamed = bool(read.has_xref_stream)
        self._handler = read.security_handler
        self._length = length
        self._new: dict[tuple[int, int], Any] = {}
        self._changed: dict[tuple[int, int], Any] = {}

    @property
    def root_ref(self) -> Any:
        return generic.Reference(self._root.idnum, self._root.generation, self)

    def get_object(self, ref: Any, as_metadata_stream: bool = False) -> Any:
        """An object of the document, or one that was added."""
        found = self._new.get((ref.idnum, ref.generation))
        return found if found is not None else self._reader.get_object(ref, as_metadata_stream=as_metadata_stream)

    def add(self, value: Any) -> Any:
        """A new object; what is put into it later is written with it, up to the next section."""
        key = (self._next, 0)
        self._next += 1
        value.container_ref = generic.Reference(*key, self)
        self._new[key] = self._changed[key] = value
        return reference(self, *key)

    def touch(self, value: Any) -> None:
        """Say that ``value``, an object of the document or a part of one, was changed."""
        owner = value.container_ref
        if isinstance(owner, generic.Reference):
            self._changed[owner.idnum, owner.generation] = self.get_object(owner)

    def put(self, holder: Any, key: str, value: Any) -> Any:
        """Set an entry of a dictionary and mark it; gives ``value``."""
        if value.container_ref is None:
            value.container_ref = holder.container_ref
        holder[name(key)] = value
        self.touch(holder)
        return value

    def section(self) -> bytearray:
        """The octets of everything that was changed or added since the section before; they are now written."""
        out = BytesIO()
        out.write(b"\n")  # whatever the document ends with, an object starts on a line of its own
        places: dict[tuple[int, int], int] = {}
        for (one, generation), value in self._changed.items():
            places[one, generation] = self._length + out.tell()
            out.write(b"%d %d obj\n" % (one, generation))
            value.write_to_stream(out, self._handler, generic.Reference(one, generation, self))
            out.write(b"\nendobj\n")
        second_id = hashlib.sha256(out.getbuffer()).digest()[:16]  # says what the section before it says (§14.4)
        at = self._length + out.tell()
        if self._streamed:
            places[self._next, 0] = at
            out.write(b"%d 0 obj\n" % self._next)
            self._next += 1
            self._stream(places, second_id).write_to_stream(out)
            out.write(b"\nendobj\n")
        else:
            out.write(_table(places))
            out.write(b"trailer\n")
            self._entries(second_id).write_to_stream(out)
            out.write(b"\n")
        out.write(b"startxref\n%d\n%%%%EOF\n" % at)
        self._previous, self._length, self._changed = at, self._length + out.tell(), {}
        return bytearray(out.getbuffer())

    def _entries(self, second_id: bytes) -> Any:
        entries: Any = Dictionary(self._trailer)
        entries[name("/Root")] = reference(self, self._root.idnum, self._root.generation)
        entries[name("/Size")] = number(self._next)
        entries[name("/Prev")] = number(self._previous)
        ids = (self._first_id or second_id, second_id)
        entries[name("/ID")] = array(octets(one) for one in ids)
        return entries

    def _stream(self, places: Mapping[tuple[int, int], int], second_id: bytes) -> Any:
        index, body = [0, 1], bytearray(_FREE_ENTRY_STREAM)
        for first, run in _runs(places):
            index += [first, len(run)]
            for place, generation in run:
                body += b"\x01" + place.to_bytes(8, "big") + generation.to_bytes(2, "big")
        return stream(
            bytes(body),
            {
                **self._entries(second_id),
                "/Type": name("/XRef"),
                "/W": array(number(one) for one in (1, 8, 2)),
                "/Index": array(number(one) for one in index),
            },
        )


def _first_id(reader: Any) -> bytes | None:
    """The permanent part of the file identifier; encryption depends on it (ISO 32000-2 §14.4)."""
    try:
        first = reader.trailer["/ID"][0]
    except KeyError:
        return None
    return bytes(first.original_bytes)


def _runs(places: Mapping[tuple[int, int], int]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Entries with numbers that follow one another: the first number, and (place, generation) of each."""
    run: list[tuple[int, int]] = []
    first = 0
    for (one, generation), place in sorted(places.items()):
        if run and one != first + len(run):
            yield first, run
            run = []
        if not run:
            first = one
        run.append((place, generation))
    if run:
        yield first, run


def _table(places: Mapping[tuple[int, int], int]) -> bytes:
    """A cross-reference table; its first entry heads the list of free objects (ISO 32000-2 §7.5.4)."""
    parts = [b"xref\n0 1\n0000000000 65535 f \n"]
    for first, run in _runs(places):
        parts.append(b"%d %d\n" % (first, len(run)))
        parts += [b"%010d %05d n \n" % entry for entry in run]
    return b"".join(parts)
