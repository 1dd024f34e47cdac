"""How pages of the portal are made: Jinja templates over the catalogues, one frame around all of them.

Everything that is put into a page is escaped, and a name that a template does not know is an error. Pages carry no
script and no style of their own: the content security policy would not run it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from foundation.catalogue import SPOKEN, Language, catalogue, negotiate

LANGUAGE_COOKIE = "__Host-camtrust-language"
PHNOM_PENH = ZoneInfo("Asia/Phnom_Penh")

_FRAME = "camtrust.web"
_PAGES = "camtrust.web.portal"
_KHMER_DIGITS = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")


@dataclass(frozen=True)
class Layout:
    """The frame. ``emulated``: parts that stand in for real ones, by their names in the catalogue of the front page."""

    specimen: bool
    emulated: Sequence[str]
    environment: Environment

    @staticmethod
    def make(specimen: bool, emulated: Sequence[str]) -> Layout:
        """A layout over the templates of this package."""
        folder = Path(str(files("camtrust.web"))) / "pages"
        made = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return Layout(specimen, tuple(emulated), made)

    def page(
        self,
        template: str,
        request: Request,
        *,
        status: int = 200,
        signed_in: bool = True,
        form: str = "",
        **values: Any,
    ) -> HTMLResponse:
        """A page in the reader's language. ``form``: the token of its forms; ``signed_in``: with a way out."""
        language = language_of(request)
        other = Language.EN if language is Language.KM else Language.KM
        texts = {**_said(_FRAME, language), **_said(_PAGES, language)}
        frame = catalogue(_FRAME)
        body = self.environment.get_template(template).render(
            t=texts,
            lang=language.value,
            other=other.value,
            here=request.url.path if request.method == "GET" else "/portal",
            specimen=self.specimen,
            emulated=[str(frame.get(f"part_{one}", {}).get(language.value, one)) for one in self.emulated],
            signed_in=signed_in,
            form=form,
            number=lambda value: number(value, language),
            moment=lambda value: moment(value, language),
            **values,
        )
        response = HTMLResponse(body, status_code=status)
        response.headers.update({"Content-Language": language.value, "Vary": "Accept-Language, Cookie"})
        asked = request.query_params.get("lang")
        if asked in SPOKEN:
            response.set_cookie(LANGUAGE_COOKIE, asked, secure=True, httponly=True, samesite="strict", max_age=31536000)
        return response


def language_of(request: Request) -> Language:
    """As the reader chose, now or before; else what their browser asks for."""
    for asked in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if asked in SPOKEN:
            return Language(asked)
    return negotiate(request.headers.get("accept-language"))


def number(value: object, language: Language) -> str:
    """A number in the digits of the language."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.translate(_KHMER_DIGITS) if language is Language.KM else text


def moment(at: datetime, language: Language) -> str:
    """A time by Cambodia's clock."""
    return number(at.astimezone(PHNOM_PENH).strftime("%d.%m.%Y %H:%M"), language)


def _said(package: str, language: Language) -> Mapping[str, str]:
    return {key: str(entry[language.value]) for key, entry in catalogue(package).items()}
