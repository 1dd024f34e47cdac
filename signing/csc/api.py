"""``/csc/v1`` and ``/csc/v2``: the Cloud Signature Consortium API v1.0.4 and v2.0.0.2, for persons.

The access token is that of the person's session (``/identity/v1/sessions``), or one that the person let a client have:
of scope ``service``; or of scope ``credential``, which is itself the SAD of signHash. Both versions share their
endpoints; each answer has the names of both. Refusals have the API's own form, ``{"error": …, "error_description":
…}``.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from foundation.clock import Clock
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public
from signing.csc import requests
from signing.csc.answering import ANSWERS, BODY, LARGEST, answered
from signing.csc.authorising import PASSKEY, Authorised, CscAuthorising
from signing.csc.errors import CscRefused
from signing.csc.prompts import Prompts
from signing.csc.responses import CscResponses
from signing.csc.service import CscService
from signing.csc.signatures_api import create_signatures_router
from signing.csc.wanted import wanted
from signing.ports import PersonTokens

SPECS = {"v1": "1.0.4.0", "v2": "2.0.0.2"}
METHODS = (
    "auth/revoke",
    "credentials/list",
    "credentials/info",
    "credentials/authorize",
    "credentials/authorizeCheck",
    "credentials/getChallenge",
    "credentials/extendTransaction",
    "signatures/signHash",
    "signatures/signDoc",
    "signatures/signPolling",
    "signatures/timestamp",
)
_MOST_LISTED = 100


def body_limits(document_bytes: int) -> dict[str, int]:
    """How many octets the addresses take: as many as a document has in Base64, and room."""
    return {f"/csc/{version}": document_bytes * 4 // 3 + LARGEST for version in SPECS}


def create_router(
    service: CscService,
    authorising: CscAuthorising,
    prompts: Prompts,
    responses: CscResponses,
    tokens: PersonTokens,
    guard: Guard,
    clock: Clock,
    name: str,
    origin: str,
    document_bytes: int,
) -> APIRouter:
    """The endpoints of both versions. ``name``: of the service, for people; ``origin``: the issuer of clients' tokens;
    ``document_bytes``: of the largest document."""
    router = APIRouter(tags=["Remote signing (CSC)"])
    for version in SPECS:
        largest = body_limits(document_bytes)[f"/csc/{version}"]
        one = _version(service, authorising, prompts, tokens, guard, clock, name, origin, version, largest)
        one.include_router(create_signatures_router(service, authorising, responses, guard, largest))
        router.include_router(one, prefix=f"/csc/{version}")
    return router


def _version(
    service: CscService,
    authorising: CscAuthorising,
    prompts: Prompts,
    tokens: PersonTokens,
    guard: Guard,
    clock: Clock,
    name: str,
    origin: str,
    version: str,
    largest: int,
) -> APIRouter:
    router = APIRouter()
    person, anyone = guard.person("service"), guard.person("service", "credential")

    def told(made: Authorised) -> dict[str, Any]:
        return {"SAD": made.sad, "expiresIn": max(0, int((made.expires - clock.now()).total_seconds()))}

    @router.post("/info", dependencies=[Depends(public)], openapi_extra=BODY, responses=ANSWERS)
    async def info(request: Request) -> Response:
        """What this service is and can do (v1.0.4 §11.1)."""

        def work(_body: dict[str, Any]) -> dict[str, Any]:
            return {
                "specs": SPECS[version],
                "name": name,
                "logo": "",
                "region": "KH",
                "lang": "km",
                "description": name,
                "authType": ["external", "oauth2code"],
                **({"oauth2": origin} if version == "v1" else {"oauth2Issuer": origin}),
                "asynchronousOperationMode": True,
                "methods": list(METHODS),
                "validationInfo": False,
            }

        return await answered(request, work, empty=True)

    @router.post("/auth/login", dependencies=[Depends(public)], openapi_extra=BODY, responses=ANSWERS)
    async def log_in(request: Request) -> Response:
        """Always refused (v1.0.4 §11.2): HTTP Basic has one password, and no place for a second factor."""

        def work(_body: dict[str, Any]) -> dict[str, Any]:
            raise CscRefused(
                "access_denied", "HTTP Basic (RFC 7617) is not taken; log in at /identity/v1/sessions or /oauth2", 403
            )

        return await answered(request, work, empty=True)

    @router.post("/auth/revoke", status_code=204, response_class=Response, openapi_extra=BODY, responses=ANSWERS)
    async def revoke(request: Request, actor: Annotated[Actor, Depends(anyone)]) -> Response:
        """End an access token, or a session, of the one who asks (v1.0.4 §11.3)."""

        def work(body: dict[str, Any]) -> None:
            if not tokens.revoke(actor, requests.text(body, "token")):
                raise CscRefused("invalid_request", "Invalid string parameter token")

        return await answered(request, work)

    @router.post("/credentials/list", openapi_extra=BODY, responses=ANSWERS)
    async def list_credentials(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
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

        return await answered(request, work, empty=True)

    @router.post("/credentials/info", openapi_extra=BODY, responses=ANSWERS)
    async def credential_info(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """One credential: its key, certificate, and what authorises it (v1.0.4 §11.5)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            certificates = requests.text(body, "certificates", required=False) or "single"
            if certificates not in ("none", "single", "chain"):
                raise CscRefused("invalid_request", "certificates is none, single or chain")
            credential = requests.text(body, "credentialID")
            return service.describe(actor, credential, certificates, requests.flag(body, "certInfo"))

        return await answered(request, work)

    @router.post("/credentials/authorize", openapi_extra=BODY, responses=ANSWERS)
    async def authorize(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """Permit exactly these digests, or documents, by PIN and code or by a passkey (v1.0.4 §11.6).

        Without a proof the person is asked in their own session: 202 and a handle for authorizeCheck."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            what = wanted(body)
            if requests.number(body, "numSignatures", what.count, requests.MOST_HASHES) != what.count:
                raise CscRefused("invalid_request", "numSignatures is not the number of the digests")
            credential_id = requests.text(body, "credentialID")
            if not {"authData", "PIN", "OTP"} & set(body):
                description = requests.text(body, "description", required=False)
                return {"handle": prompts.ask(actor, credential_id, what, description)}
            return told(authorising.authorise(actor, credential_id, what, requests.proof(body)))

        return await answered(request, work, largest=largest)

    @router.post("/credentials/authorizeCheck", openapi_extra=BODY, responses=ANSWERS)
    async def check(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """Whether the person has authorised what they were asked (v2.0.0.2 §11.7): 202 while it waits, then the SAD."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            handle = requests.text(body, "handle")
            made = prompts.check(actor, handle)
            return {"handle": handle} if made is None else told(made)

        return await answered(request, work)

    @router.post("/credentials/getChallenge", openapi_extra=BODY, responses=ANSWERS)
    async def challenge(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """What the person's passkey is asked about exactly these digests, or documents (v2.0.0.2 §11.8).

        Its answer goes to authorize, in authData. ``challenge`` is the JSON for ``navigator.credentials.get()``."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            if requests.text(body, "authObjectID") != PASSKEY:
                raise CscRefused("invalid_request", "Invalid parameter authObjectID")
            credential_id = requests.text(body, "credentialID")
            return {"challenge": authorising.challenge(actor, credential_id, wanted(body))}

        return await answered(request, work, largest=largest)

    @router.post("/credentials/extendTransaction", openapi_extra=BODY, responses=ANSWERS)
    async def extend(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """A SAD for the digests that come next in an authorisation (v1.0.4 §11.8, v2.0.0.2 §11.9)."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            sad = requests.octets(requests.text(body, "SAD"), "SAD")
            return told(authorising.extend(actor, requests.text(body, "credentialID"), sad, wanted(body)))

        return await answered(request, work)

    @router.post("/credentials/sendOTP", openapi_extra=BODY, responses=ANSWERS)
    async def send_otp(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:
        """Refused for each credential (v1.0.4 §11.7): its codes come from the person's own app, none is sent."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            service.credential(actor, requests.text(body, "credentialID"))
            raise CscRefused("invalid_request", "the OTP of this credential is offline: the person's app shows it")

        return await answered(request, work)

    return router
