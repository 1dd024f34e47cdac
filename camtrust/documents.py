"""The documents that the demo signs when it is given none: a Khmer letter, an English agreement, a bilingual form.

Khmer is shaped by HarfBuzz (subscripts below, vowels before their consonant) and lines break at U+200B, which is not
drawn. The same time gives the same bytes. The words are in ``documents.toml``; every page says SPECIMEN.
"""

from __future__ import annotations

import tomllib
from codecs import BOM_UTF16_BE
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from fpdf import FPDF
from fpdf.enums import Align, MethodReturnValue, XPos, YPos

_MARGIN = 25.0  # millimetres
_INK, _GREY, _RED, _BLUE = (25, 30, 40), (120, 125, 135), (176, 32, 32), (20, 60, 120)
_COLUMNS, _FAMILIES = (50.0, 45.0, 65.0), ("khmer", "latin", "latin")  # of the form
_KHMER_DIGITS = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")

Words = Mapping[str, Any]


def make_specimen_documents(directory: Path, at: datetime) -> list[Path]:
    """Write the three documents, dated ``at`` (aware), into ``directory``; gives their paths.

    Documents of the same name are replaced.
    """
    words = tomllib.loads(files("camtrust").joinpath("documents.toml").read_text(encoding="utf-8"))
    makers: dict[str, Callable[[Words, datetime], _Document]] = {
        "letter": _letter,
        "agreement": _agreement,
        "form": _form,
    }
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in makers.items():
        path = directory / str(words[name]["file"])
        path.write_bytes(bytes(make(words, at).output()))
        paths.append(path)
    return paths


class _Document(FPDF):
    """A page with the specimen banner above and its number below."""

    def __init__(self, words: Words, at: datetime, title: str, language: str) -> None:
        super().__init__(format="A4")
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
        self.set_margins(_MARGIN, 32, _MARGIN)
        self.set_auto_page_break(True, 30)
        self._words = words
        self.add_page()

    def header(self) -> None:
        self.set_draw_color(*_RED)
        self.set_line_width(0.5)
        self.rect(_MARGIN, 10, self.epw, 15)
        self.set_xy(_MARGIN, 11)
        self.line_of(str(self._words["banner_km"]), "khmer", "B", 10, _RED, Align.C, 6.5)
        self.line_of(str(self._words["banner_en"]), "latin", "B", 9, _RED, Align.C, 6)
        self.set_y(self.t_margin)

    def footer(self) -> None:
        self.set_y(-20)
        number = str(self.page_no())
        khmer = str(self._words["page_km"]).format(page=number.translate(_KHMER_DIGITS))
        english = str(self._words["page_en"]).format(page=number)
        self.line_of(f"{khmer} · {english}", "khmer", "", 8, _GREY, Align.C, 6)

    def line_of(  # one paragraph, across the whole width or from ``left`` on
        self,
        text: str,
        family: str = "latin",
        style: str = "",
        size: float = 11,
        colour: tuple[int, int, int] = _INK,
        align: Align = Align.L,
        height: float = 6.5,
        left: float = _MARGIN,
        width: float | None = None,
    ) -> None:
        """Write, and go to the next line.

        Shaped glyphs do not give their text back in order: each line carries it beside them (ISO 32000-2 §14.9.4).
        """
        self.set_font(family, style, size)
        self.set_text_color(*colour)
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
        self.set_draw_color(*_GREY)
        self.set_line_width(0.2)
        for row in rows:
            top, left = self.get_y(), _MARGIN
            for position, (text, width, family) in enumerate(zip(row, widths, families, strict=True)):
                filled = position == len(row) - 1
                self.rect(left, top, width, 10)
                self.set_y(top + 1.5)
                self.line_of(
                    text,
                    family,
                    "B" if filled else "",
                    10.5,
                    _BLUE if filled else _INK,
                    height=7,
                    left=left + 1,
                    width=width - 2,
                )
                left += width
            self.set_y(top + 10)

    def signature_place(self, left: float, top: float, width: float, label: str, family: str) -> None:
        """A frame with a label under it, where a visible signature can stand."""
        self.set_draw_color(*_GREY)
        self.set_line_width(0.2)
        self.rect(left, top, width, 24)
        self.set_y(top + 25)
        self.line_of(label, family, size=10, align=Align.C, left=left, width=width)


