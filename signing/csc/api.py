"""``/csc/v1`` and ``/csc/v2``: the Cloud Signature Consortium API v1.0.4 and v2.0.0.2, for persons.

The access token is that of the person's session (``/identity/v1/sessions``), or one that the person let a client have:
of scope ``service``; or of scope ``credential``, which is itself the SAD of signHash. Both versions share their
endpoints; each answer has the names of both. Refusals have the API's own form, ``{"error": …, "error_description":
…}``.
"""

import base64
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from foundation.clock import Clock
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public
from signing.csc import requests
from signing.csc.errors import CscRefused, refusal_of
from signing.csc.service import CscService

SPECS = {"v1": "1.0.4.0", "v2": "2.0.0.2"}
METHODS = (
    "credentials/list",
    "credentials/info",
    "credentials/authorize",
    "signatures/signHash",
    "signatures/timestamp",
)
_LARGEST = 512 * 1024  # octets of a body: a thousand digests and room
_MOST_LISTED = 100

_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "`error` and `error_description`, as the CSC API has them"}
}


def create_router(service: CscService, guard: Guard, clock: Clock, name: str) -> APIRouter:
    """The endpoints of both versions. ``name``: of the service, for people."""
    router = APIRouter(tags=["Remote signing (CSC)"])
    for version in SPECS:
        router.include_router(_version(service, guard, clock, name, version), prefix=f"/csc/{version}")
    return router


def _version(service: CscService, guard: Guard, clock: Clock, name: str, version: str) -> APIRouter:
    router = APIRouter()
    person, signer = guard.person("service"), guard.person("service", "credential")

    @router.post("/info", dependencies=[Depends(public)], openapi_extra=_BODY, responses=_ANSWERS)
    async def info(request: Request) -> JSONResponse:
        """What this service is and can do (v1.0.4 §11.1)."""

        def work(_body: dict[str, Any]) -> dict[str, Any]:
            return {
                "specs": SPECS[version],
                "name": name,
                "logo": "",
                "region": "KH",
                "lang": "km",
                "description": name,
                "authType": ["external"],
                "methods": list(METHODS),
                "validationInfo": False,
            }

        return await _answered(request, work, empty=True)

    @router.post("/credentials/list", openapi_extra=_BODY, responses=_ANSWERS)
    async def list_credentials(request: Request, actor: Annotated[Actor, Depends(person)]) -> JSONResponse:
        """The person's credentials (v1.0.4 §11.4)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            most = requests.number(body, "maxResults", _MOST_LISTED, 10_000)
            after = requests.text(body, "pageToken", required=False)
            ids = service.credentials(actor, requests.flag(body, "onlyValid"))
            if after:
                if after not in ids:
                    raise CscRefused("invalid_request", "pageToken is none that was given")
                ids = ids[ids.index(after) + 1 :]
            page, more = ids[:most], len(ids) > most
            answer: dict[str, Any] = {"credentialIDs": page}
            return {**answer, "nextPageToken": page[-1]} if more else answer

        return await _answered(request, work, empty=True)

    @router.post("/credentials/info", openapi_extra=_BODY, responses=_ANSWERS)
    async def credential_info(request: Request, actor: Annotated[Actor, Depends(person)]) -> JSONResponse:
        """One credential: its key, certificate, and what authorises it (v1.0.4 §11.5)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            certificates = requests.text(body, "certificates", required=False) or "single"
            if certificates not in ("none", "single", "chain"):
                raise CscRefused("invalid_request", "certificates is none, single or chain")
            credential = requests.text(body, "credentialID")
            return service.describe(actor, credential, certificates, requests.flag(body, "certInfo"))

        return await _answered(request, work)

    @router.post("/credentials/authorize", openapi_extra=_BODY, responses=_ANSWERS)
    async def authorize(request: Request, actor: Annotated[Actor, Depends(person)]) -> JSONResponse:
        """Permit exactly these digests, by PIN and code (v1.0.4 §11.6)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            digests = requests.hashes(body)
            if requests.number(body, "numSignatures", len(digests), requests.MOST_HASHES) != len(digests):
                raise CscRefused("invalid_request", "numSignatures is not the number of the digests")
            made = service.authorise(actor, requests.text(body, "credentialID"), digests, requests.proof(body))
            left = int((made.expires - clock.now()).total_seconds())
            return {"SAD": made.sad, "expiresIn": max(0, left)}

        return await _answered(request, work)

    @router.post("/signatures/signHash", openapi_extra=_BODY, responses=_ANSWERS)
    async def sign_hash(request: Request, actor: Annotated[Actor, Depends(signer)]) -> JSONResponse:
        """Sign digests that were permitted (v1.0.4 §11.9)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            credential, sad = requests.text(body, "credentialID"), requests.text(body, "SAD", required=False)
            if not sad and actor.delegation is not None:  # v2 §11.11: the access token of scope credential is the SAD
                sad = request.headers["authorization"].partition(" ")[2].strip()
            signatures = service.sign(
                actor,
                credential,
                service.activation(actor, credential, sad),
                requests.hashes(body),
                requests.text(body, "signAlgo"),
                requests.digest_algorithm(body, required=False),
            )
            return {"signatures": [base64.b64encode(one).decode() for one in signatures]}

        return await _answered(request, work)

    @router.post("/signatures/timestamp", dependencies=[Depends(person)], openapi_extra=_BODY, responses=_ANSWERS)
    async def timestamp(request: Request) -> JSONResponse:
        """A timestamp over a digest (v1.0.4 §11.10); without a nonce."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            if "nonce" in body:
                raise CscRefused("invalid_request", "a nonce is not taken here; ask /tsa (RFC 3161)")
            algorithm = requests.digest_algorithm(body, required=True)
            (digest,) = requests.hashes(body)[:1]
            token = service.timestamp(digest, algorithm or "")
            return {"timestamp": base64.b64encode(token).decode()}

        return await _answered(request, work)

    return router


async def _answered(
    request: Request, work: Callable[[dict[str, Any]], dict[str, Any]], *, empty: bool = False
) -> JSONResponse:
    """Read the body, do the work in a thread, answer. ``empty``: no body means no parameters."""
    from starlette.concurrency import run_in_threadpool

    try:
        body = _object(await request.body(), empty)
        return JSONResponse(await run_in_threadpool(work, body))
    except CscRefused as refused:
        found = refused
    except CamTrustError as error:
        found = refusal_of(error)
    return JSONResponse({"error": found.error, "error_description": found.description}, status_code=found.status)


def _object(octets: bytes, empty: bool) -> dict[str, Any]:
    if not octets and empty:
        return {}
    if len(octets) > _LARGEST:
        raise CscRefused("invalid_request", "the request is too large", 413)
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise CscRefused("invalid_request", "the request is not JSON") from None
    if not isinstance(value, dict):
        raise CscRefused("invalid_request", "the request is not a JSON object")
    return value
