"""The page on which a person lets a client do something: ``/oauth2/authorize``.

It names the client, what it gets or which digests are to be signed, and asks for both factors. No login lives on after
it. What goes wrong before the request is known to be this browser's is told here and never sent to another address.
(Annotations are not postponed here: FastAPI resolves them.)
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from foundation.catalogue import SPOKEN, Language, catalogue, negotiate
from foundation.errors import CamTrustError
from foundation.http.guard import public_unkept
from foundation.http.problems import STATUS, OnRefusal, Refusal, log_failure
from foundation.http.trace import route_template, trace_id_of
from foundation.words import khmer_words, words
from identity.errors import AuthorizationGone, FormForged
from identity.oauth.authorization import Opened, Proof, cookie_name
from identity.oauth.errors import OAuthRefused
from identity.oauth.forms import read_form
from identity.oauth.model import OPENID, PROFILE, SERVICE
from identity.oauth.service import AuthorizationServer

_TEXTS = "camtrust.web"
_WORDS = 8  # of a digest: 64 bits, which nobody meets by trying
_ALGORITHMS = {32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}


class AuthorizePage:
    """The page's answers. ``secure``: the service is reached over TLS, so cookies may go nowhere else."""

    def __init__(self, server: AuthorizationServer, specimen: bool, secure: bool, on_refusal: OnRefusal | None) -> None:
        self._server, self._specimen, self._secure = server, specimen, secure
        self._on_refusal = on_refusal

    def show(self, request: Request) -> Response:
        """GET: the request, in the browser that comes with it first."""
        client_id, request_uri = (request.query_params.get(name, "") for name in ("client_id", "request_uri"))
        try:
            cookie = request.cookies.get(self._cookie(request_uri))
            opened = self._server.authorizations.open(client_id, request_uri, cookie)
        except CamTrustError as error:
            return self._failed(request, error)
        response = self._page(request, opened, client_id, request_uri)
        response.set_cookie(
            self._cookie(request_uri), opened.browser, 600, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
        return response

    def decide(self, request: Request, body: bytes) -> Response:
        """POST: what the person decided."""
        try:
            given, opened = self._resumed(request, body)
            request_uri = given.get("request_uri", "")
        except CamTrustError as error:
            return self._failed(request, error)
        authorizations = self._server.authorizations
        try:
            if given.get("decision") == "allow":
                proof = Proof(
                    given.get("person_id", ""), given.get("pin", ""), given.get("totp", ""), given.get("assertion")
                )
                shared = given.get("share_name") == "yes"
                return _sent(authorizations.allow(opened, request_uri, proof, shared))
            return _sent(authorizations.refuse(opened, request_uri, reported=given.get("decision") == "report"))
        except AuthorizationGone as error:
            return self._failed(request, error)
        except CamTrustError as error:
            self._record(request, error)
            client_id, person = given.get("client_id", ""), given.get("person_id", "")
            return self._page(request, opened, client_id, request_uri, error, person, given.get("lang"))

    def ask_passkey(self, request: Request, body: bytes) -> Response:
        """POST: what the person's passkey is asked."""
        given, opened = self._resumed(request, body)
        asked = self._server.authorizations.ask(opened, given.get("request_uri", ""), given.get("person_id", ""))
        return JSONResponse({"options": json.loads(asked.options or "{}")})

    # ------------------------------------------------------------------------------------------------------------------

    def _resumed(self, request: Request, body: bytes) -> tuple[dict[str, str], Opened]:
        """The form, sent by our own page in the browser that was shown it. FormForged, AuthorizationGone."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise FormForged(rule="OB-02")
        try:
            given = read_form(request.headers.get("content-type", ""), body)
        except OAuthRefused:
            raise FormForged(rule="OB-02") from None
        request_uri = given.get("request_uri", "")
        cookie = request.cookies.get(self._cookie(request_uri))
        form = given.get("form", "")
        return given, self._server.authorizations.resume(given.get("client_id", ""), request_uri, cookie, form)

    def _cookie(self, request_uri: str) -> str:
        return ("__Host-" if self._secure else "") + cookie_name(request_uri)

    def _page(
        self,
        request: Request,
        opened: Opened,
        client_id: str,
        request_uri: str,
        error: CamTrustError | None = None,
        person: str = "",
        chosen: str | None = None,
    ) -> Response:
        language, asked = _language(request, chosen), opened.request
        texts, target = _texts(language), urlsplit(asked.redirect_uri)
        request.scope["camtrust.form_action"] = f"{target.scheme}://{target.netloc}"
        other = Language.EN if language is Language.KM else Language.KM
        query = {"client_id": client_id, "request_uri": request_uri, "lang": other.value}
        signing = asked.signing is not None
        gets = [texts[f"oauth_gets_{scope}"] for scope in (OPENID, SERVICE) if scope in asked.scopes]
        return self._answer(
            language,
            200 if error is None else STATUS[error.kind],
            error,
            opened=True,
            title=texts["oauth_title_sign" if signing else "oauth_title"].format(client=opened.client_label),
            client=opened.client_label,
            host=target.netloc,
            description=asked.description,
            documents=[] if asked.signing is None else _documents(asked.signing.documents, language),
            gets=gets,
            share=PROFILE in asked.scopes,
            client_id=client_id,
            request_uri=request_uri,
            form=opened.form,
            person=person,
            allow=texts["oauth_sign" if signing else "oauth_allow"],
            allow_passkey=texts["oauth_sign_passkey" if signing else "oauth_allow_passkey"],
            other_lang=other.value,
            other_address=f"/oauth2/authorize?{urlencode(query)}",
        )

    def _failed(self, request: Request, error: CamTrustError) -> Response:
        """A page that says what is wrong and goes nowhere."""
        self._record(request, error)
        language = _language(request, None)
        title = _texts(language)["oauth_failed"]
        return self._answer(language, STATUS[error.kind], error, opened=False, title=title)

    def _answer(self, language: Language, status: int, error: CamTrustError | None, **parts: Any) -> Response:
        body = _template().render(
            t=_texts(language),
            lang=language.value,
            banner=_banner(language, self._specimen),
            message="" if error is None else error.message(language),
            hint="" if error is None else error.hint(language),
            **parts,
        )
        headers = {"Content-Language": language.value, "Vary": "Accept-Language", "Cache-Control": "no-store"}
        if error is not None and error.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after)))
        return HTMLResponse(body, status, headers)

    def _record(self, request: Request, error: CamTrustError) -> None:
        if self._on_refusal is None:
            return
        trace, rule = trace_id_of(request.scope), error.params.get("rule")
        refusal = Refusal(
            code=error.code,
            status=STATUS[error.kind],
            method=request.method,
            route=route_template(request.scope),
            actor="anonymous",
            trace_id=trace,
            rule=rule if isinstance(rule, str) else None,
        )
        try:
            self._on_refusal(refusal)
        except Exception as failure:  # the answer matters more than its record, whose absence the log tells
            log_failure(failure, trace, event="audit.failed", code=error.code)


def create_router(
    server: AuthorizationServer, specimen: bool, secure: bool, on_refusal: OnRefusal | None = None
) -> APIRouter:
    """``/oauth2/authorize``: for people."""
    page = AuthorizePage(server, specimen, secure, on_refusal)
    router = APIRouter(include_in_schema=False, dependencies=[Depends(public_unkept)])

    @router.get("/oauth2/authorize")
    def show(request: Request) -> Response:
        return page.show(request)

    @router.post("/oauth2/authorize")
    async def decide(request: Request) -> Response:
        return await run_in_threadpool(page.decide, request, await request.body())

    @router.post("/oauth2/authorize/passkey")
    async def ask_passkey(request: Request) -> Response:
        return await run_in_threadpool(page.ask_passkey, request, await request.body())

    return router


def _sent(address: str) -> Response:
    """303: the browser asks the client's address with GET, and takes no form along (RFC 9700 §4.12)."""
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


def _language(request: Request, chosen: str | None) -> Language:
    asked = chosen or request.query_params.get("lang") or ""
    return Language(asked) if asked in SPOKEN else negotiate(request.headers.get("accept-language"))


def _documents(documents: Sequence[Any], language: Language) -> list[dict[str, str]]:
    said = khmer_words if language is Language.KM else words
    return [
        {
            "label": one.label,
            "words": " ".join(said(one.digest[:_WORDS])),
            "hex": one.digest.hex(),
            "algorithm": _ALGORITHMS[len(one.digest)],
        }
        for one in documents
    ]


@cache
def _texts(language: Language) -> Mapping[str, str]:
    return {key: str(entry[language.value]) for key, entry in catalogue(_TEXTS).items()}


@cache
def _template() -> Template:
    text = files(__package__ or "").joinpath("pages", "authorize.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(text)


def _banner(language: Language, specimen: bool) -> Markup:
    if not specimen:
        return Markup()
    text = escape(_texts(language)["specimen"])
    return Markup(f'<p class="specimen" role="note"><strong>SPECIMEN</strong> {text}</p>')  # noqa: S704 - escaped above
