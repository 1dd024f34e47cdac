"""Held seals over HTTP: ``/sign/v1/held-seals``.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.api import SEAL_FIELDS, attachment, form_of, level_of, options_of, signed_file, upload_form
from signing.errors import UploadInvalid
from signing.held.model import HeldState, NamedHeldSeal, RefusalReason
from signing.held.service import MAX_PAGE, HeldSeals
from signing.held.statement import NAME
from signing.model import Level
from signing.upload import Upload, read_upload
from signing.views import ID

ADDRESS = "/sign/v1/held-seals"
RELEASE_ROLE = "sign-release"

HeldId = Annotated[str, Path(pattern=ID, description="the id that asking gave")]


class HeldSealView(BaseModel):
    """A seal that waits, or what became of it. ``sha256`` is of the document: name it to release the seal."""

    id: str
    client: str = Field(description="id of the client that asked")
    credential: str
    name: str = Field(description="file name of the document")
    sha256: str
    size: int
    pages: int
    format: str
    level: Level
    state: HeldState
    asked_at: str = Field(description="RFC 3339, UTC")
    expires_at: str = Field(description="when nobody can release it any more; RFC 3339, UTC")
    decided_by: str | None = Field(description="who released or refused it")
    decided_at: str | None
    reason: RefusalReason | None
    problem: str | None = Field(description="code of the reason, where it could not be sealed")


class HeldSealList(BaseModel):
    """The newest first."""

    items: list[HeldSealView]


class Release(BaseModel):
    """What the releaser has looked at."""

    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the document, as computed from its octets")


class SignedStatement(BaseModel):
    """The person's own document that is the statement, signed."""

    model_config = ConfigDict(extra="forbid")

    document: str = Field(pattern=ID)


class Refusal(BaseModel):
    """Why not."""

    model_config = ConfigDict(extra="forbid")

    reason: RefusalReason


def create_router(held: HeldSeals, guard: Guard) -> APIRouter:
    """All endpoints of held seals: for the client that asks (``sign-seal``) and the one that releases."""
    router = APIRouter(prefix=ADDRESS, tags=["Signing"])
    sealer, releaser, person = guard.client("sign-seal"), guard.client(RELEASE_ROLE), guard.person()
    either = guard.any_of({ActorKind.CLIENT: None, ActorKind.PERSON: None})

    async def to_seal(request: Request, _: Annotated[Actor, Depends(sealer)]) -> Upload:
        return await read_upload(request, SEAL_FIELDS)

    @router.post("", status_code=201, openapi_extra=upload_form(SEAL_FIELDS, {"credential"}))
    def ask(actor: Annotated[Actor, Depends(sealer)], form: Annotated[Upload, Depends(to_seal)]) -> HeldSealView:
        """Ask for a seal that another client releases, where the policy names releasers. The fields are a seal's."""
        if "credential" not in form.fields:
            raise UploadInvalid
        asked = held.ask(
            actor,
            form.fields["credential"],
            form.data,
            name=form.name,
            form=form_of(form),
            level=level_of(form.fields.get("level")),
            password=form.fields.get("password"),
            options=options_of(form),
        )
        return _view(asked)

    @router.get("")
    def list_held(
        actor: Annotated[Actor, Depends(either)],
        state: Annotated[HeldState | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> HeldSealList:
        """What the client asked for or may release; what a person's organisations asked for. The newest first."""
        return HeldSealList(items=[_view(one) for one in held.list(actor, state, limit)])

    @router.get("/{held_id}")
    def show(actor: Annotated[Actor, Depends(either)], held_id: HeldId) -> HeldSealView:
        """One that the client asked for or may release."""
        return _view(held.show(actor, held_id))

    @router.get("/{held_id}/document", response_class=Response, responses=_OCTETS)
    def document(actor: Annotated[Actor, Depends(either)], held_id: HeldId) -> Response:
        """The document that is to be sealed: look at it, and hash it, before you release it."""
        name, data = held.document(actor, held_id)
        return attachment(name, "application/octet-stream", data)

    @router.get("/{held_id}/sealed", response_class=Response, responses=_OCTETS)
    def sealed(actor: Annotated[Actor, Depends(either)], held_id: HeldId) -> Response:
        """The sealed document, once it was released."""
        name, form, data = held.sealed(actor, held_id)
        return signed_file(name, form, data)

    @router.post("/{held_id}/release")
    def release(actor: Annotated[Actor, Depends(releaser)], held_id: HeldId, body: Release) -> HeldSealView:
        """Let the seal be made, and make it: by a client that the policy names, never by the one that asked.

        Again after a failure that passes (no timestamp to be had): the release stands, and the seal is made then.
        """
        return _view(held.release(actor, held_id, bytes.fromhex(body.sha256)))

    @router.get("/{held_id}/statement", response_class=Response, responses=_OCTETS)
    def statement(actor: Annotated[Actor, Depends(either)], held_id: HeldId) -> Response:
        """What a person signs to release it: as a document with ``format=cades`` and ``packaging=detached``."""
        return attachment(NAME, "text/plain; charset=utf-8", held.statement(actor, held_id))

    @router.post("/{held_id}/statement")
    def release_by_statement(
        actor: Annotated[Actor, Depends(person)], held_id: HeldId, body: SignedStatement
    ) -> HeldSealView:
        """Let the seal be made, as a representative of the organisation: by the statement, signed with one's own key.

        Where the client's policy names the person, or ``representatives``; never by who registered the client."""
        return _view(held.release_by_statement(actor, held_id, body.document))

    @router.get("/{held_id}/statement/signature", response_class=Response, responses=_OCTETS)
    def signature(actor: Annotated[Actor, Depends(either)], held_id: HeldId) -> Response:
        """The signature over the statement by which a person released it: anybody can verify it with the statement."""
        return attachment(f"{NAME}.p7s", "application/pkcs7-signature", held.release_signature(actor, held_id))

    @router.post("/{held_id}/refusal")
    def refuse(actor: Annotated[Actor, Depends(either)], held_id: HeldId, body: Refusal) -> HeldSealView:
        """Say no for good; the client that asked takes it back so too."""
        return _view(held.refuse(actor, held_id, body.reason))

    return router


_OCTETS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}


def _view(named: NamedHeldSeal) -> HeldSealView:
    one = named.held
    return HeldSealView(
        id=one.held_id,
        client=one.client,
        credential=one.credential_id,
        name=named.name,
        sha256=one.sha256.hex(),
        size=one.size,
        pages=one.pages,
        format=one.form.format.value,
        level=one.level,
        state=one.state,
        asked_at=rfc3339(one.asked_at),
        expires_at=rfc3339(one.expires),
        decided_by=one.decided_by,
        decided_at=rfc3339(one.decided_at) if one.decided_at else None,
        reason=one.reason,
        problem=one.problem,
    )
