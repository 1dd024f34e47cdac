"""Whether a form field shows its value, and nothing but its value (ISO 32000-2 §12.7.4.3, §12.5.5).

Y1  a button is in a state that it had an appearance for when it was made, the one that its value names
Y2  a text or choice field has an appearance of text operators alone, dark, upright, inside its box, in a font that
    has no program and no encoding of its own
Y3  the strings that it draws are the value, white space apart
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from signing.verify.pdf_objects import Name, Stream, entries_of

if TYPE_CHECKING:
    from signing.verify.pdf_difference import Comparison
    from signing.verify.pdf_fields import Field

_TOKEN = re.compile(
    rb"%[^\r\n]*|\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)|<<|>>|<[0-9A-Fa-f\s]*>|\[|\]|/[^\s()<>\[\]/%]*"
    rb"|[^\s()<>\[\]/%]+",
    re.DOTALL,
)
_QUIET = {  # operators that draw nothing, and those that begin, end and place text
    b"q", b"Q", b"w", b"J", b"j", b"M", b"d", b"i", b"ri", b"re", b"W", b"W*", b"n", b"BT", b"ET", b"Tc", b"Tw", b"TL",
    b"T*", b"BMC", b"BDC", b"EMC", b"MP", b"DP",
}  # fmt: skip
_COLOURS = {b"g": 1, b"rg": 3, b"G": 1, b"RG": 3}
_SHOWING = {b"Tj", b"TJ", b"'", b'"'}
_PROGRAMS = ("/FontFile", "/FontFile2", "/FontFile3")
_MAX_BODY = 256 * 1024
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}


class Shown(StrEnum):
    """What an appearance shows of its field's value."""

    VALUE = "value"  # it, and nothing else
    OTHER = "other"  # something else
    UNKNOWN = "unknown"  # it cannot be told


def examine_appearance(
    comparison: Comparison, field: Field, entries: Mapping[str, Any], value: Any, changed: bool
) -> Shown:
    """Y1-Y3 for one widget of a field whose value changed to ``value``; ``changed``: its appearance did too."""
    normal = comparison.new(entries_of(comparison.new(entries.get("/AP"))).get("/N"))
    if field.kind == "/Btn":  # Y1
        state = entries.get("/AS")
        states = entries_of(normal) if not isinstance(normal, Stream) else {}
        if changed or not isinstance(value, Name):
            return Shown.OTHER if changed else Shown.UNKNOWN
        fits = state == value or (state == "/Off" and len(field.widgets) > 1) or (state is None and value == "/Off")
        return Shown.VALUE if fits and (state in states or state in (None, "/Off")) else Shown.OTHER
    if field.kind not in ("/Tx", "/Ch") or not isinstance(value, bytes):
        return Shown.UNKNOWN
    if not changed or not isinstance(normal, Stream):
        return Shown.UNKNOWN if not isinstance(normal, Stream) else Shown.OTHER
    return _text_shown(comparison, normal, value)


def _text_shown(comparison: Comparison, stream: Stream, value: bytes) -> Shown:
    from signing.verify.pdf_fields import rectangle, text_of

    body, box = _decoded(stream), rectangle(comparison.new(stream.entries.get("/BBox")))
    if body is None or box is None or "/Matrix" in stream.entries or not _fonts_are_plain(comparison, stream):
        return Shown.UNKNOWN
    drawn = _Drawn(box)
    operands: list[bytes] = []
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token[:1] in (b"(", b"<", b"[", b"]", b"/", b">") or _is_number(token):
            operands.append(token)
        elif token[:1] != b"%":
            if not drawn.does(token, operands):
                return Shown.UNKNOWN
            operands = []
    wanted = "".join(text_of(value).split())
    for encoding in ("cp1252", "latin-1"):
        with suppress(UnicodeDecodeError):
            if "".join(b"".join(drawn.shown).decode(encoding).split()) == wanted:  # Y3
                return Shown.VALUE
    return Shown.OTHER


class _Drawn:
    """What the operators of an appearance drew so far, as far as Y2 lets them."""

    def __init__(self, box: tuple[float, float, float, float]) -> None:
        self.shown: list[bytes] = []
        self._box, self._at, self._size = box, (0.0, 0.0), 0.0

    def does(self, operator: bytes, operands: list[bytes]) -> bool:
        """Take one operator; whether it is one that shows no more than text."""
        numbers = [float(one) for one in operands if _is_number(one)]
        if operator in _QUIET:
            if operator == b"BT":
                self._at = (0.0, 0.0)
            return True
        if operator in _COLOURS:
            return len(numbers) == _COLOURS[operator] and sum(numbers) / len(numbers) <= 0.6
        if operator in (b"Td", b"TD") and len(numbers) == 2:
            self._at = (self._at[0] + numbers[0], self._at[1] + numbers[1])
            return True
        if operator == b"Tm" and len(numbers) == 6:
            self._at = (numbers[4], numbers[5])
            return numbers[:4] == [1, 0, 0, 1]
        if operator == b"Tf" and len(numbers) == 1:
            self._size = numbers[0]
            return 2 <= self._size <= 200
        if operator not in _SHOWING:
            return False
        strings = [_string(one) for one in operands if one[:1] in (b"(", b"<") and one != b"<<"]
        self.shown += strings
        left, bottom, right, top = self._box
        narrowest = 0.2 * self._size * sum(len(one) for one in strings)  # that text can be in these fonts
        fits = left <= self._at[0] and self._at[0] + narrowest <= right + 1
        return fits and bottom - self._size / 3 <= self._at[1] <= top


def _decoded(stream: Stream) -> bytes | None:
    filters = stream.entries.get("/Filter")
    if filters is None or filters == ():
        return stream.body if len(stream.body) <= _MAX_BODY else None
    if filters not in ("/FlateDecode", ("/FlateDecode",)) or stream.entries.get("/DecodeParms") is not None:
        return None
    try:
        inflate = zlib.decompressobj()
        body = inflate.decompress(stream.body, _MAX_BODY)
    except zlib.error:
        return None
    return body if not inflate.unconsumed_tail else None


def _fonts_are_plain(comparison: Comparison, stream: Stream) -> bool:
    """Y2: no program and no encoding of their own, so that a letter is that letter."""
    resources = entries_of(comparison.new(stream.entries.get("/Resources")))
    if not resources.keys() <= {"/Font", "/ProcSet"}:
        return False
    for value in entries_of(comparison.new(resources.get("/Font"))).values():
        font = entries_of(comparison.new(value))
        if font.get("/Subtype") not in ("/Type1", "/TrueType") or not _is_plain_encoding(font.get("/Encoding")):
            return False
        if any(key in entries_of(comparison.new(font.get("/FontDescriptor"))) for key in _PROGRAMS):
            return False
    return True


def _is_plain_encoding(encoding: Any) -> bool:
    return encoding is None or encoding in ("/WinAnsiEncoding", "/StandardEncoding", "/MacRomanEncoding")


def _is_number(token: bytes) -> bool:
    return token.lstrip(b"+-").replace(b".", b"", 1).isdigit()


def _string(token: bytes) -> bytes:
    """The octets of a literal or hexadecimal string (ISO 32000-2 §7.3.4)."""
    if token[:1] == b"<":
        digits = re.sub(rb"\s", b"", token[1:-1])
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())

    def undo(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes((int(code, 8) & 255,)) if code[:1].isdigit() else _ESCAPES.get(code, code)

    return re.sub(rb"\\([0-7]{1,3}|\r\n|.)", undo, token[1:-1], flags=re.DOTALL)
