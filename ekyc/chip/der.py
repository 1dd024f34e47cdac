"""Tag-length-value, read within bounds: nothing nests deeper or holds more elements than a chip's files need.

Everything that a chip or a certificate says passes here before a library looks at it, so that neither a nesting bomb
nor a lying length reaches one. Lengths are definite and, in DER, minimal (X.690 §10.1).
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
SEQUENCE, SET = 0x30, 0x31

MAX_DEPTH = 24
MAX_ELEMENTS = 4096
_CONSTRUCTED = 0x20


class Malformed(Exception):
    """Not the structure that it should be, or beyond the bounds. Never leaves this package."""


@dataclass(frozen=True)
class Tlv:
    """One element: its tag (all bytes of it, as a number), its content, and the element as it came."""

    tag: int
    content: bytes
    raw: bytes

    def integer(self) -> int:
        """The value of an INTEGER in the one shortest form (X.690 §8.3.2)."""
        content = self.content
        if self.tag != INTEGER or not content or (len(content) > 1 and content[0] in (0, 255) and _redundant(content)):
            raise Malformed("integer")
        return int.from_bytes(content, "big", signed=True)


def _redundant(content: bytes) -> bool:
    return (content[0] == 0) == (content[1] < 0x80)


class Fields:
    """Reads the elements of a constructed one, in order. ``strict`` asks for minimal lengths (DER)."""

    def __init__(self, data: bytes, *, strict: bool = True) -> None:
        self._data = data
        self._at = 0
        self._strict = strict

    @property
    def rest(self) -> bytes:
        return self._data[self._at :]

    def next(self, *tags: int) -> Tlv:
        """The next element; Malformed unless it has one of ``tags`` (none given: any)."""
        start = self._at
        tag, content, end = _header(self._data, start, self._strict)
        if tags and tag not in tags:
            raise Malformed(f"tag {tag:x}")
        self._at = end
        return Tlv(tag, self._data[content:end], self._data[start:end])

    def optional(self, tag: int) -> Tlv | None:
        """The next element where it has this tag."""
        if self._at >= len(self._data) or _header(self._data, self._at, self._strict)[0] != tag:
            return None
        return self.next(tag)

    def all(self, *tags: int, limit: int = MAX_ELEMENTS) -> list[Tlv]:
        """All that is left, at most ``limit`` elements."""
        found: list[Tlv] = []
        while self._at < len(self._data):
            if len(found) >= limit:
                raise Malformed("too many elements")
            found.append(self.next(*tags))
        return found

    def end(self) -> None:
        """Malformed where something is left."""
        if self._at != len(self._data):
            raise Malformed("trailing data")


def single(data: bytes, *tags: int, strict: bool = True) -> Tlv:
    """The one element that ``data`` is, to its last byte."""
    fields = Fields(data, strict=strict)
    element = fields.next(*tags)
    fields.end()
    return element


def check_bounds(data: bytes, *, max_depth: int = MAX_DEPTH, max_elements: int = MAX_ELEMENTS) -> None:
    """Malformed unless all of ``data`` is DER within the bounds. Walks without recursion."""
    stack = [(0, len(data))]
    elements = 0
    while stack:
        at, end = stack.pop()
        while at < end:
            elements += 1
            if elements > max_elements:
                raise Malformed("too many elements")
            first = data[at]
            _, content, following = _header(data, at, strict=True)
            if following > end:
                raise Malformed("length")
            if first & _CONSTRUCTED and content < following:
                if len(stack) + 1 >= max_depth:
                    raise Malformed("too deep")
                stack.append((following, end))  # what comes after, once the inside is done
                at, end = content, following
            else:
                at = following


def _header(data: bytes, at: int, strict: bool) -> tuple[int, int, int]:
    """Tag, where the content begins, where the element ends."""
    if at + 2 > len(data):
        raise Malformed("truncated")
    start = at
    at += 1
    if data[start] & 0x1F == 0x1F:  # a tag of two or three bytes
        while at < len(data) and data[at] & 0x80 and at - start < 3:
            at += 1
        at += 1
        if at - start > 3:
            raise Malformed("tag")
    tag = int.from_bytes(data[start:at], "big")
    if tag == 0 or at >= len(data):
        raise Malformed("truncated")
    length = data[at]
    at += 1
    if length == 0x80 or length > 0x83:  # indefinite, or 16 MB and more
        raise Malformed("length form")
    if length > 0x80:
        octets = length - 0x80
        encoded = data[at : at + octets]
        length = int.from_bytes(encoded, "big")
        at += octets
        if len(encoded) != octets or (strict and (length < 0x80 or encoded[0] == 0)):
            raise Malformed("length form")
    if at + length > len(data):
        raise Malformed("truncated")
    return tag, at, at + length