def _letter(words: Words, at: datetime) -> _Document:
    text = words["letter"]
    page = _Document(words, at, text["title"], "km")
    for line in text["heading"]:
        page.line_of(line, "khmer", "B", 13, align=Align.C, height=9)
    page.ln(4)
    page.line_of(text["number"], "khmer", "", 10, _GREY)
    page.ln(4)
    page.line_of(text["title"], "khmer", "B", 17, _BLUE, Align.C, 12)
    page.ln(4)
    page.line_of(text["opening"], "khmer", height=8.5)
    page.ln(2)
    for label, value in text["fields"]:
        top = page.get_y()
        page.line_of(f"{label}៖", "khmer", "B", height=8.5, width=45)
        page.set_y(top)
        page.line_of(value, "khmer", height=8.5, left=_MARGIN + 45)
    page.ln(2)
    for paragraph in text["paragraphs"]:
        page.line_of(paragraph, "khmer", height=8.5)
        page.ln(2)
    page.ln(4)
    place = text["place"].format(
        day=f"{at.day:02}".translate(_KHMER_DIGITS),
        month=words["months_km"][at.month - 1],
        year=str(at.year).translate(_KHMER_DIGITS),
    )
    page.line_of(place, "khmer", align=Align.R, height=8.5)
    page.signature_place(page.w - _MARGIN - 70, page.get_y() + 4, 70, text["signer"], "khmer")
    return page


def _agreement(words: Words, at: datetime) -> _Document:
    text = words["agreement"]
    page = _Document(words, at, text["title"], "en")
    page.line_of(text["title"], "latin", "B", 18, _BLUE, height=10)
    page.ln(1)
    page.line_of(text["intro"].format(day=at.day, month=words["months_en"][at.month - 1], year=at.year))
    for number, (title, clause) in enumerate(text["clauses"], start=1):
        page.ln(2.2)
        page.line_of(f"{number}. {title}", "latin", "B", 11)
        page.line_of(clause, size=10.5, height=5.8)
    top = page.get_y() + 8
    if top + 33 > page.page_break_trigger:
        page.add_page()
        top = page.get_y() + 4
    for position, label in enumerate(text["signers"]):
        page.signature_place(_MARGIN + position * 85, top, 75, label, "latin")
    return page


def _form(words: Words, at: datetime) -> _Document:
    text = words["form"]
    page = _Document(words, at, text["title_en"], "km")
    page.line_of(text["title_km"], "khmer", "B", 16, _BLUE, Align.C, 11)
    page.line_of(text["title_en"], "latin", "B", 13, _BLUE, Align.C, 8)
    _part(page, text, 0)
    page.fields(text["applicant"], _COLUMNS, _FAMILIES)
    _part(page, text, 1)
    page.fields(text["business"], _COLUMNS, _FAMILIES)
    page.add_page()
    _part(page, text, 2)
    _enclosed(page, text["enclosed"])
    _part(page, text, 3)
    page.line_of(text["declaration_km"], "khmer", height=8.5)
    page.ln(1)
    page.line_of(text["declaration_en"])
    page.signature_place(page.w - _MARGIN - 90, page.get_y() + 10, 90, text["signer"], "khmer")
    return page


def _part(page: _Document, text: Words, index: int) -> None:
    page.ln(6)
    page.line_of(f"{text['parts_km'][index]} · {text['parts_en'][index]}", "khmer", "B", 12, height=9)


def _enclosed(page: _Document, rows: list[list[Any]]) -> None:
    page.set_draw_color(*_INK)
    page.set_line_width(0.3)
    for khmer, english, there in rows:
        left, top = page.get_x(), page.get_y() + 2
        page.rect(left, top, 4.5, 4.5)
        if there:
            page.line(left + 0.8, top + 2.4, left + 1.9, top + 3.7)
            page.line(left + 1.9, top + 3.7, left + 3.9, top + 0.8)
        page.line_of(f"{khmer} · {english}", "khmer", height=8.5, left=left + 8)
