"""Signing requests over HTTP: ``/sign/v1/requests`` for clients and persons, ``/sign/v1/request-…`` for the rest."""

import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from foundation.catalogue import negotiate
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.api import ApprovalId, DocumentId, signed_file
from signing.config import SigningConfig
from signing.requests.desk import RequestDesk
from signing.requests.model import RequestState
from signing.requests.oversight import RequestOversight
from signing.requests.views import (
    CLIENT,
    AnsweredView,
    Block,
    NewRequest,
    Refusal,
    ReportPage,
    RequestApproval,
    RequestCredential,
    RequesterView,
    RequestPageView,
    RequestView,
    StopView,
    report_view,
    request_view,
    requester_view,
    stop_view,
)
from signing.service import MAX_PAGE
from signing.views import ID, ApprovalView, Assertion, approval_view, outcome_view

ROLE = "sign-request"
"""Clients with this role may ask persons to sign."""

OVERSIGHT_ROLE = "sign-oversight"
"""Operators with this role see reports, and stop and release clients."""

_ROOM = 64 * 1024

RequestId = Annotated[str, Path(pattern=ID, description="the request's id")]
ClientId = Annotated[str, Path(pattern=CLIENT, description="the client's id")]
Cursor = Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Accepted = Annotated[str | None, Header(alias="Accept-Language", max_length=200)]


