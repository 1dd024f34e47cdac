"""PDF pages in Khmer and English: fonts, shaping, lines that give their text back.

Khmer is shaped by HarfBuzz (subscripts below, vowels before their consonant) and lines break at U+200B, which is not
drawn. The same time and contents give the same bytes.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from fpdf import FPDF
from fpdf.enums import Align, DocumentCompliance, MethodReturnValue, XPos, YPos

MARGIN = 25.0  # millimetres
INK, GREY, RED, BLUE = (25, 30, 40), (120, 125, 135), (176, 32, 32), (20, 60, 120)
KHMER_DIGITS = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")

Words = Mapping[str, Any]


class Page(FPDF):
    """Pages with the specimen banner above (unless ``banner`` is off) and their number below.

    ``words``: banner_km, banner_en, page_km and page_en. ``archive``: PDF/A-3b (ISO 19005-3).
    """

    def __init__(
        self,
        words: Words,
        at: datetime,
        title: str,
        language: str,
        *,
        archive: bool = False,
        banner: bool = True,
        margin: float = MARGIN,
    ) -> None:
        super().__init__(format="A4", enforce_compliance=DocumentCompliance.PDFA_3B if archive else None)
        self._banner, self._margin = banner, margin
        fonts = Path(str(files("camtrust") / "fonts"))
        for family, stem in (("khmer", "NotoSansKhmer"), ("latin", "NotoSans")):
            self.add_font(family, "", fonts / f"{stem}-Regular.ttf")
            self.add_font(family, "B", fonts / f"{stem}-Bold.ttf")
        self.set_fallback_fonts(["khmer", "latin"], exact_match=True)
        self.set_text_shaping(True)
        self.set_creation_date(at)
        self.set_title(title.replace("\u200b", ""))
        self.set_creator("CamTrust")
        self.set_producer("CamTrust")
        self.set_lang(language)
        self.set_margins(margin, 32 if banner else margin, margin)
        self.set_auto_page_break(True, 30)
        self._words = words
        self.identity: bytes | None = None  # 16 octets for /ID (ISO 32000-2 §14.4); fpdf2 takes its own without them
        self.add_page()

    def file_id(self) -> str | Literal[-1]:
        """What fpdf2 asks for."""
        return f"<{self.identity.hex()}><{self.identity.hex()}>".upper() if self.identity else -1

    def header(self) -> None:
        if not self._banner:
            return
        self.set_draw_color(*RED)
        self.set_line_width(0.5)
        self.rect(self._margin, 10, self.epw, 15)
        self.set_xy(self._margin, 11)
        self.line_of(str(self._words["banner_km"]), "khmer", "B", 10, RED, Align.C, 6.5)
        self.line_of(str(self._words["banner_en"]), "latin", "B", 9, RED, Align.C, 6)
        self.set_y(self.t_margin)

    def footer(self) -> None:
        self.set_y(-20)
        number = str(self.page_no())
        khmer = str(self._words["page_km"]).format(page=number.translate(KHMER_DIGITS))
        english = str(self._words["page_en"]).format(page=number)
        self.line_of(f"{khmer} · {english}", "khmer", "", 8, GREY, Align.C, 6)

    def line_of(  # one paragraph, across the whole width or from ``left`` on
        self,
        text: str,
        family: str = "latin",
        style: str = "",
        size: float = 11,
        colour: tuple[int, int, int] = INK,
        align: Align = Align.L,
        height: float = 6.5,
        left: float | None = None,
        width: float | None = None,
    ) -> None:
        """Write, and go to the next line.

        Shaped glyphs do not give their text back in order: each line carries it beside them (ISO 32000-2 §14.9.4).
        """
        self.set_font(family, style, size)
        self.set_text_color(*colour)
        left = self._margin if left is None else left
        width = width or self.w - self.r_margin - left
        written = self.multi_cell(width, height, text, align=Align.L, dry_run=True, output=MethodReturnValue.LINES)
        for line in cast("list[str]", written):
            if self.will_page_break(height):
                self.add_page()
                self.set_font(family, style, size)
                self.set_text_color(*colour)
            self.set_x(left)
            self._out(f"/Span <</ActualText <{BOM_UTF16_BE.hex()}{line.encode('utf-16-be').hex()}>>> BDC")
            self.cell(width, height, line, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self._out("EMC")

    def fields(self, rows: list[list[str]], widths: tuple[float, ...], families: tuple[str, ...]) -> None:
        """Rows of a table with thin rules; the last column is what was filled in."""
        self.set_draw_color(*GREY)
        self.set_line_width(0.2)
        for row in rows:
            top, left = self.get_y(), self._margin
            for position, (text, width, family) in enumerate(zip(row, widths, families, strict=True)):
                filled = position == len(row) - 1
                self.rect(left, top, width, 10)
                self.set_y(top + 1.5)
                self.line_of(
                    text,
                    family,
                    "B" if filled else "",
                    10.5,
                    BLUE if filled else INK,
                    height=7,
                    left=left + 1,
                    width=width - 2,
                )
                left += width
            self.set_y(top + 10)

    def signature_place(self, left: float, top: float, width: float, label: str, family: str) -> None:
        """A frame with a label under it, where a visible signature can stand."""
        self.set_draw_color(*GREY)
        self.set_line_width(0.2)
        self.rect(left, top, width, 24)
        self.set_y(top + 25)
        self.line_of(label, family, size=10, align=Align.C, left=left, width=width)
