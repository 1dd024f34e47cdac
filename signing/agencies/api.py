"""Organisations over HTTP: ``/sign/v1/agencies``.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.agencies.mandate import NAME, mandate_of
from signing.agencies.model import Agency, AgencyClient, AgencyState
from signing.agencies.service import MAX_NAME, MAX_PAGE, MAX_REPRESENTATIVES, Agencies
from signing.api import attachment
from signing.views import ID

ADDRESS = "/sign/v1/agencies"
ROLE = "agency-approve"
LONGEST_LABEL, LONGEST_KEY = 50, 2000

AgencyId = Annotated[str, Path(pattern=ID, description="the id that proposing gave")]
ClientId = Annotated[str, Path(max_length=200, description="the client's id")]
PersonId = Annotated[str, Path(max_length=200, description="the person's id")]


class RepresentativeView(BaseModel):
    """Who speaks for the organisation, and whether they signed the mandate."""

    person: str
    certificate: str | None = Field(description="SHA-256 of the certificate that they signed the mandate with")
    signed_at: str | None
    withdrawn_at: str | None


class ClientView(BaseModel):
    """A client of the organisation: it asserts with ``id``, and seals with ``credential``."""

    id: str
    label: str
    credential: str | None
    stage: AgencyState | None = Field(description="what its credential was made for")
    added_by: str
    added_at: str
    withdrawn_at: str | None


class AgencyView(BaseModel):
    """An organisation. ``mandate``: SHA-256 of what its representatives sign."""

    id: str
    name_km: str
    name: str
    number: str
    state: AgencyState
    mandate: str
    proposed_by: str
    proposed_at: str
    decided_by: str | None
    decided_at: str | None
    first_officer: str | None = Field(description="who approved it first, where a second officer has to as well")
    representatives: list[RepresentativeView]
    clients: list[ClientView]


class AgencyList(BaseModel):
    """The newest first."""

    items: list[AgencyView]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Proposal(_Asked):
    """The organisation. Whoever proposes it is one of its representatives."""

    name_km: str = Field(max_length=MAX_NAME, description="name in Khmer")
    name: str = Field(max_length=MAX_NAME, description="name in Latin letters: what its seals will say")
    number: str = Field(max_length=64, description="organizationIdentifier (EN 319 412-1), as GO:KH-000041")
    representatives: list[str] = Field([], max_length=MAX_REPRESENTATIVES, description="ids of the other persons")


class MandateSignature(_Asked):
    """A detached CAdES signature over the mandate's octets, by the representative's own key."""

    signature: Base64Bytes = Field(max_length=200_000)


class Approval(_Asked):
    """What the officer has looked at, and what they let the organisation into."""

    stage: Literal["sandbox", "production"]
    mandate: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the mandate")


class NewClient(_Asked):
    """A system of the organisation's, by its public key (P-256, PEM)."""

    label: str = Field(min_length=1, max_length=LONGEST_LABEL, description="names the system, not a person")
    public_key: str = Field(max_length=LONGEST_KEY)


