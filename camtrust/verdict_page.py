"""A verdict on paper: first whether to rely on the document, then why, in Khmer and English.

The words of each rule come from the catalogue that the command and the services use; nothing is judged here. The page
says that it proves nothing by itself, for anybody can print one.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from fpdf.enums import Align

from camtrust.pages import BLUE, GREY, INK, RED, Page, Words
from foundation.catalogue import Language
from foundation.clock import rfc3339
from foundation.printable import is_printable
from signing.verify.model import FileVerdict, Indication, Reason, SignatureVerdict
from signing.verify.report import ReportSource
from signing.verify.trust import Trust

_MARGIN = 18.0
_GREEN, _AMBER = (24, 110, 60), (150, 95, 0)
_COLOURS = {Indication.TOTAL_PASSED: _GREEN, Indication.INDETERMINATE: _AMBER, Indication.TOTAL_FAILED: RED}
_MOST_SHOWN = 60  # characters of a name on one line of a table


def print_verdict(source: ReportSource, trust: Trust) -> bytes:
    """The report as a PDF/A-3b. The same verdict gives the same pages."""
    words = tomllib.loads(files("camtrust").joinpath("verdict_page.toml").read_text(encoding="utf-8"))
    verdict = source.verdict
    page = Page(
        words,
        source.at,
        f"{words['title_km']} · {words['title_en']}",
        "km",
        archive=True,
        banner=verdict.specimen,
        margin=_MARGIN,
    )
    page.identity = bytes.fromhex(source.sha256)[:16]
    page.line_of(words["title_km"], "khmer", "B", 15, BLUE, Align.C, 10)
    page.line_of(words["title_en"], "latin", "B", 12, BLUE, Align.C, 7)
    page.ln(3)
    _answer(page, verdict)
    page.ln(3)
    _facts(page, words, source, trust)
    for reason in (*trust.reasons, *verdict.reasons):
        _reason(page, reason)
    if verdict.signatures:
        _heading(page, words, "signatures")
    for number, signature in enumerate(verdict.signatures, 1):
        _signature(page, words, number, signature)
    page.ln(4)
    page.line_of(words["not_proof_km"], "khmer", size=9, colour=GREY, height=6.5)
    page.line_of(words["not_proof_en"], size=8.5, colour=GREY, height=5)
    return bytes(page.output())


def _answer(page: Page, verdict: FileVerdict) -> None:
    """Yes, no or not yet, and what to do: the first thing that a reader sees."""
    colour = _COLOURS[verdict.indication]
    page.set_draw_color(*colour)
    page.set_line_width(0.8)
    top, number = page.get_y(), page.page_no()
    page.set_y(top + 3)
    left, width = _MARGIN + 5, page.epw - 10
    page.line_of(verdict.headline(Language.KM), "khmer", "B", 13, colour, height=9, left=left, width=width)
    page.line_of(verdict.headline(Language.EN), "latin", "B", 12, colour, height=7, left=left, width=width)
    for language, family, size, height in ((Language.KM, "khmer", 10.5, 7.5), (Language.EN, "latin", 10, 5.8)):
        advice = verdict.advice(language)
        if advice:
            page.line_of(advice, family, "", size, height=height, left=left, width=width)
    bottom = page.get_y() + 3
    if page.page_no() == number:
        page.rect(_MARGIN, top, page.epw, bottom - top)
    page.set_y(bottom)


def _facts(page: Page, words: Words, source: ReportSource, trust: Trust) -> None:
    verdict = source.verdict
    shown = trust.bundle or trust.claimed
    sub = f" / {verdict.sub_indication.value}" if verdict.sub_indication else ""
    _fact(page, words, "file", Path(verdict.file.replace("\\", "/")).name)
    _fact(page, words, "digest", source.sha256)
    _fact(page, words, "judged", rfc3339(source.at.replace(microsecond=0)))
    _fact(page, words, "policy", source.policy)
    _fact(page, words, "result", f"{verdict.indication.value}{sub}")
    if shown is None:
        _fact(page, words, "bundle", f"{words['none_km']} · {words['none_en']}")
        return
    contents = shown.contents
    _fact(page, words, "bundle", f"{contents.sequence} ({rfc3339(contents.issued)} – {rfc3339(contents.expires)})")
    for signer in shown.signers:
        _fact(page, words, "signer", signer)


def _fact(page: Page, words: Words, key: str, value: str) -> None:
    khmer, english = str(words[f"{key}_km"]), str(words[f"{key}_en"])
    top = page.get_y()
    page.line_of(khmer if khmer == english else f"{khmer} · {english}", "khmer", "", 8.5, GREY, height=6, width=60)
    below = page.get_y()
    page.set_y(top)
    page.line_of(_printable(value), "khmer", "", 8.5, INK, height=6, left=_MARGIN + 62)
    page.set_y(max(below, page.get_y()))


def _heading(page: Page, words: Words, key: str) -> None:
    page.ln(4)
    page.line_of(f"{words[f'{key}_km']} · {words[f'{key}_en']}", "khmer", "B", 12, BLUE, height=9)


def _signature(page: Page, words: Words, number: int, one: SignatureVerdict) -> None:
    colour = _COLOURS[one.indication]
    name = one.signer.name if one.signer else f"{words['unidentified_km']} · {words['unidentified_en']}"
    page.ln(2)
    page.line_of(f"{number}. {_printable(name)}", "khmer", "B", 11, colour, height=8)
    sub = f" / {one.sub_indication.value}" if one.sub_indication else ""
    _fact(page, words, "result", f"{one.indication.value}{sub}")
    if one.level:
        _fact(page, words, "level", one.level)
    for key, at in (("claimed", one.claimed_at), ("proved", one.proved_at)):
        if at is not None:
            _fact(page, words, key, rfc3339(at.replace(microsecond=0)))
    for reason in one.reasons:
        if reason.rule != "SPECIMEN":
            _reason(page, reason)
    if one.relied_on:
        page.line_of(f"{words['relied_km']} · {words['relied_en']}", "khmer", "B", 8.5, GREY, height=7)
    for item in one.relied_on:
        when = f" · {rfc3339(item.at.replace(microsecond=0))}" if item.at else ""
        what = _printable(item.what)[:_MOST_SHOWN]
        page.line_of(f"{item.kind} ({item.purpose}, {item.source}){when} · {what}", "khmer", "", 7.5, height=5)
        page.line_of(item.sha256, "latin", "", 7, GREY, height=4.2)


def _reason(page: Page, reason: Reason) -> None:
    colour = _COLOURS[reason.indication]
    page.line_of(_printable(reason.message(Language.KM)), "khmer", "", 9.5, colour, height=7, left=_MARGIN + 4)
    english = f"{_printable(reason.message(Language.EN))} [{reason.rule} · {reason.clause}]"
    page.line_of(english, "latin", "", 8.5, colour, height=5, left=_MARGIN + 4)


def _printable(value: str) -> str:
    """Names come from the document: one line, no controls, nothing that turns the line's direction."""
    kept = "".join(one if is_printable(one) else " " for one in value)
    return " ".join(kept.split(" "))
