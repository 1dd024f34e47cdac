"""``/sign/v1/prompts``: what clients of the CSC API ask a person to authorise, answered in the person's own session."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from foundation.keys.activation import PasskeyAssertion, PinTotp
from signing.csc.prompts import Prompts, ShownPrompt
from signing.model import NamedDocument
from signing.views import ID, Assertion

Handle = Annotated[str, Path(pattern=ID, description="the prompt's id")]


class PromptDocumentView(BaseModel):
    """A document that would be signed. Its pages are at ``/sign/v1/documents/{id}/pages/{page}``."""

    id: str
    name: str
    size: int
    pages: int
    sha256: str = Field(description="SHA-256 of the file, hexadecimal")


class PromptView(BaseModel):
    """A prompt that waits. ``description`` is the client's own words: nobody checked them."""

    id: str
    client: str | None = Field(description="the client that asks; null: another session of your own")
    requester: str = Field(description="the label that the client was registered with")
    credential: str
    digests: list[str] = Field(description="what would be signed, hexadecimal; none where it is for documents")
    documents: list[PromptDocumentView]
    description: str
    asked_at: str
    expires_at: str


class Approval(BaseModel):
    """Both factors, for exactly what the prompt is about."""

    model_config = ConfigDict(extra="forbid")

    pin: Annotated[SecretStr, Field(min_length=1, max_length=64)]
    totp: Annotated[SecretStr, Field(min_length=1, max_length=16)]


class Refusal(BaseModel):
    """``unexpected``: the person did not start this."""

    model_config = ConfigDict(extra="forbid")

    unexpected: bool = False
    block: bool = Field(False, description="take nothing more of this client's; /sign/v1/request-blocks undoes it")


class QuestionView(BaseModel):
    """For ``navigator.credentials.get()``, as JSON."""

    options: dict[str, Any]


def create_prompts_router(service: Prompts, guard: Guard) -> APIRouter:
    """The person's side."""
    router = APIRouter(prefix="/sign/v1/prompts", tags=["Remote signing (CSC)"])
    person = guard.person()

    @router.get("")
    def waiting(actor: Annotated[Actor, Depends(person)]) -> list[PromptView]:
        """What waits for the caller, the newest first: who asks, what for, and until when."""
        return [_view(one) for one in service.waiting(actor)]

    @router.post("/{handle}/approval", status_code=204)
    def approve(actor: Annotated[Actor, Depends(person)], handle: Handle, body: Approval) -> None:
        """Authorise with PIN and code; the client fetches the authorisation, and never sees these."""
        service.grant(actor, handle, PinTotp(body.pin.get_secret_value(), body.totp.get_secret_value()))

    @router.post("/{handle}/passkey-options")
    def ask_passkey(actor: Annotated[Actor, Depends(person)], handle: Handle) -> QuestionView:
        """Ask the person's passkey to approve exactly these digests."""
        return QuestionView(options=json.loads(service.question(actor, handle)))

    @router.post("/{handle}/passkey", status_code=204)
    def answer_passkey(actor: Annotated[Actor, Depends(person)], handle: Handle, body: Assertion) -> None:
        """Authorise by the answer of the passkey."""
        service.grant(actor, handle, PasskeyAssertion(json.dumps(body.assertion)))

    @router.post("/{handle}/refusal", status_code=204)
    def refuse(actor: Annotated[Actor, Depends(person)], handle: Handle, body: Refusal) -> None:
        """Refuse; or refuse and report that it was not expected."""
        service.refuse(actor, handle, unexpected=body.unexpected, block=body.block)

    return router


def _document(one: NamedDocument) -> PromptDocumentView:
    document = one.document
    return PromptDocumentView(
        id=document.document_id,
        name=one.name,
        size=document.size,
        pages=document.pages,
        sha256=document.sha256.hex(),
    )


def _view(one: ShownPrompt) -> PromptView:
    prompt = one.prompt
    return PromptView(
        id=prompt.handle,
        client=prompt.client,
        requester=one.requester.label if one.requester else "",
        credential=prompt.credential_id,
        digests=[digest.hex() for digest in prompt.digests],
        documents=[_document(each) for each in one.documents],
        description=one.description,
        asked_at=rfc3339(prompt.asked_at),
        expires_at=rfc3339(prompt.expires),
    )
