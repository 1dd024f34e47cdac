"""The pages: portal, API documentation, and what each problem means. They run no script but their own files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from foundation.catalogue import SPOKEN, Language, catalogue, negotiate
from foundation.http.errors import RouteUnknown
from foundation.http.guard import public

ROOMS = ("foundation", "camtrust", "root_ca", "issuing_ca", "ekyc", "identity", "signing", "hsm_emulation")
"""Packages whose catalogues the problem pages read; nothing else is ever looked up by a name from outside."""

_TEXTS = "camtrust.web"
_CODE = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")


def create_router(specimen: bool, emulated: Sequence[str], crl_paths: Sequence[str]) -> APIRouter:
    """``/``, ``/docs`` and ``/problems/{code}``.

    ``emulated`` names parts as in this package's catalogue. Every page names them: the portal with a sentence each,
    the others in a line at the top.
    """
    router = APIRouter(include_in_schema=False, dependencies=[Depends(public)])

    @router.get("/")
    def portal(request: Request) -> Response:
        language = _language(request)
        body = _page(
            "portal.html",
            language,
            banner=_banner(language, specimen),
            emulated_parts=_emulated(language, emulated),
            crls_list="".join(f'<li><a href="{escape(path)}">{escape(path)}</a></li>' for path in crl_paths),
        )
        return _answer(body, language)

    @router.get("/docs")
    def docs(request: Request) -> Response:
        language = _language(request)
        banner = _banner(language, specimen) + _emulated_line(language, emulated)
        return _answer(_page("docs.html", language, banner=banner), language)

    @router.get("/problems/{code}")
    def problem(code: str, request: Request) -> Response:
        language = _language(request)
        entry = _entry(code)
        if entry is None:
            raise RouteUnknown
        body = _page(
            "problem.html",
            language,
            banner=_banner(language, specimen) + _emulated_line(language, emulated),
            code=escape(code),
            sentence_km=_sentence(entry, "km"),
            sentence_en=_sentence(entry, "en"),
            next_km=_sentence(entry, "hint_km"),
            next_en=_sentence(entry, "hint_en"),
        )
        return _answer(body, language)

    return router


def _language(request: Request) -> Language:
    asked = request.query_params.get("lang")
    return Language(asked) if asked in SPOKEN else negotiate(request.headers.get("accept-language"))


def _page(name: str, language: Language, **parts: str) -> str:
    """A page with the texts of one language; ``parts`` are HTML already."""
    texts = {key: escape(str(entry[language.value])) for key, entry in catalogue(_TEXTS).items()}
    other = Language.EN if language is Language.KM else Language.KM
    template = Template(files(__package__ or "").joinpath("pages", name).read_text(encoding="utf-8"))
    return template.substitute(texts, lang=language.value, other_lang=other.value, **parts)


def _banner(language: Language, specimen: bool) -> str:
    if not specimen:
        return ""
    text = escape(str(catalogue(_TEXTS)["specimen"][language.value]))
    return f'<p class="specimen" role="note"><strong>SPECIMEN</strong> {text}</p>'


def _named(prefix: str, language: Language, emulated: Sequence[str]) -> list[str]:
    texts = catalogue(_TEXTS)
    return [escape(str(texts.get(f"{prefix}_{part}", {}).get(language.value, part))) for part in emulated]


def _emulated_line(language: Language, emulated: Sequence[str]) -> str:
    if not emulated:
        return ""
    heading = escape(str(catalogue(_TEXTS)["emulated"][language.value]))
    names = " · ".join(_named("part", language, emulated))
    return f'<p class="emulated" role="note"><strong>{heading}</strong> {names}</p>'


def _emulated(language: Language, emulated: Sequence[str]) -> str:
    if not emulated:
        return ""
    texts = catalogue(_TEXTS)
    items = "".join(f"<li>{sentence}</li>" for sentence in _named("emulated", language, emulated))
    heading = escape(str(texts["emulated"][language.value]))
    return f'<section aria-labelledby="emulated"><h2 id="emulated">{heading}</h2><ul>{items}</ul></section>'


def _entry(code: str) -> dict[str, str] | None:
    if not _CODE.match(code):
        return None
    room, _, name = code.partition(".")
    if room not in ROOMS:
        return None
    try:
        entry = catalogue(room).get(name)
    except FileNotFoundError:
        return None
    return dict(entry) if entry is not None and "hint_en" in entry else None


def _sentence(entry: dict[str, str], key: str) -> str:
    return escape(_PLACEHOLDER.sub("…", str(entry.get(key, ""))))


def _answer(body: str, language: Language) -> Response:
    return HTMLResponse(body, headers={"Content-Language": language.value, "Vary": "Accept-Language"})
