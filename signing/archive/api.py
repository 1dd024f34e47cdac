"""Evidence over HTTP, for the owners of documents."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.archive.service import Archive
from signing.views import ID

DocumentId = Annotated[str, Path(pattern=ID, description="the document's id, as the upload gave it")]


def create_router(archive: Archive, guard: Guard) -> APIRouter:
    """``/sign/v1/documents/{id}/evidence``."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    person = guard.person()

    @router.get(
        "/documents/{document_id}/evidence",
        response_class=Response,
        responses={
            200: {
                "description": "An evidence record (RFC 4998), DER.",
                "content": {"application/octet-stream": {"schema": {"type": "string"}}},
            }
        },
    )
    def evidence(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> Response:
        """The evidence record of a signed document: made the night after it was signed, renewed while it is kept.

        It proves that the signed file existed, also when the certificates inside have ended: `camtrust verify
        FILE.ers --detached SIGNED-FILE`.
        """
        data = archive.evidence(actor, document_id)
        headers = {"Content-Disposition": f'attachment; filename="{document_id}.ers"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return router
