"""The objects of a PDF, revision by revision, as plain values (ISO 32000-2 §7.3, §7.5.6).

pyHanko parses; what leaves this module is Python's own: None, bool, int, float, `Name`, bytes (strings), tuple
(arrays), dict, `Stream` and `Ref`. Each place in the file is parsed once, however many revisions it lives through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

_MAX_DEPTH = 60
MAX_OBJECTS = 200_000  # a revision that writes more than this is not examined


class Name(str):
    """A name, with its slash."""

    __slots__ = ()


class Ref(NamedTuple):
    """A reference to an indirect object."""

    number: int
    generation: int


@dataclass(frozen=True)
class Stream:
    """A stream: its dictionary, and its body as it stands in the file."""

    entries: Mapping[str, Any]
    body: bytes


class TooComplex(ValueError):
    """More nesting or more objects than are examined."""


def entries_of(value: Any) -> Mapping[str, Any]:
    """The dictionary of a dictionary or stream; an empty one for anything else."""
    if isinstance(value, Stream):
        return value.entries
    return value if isinstance(value, dict) else {}


class Revisions:
    """Every revision of one file. ``count`` of them, from 0; all answers are plain values."""

    def __init__(self, data: bytes, reader: Any) -> None:
        self._data = data
        self._reader = reader
        self._xrefs = reader.xrefs
        self._read: dict[Any, tuple[Any, int]] = {}
        self._trailers: dict[int, dict[str, Any]] = {}
        self._ends: dict[int, int] = {}
        self.count: int = reader.xrefs.total_revisions

    def trailer(self, revision: int) -> dict[str, Any]:
        """The trailer that holds at ``revision``, entries of older ones included."""
        if revision not in self._trailers:
            self._trailers[revision] = dict(plain(self._reader.trailer.flatten(revision)))
        return self._trailers[revision]

    def catalog(self, revision: int) -> Mapping[str, Any]:
        return entries_of(self.resolve(self.trailer(revision).get("/Root"), revision))

    def get(self, ref: Ref, revision: int) -> Any:
        """The object as of ``revision``; None where there is none. Raises what pyHanko raises for a broken one."""
        return self._entry(ref, revision)[0]

    def exists(self, ref: Ref, revision: int) -> bool:
        """Whether the tables of contents up to ``revision`` say where the object is."""
        return self._place(ref, revision) is not None

    def resolve(self, value: Any, revision: int) -> Any:
        """What ``value`` refers to, through any chain of references."""
        for _ in range(10):
            if not isinstance(value, Ref):
                return value
            value = self.get(value, revision)
        raise TooComplex

    def changed(self, revision: int) -> set[Ref]:
        """The objects that ``revision`` writes, or frees."""
        found = {Ref(one.idnum, one.generation) for one in self._xrefs.explicit_refs_in_revision(revision)}
        if len(found) > MAX_OBJECTS:
            raise TooComplex
        return found

    def freed(self, revision: int) -> set[Ref]:
        """Those that ``revision`` frees though they were in use before."""
        found = {Ref(one.idnum, one.generation) for one in self._xrefs.refs_freed_in_revision(revision)}
        return {one for one in found if revision and self.exists(one, revision - 1)}

    def spans(self, revision: int) -> list[tuple[int, int]]:
        """From where to where the objects and the table of contents of ``revision`` stand in the file, in order.

        Objects inside object streams stand where their stream does.
        """
        data = self._xrefs.get_xref_data(revision)
        table = self._xrefs.get_xref_container_info(revision)
        start = table.declared_startxref if table.stream_ref is None else table.start_location
        found = [(int(start), self.end_of_table(revision))]
        for number, (generation, offset) in data.standard_xrefs.items():
            if offset != table.start_location:  # a table that is a stream lists itself
                found.append((offset, self._entry(Ref(number, generation), revision)[1]))
        return sorted(found)

    def containers(self, revision: int) -> tuple[set[int], set[int]]:
        """The object streams that entries of ``revision`` point into, and those that it writes itself."""
        data = self._xrefs.get_xref_data(revision)
        return set(data.obj_streams_used), set(data.standard_xrefs)

    def decoded(self, ref: Ref, revision: int) -> bytes:
        """The decoded body of a stream, within the reader's limits."""
        return bytes(self._reader.get_object(self._reference(ref), revision).data)

    def end_of_table(self, revision: int) -> int:
        """Where the table of contents of ``revision`` ends, its trailer included."""
        if revision not in self._ends:
            table = self._xrefs.get_xref_container_info(revision)
            end = int(table.end_location)
            if table.stream_ref is None:
                from pyhanko.pdf_utils import generic

                untyped: Any = generic
                self._reader.stream.seek(end)
                untyped.DictionaryObject.read_from_stream(self._reader.stream, untyped.TrailerReference(self._reader))
                end = int(self._reader.stream.tell())
            self._ends[revision] = end
        return self._ends[revision]

    def _reference(self, ref: Ref) -> Any:
        from pyhanko.pdf_utils import generic

        return generic.Reference(ref.number, ref.generation, self._reader)

    def _place(self, ref: Ref, revision: int) -> Any:
        return self._xrefs.get_historical_ref(self._reference(ref), revision)

    def _entry(self, ref: Ref, revision: int) -> tuple[Any, int]:
        place = self._place(ref, revision)
        if place is None:
            return None, 0
        key = (ref, place)
        if key not in self._read:
            self._read[key] = self._parse(ref, revision, place)
        return self._read[key]

    def _parse(self, ref: Ref, revision: int, place: Any) -> tuple[Any, int]:
        reference = self._reference(ref)
        newest = place == self._xrefs[reference]  # which the reader keeps
        kept = self._reader.get_object(reference) if newest else self._reader.get_object(reference, revision)
        value = plain(kept)
        # strings and comments that say "endobj" make an object seem shorter than it is, never longer
        body = len(value.body) if isinstance(value, Stream) else 0
        at = self._data.find(b"endstream", place + body) if body and isinstance(place, int) else place
        return value, self._data.find(b"endobj", at) + len(b"endobj") if isinstance(place, int) else 0


