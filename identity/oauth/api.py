"""HTTP: ``/oauth2`` and the metadata. Answers and refusals have OAuth's own form (RFC 6749 §5).

Annotations are not postponed here: FastAPI resolves them.
"""

from collections.abc import Callable
from typing import Annotated, Any

from cryptography import x509
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from foundation.http.actor import Actor
from foundation.http.client_certificate import CertificateDisbelieved, shown_certificate
from foundation.http.errors import RouteUnknown
from foundation.http.guard import Guard, public_unkept
from foundation.http.problems import OnRefusal, Refusal, log_failure
from foundation.http.trace import route_template, trace_id_of
from identity.oauth.clients import Proven
from identity.oauth.errors import OAuthRefused, invalid_client
from identity.oauth.forms import MEDIA_TYPE, read_form
from identity.oauth.metadata import metadata, openid_metadata
from identity.oauth.model import OPENID
from identity.oauth.service import AuthorizationServer

Work = Callable[[Proven, dict[str, str]], Any]

_FORM = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}}
_ERROR = {"description": "`error` and `error_description` (RFC 6749 §5.2)"}
_ANSWERS: dict[int | str, dict[str, Any]] = {400: _ERROR, 401: _ERROR}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def create_router(
    server: AuthorizationServer, guard: Guard, proxy_secret: bytes | None, on_refusal: OnRefusal | None = None
) -> APIRouter:
    """The endpoints for clients. ``proxy_secret``: by which certificates of TLS clients are believed; ``on_refusal``
    is told of each refusal, for the audit trail."""
    router = APIRouter(tags=["OAuth and OpenID Connect"])
    open_to_all, delegate = [Depends(public_unkept)], guard.person(OPENID)

    def record(request: Request, refused: OAuthRefused) -> None:
        if on_refusal is None or refused.rule is None:
            return
        trace = trace_id_of(request.scope)
        refusal = Refusal(
            f"oauth.{refused.error}", refused.status, request.method, route_template(request.scope), "anonymous",
            trace, refused.rule,
        )  # fmt: skip
        try:
            on_refusal(refusal)
        except Exception as failure:  # the answer matters more than its record, whose absence the log tells
            log_failure(failure, trace, event="audit.failed", code=refusal.code)

    async def answered(request: Request, work: Work, status: int = 200) -> Response:
        body = await request.body()

        def run() -> Response:
            try:
                parameters = read_form(request.headers.get("content-type", ""), body)
                shown, other = _certificate(request, proxy_secret), "authorization" in request.headers
                proven = server.clients.authenticate(parameters, shown, other)
                made = work(proven, parameters)
            except OAuthRefused as refused:
                record(request, refused)
                return refusal_response(refused)
            return Response(headers=_NO_STORE) if made is None else JSONResponse(made, status, headers=_NO_STORE)

        return await run_in_threadpool(run)

    @router.get("/.well-known/oauth-authorization-server", dependencies=open_to_all)
    def authorization_server() -> JSONResponse:
        """Where everything is and what is supported (RFC 8414)."""
        return JSONResponse(metadata(server.issuer), headers={"Cache-Control": "public, max-age=3600"})

    @router.get("/.well-known/openid-configuration", dependencies=open_to_all)
    def openid_configuration() -> JSONResponse:
        """The same, and what OpenID Connect adds (OpenID Connect Discovery 1.0 §4)."""
        if server.signer is None:
            raise RouteUnknown
        return JSONResponse(openid_metadata(server.issuer), headers={"Cache-Control": "public, max-age=3600"})

    @router.get("/oauth2/jwks", dependencies=open_to_all)
    def jwks() -> JSONResponse:
        """The keys that ID tokens are verified with (RFC 7517)."""
        if server.signer is None:
            raise RouteUnknown
        headers = {"Cache-Control": "public, max-age=3600"}
        return JSONResponse(server.signer.jwks, headers=headers, media_type="application/jwk-set+json")

    @router.post("/oauth2/par", status_code=201, dependencies=open_to_all, openapi_extra=_FORM, responses=_ANSWERS)
    async def push(request: Request) -> Response:
        """What a client wants of a person, before it sends them (RFC 9126)."""
        return await answered(request, server.push, 201)

    @router.post("/oauth2/token", dependencies=open_to_all, openapi_extra=_FORM, responses=_ANSWERS)
    async def token(request: Request) -> Response:
        """An access token (RFC 6749 §3.2); the client proves itself by private_key_jwt or in TLS."""
        return await answered(request, server.token)

    @router.post("/oauth2/revoke", dependencies=open_to_all, openapi_extra=_FORM, responses=_ANSWERS)
    async def revoke(request: Request) -> Response:
        """End an access token (RFC 7009)."""
        return await answered(request, server.revoke)

    @router.post("/oauth2/userinfo")
    @router.get("/oauth2/userinfo")
    def userinfo(actor: Annotated[Actor, Depends(delegate)]) -> dict[str, str]:
        """What the client that shows the token may know of the person (OpenID Connect Core §5.3)."""
        return server.userinfo(actor)

    return router


def refusal_response(refused: OAuthRefused) -> Response:
    """RFC 6749 §5.2."""
    told = {"error": refused.error, "error_description": refused.description}
    response = JSONResponse(told, status_code=refused.status, headers=_NO_STORE)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="camtrust"'
    return response


def _certificate(request: Request, proxy_secret: bytes | None) -> x509.Certificate | None:
    try:
        return shown_certificate(request, proxy_secret)
    except CertificateDisbelieved:
        raise invalid_client("OA-07") from None
