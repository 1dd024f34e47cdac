"""HTTP: ``/identity/v1``.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard, public
from identity.model import OpenedSession, RegisteredActor
from identity.service import IdentityService

ADMIN_ROLE = "identity-admin"
"""Operators with this role register and disable actors."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", str_max_length=4000, hide_input_in_errors=True)


class Login(_Input):
    """Both factors of a person; the token checks them and counts the tries."""

    person_id: str = Field(min_length=1, max_length=200)
    pin: SecretStr = Field(max_length=64)
    totp: SecretStr = Field(max_length=16)


class PasskeyOptions(_Input):
    """Who wants to log in with a passkey."""

    person_id: str = Field(pattern=r"^[!-~]{1,128}$")


class PasskeyQuestion(BaseModel):
    """What the person's device is asked."""

    id: str
    expires_at: datetime
    options: dict[str, Any] = Field(description="for navigator.credentials.get()")


class PasskeyLogin(_Input):
    """What the device answered."""

    person_id: str = Field(pattern=r"^[!-~]{1,128}$")
    id: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the question")
    assertion: dict[str, Any] = Field(description="the PublicKeyCredential of navigator.credentials.get(), as toJSON()")


class Session(BaseModel):
    """``Authorization: Bearer <token>``; shown once."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme, not a secret
    expires_at: datetime
    idle_seconds: int


class Registration(_Input):
    """``label`` names the post or the system, not a person; ``public_key`` is PEM, on P-256."""

    kind: Literal["officer", "client", "operator"]
    label: str = Field(min_length=1, max_length=100)
    roles: list[str] = Field(max_length=32)
    public_key: str = Field(max_length=2000)
    person_id: str | None = Field(None, max_length=200, description="an officer's own person id, if enrolled")


class ActorView(BaseModel):
    """A registered actor."""

    id: str
    kind: str
    label: str
    roles: list[str]
    public_key: str
    status: str
    registered_by: str
    registered_at: datetime


class OAuthRegistration(_Input):
    """What a client may ask the authorisation server for. Redirect addresses are compared octet by octet."""

    grants: list[Literal["client_credentials", "authorization_code"]] = Field(min_length=1, max_length=2)
    redirect_uris: list[str] = Field([], max_length=10)
    scopes: list[str] = Field([], max_length=10, description="what it may ask persons for")
    certificate_bound: bool = Field(False, description="every token is bound to a client certificate (RFC 8705)")


class ActorList(BaseModel):
    """A page; ask again with ``cursor=next_cursor`` while it is not null."""

    items: list[ActorView]
    next_cursor: str | None


def create_router(service: IdentityService, guard: Guard) -> APIRouter:
    """The room's endpoints."""
    router = APIRouter(prefix="/identity/v1", tags=["Identity"])
    person = guard.person()
    admin = guard.operator(ADMIN_ROLE)

    @router.post("/sessions", status_code=201, dependencies=[Depends(public)])
    def log_in(login: Login) -> Session:
        """Log in with PIN and one-time code; gives a new session."""
        opened = service.log_in(login.person_id, login.pin.get_secret_value(), login.totp.get_secret_value())
        return _session(opened)

    @router.post("/sessions/passkey-options", dependencies=[Depends(public)])
    def ask_passkey(asking: PasskeyOptions) -> PasskeyQuestion:
        """What to ask the device of a person who logs in with a passkey."""
        asked = service.ask_passkey(asking.person_id)
        return PasskeyQuestion(
            id=asked.nonce.hex(), expires_at=asked.expires, options=json.loads(asked.options or "{}")
        )

    @router.post("/sessions/passkey", status_code=201, dependencies=[Depends(public)])
    def log_in_by_passkey(login: PasskeyLogin) -> Session:
        """Log in with the answer of a passkey; gives a new session."""
        return _session(service.log_in_by_passkey(login.person_id, login.id, json.dumps(login.assertion)))

    @router.delete("/sessions/current", status_code=204)
    def log_out(request: Request, actor: Annotated[Actor, Depends(person)]) -> Response:  # noqa: ARG001
        """End the session that this request shows."""
        service.sessions.close(_token(request))
        return Response(status_code=204)

    @router.delete("/sessions", status_code=204)
    def log_out_everywhere(actor: Annotated[Actor, Depends(person)]) -> Response:
        """End every session of the person."""
        service.close_all(actor.id)
        return Response(status_code=204)

    @router.post("/actors", status_code=201)
    def register(registration: Registration, actor: Annotated[Actor, Depends(admin)]) -> ActorView:
        """Register an officer, an API client or an operator."""
        registered = service.register_actor(
            actor,
            ActorKind(registration.kind),
            registration.label,
            registration.roles,
            registration.public_key.encode(),
            registration.person_id,
        )
        return _view(registered)

    @router.get("/actors")
    def list_actors(
        actor: Annotated[Actor, Depends(admin)],  # noqa: ARG001
        cursor: Annotated[str | None, Query(max_length=200, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> ActorList:
        """Registered actors, disabled ones too, by id."""
        page = service.list_actors(cursor, limit)
        return ActorList(items=[_view(item) for item in page.items], next_cursor=page.next_cursor)

    @router.get("/actors/{actor_id}")
    def show(actor_id: str, actor: Annotated[Actor, Depends(admin)]) -> ActorView:  # noqa: ARG001
        """One registered actor."""
        return _view(service.actor(actor_id))

    @router.delete("/actors/{actor_id}", status_code=204)
    def disable(actor_id: str, actor: Annotated[Actor, Depends(admin)]) -> Response:
        """Disable an actor, at once and for good. Its entry stays."""
        service.disable_actor(actor, actor_id)
        return Response(status_code=204)

    @router.put("/actors/{actor_id}/oauth", status_code=204)
    def register_client(
        actor_id: str, registration: OAuthRegistration, actor: Annotated[Actor, Depends(admin)]
    ) -> Response:
        """Let a client use the authorisation server, in place of what it could before."""
        service.clients.register(
            actor,
            actor_id,
            registration.grants,
            registration.redirect_uris,
            registration.scopes,
            registration.certificate_bound,
        )
        return Response(status_code=204)

    return router


def _token(request: Request) -> str:
    return request.headers["authorization"].partition(" ")[2].strip()


def _session(opened: OpenedSession) -> Session:
    return Session(token=opened.token, expires_at=opened.expires_at, idle_seconds=opened.idle_seconds)


def _view(actor: RegisteredActor) -> ActorView:
    pem = load_der_public_key(actor.public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ActorView(
        id=actor.id,
        kind=actor.kind.value,
        label=actor.label,
        roles=sorted(actor.roles),
        public_key=pem.decode(),
        status=actor.status.value,
        registered_by=actor.registered_by,
        registered_at=actor.registered_at,
    )
