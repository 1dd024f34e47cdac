"""Incremental updates written by hand, so that they can be wrong in any way that is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pikepdf
from asn1crypto import parser

Change = Callable[[pikepdf.Pdf], Sequence[Any]]


def changed(data: bytes, change: Change, **trailer: bytes) -> bytes:
    """``data`` with an update that holds the objects which ``change`` gives back, as it left them."""
    with pikepdf.open(BytesIO(data), inherit_page_attributes=False) as pdf:
        objects = {one.objgen: octets(one) for one in change(pdf)}
        entries = {
            "Root": f"{pdf.Root.objgen[0]} {pdf.Root.objgen[1]} R".encode(),
            "ID": pdf.trailer.ID.unparse(),
            **({"Info": b"%d %d R" % pdf.trailer.Info.objgen} if "/Info" in pdf.trailer else {}),
            **trailer,
        }
    return increment(data, objects, entries)


def octets(value: Any) -> bytes:
    """An indirect object's body."""
    if isinstance(value, pikepdf.Stream):
        body = value.read_raw_bytes()
        value.stream_dict.Length = len(body)
        return bytes(value.stream_dict.unparse() + b"\nstream\n" + body + b"\nendstream")
    return bytes(value.unparse(resolved=True))


def last_table(data: bytes) -> int:
    return int(re.findall(rb"startxref\s+(\d+)", data)[-1])


def size_of(data: bytes) -> int:
    return max(int(one) for one in re.findall(rb"/Size (\d+)", data))


def increment(
    data: bytes,
    objects: dict[tuple[int, int], bytes],
    trailer: dict[str, bytes],
    *,
    before_table: bytes = b"",
    between: bytes = b"",
    offsets: dict[int, int] | None = None,
    freed: Sequence[int] = (),
    tail: bytes = b"",
    prev: int | None = None,
) -> bytes:
    """An update as a table. ``offsets`` overrides where objects are said to be; the rest is put where it says."""
    out = bytearray(data if data.endswith(b"\n") else data + b"\n")
    places: dict[int, tuple[int, int]] = {}
    for (number, generation), body in sorted(objects.items()):
        places[number] = (len(out), generation)
        out += b"%d %d obj\n" % (number, generation) + body + b"\nendobj\n" + between
    for number, offset in (offsets or {}).items():
        places[number] = (offset, 0)
    out += before_table
    start = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number in sorted({*places, *freed}):
        if number in freed:
            out += b"%d 1\n%010d %05d f \n" % (number, 0, 1)
        else:
            out += b"%d 1\n%010d %05d n \n" % (number, *places[number])
    size = max([size_of(data), *(number + 1 for number in places)])
    entries = {"Size": b"%d" % size, "Prev": b"%d" % (last_table(data) if prev is None else prev), **trailer}
    out += b"trailer\n<< " + b" ".join(b"/%s %s" % (key.encode(), value) for key, value in entries.items()) + b" >>\n"
    out += b"startxref\n%d\n%%%%EOF\n" % start + tail
    return bytes(out)


def trailer_of(data: bytes) -> dict[str, bytes]:
    with pikepdf.open(BytesIO(data)) as pdf:
        return {"Root": b"%d %d R" % pdf.Root.objgen, "ID": bytes(pdf.trailer.ID.unparse())}


def replace_hole(data: bytes, contents: bytes, index: int = 0) -> bytes:
    """``data`` with another Contents string in the hole of its signature number ``index``, padded with zeros."""
    _, before, after, _ = byte_ranges(data)[index]
    room = after - before - 2
    digits = contents.hex().encode()
    if len(digits) > room:
        raise ValueError("the hole is too small")
    return data[: before + 1] + digits.ljust(room, b"0") + data[after - 1 :]


def hole(data: bytes, index: int = 0) -> bytes:
    _, before, after, _ = byte_ranges(data)[index]
    return bytes.fromhex(data[before + 1 : after - 1].decode())


def message(data: bytes, index: int = 0) -> bytes:
    """The CMS message in a hole, without the zeros behind it; one message in 256 ends with a zero of its own."""
    contents = hole(data, index)
    return contents[: parser.peek(contents)]


def byte_ranges(data: bytes) -> list[tuple[int, int, int, int]]:
    found = re.findall(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", data)
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in found]


def retabled(data: bytes) -> bytes:
    """A document of one revision with a table that fits its octets, after they were edited."""
    start = data.index(b"\nxref") + 1
    places = {int(one[1]): one.start() for one in re.finditer(rb"(?m)^(\d+) 0 obj", data[:start])}
    trailer = data[data.index(b"trailer", start) : data.rindex(b"startxref")]
    size = max(places) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n" % size
    table += b"".join(b"%010d 00000 n \n" % places[number] for number in range(1, size))
    return data[:start] + table + trailer + b"startxref\n%d\n%%%%EOF\n" % start