def create_router(agencies: Agencies, guard: Guard) -> APIRouter:
    """All endpoints of organisations: for representatives (persons) and officers (``agency-approve``)."""
    router = APIRouter(prefix=ADDRESS, tags=["Signing"])
    person, officer = guard.person(), guard.officer(ROLE)
    either = guard.any_of({ActorKind.PERSON: None, ActorKind.OFFICER: ROLE})

    @router.post("", status_code=201)
    def propose(actor: Annotated[Actor, Depends(person)], body: Proposal) -> AgencyView:
        """Propose an organisation that is to seal. Each representative then signs its mandate."""
        return _view(agencies.propose(actor, body.name_km, body.name, body.number, body.representatives))

    @router.get("")
    def list_agencies(
        actor: Annotated[Actor, Depends(either)],
        state: Annotated[AgencyState, Query(description="for officers")] = AgencyState.PROPOSED,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> AgencyList:
        """A person: those that they represent. An officer: those in a state."""
        return AgencyList(items=[_view(one) for one in agencies.list(actor, state, limit)])

    @router.get("/{agency_id}")
    def show(actor: Annotated[Actor, Depends(either)], agency_id: AgencyId) -> AgencyView:
        """One organisation."""
        return _view(agencies.show(actor, agency_id))

    @router.get("/{agency_id}/mandate", response_class=Response, responses=_TEXT)
    def mandate(actor: Annotated[Actor, Depends(either)], agency_id: AgencyId) -> Response:
        """The octets that representatives sign: as a document with ``format=cades`` and ``packaging=detached``."""
        return attachment(NAME, "text/plain; charset=utf-8", agencies.mandate(actor, agency_id))

    @router.post("/{agency_id}/mandate")
    def sign(actor: Annotated[Actor, Depends(person)], agency_id: AgencyId, body: MandateSignature) -> AgencyView:
        """Hand in one's own signature over the mandate. It is verified as anybody would."""
        return _view(agencies.sign_mandate(actor, agency_id, body.signature))

    @router.post("/{agency_id}/approval")
    def approve(actor: Annotated[Actor, Depends(officer)], agency_id: AgencyId, body: Approval) -> AgencyView:
        """Let an organisation into the sandbox, or into production. Never one that the officer represents."""
        return _view(agencies.approve(actor, agency_id, AgencyState(body.stage), body.mandate))

    @router.post("/{agency_id}/refusal")
    def refuse(actor: Annotated[Actor, Depends(officer)], agency_id: AgencyId) -> AgencyView:
        """Say no for good."""
        return _view(agencies.refuse(actor, agency_id))

    @router.post("/{agency_id}/clients", status_code=201)
    def add_client(actor: Annotated[Actor, Depends(person)], agency_id: AgencyId, body: NewClient) -> ClientView:
        """Register a client and make its seal credential, for the stage that the organisation has."""
        return _client(agencies.add_client(actor, agency_id, body.label, body.public_key.encode()))

    @router.post("/{agency_id}/clients/{client_id}/credential")
    def renew(actor: Annotated[Actor, Depends(person)], agency_id: AgencyId, client_id: ClientId) -> ClientView:
        """The client's credential for the stage that its organisation has now; the same one while it is good."""
        return _client(agencies.renew_credential(actor, agency_id, client_id))

    @router.post("/{agency_id}/clients/{client_id}/withdrawal")
    def withdraw_client(
        actor: Annotated[Actor, Depends(either)], agency_id: AgencyId, client_id: ClientId
    ) -> ClientView:
        """End a client's rights, at once and for good: what waits or is under way stops, its seals are revoked."""
        return _client(agencies.withdraw_client(actor, agency_id, client_id))

    @router.post("/{agency_id}/representatives/{person_id}/withdrawal")
    def withdraw_representative(
        actor: Annotated[Actor, Depends(either)], agency_id: AgencyId, person_id: PersonId
    ) -> AgencyView:
        """End what a person may do for the organisation."""
        return _view(agencies.withdraw_representative(actor, agency_id, person_id))

    @router.post("/{agency_id}/withdrawal")
    def withdraw(actor: Annotated[Actor, Depends(either)], agency_id: AgencyId) -> AgencyView:
        """End the organisation's rights and those of all its clients, at once and for good."""
        return _view(agencies.withdraw(actor, agency_id))

    return router


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The mandate.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def _view(one: Agency) -> AgencyView:
    return AgencyView(
        id=one.agency_id,
        name_km=one.name_km,
        name=one.name_latin,
        number=one.number,
        state=one.state,
        mandate=hashlib.sha256(mandate_of(one)).hexdigest(),
        proposed_by=one.proposed_by,
        proposed_at=rfc3339(one.proposed_at),
        decided_by=one.decided_by,
        decided_at=rfc3339(one.decided_at) if one.decided_at else None,
        first_officer=one.first_officer,
        representatives=[
            RepresentativeView(
                person=each.person_id,
                certificate=each.certificate,
                signed_at=rfc3339(each.signed_at) if each.signed_at else None,
                withdrawn_at=rfc3339(each.withdrawn_at) if each.withdrawn_at else None,
            )
            for each in one.representatives
        ],
        clients=[_client(each) for each in one.clients],
    )


def _client(one: AgencyClient) -> ClientView:
    return ClientView(
        id=one.client_id,
        label=one.label,
        credential=one.credential_id,
        stage=one.stage,
        added_by=one.added_by,
        added_at=rfc3339(one.added_at),
        withdrawn_at=rfc3339(one.withdrawn_at) if one.withdrawn_at else None,
    )
