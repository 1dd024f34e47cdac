"""The page for whoever was given a signed document, or holds a print of one: ``/verify``. No login.

The verdict is the verifier's (`signing.verify`), against the bundle that is published here; nothing of a document is
kept. What stands behind the # of the address, a code that was read off paper, the browser sends nobody: our script puts
it into the form, and the reader sends it.

Annotations are not postponed here: FastAPI resolves them.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.formparsers import MultiPartException

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, problem_page, show_problems, told
from camtrust.web.portal.session import check_origin
from camtrust.web.trust import hung_up
from foundation.catalogue import Language
from foundation.errors import CamTrustError
from foundation.http.guard import public
from signing.errors import UploadInvalid
from signing.upload import Upload, read_upload
from signing.verify.model import FileVerdict

ADDRESS = "/verify"
_LARGEST_CODE = 1024  # octets


def create_router(parts: Parts) -> APIRouter:
    """``/verify`` and its two forms. What fails is told on the page."""
    router = APIRouter(
        prefix=ADDRESS, include_in_schema=False, dependencies=[Depends(public), Depends(problem_page(parts.layout))]
    )

    def page(request: Request, status: int = 200, **more: Any) -> Response:
        nothing: dict[str, Any] = {"verdict": None, "name": "", "headline": "", "advice": "", "reasons": [], "code": ""}
        return parts.layout.page(
            "portal/verify.html", request, status=status, signed_in=False, **(NO_PROBLEM | nothing | more)
        )

    def shown(request: Request, name: str, data: bytes) -> Response:
        language = language_of(request)
        verdict = parts.judges.judge(data, hung_up(request)).verdict
        return page(
            request,
            verdict=verdict,
            name=name,
            headline=verdict.headline(language),
            advice=verdict.advice(language),
            reasons=_reasons(verdict, language),
        )

    def told_here(request: Request) -> None:
        def trouble(error: CamTrustError, status: int) -> Response:
            return page(request, status, **told(error, request))

        show_problems(request, trouble)

    async def sent_file(request: Request) -> Upload:
        told_here(request)
        check_origin(request)
        return await read_upload(request, frozenset())

    async def sent_code(request: Request) -> bytes:
        told_here(request)
        check_origin(request)
        try:
            async with request.form(max_files=0, max_fields=1, max_part_size=_LARGEST_CODE) as form:
                text = form.get("paper")
        except (MultiPartException, ValueError) as error:
            raise UploadInvalid from error
        if not isinstance(text, str) or not text.strip() or len(text) > _LARGEST_CODE:
            raise UploadInvalid
        return text.strip().encode()

    @router.get("")
    def form(request: Request) -> Response:
        return page(request)

    @router.post("")
    def check_file(request: Request, sent: Annotated[Upload, Depends(sent_file)]) -> Response:
        if not sent.data:
            raise UploadInvalid
        return shown(request, sent.name[:200], sent.data)

    @router.post("/paper")
    def check_paper(request: Request, text: Annotated[bytes, Depends(sent_code)]) -> Response:
        return shown(request, "", text)

    return router


def _reasons(verdict: FileVerdict, language: Language) -> list[dict[str, str]]:
    """Every reason once, with its rule and what it speaks for."""
    every = [*verdict.reasons, *(one for signature in verdict.signatures for one in signature.reasons)]
    found = {
        (one.rule, one.message(language)): {
            "rule": one.rule,
            "text": one.message(language),
            "indication": one.indication.value,
        }
        for one in every
    }
    return list(found.values())
