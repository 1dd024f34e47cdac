"""Byte accounting of a PDF: what its raw octets claim, without believing a parser (ISO 32000-2 §12.8.1).

B1  nothing but white space after the last %%EOF                                           PDF-TAIL
B2  a ByteRange starts at 0, has one hole, and the hole is exactly the Contents string     PDF-BYTERANGE
B3  each signature that the octets outside stream bodies claim was read, and each that was
    read stands there                                                                      PDF-CLAIM
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

_WHITE = b"\x00\t\n\x0c\r "
_HEADER = re.compile(rb"%PDF-\d\.\d")
_STREAM = re.compile(rb">>[\x00\t\n\x0c\r ]*stream(?:\r\n|\n|\r)")
_LENGTH = re.compile(rb"/Length[\x00\t\n\x0c\r ]+(\d{1,10})(?:[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+(R))?")
_NUMBER_OBJECT = re.compile(rb"obj\s*+(\d++)\s*+endobj")
_OBJECT_HEAD = re.compile(rb"(\d{1,10})[\x00\t\n\x0c\r ]+(\d{1,5})[\x00\t\n\x0c\r ]+$")
_END = re.compile(rb"[\x00\t\n\x0c\r ]{0,2}endstream")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_BYTE_RANGE = re.compile(rb"/ByteRange[\x00\t\n\x0c\r ]*\[([^\]]{0,200})\]?")
_SIGNATURE_TYPE = re.compile(rb"/Type[\x00\t\n\x0c\r ]*/(?:Sig|DocTimeStamp)(?![A-Za-z0-9])")


def is_pdf(data: bytes) -> bool:
    """Whether the octets call themselves a PDF (the header within the first 1024, as readers have it)."""
    return _HEADER.search(data, 0, 1024 + 8) is not None


def tail_is_clean(data: bytes) -> bool:
    """B1."""
    end = data.rfind(b"%%EOF")
    return end >= 0 and not data[end + 5 :].strip(_WHITE)


def hole_matches(data: bytes, byte_range: Sequence[int], contents: bytes) -> bool:
    """B2. ``contents`` is the Contents string as it was parsed."""
    if len(byte_range) != 4:
        return False
    start, before, after, rest = byte_range
    if start != 0 or before <= 0 or rest <= 0 or not before + 2 < after or after + rest > len(data):
        return False
    hole = data[before:after]
    if hole[:1] != b"<" or hole[-1:] != b">":
        return False
    digits = hole[1:-1]
    if len(digits) % 2 or not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
        return False
    return bytes.fromhex(digits.decode("ascii")) == contents


class RangeDigests:
    """The digests over ByteRanges that :func:`hole_matches` accepted. What ranges have in common is hashed once.

    ``expected``: the ranges that are going to be asked for. On the way to a late hole, the state at each earlier one
    is kept, so that asking for the last range first costs nothing more. Others may be asked for all the same.
    """

    def __init__(self, data: bytes, expected: Iterable[Sequence[int]] = ()) -> None:
        self._view = memoryview(data)
        self._holes = sorted({before for _, before, *_ in expected})
        self._states: dict[str, list[tuple[int, Any]]] = {}  # by hash: how far, and its state there

    def digest(self, byte_range: Sequence[int], name: str) -> bytes:
        _, before, after, rest = byte_range
        state = self._upto(before, name).copy()
        state.update(self._view[after : after + rest])
        return bytes(state.digest())

    def _upto(self, end: int, name: str) -> Any:
        states = self._states.setdefault(name, [(0, hashlib.new(name))])
        at, state = max((one for one in states if one[0] <= end), key=lambda one: one[0])
        for stop in (*(hole for hole in self._holes if at < hole < end), end):
            if at < stop:
                state = state.copy()
                state.update(self._view[at:stop])
                states.append((stop, state))
                at = stop
        return state


def range_digest(data: bytes, byte_range: Sequence[int], name: str) -> bytes:
    """The digest over both parts of one ByteRange that :func:`hole_matches` accepted."""
    return RangeDigests(data).digest(byte_range, name)


def outside_streams(data: bytes, begin: int = 0, end: int | None = None) -> bytes:
    """The octets without stream bodies; escapes in names are undone, so that no spelling hides one.

    ``begin`` and ``end``: a part of the file that holds whole objects.
    """
    end = len(data) if end is None else end
    lengths = _Lengths(data)
    kept, at = [], begin
    while (found := _STREAM.search(data, at, end)) is not None:
        kept.append(data[at : found.start()])
        at = min(_stream_end(data, found, lengths), end)
    kept.append(data[at:end])
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), b"\n".join(kept))


class _Lengths:
    """Objects that are numbers, looked for when a stream first says that its length is one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._found: dict[tuple[int, int], int] | None = None

    def get(self, number: int, generation: int) -> int | None:
        if self._found is None:
            self._found = {}
            for one in _NUMBER_OBJECT.finditer(self._data):
                head = _OBJECT_HEAD.search(self._data, max(one.start() - 40, 0), one.start())
                if head is not None and len(one[1]) <= 10:
                    self._found[int(head[1]), int(head[2])] = int(one[1])
        return self._found.get((number, generation))


def _stream_end(data: bytes, found: re.Match[bytes], lengths: _Lengths) -> int:
    """Where the body ends: by its Length where that holds, else at the next ``endstream``."""
    head = data[max(found.start() - 4096, 0) : found.start()]
    for length in _LENGTH.finditer(head, head.rfind(b" obj") + 1):
        size = lengths.get(int(length[1]), int(length[2])) if length[3] else int(length[1])
        if size is not None and (end := _END.match(data, found.end() + size)) is not None:
            return end.end()
    end_at = data.find(b"endstream", found.end())
    return len(data) if end_at < 0 else end_at + len(b"endstream")


def claims(data: bytes) -> tuple[Counter[tuple[int, ...]], int]:
    """What the octets outside stream bodies claim: ByteRange arrays, and how many signature dictionaries by type."""
    raw = outside_streams(data)
    arrays: Counter[tuple[int, ...]] = Counter()
    for found in _BYTE_RANGE.finditer(raw):
        arrays[tuple(int(number) for number in re.findall(rb"\d{1,12}", found[1]))] += 1
    return arrays, len(_SIGNATURE_TYPE.findall(raw))


def claims_match(data: bytes, parsed: Sequence[Sequence[int]]) -> bool:
    """B3: the ByteRanges in the octets are those of the signatures that were read, no more, no fewer."""
    arrays, typed = claims(data)
    return arrays == Counter(tuple(one) for one in parsed) and typed <= len(parsed)


def claims_any(data: bytes) -> bool:
    """Whether the octets claim any signature at all."""
    arrays, typed = claims(data)
    return bool(arrays) or typed > 0
