"""A person's history and the switch of their key over HTTP: ``/sign/v1/history``, ``…/credentials/{id}/suspension``."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from foundation.use_record import Act
from signing.history import MAX_PAGE, Entry
from signing.service import SigningService
from signing.views import ID, CredentialView, credential_view

CredentialId = Annotated[str, Path(pattern=ID, description="the credential's id")]


class UsedForView(BaseModel):
    """A document that the key was used for, where the service knows it."""

    id: str
    name: str
    digest: str = Field(description="what was signed for it: the hash of the signed attributes, hexadecimal")
    code: str | None = Field(description="why it was not signed; null: it was, or that is not known")


class EntryView(BaseModel):
    """One use of the person's key.

    ``record`` is what was committed to, as text: its SHA-256 stands in the issuance log, and ``proof`` (C2SP
    tlog-proof) shows that without this service; null until the log covers it, a moment later. ``completed`` and the
    documents' codes came afterwards and are not proved.
    """

    id: str
    act: Act
    at: str = Field(description="RFC 3339, UTC: before the key was used")
    credential: str
    door: str = Field(description="sign, request or csc")
    client: str | None = Field(description="the program that asked; null: the person's own session")
    digests: list[str] = Field(description="hexadecimal, in order")
    documents: list[UsedForView]
    code: str | None = Field(description="why nothing was signed; null: it was, or that is not known")
    completed: str | None = Field(description="RFC 3339, UTC: when the signatures were made; null: not known")
    record: str
    proof: str | None


class HistoryView(BaseModel):
    """Some of the history, the newest first. ``log_key``: the verifier key of the log; ``next``: the next cursor."""

    entries: list[EntryView]
    log_key: str
    next: str | None


def create_history_router(service: SigningService, guard: Guard) -> APIRouter:
    """What a person sees of their key, and how they stop it."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    person = guard.person()

    @router.get("/history")
    def history(
        actor: Annotated[Actor, Depends(person)],
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    ) -> HistoryView:
        """Every use of the caller's keys, the newest first, each with the proof that the log has it."""
        page = service.history.page(actor, cursor, limit)
        return HistoryView(entries=[_view(one) for one in page.entries], log_key=page.log_key, next=page.next)

    @router.post("/credentials/{credential_id}/suspension")
    def suspend(actor: Annotated[Actor, Depends(person)], credential_id: CredentialId) -> CredentialView:
        """Stop one's own certificate and key at once; the session is enough. An officer releases it again."""
        return credential_view(service.holdings.suspend(actor, credential_id))

    return router


def _view(one: Entry) -> EntryView:
    read, became = one.read, dict(one.completion or {})
    codes: dict[str, Any] = {part["id"]: part["code"] for part in became.get("documents", [])}
    return EntryView(
        id=read.record_id,
        act=read.act,
        at=rfc3339(read.at),
        credential=read.credential_id,
        door=read.door,
        client=read.client,
        digests=[digest.hex() for digest in read.digests],
        documents=[
            UsedForView(id=part.document_id, name=part.name, digest=part.digest.hex(), code=codes.get(part.document_id))
            for part in read.documents
        ],
        code=read.code or became.get("code"),
        completed=None if became.get("code") else became.get("at"),
        record=one.record.decode(),
        proof=None if one.proof is None else one.proof.decode(),
    )
