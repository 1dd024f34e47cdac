"""DER for the structures that are spliced rather than rebuilt (X.690 §10, §11): a writer, and a walk over elements."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from cryptography.x509 import ObjectIdentifier

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID, ENUMERATED = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET, BOOLEAN = 0x17, 0x18, 0x30, 0x31, 0x01
TRUE = b"\x01\x01\xff"


def length(count: int) -> bytes:
    """The definite length octets of a content of ``count`` octets, shortest form (X.690 §10.1)."""
    if count < 0x80:
        return bytes((count,))
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, length, content; ``tag`` is a single octet."""
    count = len(content)
    if count < 0x80:
        return bytes((tag, count)) + content
    return bytes((tag,)) + length(count) + content


def sequence(items: Iterable[bytes]) -> bytes:
    """SEQUENCE (OF) of encoded items."""
    return tlv(SEQUENCE, b"".join(items))


def set_of(items: Iterable[bytes]) -> bytes:
    """SET OF encoded items, in the order of DER (X.690 §11.6)."""
    return tlv(SET, b"".join(sorted(items)))


def implicit(number: int, element: bytes) -> bytes:
    """``[number] IMPLICIT`` in place of a constructed element's own tag, context class."""
    return bytes((0xA0 | number,)) + element[1:]


def explicit(number: int, content: bytes) -> bytes:
    """``[number] EXPLICIT``, constructed, context class."""
    return tlv(0xA0 | number, content)


def integer(value: int) -> bytes:
    """INTEGER, shortest two's complement (X.690 §8.3); ValueError below zero, which nothing of ours has."""
    if value < 0:
        raise ValueError("no negative integers here")
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def enumerated(value: int) -> bytes:
    return tlv(ENUMERATED, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(content: bytes) -> bytes:
    return tlv(OCTET_STRING, content)


def bit_string(content: bytes) -> bytes:
    """BIT STRING of whole octets."""
    return tlv(BIT_STRING, b"\x00" + content)


def oid(identifier: ObjectIdentifier | str) -> bytes:
    """OBJECT IDENTIFIER (X.690 §8.19)."""
    return _oid(identifier if isinstance(identifier, str) else identifier.dotted_string)


@lru_cache(maxsize=512)  # far more than there are in our profiles, few enough whatever else is asked for
def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = b"".join(_base128(arc) for arc in (first * 40 + second, *rest))
    return tlv(OID, content)


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


def time(at: datetime) -> bytes:
    """UTCTime to the end of 2049, GeneralizedTime from 2050, to the second, in UTC (RFC 5280 §4.1.2.5)."""
    year = at.year
    if 1950 <= year < 2050:
        digits = year % 100, at.month, at.day, at.hour, at.minute, at.second
        return b"\x17\x0d%02d%02d%02d%02d%02d%02dZ" % digits
    return generalized_time(at)


def generalized_time(at: datetime) -> bytes:
    """GeneralizedTime to the second, in UTC (RFC 5280 §4.1.2.5.2)."""
    digits = at.year, at.month, at.day, at.hour, at.minute, at.second
    return b"\x18\x0f%04d%02d%02d%02d%02d%02dZ" % digits


def read(data: bytes, at: int = 0) -> tuple[int, int, int]:
    """The element at offset ``at``: its tag, and where its content starts and ends. ValueError when it is cut short.

    For structures that a parser has accepted already; it is not a validator.
    """
    try:
        tag, count, start = data[at], data[at + 1], at + 2
    except IndexError:
        raise ValueError("cut short") from None
    if count & 0x80:
        start += count & 0x7F
        count = int.from_bytes(data[at + 2 : start], "big")
    if start + count > len(data):
        raise ValueError("cut short")
    return tag, start, start + count


def children(data: bytes) -> tuple[bytes, ...]:
    """The elements inside one constructed element, each with its tag and length."""
    _, at, end = read(data)
    found, size = [], len(data)
    while at < end:
        short = at + 1 < size and data[at + 1] < 0x80
        stop = at + 2 + data[at + 1] if short else read(data, at)[2]
        if stop > size:
            raise ValueError("cut short")
        found.append(data[at:stop])
        at = stop
    return tuple(found)
