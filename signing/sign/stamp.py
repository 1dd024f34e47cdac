"""What is seen of a visible signature: a small page of its own, drawn with fpdf2.

Khmer is shaped by HarfBuzz, Latin letters and digits come from the other font, lines break at U+200B, which is not
drawn; fonts are embedded as far as they are used. Shaped glyphs do not give their text back in order, so each line
carries it beside them (/ActualText, ISO 32000-2 §14.9.4). Everything is in grey: PDF/A needs no colour space for it.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import segno
from cryptography import x509
from cryptography.x509.oid import NameOID
from fpdf import FPDF
from fpdf.enums import Align, MethodReturnValue, XPos, YPos

from foundation.catalogue import Language, text
from signing.errors import NoPlaceForSignature

CAMBODIA = timezone(timedelta(hours=7))
PADDING, LEADING = 5.0, 1.5  # points; line heights to the font size, for the signs below and above Khmer letters
_LARGEST, _SMALLEST, _STEP = 11.0, 4.0, 0.5
_SMALLEST_SQUARE = 0.7  # points, a quarter of a millimetre: three dots of a printer with 300 to the inch
_KHMER = range(0x1780, 0x1800)


@dataclass(frozen=True)
class Seen:
    """What a visible signature says. ``address``: where its QR code leads; None: it has none."""

    lines: tuple[str, ...]
    address: str | None = None


def seen(certificate: x509.Certificate, at: datetime, reason: str | None, address: str | None) -> Seen:
    """Who signs, for which organisation, when (Cambodian time) and why; headed in Khmer and English."""

    def of(kind: x509.ObjectIdentifier) -> str | None:
        found = certificate.subject.get_attributes_for_oid(kind)
        return str(found[0].value) if found else None

    local = at.astimezone(CAMBODIA)
    heading = [text("signing.stamp_heading", language) for language in (Language.KM, Language.EN)]
    names = [of(NameOID.COMMON_NAME), of(NameOID.ORGANIZATION_NAME)]
    lines = ["\u200b".join(heading[:1]) + " · " + heading[1], *dict.fromkeys(one for one in names if one)]
    lines.append(f"{local:%Y-%m-%d %H:%M:%S} +07:00")
    return Seen(tuple((*lines, reason) if reason else lines), address)


def draw(what: Seen, size: tuple[float, float], fonts: Path) -> bytes:
    """A PDF of one page of this size, in points. The letters are as large as the lines leave room for.

    Raises NoPlaceForSignature where the QR code would be too small to be read.
    """
    width, height = size
    side = min(height - 2 * PADDING, width / 2)
    rows = None if what.address is None else code_of(what.address, side)
    sheet = Sheet(size, fonts)  # it has files open until its end: nothing may fail in between
    sheet.frame()
    left = PADDING
    if rows is not None:
        sheet.code(rows, left, (height - side) / 2, side)
        left += side + PADDING
    room = (width - left - PADDING, height - 2 * PADDING)
    letters = _LARGEST
    while letters > _SMALLEST and sheet.height_of(what.lines, letters, room[0]) > room[1]:
        letters -= _STEP
    sheet.write(what.lines, letters, left, room)
    return bytes(sheet.output())


def code_of(address: str, side: float) -> list[list[int]]:
    """The squares of a QR code, row by row. Raises NoPlaceForSignature where they would be too small."""
    rows = [list(row) for row in segno.make(address, error="m", boost_error=False).matrix]
    if side / len(rows) < _SMALLEST_SQUARE:
        raise NoPlaceForSignature
    return rows


class Sheet(FPDF):
    def __init__(self, size: tuple[float, float], fonts: Path) -> None:
        super().__init__(unit="pt", format=size)
        for family, stem in (("khmer", "NotoSansKhmer"), ("latin", "NotoSans")):
            self.add_font(family, "", fonts / f"{stem}-Regular.ttf")
            self.add_font(family, "B", fonts / f"{stem}-Bold.ttf")
        self.set_fallback_fonts(["khmer", "latin"], exact_match=True)
        self.set_text_shaping(True)
        self.set_margins(0, 0, 0)
        self.set_auto_page_break(False)
        self.c_margin = 0
        self.add_page()

    def frame(self) -> None:
        self.set_fill_color(252)
        self.set_draw_color(110)
        self.set_line_width(0.7)
        self.rect(0.35, 0.35, self.w - 0.7, self.h - 0.7, style="DF")

    def code(self, rows: list[list[int]], left: float, top: float, side: float) -> None:
        """A QR code of dark squares; neighbours in a row are one rectangle."""
        one = side / len(rows)
        self.set_fill_color(0)
        for down, row in enumerate(rows):
            start = None
            for across, dark in enumerate([*row, 0]):
                if dark and start is None:
                    start = across
                elif not dark and start is not None:
                    self.rect(left + start * one, top + down * one, (across - start) * one, one, style="F")
                    start = None

    def height_of(self, lines: tuple[str, ...], letters: float, width: float) -> float:
        return sum(len(self._broken(number, line, letters, width)) for number, line in enumerate(lines)) * (
            letters * LEADING
        )

    def write(self, lines: tuple[str, ...], letters: float, left: float, room: tuple[float, float]) -> None:  # type: ignore[override]
        height = letters * LEADING
        top = PADDING + max(0.0, (room[1] - self.height_of(lines, letters, room[0])) / 2)
        for number, line in enumerate(lines):
            self.set_text_color(90 if number == 0 else 0)
            for part in self._broken(number, line, letters, room[0]):
                if top + height > self.h:
                    return
                self.set_xy(left, top)
                self.readable(part, room[0], height, Align.L)
                top += height

    def readable(self, part: str, width: float, height: float, align: Align) -> None:
        """A line that fits, where the sheet stands; its text is beside its glyphs."""
        self._out(f"/Span <</ActualText <{BOM_UTF16_BE.hex()}{part.encode('utf-16-be').hex()}>>> BDC")
        self.cell(width, height, part, align=align, new_x=XPos.LEFT, new_y=YPos.TOP)
        self._out("EMC")

    def _broken(self, number: int, line: str, letters: float, width: float) -> list[str]:
        """The line in as many as it takes; the first two, heading and name, look different."""
        return self.broken(line, letters * (0.8 if number == 0 else 1), width, bold=number == 1)

    def broken(self, line: str, letters: float, width: float, *, bold: bool) -> list[str]:
        """The line in as many as it takes in letters of this size, whose font is set for them."""
        family = "khmer" if any(ord(one) in _KHMER for one in line) else "latin"
        self.set_font(family, "B" if bold else "", letters)
        written: Any = self.multi_cell(
            width, letters * LEADING, line, align=Align.L, dry_run=True, output=MethodReturnValue.LINES
        )
        return cast("list[str]", written)
