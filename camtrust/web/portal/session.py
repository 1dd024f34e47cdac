"""Who looks at a page: a session in a cookie that pages alone take, and forms that only our pages can have made.

The cookie is the session of `identity.sessions`: Secure, HttpOnly, SameSite=Strict, for this host alone (``__Host-``),
gone with the browser. The API takes no cookie, so nothing that a page elsewhere makes a browser send acts through it.

    PO-01  a form carries the token that was made for this session (or, before a login, for this browser)
    PO-02  a browser that says where a form comes from says: from here (Sec-Fetch-Site)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from camtrust.errors import FormInvalid
from foundation.http.actor import Actor, ActorKind, Unauthenticated
from identity.service import IdentityService

SESSION_COOKIE = "__Host-camtrust-session"
BROWSER_COOKIE = "__Host-camtrust-browser"
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field

_MOST_FIELDS = 40
_LARGEST_FIELD = 64 * 1024


@dataclass(frozen=True)
class Visit:
    """A person's session on a page; ``form``: the token that its forms carry."""

    person: Actor
    session: str
    form: str


@dataclass(frozen=True)
class Sent:
    """A form that was checked, and who sent it."""

    visit: Visit
    fields: Mapping[str, str]


class Doorkeeper:
    """Lets persons in to pages; whoever is not logged in is led to the login."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    async def visit(self, request: Request) -> Visit:
        """The session that the cookie shows. Leads to the login without one."""
        session = request.cookies.get(SESSION_COOKIE, "")
        try:
            actor = await run_in_threadpool(self._identity.sessions.authenticate, session)
        except Unauthenticated:
            back = request.url.path if request.method == "GET" else "/portal"
            where = f"/portal/login?next={quote(back, safe='/')}"
            raise HTTPException(303, headers={"Location": where, "Cache-Control": "no-store"}) from None
        if actor.kind is not ActorKind.PERSON:
            raise Unauthenticated(rule="SE-01")
        request.scope["camtrust.actor"] = actor
        return Visit(actor, session, form_token(session))

    async def sent(self, request: Request) -> Sent:
        """The form in the request, with its session. Raises FormInvalid."""
        visit = await self.visit(request)
        return Sent(visit, await fields_of(request, visit.session))


async def fields_of(request: Request, secret: str) -> Mapping[str, str]:
    """The fields of a form that carries the token made for ``secret``. Raises FormInvalid (PO-01, PO-02)."""
    check_origin(request)
    try:
        async with request.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD) as form:
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except (MultiPartException, HTTPException, ValueError):
        raise FormInvalid(rule="PO-01") from None
    check_token(fields.get(TOKEN_FIELD, ""), secret)
    return fields


def check_origin(request: Request) -> None:
    """PO-02."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise FormInvalid(rule="PO-02")


def check_token(given: str, secret: str) -> None:
    """PO-01."""
    if not secret or not hmac.compare_digest(given.encode(), form_token(secret).encode()):
        raise FormInvalid(rule="PO-01")


def form_token(secret: str) -> str:
    """The token of forms for a session, or for a browser before a login; it does not tell the secret."""
    return hmac.new(secret.encode(), b"camtrust form", hashlib.sha256).hexdigest()


def browser_secret(request: Request) -> str:
    """What this browser was given before a login; new where it has none."""
    kept = request.cookies.get(BROWSER_COOKIE, "")
    return kept if len(kept) == 43 else secrets.token_urlsafe(32)


def remember_browser(response: Response, secret: str) -> None:
    """Give the browser its secret."""
    response.set_cookie(BROWSER_COOKIE, secret, secure=True, httponly=True, samesite="strict", max_age=3600)


def signed_in(session: str, where: str) -> Response:
    """On to ``where``, with the session in its cookie; what was for before the login goes."""
    response = RedirectResponse(where if where.startswith("/portal") else "/portal", status_code=303)
    response.set_cookie(SESSION_COOKIE, session, secure=True, httponly=True, samesite="strict")
    response.delete_cookie(BROWSER_COOKIE, secure=True, httponly=True, samesite="strict")
    return response


def signed_out() -> Response:
    """To the login, without the cookie."""
    response = RedirectResponse("/portal/login", status_code=303)
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="strict")
    return response
