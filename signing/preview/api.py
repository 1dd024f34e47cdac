"""Pictures and notes over HTTP: ``/sign/v1/documents/{id}/pages/{n}`` and ``…/notes``, for the document's owner."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from foundation.catalogue import Language
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.api import DocumentId
from signing.preview.drawing import MOST_PAGES
from signing.preview.previews import Previews
from signing.verify.model import Reason

PageNumber = Annotated[int, Path(ge=1, le=MOST_PAGES, description="the page, from 1 on")]


class NoteView(BaseModel):
    """One thing that the signer should know of."""

    rule: str
    message_en: str
    message_km: str


def create_router(previews: Previews, guard: Guard) -> APIRouter:
    """What a person looks at before they sign."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    person = guard.person()

    @router.get("/documents/{document_id}/pages/{page}", response_class=Response, responses=_PICTURE)
    def page(actor: Annotated[Actor, Depends(person)], document_id: DocumentId, page: PageNumber) -> Response:
        """A picture of a page: of the document as it was uploaded, or of the signed one once there is one."""
        return Response(previews.page(actor, document_id, page), media_type="image/png")

    @router.get("/documents/{document_id}/notes")
    def notes(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> list[NoteView]:
        """What the document hides or has prepared for later; an empty list for one that is what it shows."""
        return [note_view(one) for one in previews.notes(actor, document_id)]

    return router


def note_view(note: Reason) -> NoteView:
    """A note in both languages."""
    return NoteView(rule=note.rule, message_en=note.message(Language.EN), message_km=note.message(Language.KM))


_PICTURE: dict[int | str, dict[str, object]] = {
    200: {"description": "The picture.", "content": {"image/png": {"schema": {"type": "string"}}}}
}