def plain(value: Any, depth: int = 0) -> Any:
    """A pyHanko object as a plain value; references stay references."""
    from pyhanko.pdf_utils import generic

    if depth > _MAX_DEPTH:
        raise TooComplex
    if isinstance(value, generic.DecryptedObjectProxy):
        value = value.decrypted
    if isinstance(value, generic.IndirectObject):
        return Ref(value.idnum, value.generation)
    if isinstance(value, generic.DictionaryObject):
        bare = _unencrypted(value)
        entries = {str(key): plain(one.raw_object if key in bare else one, depth + 1) for key, one in value.items()}
        return Stream(entries, value.encoded_data or b"") if isinstance(value, generic.StreamObject) else entries
    if isinstance(value, generic.ArrayObject):
        return tuple(plain(one, depth + 1) for one in list.__iter__(value))
    if isinstance(value, generic.NameObject):
        return Name(value)
    if isinstance(value, generic.TextStringObject | generic.ByteStringObject):
        return bytes(value.original_bytes)
    if isinstance(value, generic.BooleanObject):
        return bool(value.value)
    if isinstance(value, generic.NullObject):
        return None
    if isinstance(value, generic.NumberObject):
        return int(value)
    return float(value)


def _unencrypted(value: Any) -> set[str]:
    """The keys whose strings stand as they are in an encrypted file: the signature value (ISO 32000-2 §7.6.2)."""
    from pyhanko.pdf_utils import generic

    contents = dict.get(value, "/Contents")
    sealed = isinstance(contents, generic.DecryptedObjectProxy) and isinstance(
        contents.raw_object, generic.TextStringObject | generic.ByteStringObject
    )
    signature = "/ByteRange" in value and dict.get(value, "/Type") in (None, "/Sig", "/DocTimeStamp")
    return {"/Contents"} if sealed and signature else set()
