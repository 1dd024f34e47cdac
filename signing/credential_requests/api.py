"""Requests for seal credentials over HTTP: ``/sign/v1/credential-requests``.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.agencies.api import ROLE
from signing.api import attachment
from signing.credential_requests.model import ActKind, CredentialRequest, RequestState
from signing.credential_requests.service import MAX_PAGE, MAX_REASON, CredentialRequests
from signing.seal_policy import ROLE as SEALING
from signing.views import ID

ADDRESS = "/sign/v1/credential-requests"
TERMS = "terms.txt"

RequestId = Annotated[str, Path(pattern=ID, description="the id that asking gave")]
Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON, description="why, in a line; nothing personal")]


class ActView(BaseModel):
    """What somebody did about it, and why in their words."""

    kind: ActKind
    actor: str
    at: str
    reason: str | None


class CredentialRequestView(BaseModel):
    """A request. ``digest``: SHA-256 of the terms, which officers name; ``replaces``: the credential that this one
    follows, without officers."""

    id: str
    agency: str
    client: str
    state: RequestState
    digest: str
    replaces: str | None
    approvals: int = Field(description="officers who approved it")
    officers: int = Field(description="officers who have to")
    asked_by: str
    asked_at: str
    expires_at: str = Field(description="when nobody can approve it any more; RFC 3339, UTC")
    credential: str | None = Field(description="what was made")
    problem: str | None = Field(description="code of what kept it from being made")
    acts: list[ActView] = Field(description="the first first; empty in lists")


class CredentialRequestList(BaseModel):
    """The newest first."""

    items: list[CredentialRequestView]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCredentialRequest(_Asked):
    """For which client of which organisation, and why."""

    agency: str = Field(pattern=ID)
    client: str = Field(max_length=200)
    reason: Reason


class CredentialApproval(_Asked):
    """What the officer has looked at, and why it is right."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the terms")
    reason: Reason


class CredentialReason(_Asked):
    """Why."""

    reason: Reason


def create_router(requests: CredentialRequests, guard: Guard) -> APIRouter:
    """All endpoints: for representatives and clients of organisations, and officers (``agency-approve``)."""
    router = APIRouter(prefix=ADDRESS, tags=["Signing"])
    officer = guard.officer(ROLE)
    own = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: SEALING})
    anyone = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: SEALING, ActorKind.OFFICER: ROLE})

    def _view(one: CredentialRequest) -> CredentialRequestView:
        return CredentialRequestView(
            id=one.request_id,
            agency=one.agency_id,
            client=one.client_id,
            state=one.state,
            digest=one.digest,
            replaces=one.replaces,
            approvals=one.approvals,
            officers=requests.officers if one.replaces is None else 0,
            asked_by=one.asked_by,
            asked_at=rfc3339(one.asked_at),
            expires_at=rfc3339(one.expires_at),
            credential=one.credential_id,
            problem=one.problem,
            acts=[
                ActView(kind=each.kind, actor=each.actor, at=rfc3339(each.at), reason=each.reason) for each in one.acts
            ],
        )

    @router.post("", status_code=201)
    def ask_for_credential(actor: Annotated[Actor, Depends(own)], body: NewCredentialRequest) -> CredentialRequestView:
        """Ask for a client's seal credential in production, where officers approve it before it is made."""
        return _view(requests.ask(actor, body.agency, body.client, body.reason))

    @router.get("")
    def list_credential_requests(
        actor: Annotated[Actor, Depends(anyone)],
        state: Annotated[RequestState | None, Query()] = None,
        agency: Annotated[str | None, Query(pattern=ID)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> CredentialRequestList:
        """An officer's: all. A representative's: of their organisations. A client's: its own."""
        return CredentialRequestList(items=[_view(one) for one in requests.list(actor, state, agency, limit)])

    @router.get("/{request_id}")
    def show_credential_request(
        actor: Annotated[Actor, Depends(anyone)], request_id: RequestId
    ) -> CredentialRequestView:
        """One, with everything that was done about it."""
        return _view(requests.show(actor, request_id))

    @router.get("/{request_id}/terms", response_class=Response, responses=_TEXT)
    def show_terms(actor: Annotated[Actor, Depends(anyone)], request_id: RequestId) -> Response:
        """The octets that officers approve by their SHA-256: exactly what will be certified."""
        return attachment(TERMS, "text/plain; charset=utf-8", requests.show(actor, request_id).terms.encode())

    @router.post("/{request_id}/approval")
    def approve_credential(
        actor: Annotated[Actor, Depends(officer)], request_id: RequestId, body: CredentialApproval
    ) -> CredentialRequestView:
        """Approve exactly these terms. With the last approval the credential is made; asked again by an officer who
        approved it, what a failure of the service left unmade is made."""
        return _view(requests.approve(actor, request_id, body.digest, body.reason))

    @router.post("/{request_id}/refusal")
    def refuse_credential(
        actor: Annotated[Actor, Depends(officer)], request_id: RequestId, body: CredentialReason
    ) -> CredentialRequestView:
        """Say no. The organisation may ask anew."""
        return _view(requests.refuse(actor, request_id, body.reason))

    @router.post("/{request_id}/withdrawal")
    def withdraw_credential_request(
        actor: Annotated[Actor, Depends(own)], request_id: RequestId, body: CredentialReason
    ) -> CredentialRequestView:
        """Take back what the organisation asked for and nobody has decided yet."""
        return _view(requests.withdraw(actor, request_id, body.reason))

    return router


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The terms.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
