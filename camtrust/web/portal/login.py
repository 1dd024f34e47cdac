"""Logging in on a page, with PIN and one-time code or with a passkey, and out again.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from camtrust.web.portal.parts import Parts, show_problems, told
from camtrust.web.portal.session import (
    BROWSER_COOKIE,
    SESSION_COOKIE,
    Sent,
    browser_secret,
    fields_of,
    form_token,
    remember_browser,
    signed_in,
    signed_out,
)
from foundation.errors import CamTrustError
from foundation.http.guard import public


def create_router(parts: Parts) -> APIRouter:
    """``/portal/login`` and ``/portal/logout``."""
    router = APIRouter(prefix="/portal", dependencies=[Depends(public)])
    identity, layout = parts.identity, parts.layout

    async def before_login(request: Request) -> Mapping[str, str]:
        """A form of the login page: its token was made for this browser."""
        fields = await fields_of(request, request.cookies.get(BROWSER_COOKIE, ""))

        def again(error: CamTrustError, status: int) -> Response:
            return _page(request, status=status, **told(error, request))

        show_problems(request, again)
        return fields

    def _page(request: Request, *, status: int = 200, **values: str) -> Response:
        secret = browser_secret(request)
        given = {"problem": "", "next": "", "code": ""} | values
        back = request.query_params.get("next", "/portal")
        response = layout.page(
            "portal/login.html", request, status=status, signed_in=False, form=form_token(secret), back=back, **given
        )
        remember_browser(response, secret)
        return response

    @router.get("/login")
    def show(request: Request) -> Response:
        return _page(request)

    @router.post("/login")
    def log_in(fields: Annotated[Mapping[str, str], Depends(before_login)]) -> Response:
        opened = identity.log_in(fields.get("person", "").strip(), fields.get("pin", ""), fields.get("code", ""))
        return signed_in(opened.token, fields.get("next", ""))

    @router.post("/login/passkey-options")
    def ask_passkey(fields: Annotated[Mapping[str, str], Depends(before_login)]) -> Response:
        asked = identity.ask_passkey(fields.get("person", "").strip())
        return JSONResponse({"id": asked.nonce.hex(), "options": asked.options or "{}"})

    @router.post("/login/passkey")
    def log_in_by_passkey(fields: Annotated[Mapping[str, str], Depends(before_login)]) -> Response:
        person, question = fields.get("person", "").strip(), fields.get("question", "")
        opened = identity.log_in_by_passkey(person, _hex(question), fields.get("assertion", ""))
        return signed_in(opened.token, fields.get("next", ""))

    @router.post("/logout")
    def log_out(request: Request, sent: Annotated[Sent, Depends(parts.door.sent)]) -> Response:  # noqa: ARG001
        identity.sessions.close(request.cookies[SESSION_COOKIE])
        return signed_out()

    return router


def _hex(value: str) -> str:
    """The id of a question; what is none asks for one that never was."""
    return value if len(value) == 64 and all(one in "0123456789abcdef" for one in value) else "0" * 64
