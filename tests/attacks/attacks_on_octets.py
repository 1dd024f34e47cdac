"""Attacks on the octets: universal signature forgery, incremental saving, signature wrapping, trailing octets, tables of contents that lie,
ByteRange games. What a lenient reader would still read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pikepdf

from tests.attacks.increments import byte_ranges, increment, last_table, retabled, size_of, trailer_of
from tests.attacks.specimens import Attack, Specimens
from tests.verify.verify_world import document

FAILED = ("TOTAL-FAILED", "FORMAT_FAILURE")
Forge = Callable[[bytes], bytes]
_FORGED = b"<< /Length 49 >>\nstream\nBT /F1 24 Tf 72 720 Td (SPECIMEN forged) Tj ET     \nendstream"


def _content(data: bytes) -> int:
    with pikepdf.open(BytesIO(data)) as pdf:
        return int(pdf.pages[0].obj.Contents.objgen[0])


def _signature(data: bytes) -> int:
    with pikepdf.open(BytesIO(data)) as pdf:
        return int(pdf.Root.AcroForm.Fields[0].V.objgen[0])


# --- universal signature forgery: the signature dictionary is made unreadable, in place or by an update


def _contents(value: bytes) -> Forge:
    """The signature dictionary comes again in an update, with another Contents."""

    def forge(data: bytes) -> bytes:
        return _again(data, rb"/Contents <[0-9a-fA-F]*>", value)

    return forge


def _range(value: bytes) -> Forge:
    def forge(data: bytes) -> bytes:
        return _again(data, rb"/ByteRange\s*\[[^\]]*\]", value)

    return forge


def _again(data: bytes, pattern: bytes, value: bytes) -> bytes:
    number = _signature(data)
    body = re.search(rb"\n%d 0 obj\n(.*?)\nendobj" % number, data, re.DOTALL)
    if body is None:
        raise ValueError("no signature dictionary")
    other = re.sub(pattern, lambda _: value, body[1])
    if other == body[1]:
        raise ValueError("nothing was changed")
    return increment(data, {(number, 0): other}, trailer_of(data))


def _in_place(pattern: bytes, value: bytes) -> Forge:
    """The same number of octets, in the range that was signed."""

    def forge(data: bytes) -> bytes:
        found = re.search(pattern, data)
        if found is None or len(value) > len(found[0]):
            raise ValueError("does not fit")
        return data[: found.start()] + value.ljust(len(found[0])) + data[found.end() :]

    return forge


_UNIVERSAL: dict[str, tuple[str, Forge]] = {
    "contents-missing": ("no Contents", _contents(b"")),
    "contents-null": ("Contents is null", _contents(b"/Contents null")),
    "contents-empty": ("Contents is empty", _contents(b"/Contents <>")),
    "contents-zero": ("Contents is a zero", _contents(b"/Contents <00>")),
    "contents-zeros": ("Contents is zeros", _contents(b"/Contents <" + b"00" * 64 + b">")),
    "contents-number": ("Contents is a number", _contents(b"/Contents 0")),
    "contents-name": ("Contents is a name", _contents(b"/Contents /A")),
    "contents-array": ("Contents is an array", _contents(b"/Contents []")),
    "contents-literal": ("Contents is a literal string", _contents(b"/Contents (0)")),
    "range-missing": ("no ByteRange", _range(b"")),
    "range-null": ("ByteRange is null", _range(b"/ByteRange null")),
    "range-empty": ("ByteRange is empty", _range(b"/ByteRange []")),
    "range-negative": ("ByteRange is negative", _range(b"/ByteRange [0 -1 -1 -1]")),
    "range-nulls": ("ByteRange holds nulls", _range(b"/ByteRange [null null null null]")),
    "range-three": ("ByteRange has three numbers", _range(b"/ByteRange [0 10 20]")),
    "range-six": ("ByteRange has six numbers", _range(b"/ByteRange [0 10 20 10 40 10]")),
    "range-nothing": ("ByteRange covers nothing", _range(b"/ByteRange [0 0 0 0]")),
    "range-late": ("ByteRange begins late", _range(b"/ByteRange [8 100 200 100]")),
    "range-huge": ("ByteRange goes beyond the file", _range(b"/ByteRange [0 99999999 99999999 99999999]")),
    "range-real": ("ByteRange holds real numbers", _range(b"/ByteRange [0.0 10.5 20.5 30.5]")),
    "range-overlapping": ("the parts of ByteRange overlap", _range(b"/ByteRange [0 500 400 100]")),
    "range-reversed": ("the parts of ByteRange are reversed", _range(b"/ByteRange [500 100 0 400]")),
    "range-no-hole": ("ByteRange has no hole", _range(b"/ByteRange [0 500 500 100]")),
    "range-name": ("ByteRange is a name", _range(b"/ByteRange /A")),
}  # fmt: skip
_IN_PLACE: dict[str, tuple[str, Forge]] = {
    "type-gone": ("the dictionary is no signature", _in_place(rb"/Type /Sig\b", b"/Type /Foo")),
    "subfilter-unknown": ("an unknown kind of signature", _in_place(rb"/SubFilter /ETSI\.CAdES\.detached", b"/SubFilter /A")),
    "subfilter-x509": ("a kind that needs no CMS", _in_place(rb"/SubFilter /ETSI\.CAdES\.detached", b"/SubFilter /adbe.x509.rsa_sha1")),
    "filter-unknown": ("an unknown handler", _in_place(rb"/Filter /Adobe\.PPKLite", b"/Filter /None")),
    "field-name": ("another name of the field", _in_place(rb"Signature1", b"Signature2")),
    "content": ("another text", _in_place(rb"SPECIMEN agreement", b"SPECIMEN forgery")),
    "range-in-place": ("ByteRange leaves something out", _in_place(rb"/ByteRange\s*\[0 ", b"/ByteRange [1 ")),
    "contents-word": ("Contents has another name", _in_place(rb"/Contents <", b"/Kontents <")),
    "version": ("another version in the header", _in_place(rb"%PDF-1\.\d", b"%PDF-1.0")),
    "page-box": ("another page size", _in_place(rb"0 0 595 842", b"0 0 595 400")),
}  # fmt: skip
_UNREADABLE = {
    "contents-missing", "contents-null", "contents-number", "contents-name", "contents-array", "range-missing", "range-null",
    "range-nulls", "range-name",
}  # fmt: skip
_HASH = {
    "field-name",
    "content",
    "version",
    "page-box",
    "filter-unknown",
    "subfilter-unknown",
    "subfilter-x509",
    "type-gone",
}

_IN_PLACE_RULES = {"range-in-place": "PDF-BYTERANGE", "contents-word": "PDF-FORMAT"}


# --- incremental saving: an update that a strict reader does not see, or that is not whole


def _forged_object(data: bytes) -> bytes:
    return b"%d 0 obj\n" % _content(data) + _FORGED + b"\nendobj\n"


def _saving() -> dict[str, tuple[str, Forge, str]]:
    def updated(data: bytes, **more: Any) -> bytes:
        return increment(data, {(_content(data), 0): _FORGED}, trailer_of(data), **more)

    return {
        "body-alone": ("objects without a table", lambda data: data + _forged_object(data), "PDF-TAIL"),
        "body-and-end": ("objects and an end of file", lambda data: data + _forged_object(data) + b"%%EOF\n", "PDF-FORMAT"),
        "body-and-trailer": (
            "objects and a trailer without a table",
            lambda data: data + _forged_object(data) + b"trailer\n<< /Root 1 0 R /Size 99 >>\n%%EOF\n",
            "PDF-FORMAT",
        ),
        "old-table": (
            "objects, and the old table again",
            lambda data: data + _forged_object(data) + b"startxref\n%d\n%%%%EOF\n" % last_table(data),
            "PDF-COVERAGE",
        ),
        "whole": ("a whole update", updated, "PDF-SHADOW"),
        "no-end": ("an update without an end", lambda data: updated(data)[:-7], "PDF-TAIL"),
        "end-twice": ("an update with two ends", lambda data: updated(data) + b"%%EOF\n", "PDF-FORMAT"),
        "behind-end": ("an object behind the end", lambda data: updated(data, tail=_forged_object(data)), "PDF-TAIL"),
        "lost-history": ("an update that forgets what was before", lambda data: updated(data, prev=0), "PDF-FORMAT"),
        "loop": ("an update that comes before itself", lambda data: updated(data, prev=len(data)), "PDF-FORMAT"),
        "comment-between": ("an update with a comment between objects", lambda data: updated(data, between=b"% SPECIMEN\n"), "PDF-GAP"),
        "object-between": (
            "an unlisted object before the table",
            lambda data: increment(data, {}, trailer_of(data), before_table=_forged_object(data)),
            "PDF-GAP",
        ),
        "words-between": (
            "words before the table",
            lambda data: increment(data, {}, trailer_of(data), before_table=b"SPECIMEN\n"),
            "PDF-GAP",
        ),
        "elsewhere": (
            "the table points into the signed octets",
            lambda data: increment(data, {}, trailer_of(data), offsets={_content(data): data.index(b"%d 0 obj" % _content(data))}),
            "PDF-XREF",
        ),
        "freed": ("the page's content is freed", lambda data: increment(data, {}, trailer_of(data), freed=[_content(data)]), "PDF-SHADOW"),
        "freed-field": ("the signature is freed", lambda data: increment(data, {}, trailer_of(data), freed=[_signature(data)]), "PDF-FORMAT"),
        "smaller": (
            "the table is smaller than the one before",
            lambda data: increment(data, {}, {**trailer_of(data), "Size": b"3"}),
            "PDF-FORMAT",
        ),
        "hybrid": (
            "a second table of contents",
            lambda data: increment(data, {}, {**trailer_of(data), "XRefStm": b"%d" % last_table(data)}),
            "PDF-FORMAT",
        ),
        "other-root": (
            "another catalog",
            lambda data: increment(data, {(size_of(data), 0): b"<< /Type /Catalog /Pages 2 0 R >>"}, {**trailer_of(data), "Root": b"%d 0 R" % size_of(data)}),
            "PDF-CLAIM",
        ),
        "other-root-with-form": (
            "a copy of the catalog under another number",
            _catalog_copied,
            "PDF-TRAILER",
        ),
        "encrypted-later": ("encryption that was not there", lambda data: increment(data, {}, {**trailer_of(data), "Encrypt": b"<< /Filter /None >>"}), "PDF-FORMAT"),
        "dangling": ("a number that the trailer alone knows", lambda data: increment(data, {}, {**trailer_of(data), "Info": b"98 0 R"}), "PDF-TRAILER"),
    }  # fmt: skip


def _catalog_copied(data: bytes) -> bytes:
    with pikepdf.open(BytesIO(data)) as pdf:
        catalog = pdf.Root.unparse(resolved=True)
    number = size_of(data)
    return increment(data, {(number, 0): catalog}, {**trailer_of(data), "Root": b"%d 0 R" % number})


_TAILS = {
    "letter": b"x", "html": b"\n<script>alert(1)</script>", "zip": b"PK\x03\x04", "end": b"\n%%EOF\n", "pdf": b"\n%PDF-1.7\n",
    "comment": b"\n% SPECIMEN", "null-and-letter": b"\x00\x00x", "object": b"\n99 0 obj\n<<>>\nendobj\n", "cms": b"\n0\x82\x01\x00\x06\x09",
    "startxref": b"\nstartxref\n0\n%%EOF\n",
}  # fmt: skip
_UNREAD = {"end", "startxref"}


# --- signature wrapping: the second part of the signed range is moved, and something stands in the hole


def _wrapped(filling: Callable[[bytes], bytes]) -> Forge:
    def forge(data: bytes) -> bytes:
        _, before, after, rest = byte_ranges(data)[0]
        hole, second = data[before:after], data[after : after + rest]
        inserted = filling(data)
        other = data[:before] + hole + inserted + second
        return other.replace(
            b"[0 %d %d %d]" % (before, after, rest), b"[0 %d %d %d]" % (before, after + len(inserted), rest), 1
        )

    return forge


def _closed(filling: Callable[[bytes], bytes]) -> Forge:
    """The hole ends early, and objects stand behind its string."""

    def forge(data: bytes) -> bytes:
        _, before, after, _ = byte_ranges(data)[0]
        used = len(data[before:after].rstrip(b"0>")) + 8
        used += used % 2
        inserted = b">" + filling(data)
        return data[: before + used] + inserted.ljust(after - before - used) + data[after:]

    return forge


_WRAPPINGS: dict[str, tuple[str, Forge]] = {
    "object-in-hole": ("an object in the hole", _wrapped(_forged_object)),
    "object-behind-contents": ("an object behind the Contents string", _closed(_forged_object)),
    "spaces": ("spaces in the hole", _wrapped(lambda _: b" " * 20)),
    "comment": ("a comment in the hole", _wrapped(lambda _: b"% SPECIMEN\n")),
    "key": ("an entry in the hole", _closed(lambda _: b" /Reason (SPECIMEN forged) ")),
    "second-string": ("a second Contents in the hole", _closed(lambda _: b" /Contents <00> ")),
    "second-range": ("a second ByteRange in the hole", _closed(lambda _: b" /ByteRange [0 1 2 3] ")),
    "update-in-hole": ("a whole update in the hole", _closed(lambda data: b"\n" + _forged_object(data) + b"xref\n0 0\ntrailer\n<< >>\n")),
}  # fmt: skip


# --- documents that two parsers read differently, signed as they are


def _signed(edit: Callable[[bytes], bytes]) -> Callable[[Specimens], bytes]:
    return lambda specimens: specimens.world.signed(retabled(edit(document())))


_READERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "null-in-name": ("a name with a null in it", lambda data: data.replace(b"/MediaBox", b"/Foo#00 1 /MediaBox", 1)),
    "short-stream": ("a stream that is longer than it says", lambda data: re.sub(rb"/Length (\d+)", lambda found: b"/Length %d" % (int(found[1]) - 5), data, count=1)),
}  # fmt: skip


def _in(forge: Forge, base: str) -> Callable[[Specimens], bytes]:
    return lambda specimens: forge(specimens[base])


def attacks() -> Iterator[Attack]:
    for name, (what, forge) in _UNIVERSAL.items():
        yield Attack(
            f"universal-forgery/{name}",
            "universal-forgery",
            what,
            _in(forge, "signed"),
            *FAILED,
            "PDF-FORMAT" if name in _UNREADABLE else "PDF-BYTERANGE",
        )
    for name, (what, forge) in _IN_PLACE.items():
        sub = "HASH_FAILURE" if name in _HASH else "FORMAT_FAILURE"
        yield Attack(
            f"in-place/{name}",
            "universal-forgery",
            what,
            _in(forge, "signed"),
            "TOTAL-FAILED",
            sub,
            _IN_PLACE_RULES.get(name, "CMS-HASH"),
        )
    for name, (what, edit) in _READERS.items():
        yield Attack(f"two-readers/{name}", "xref-confusion", what, _signed(edit), *FAILED, "PDF-ENGINES")
    for base in ("signed", "archive"):
        for name, (what, forge, rule) in _saving().items():
            yield Attack(
                f"incremental-saving/{name}/{base}", "incremental-saving", what, _in(forge, base), *FAILED, rule
            )
        for name, tail in _TAILS.items():
            rule = "PDF-FORMAT" if name in _UNREAD else "PDF-TAIL"
            yield Attack(
                f"trailing/{name}/{base}", "trailing-octets", f"{tail!r} behind the end",
                lambda specimens, tail=tail, base=base: specimens[base] + tail, *FAILED, rule,
            )  # fmt: skip
        for name, (what, forge) in _WRAPPINGS.items():
            yield Attack(
                f"wrapping/{name}/{base}",
                "signature-wrapping",
                what,
                _in(forge, base),
                *FAILED,
                "PDF-BYTERANGE" if name == "key" else "PDF-FORMAT",
            )
