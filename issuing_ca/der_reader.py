"""A strict reader of DER for the small, fixed messages of the hot paths (ITU-T X.690 §10). It only reads.

It takes definite, shortest lengths and one-octet tags only, never recurses, and never looks outside of what it
was given. OCSP and timestamp messages are small and fixed in shape; everything richer goes through `cryptography`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from issuing_ca.errors import DerInvalid

BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x30


class Element(NamedTuple):
    """One element: its tag octet, its content, and its whole encoding."""

    tag: int
    content: bytes
    whole: bytes


def read_all(data: bytes) -> tuple[Element, ...]:
    """Every element of ``data``, which must end where the last of them ends. Raises DerInvalid."""
    elements = []
    at, end = 0, len(data)
    while at < end:
        start = at
        if end - at < 2:
            raise DerInvalid
        tag, length = data[at], data[at + 1]
        if tag & 0x1F == 0x1F:
            raise DerInvalid
        at += 2
        if length >= 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or end - at < count:
                raise DerInvalid
            length = int.from_bytes(data[at : at + count], "big")
            at += count
            if length < 0x80 or length >> (8 * (count - 1)) == 0:
                raise DerInvalid
        if end - at < length:
            raise DerInvalid
        elements.append(Element(tag, data[at : at + length], data[start : at + length]))
        at += length
    return tuple(elements)


def read_one(data: bytes, tag: int) -> Element:
    """The one element that ``data`` is, of this tag. Raises DerInvalid."""
    elements = read_all(data)
    if len(elements) != 1 or elements[0].tag != tag:
        raise DerInvalid
    return elements[0]


def read_integer(element: Element) -> int:
    """An INTEGER in its shortest form, of at most 64 octets."""
    content = element.content
    if element.tag != INTEGER or not 1 <= len(content) <= 64:
        raise DerInvalid
    if len(content) > 1 and ((content[0] == 0 and content[1] < 0x80) or (content[0] == 0xFF and content[1] >= 0x80)):
        raise DerInvalid
    return int.from_bytes(content, "big", signed=True)


def read_boolean(element: Element) -> bool:
    """A BOOLEAN: 00 or FF (X.690 §11.1)."""
    if element.tag != BOOLEAN or element.content not in (b"\x00", b"\xff"):
        raise DerInvalid
    return element.content == b"\xff"


@dataclass(frozen=True, slots=True)
class Extension:
    """An X.509 extension as it came: the OID's content octets, criticality and the value's octets."""

    oid: bytes
    critical: bool
    value: bytes


def read_extensions(data: bytes) -> tuple[Extension, ...]:
    """Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension, without repetition (RFC 5280 §4.2)."""
    found: list[Extension] = []
    for item in read_all(read_one(data, SEQUENCE).content):
        parts = read_all(item.content) if item.tag == SEQUENCE else ()
        critical = False
        if len(parts) == 3:
            critical = read_boolean(parts[1])
            if not critical:  # DER leaves a default value out
                raise DerInvalid
            parts = (parts[0], parts[2])
        if len(parts) != 2 or parts[0].tag != OID or parts[1].tag != OCTET_STRING:
            raise DerInvalid
        found.append(Extension(parts[0].content, critical, parts[1].content))
    if not found or len({extension.oid for extension in found}) != len(found):
        raise DerInvalid
    return tuple(found)