def body_limits(config: SigningConfig) -> Mapping[str, int]:
    """How many octets a request takes: one document of the largest size, or several that are that large together."""
    return {"/sign/v1/requests": config.maximum_document_bytes * 4 // 3 + _ROOM}


def create_router(desk: RequestDesk, oversight: RequestOversight, guard: Guard) -> APIRouter:
    """All endpoints of signing requests."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing requests"])
    router.include_router(_of_clients(desk, guard))
    router.include_router(_of_persons(desk, guard))
    router.include_router(_of_operators(oversight, guard))
    return router


def _of_clients(desk: RequestDesk, guard: Guard) -> APIRouter:
    router = APIRouter()
    client = guard.client(ROLE)
    either = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: ROLE})

    @router.post("/requests", status_code=201)
    def ask(actor: Annotated[Actor, Depends(client)], body: NewRequest) -> RequestView:
        """Ask a person to sign documents, all of them or none. Each is checked at once, as an upload is."""
        shown = desk.ask(
            actor,
            body.person,
            body.purpose,
            [one.sent() for one in body.documents],
            level=body.level,
            lasts=body.lasts(),
            reference=body.reference,
            passkey_only=body.passkey_only,
        )
        return request_view(shown)

    @router.get("/requests")
    def list_requests(
        actor: Annotated[Actor, Depends(either)],
        state: RequestState | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> RequestPageView:
        """The requests to the person who calls, or of the client that calls; the newest first."""
        page = desk.page(actor, state, cursor, limit)
        return RequestPageView(requests=[request_view(one) for one in page.requests], next=page.next)

    @router.get("/requests/{request_id}")
    def show(actor: Annotated[Actor, Depends(either)], request_id: RequestId) -> RequestView:
        """One request, for the person asked or the client that asks."""
        return request_view(desk.show(actor, request_id))

    @router.get("/requests/{request_id}/documents/{document_id}/signed", response_class=Response)
    def signed(actor: Annotated[Actor, Depends(client)], request_id: RequestId, document_id: DocumentId) -> Response:
        """A signed document, once all of the request are signed."""
        named, data = desk.signed(actor, request_id, document_id)
        return signed_file(named.name, named.document.form, data)

    @router.delete("/requests/{request_id}")
    def withdraw(actor: Annotated[Actor, Depends(client)], request_id: RequestId) -> RequestView:
        """Take a request back, while it waits."""
        return request_view(desk.withdraw(actor, request_id))

    return router


def _of_persons(desk: RequestDesk, guard: Guard) -> APIRouter:
    router = APIRouter()
    person = guard.person()

    @router.post("/requests/{request_id}/approval")
    def approve(
        actor: Annotated[Actor, Depends(person)],
        request_id: RequestId,
        body: RequestApproval,
        accept_language: Accepted = None,
    ) -> AnsweredView:
        """Sign what is asked with PIN and one-time code, where the client and the policy take that."""
        shown, outcomes = desk.approve(
            actor,
            request_id,
            body.credential,
            pin=body.pin.get_secret_value(),
            totp=body.totp.get_secret_value(),
        )
        language = negotiate(accept_language)
        return AnsweredView(request=request_view(shown), documents=[outcome_view(one, language) for one in outcomes])

    @router.post("/requests/{request_id}/passkey", status_code=201)
    def ask_passkey(
        actor: Annotated[Actor, Depends(person)],
        request_id: RequestId,
        body: RequestCredential,
        accept_language: Accepted = None,
    ) -> ApprovalView:
        """Ask the person's passkey to approve exactly the documents of this request."""
        return approval_view(desk.ask_passkey(actor, request_id, body.credential), negotiate(accept_language))

    @router.post("/requests/{request_id}/passkey/{approval_id}")
    def answer_passkey(
        actor: Annotated[Actor, Depends(person)],
        request_id: RequestId,
        approval_id: ApprovalId,
        body: Assertion,
        accept_language: Accepted = None,
    ) -> AnsweredView:
        """Sign what the passkey approved. The token checks that it is for these documents."""
        shown, outcomes = desk.answer_passkey(actor, request_id, approval_id, json.dumps(body.assertion))
        language = negotiate(accept_language)
        return AnsweredView(request=request_view(shown), documents=[outcome_view(one, language) for one in outcomes])

    @router.post("/requests/{request_id}/refusal")
    def refuse(actor: Annotated[Actor, Depends(person)], request_id: RequestId, body: Refusal) -> RequestView:
        """Refuse; or refuse and report that this was not expected. The documents go with the request."""
        return request_view(desk.refuse(actor, request_id, unexpected=body.unexpected))

    @router.get("/request-blocks")
    def blocked(actor: Annotated[Actor, Depends(person)]) -> list[RequesterView]:
        """The clients that the caller takes no requests of."""
        return [requester_view(one) for one in desk.blocked(actor)]

    @router.post("/request-blocks", status_code=204)
    def block(actor: Annotated[Actor, Depends(person)], body: Block) -> None:
        """Take no more requests of a client that has asked before."""
        desk.block(actor, body.client)

    @router.delete("/request-blocks/{client_id}", status_code=204)
    def unblock(actor: Annotated[Actor, Depends(person)], client_id: ClientId) -> None:
        """Take its requests again."""
        desk.unblock(actor, client_id)

    return router


def _of_operators(oversight: RequestOversight, guard: Guard) -> APIRouter:
    router = APIRouter()
    operator = guard.operator(OVERSIGHT_ROLE)

    @router.get("/request-reports")
    def reports(
        actor: Annotated[Actor, Depends(operator)],  # noqa: ARG001
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> ReportPage:
        """Requests that people did not expect, the newest first; who they are is not told."""
        found, following = oversight.reports(cursor, limit)
        return ReportPage(reports=[report_view(one) for one in found], next=following)

    @router.get("/request-stops")
    def stopped(actor: Annotated[Actor, Depends(operator)]) -> list[StopView]:  # noqa: ARG001
        """The clients that may ask nobody."""
        return [stop_view(one) for one in oversight.stopped()]

    @router.post("/request-stops", status_code=204)
    def stop(actor: Annotated[Actor, Depends(operator)], body: Block) -> None:
        """Stop a client: it can ask nobody, and what waits of it cannot be signed."""
        oversight.stop(actor, body.client)

    @router.delete("/request-stops/{client_id}", status_code=204)
    def release(actor: Annotated[Actor, Depends(operator)], client_id: ClientId) -> None:
        """Let a stopped client ask again."""
        oversight.release(actor, client_id)

    return router
