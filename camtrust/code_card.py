"""The card with a person's codes, as a PDF of one page in Khmer and English. The words are in ``code_card.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files

from fpdf.enums import Align

from camtrust.pages import BLUE, GREY, MARGIN, Page

_COLUMNS = 4
_HEIGHT = 8.0  # millimetres a code


class PdfCards:
    """`ekyc.ports.CardPrinter`. It names nobody: the enrolment's last four signs tell cards apart."""

    def __init__(self, *, specimen: bool = True) -> None:
        """``specimen``: the page says that it is one."""
        self._specimen = specimen

    def card(self, codes: Sequence[str], enrolment_id: str, at: datetime) -> bytes:
        """One page; the same codes and time give the same bytes."""
        words = tomllib.loads(files("camtrust").joinpath("code_card.toml").read_text(encoding="utf-8"))
        page = Page(words, at, words["title_en"], "km", banner=self._specimen)
        page.line_of(words["title_km"], "khmer", "B", 16, BLUE, Align.C, 11)
        page.line_of(words["title_en"], "latin", "B", 12, BLUE, Align.C, 8)
        page.line_of(f"{at:%Y-%m-%d} · {enrolment_id[-4:]}", "latin", "", 9, GREY, Align.C, 6)
        page.ln(2)
        for language, family in (("km", "khmer"), ("en", "latin")):
            for line in words[f"rules_{language}"]:
                page.line_of(line, family, "", 9.5, height=6)
            page.ln(1)
        page.ln(2)
        width = page.epw / _COLUMNS
        rows = -(-len(codes) // _COLUMNS)
        top = page.get_y()
        page.set_draw_color(*GREY)
        page.set_line_width(0.2)
        for place, code in enumerate(codes):
            column, row = divmod(place, rows)
            left = MARGIN + column * width
            page.rect(left, top + row * _HEIGHT, width, _HEIGHT)
            page.set_y(top + row * _HEIGHT + 1)
            page.line_of(f"{place + 1}", "latin", "", 8, GREY, Align.R, 6, left, 8)
            page.set_y(top + row * _HEIGHT + 1)
            half = len(code) // 2
            page.line_of(f"{code[:half]} {code[half:]}", "latin", "B", 11, height=6, left=left + 10, width=width - 11)
        return bytes(page.output())
