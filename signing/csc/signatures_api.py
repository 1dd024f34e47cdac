"""``/csc/v1`` and ``/csc/v2``: signatures/signHash, signDoc, signPolling, timestamp."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.csc import requests
from signing.csc.algorithms import describe
from signing.csc.answering import ANSWERS, BODY, answered
from signing.csc.authorising import CscAuthorising
from signing.csc.errors import CscRefused
from signing.csc.responses import LONGEST, CscResponses, HashCall
from signing.csc.service import CscService
from signing.csc.wanted import Wanted, wanted


def create_signatures_router(
    service: CscService,
    authorising: CscAuthorising,
    responses: CscResponses,
    guard: Guard,
    largest: int,
) -> APIRouter:
    """The methods of one version. ``largest``: octets of a body with documents."""
    router = APIRouter()
    signer, person = guard.person("service", "credential"), guard.person("service")

    @router.post("/signatures/signHash", openapi_extra=BODY, responses=ANSWERS)
    async def sign_hash(request: Request, actor: Annotated[Actor, Depends(signer)]) -> Response:
        """Sign digests that were permitted (v1.0.4 §11.9, v2.0.0.2 §11.10); operationMode A: to come back for."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            credential_id = requests.text(body, "credentialID")
            sad = sad_of(request, body, actor, credential_id)
            call = HashCall(
                tuple(requests.hashes(body)),
                requests.text(body, "signAlgo"),
                requests.digest_algorithm(body, required=False),
            )
            milliseconds = _later(body)
            if milliseconds is not None:
                return {"responseID": responses.accept(actor, credential_id, sad, call, milliseconds)}
            signatures = service.sign(
                actor, credential_id, sad, list(call.digests), call.sign_algorithm, call.digest_algorithm
            )
            return {"signatures": [base64.b64encode(one).decode() for one in signatures]}

        return await answered(request, work, after=_goes_on)

    @router.post("/signatures/signDoc", openapi_extra=BODY, responses=ANSWERS)
    async def sign_documents(request: Request, actor: Annotated[Actor, Depends(signer)]) -> Response:
        """Sign whole documents, or documents that are known by their digests, that were permitted (v2.0.0.2 §11.11).

        operationMode A: to come back for."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            credential_id = requests.text(body, "credentialID")
            what = wanted(body)
            if not what.documents:
                raise CscRefused("invalid_request", "Empty documentDigests and documents objects")
            _check_algorithms(actor, credential_id, what)
            sad = sad_of(request, body, actor, credential_id)
            milliseconds = _later(body)
            if milliseconds is not None:
                return {"responseID": responses.accept(actor, credential_id, sad, what.subject, milliseconds)}
            return responses.sign_documents(actor, credential_id, sad, what.subject)

        return await answered(request, work, largest=largest, after=_goes_on)

    @router.post("/signatures/signPolling", openapi_extra=BODY, responses=ANSWERS)
    async def poll(request: Request, actor: Annotated[Actor, Depends(signer)]) -> Response:
        """What came of a request of operationMode A (v2.0.0.2 §11.12); 202 while it is worked on."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            if body.get("userID"):
                raise CscRefused("invalid_request", "userID parameter SHALL be null")
            return responses.poll(actor, requests.text(body, "requestID", "responseID"))

        return await answered(request, work)

    @router.post("/signatures/timestamp", dependencies=[Depends(person)], openapi_extra=BODY, responses=ANSWERS)
    async def timestamp(request: Request) -> Response:
        """A timestamp over a digest (v1.0.4 §11.10); without a nonce."""

        def work(body: dict[str, Any]) -> dict[str, Any]:
            if "nonce" in body:
                raise CscRefused("invalid_request", "a nonce is not taken here; ask /tsa (RFC 3161)")
            algorithm = requests.digest_algorithm(body, required=True)
            (digest,) = requests.hashes(body)[:1]
            token = service.timestamp(digest, algorithm or "")
            return {"timestamp": base64.b64encode(token).decode()}

        return await answered(request, work)

    def sad_of(request: Request, body: dict[str, Any], actor: Actor, credential_id: str) -> bytes:
        """The activation behind the SAD, or behind the access token that is one (v2.0.0.2 §11.10). CscRefused."""
        given = requests.text(body, "SAD", required=False)
        if not given and actor.delegation is not None:
            given = request.headers["authorization"].partition(" ")[2].strip()
        return service.activation(actor, credential_id, given)

    def _goes_on(done: dict[str, Any]) -> BackgroundTask | None:
        response_id = done.get("responseID")
        return BackgroundTask(responses.work, response_id) if response_id else None

    def _check_algorithms(actor: Actor, credential_id: str, what: Wanted) -> None:
        credential = service.credential(actor, credential_id)
        key = describe(credential.signatory.certificate)
        for one in what.documents:
            if key is None:
                raise CscRefused("invalid_request", "this key signs no documents")
            authorising.check_algorithm(key, credential, one.sign_algorithm)

    return router


def _later(body: dict[str, Any]) -> int | None:
    """How long an answer is to be kept, in milliseconds; None: it is wanted at once."""
    mode = requests.text(body, "operationMode", required=False) or "S"
    if mode not in ("S", "A"):
        raise CscRefused("invalid_request", "Invalid parameter operationMode")
    if "response_uri" in body:
        raise CscRefused("invalid_request", "Invalid parameter response_uri: nobody is called back, come and ask")
    if mode == "S":
        return None
    return requests.number(body, "validity_period", 3600 * 1000, LONGEST)
