"""The documents that the demo signs when it is given none: a Khmer letter, an English agreement, a bilingual form.

Khmer is shaped by HarfBuzz (subscripts below, vowels before their consonant) and lines break at U+200B, which is not
drawn. The same time gives the same bytes. The words are in ``documents.toml``; every page says SPECIMEN.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from fpdf.enums import Align

from camtrust.pages import BLUE, GREY, INK, KHMER_DIGITS, MARGIN, Page, Words

_COLUMNS, _FAMILIES = (50.0, 45.0, 65.0), ("khmer", "latin", "latin")  # of the form


def make_specimen_documents(directory: Path, at: datetime) -> list[Path]:
    """Write the three documents, dated ``at`` (aware), into ``directory``; gives their paths.

    Documents of the same name are replaced.
    """
    words = tomllib.loads(files("camtrust").joinpath("documents.toml").read_text(encoding="utf-8"))
    makers: dict[str, Callable[[Words, datetime], Page]] = {
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


def _letter(words: Words, at: datetime) -> Page:
    text = words["letter"]
    page = Page(words, at, text["title"], "km")
    for line in text["heading"]:
        page.line_of(line, "khmer", "B", 13, align=Align.C, height=9)
    page.ln(4)
    page.line_of(text["number"], "khmer", "", 10, GREY)
    page.ln(4)
    page.line_of(text["title"], "khmer", "B", 17, BLUE, Align.C, 12)
    page.ln(4)
    page.line_of(text["opening"], "khmer", height=8.5)
    page.ln(2)
    for label, value in text["fields"]:
        top = page.get_y()
        page.line_of(f"{label}៖", "khmer", "B", height=8.5, width=45)
        page.set_y(top)
        page.line_of(value, "khmer", height=8.5, left=MARGIN + 45)
    page.ln(2)
    for paragraph in text["paragraphs"]:
        page.line_of(paragraph, "khmer", height=8.5)
        page.ln(2)
    page.ln(4)
    place = text["place"].format(
        day=f"{at.day:02}".translate(KHMER_DIGITS),
        month=words["months_km"][at.month - 1],
        year=str(at.year).translate(KHMER_DIGITS),
    )
    page.line_of(place, "khmer", align=Align.R, height=8.5)
    page.signature_place(page.w - MARGIN - 70, page.get_y() + 4, 70, text["signer"], "khmer")
    return page


def _agreement(words: Words, at: datetime) -> Page:
    text = words["agreement"]
    page = Page(words, at, text["title"], "en")
    page.line_of(text["title"], "latin", "B", 18, BLUE, height=10)
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
        page.signature_place(MARGIN + position * 85, top, 75, label, "latin")
    return page


def _form(words: Words, at: datetime) -> Page:
    text = words["form"]
    page = Page(words, at, text["title_en"], "km")
    page.line_of(text["title_km"], "khmer", "B", 16, BLUE, Align.C, 11)
    page.line_of(text["title_en"], "latin", "B", 13, BLUE, Align.C, 8)
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
    page.signature_place(page.w - MARGIN - 90, page.get_y() + 10, 90, text["signer"], "khmer")
    return page


def _part(page: Page, text: Words, index: int) -> None:
    page.ln(6)
    page.line_of(f"{text['parts_km'][index]} · {text['parts_en'][index]}", "khmer", "B", 12, height=9)


def _enclosed(page: Page, rows: list[list[Any]]) -> None:
    page.set_draw_color(*INK)
    page.set_line_width(0.3)
    for khmer, english, there in rows:
        left, top = page.get_x(), page.get_y() + 2
        page.rect(left, top, 4.5, 4.5)
        if there:
            page.line(left + 0.8, top + 2.4, left + 1.9, top + 3.7)
            page.line(left + 1.9, top + 3.7, left + 3.9, top + 0.8)
        page.line_of(f"{khmer} · {english}", "khmer", height=8.5, left=left + 8)
