"""Batches over HTTP: ``/sign/v1/batches``, for agencies' clients."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from foundation.catalogue import Language, negotiate, text
from foundation.catalogue import hint as hint_of
from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.batches.model import Batch, BatchState, Item, ItemState, Progress
from signing.batches.service import MAX_PAGE, BatchService
from signing.config import SigningConfig
from signing.forms import Form
from signing.model import Level
from signing.pdf_options import PdfOptions
from signing.seal_policy import ROLE
from signing.views import ID, ProblemView

_ROOM = 64 * 1024
BatchId = Annotated[str, Path(pattern=ID, description="the batch's id, as it was given")]
DocumentId = Annotated[str, Path(max_length=64, description="your own id of the document: letters, digits, . _ -")]


class NewBatch(BaseModel):
    """What every document of the batch gets. The options are those of `POST /sign/v1/documents`."""

    model_config = ConfigDict(extra="forbid")

    credential: Annotated[str, Field(pattern=ID)]
    level: Level | None = Field(None, description="B-LT when absent, or what the format has where that is less")
    format: Annotated[str | None, Field(max_length=20)] = None
    packaging: Annotated[str | None, Field(max_length=20)] = None
    field: Annotated[str | None, Field(max_length=1024)] = None
    lock: Annotated[str | None, Field(max_length=1024)] = None
    certify: Annotated[str | None, Field(max_length=20)] = None
    visible: Annotated[str | None, Field(max_length=1024)] = None


class BatchView(BaseModel):
    """A batch."""

    id: str
    state: BatchState
    credential: str
    format: str
    packaging: str | None
    level: Level
    created_at: str = Field(description="RFC 3339, UTC")
    started_at: str | None
    finished_at: str | None
    kept_until: str = Field(description="when the batch and its documents are removed, unless they were before")


class ProgressView(BatchView):
    """A batch, and how far it is."""

    documents: int
    waiting: int
    sealed: int
    refused: int
    octets: int = Field(description="of all documents, as they came")
    per_second: float | None = Field(description="documents settled a second, over the last five minutes")
    ends_at: str | None = Field(description="estimated from that; RFC 3339, UTC")


class BatchPage(BaseModel):
    """A page of batches, the newest first; ``next`` is the cursor of the following one."""

    batches: list[BatchView]
    next: str | None


class ItemView(BaseModel):
    """A document of a batch, and what became of it."""

    id: str
    state: ItemState
    size: int
    sha256: str = Field(description="of the document as it came, hexadecimal")
    sealed_sha256: str | None = Field(description="of the sealed document, hexadecimal")
    settled_at: str | None = Field(description="when it was sealed or refused; RFC 3339, UTC")
    problem: ProblemView | None = Field(description="why it was refused")
    rule: str | None = Field(description="of the client's policy, or of the field, where one was broken")


class ItemPage(BaseModel):
    """A page of documents in the order they came; ``next`` is the cursor of the following one."""

    documents: list[ItemView]
    next: str | None


class Added(BaseModel):
    """How many documents of an archive are new in the batch."""

    added: int


def body_limits(config: SigningConfig) -> Mapping[str, int]:
    """How many octets documents and archives may have, for the body limit of the application."""
    limit = config.maximum_document_bytes + _ROOM
    return {"/sign/v1/batches/*/documents": limit, "/sign/v1/batches/*/archive": limit}


def _octets(kind: str) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "contentMediaType": kind}}}
    return {"requestBody": {"required": True, "content": content}}


_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The sealed file, of the media type of its format.",
        "content": {kind: {"schema": {"type": "string"}} for kind in ("application/pdf", "application/octet-stream")},
    }
}
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "A ZIP file.", "content": {"application/zip": {"schema": {"type": "string"}}}}
}


def create_router(service: BatchService, guard: Guard) -> APIRouter:
    """All endpoints under ``/sign/v1/batches``."""
    router = APIRouter(prefix="/sign/v1/batches", tags=["Signing"])
    client = guard.client(ROLE)

    @router.post("", status_code=201)
    def create_batch(actor: Annotated[Actor, Depends(client)], body: NewBatch) -> BatchView:
        """Open a batch: thousands of documents that get the same seal. Add documents, then start it."""
        options = PdfOptions.parse(field=body.field, lock=body.lock, certify=body.certify, visible=body.visible)
        form = Form.named(body.format, body.packaging)
        return _batch_view(service.create(actor, body.credential, form=form, level=body.level, options=options))

    @router.get("")
    def list_batches(
        actor: Annotated[Actor, Depends(client)],
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> BatchPage:
        """The caller's batches, the newest first."""
        page, following = service.batches(actor, cursor, limit)
        return BatchPage(batches=[_batch_view(one) for one in page], next=following)

    @router.get("/{batch_id}")
    def show_batch(actor: Annotated[Actor, Depends(client)], batch_id: BatchId) -> ProgressView:
        """A batch, how many of its documents are sealed and refused, and when it may be over."""
        return _progress_view(*service.batch(actor, batch_id))

    @router.put("/{batch_id}/documents/{document_id}", status_code=201, openapi_extra=_octets("application/pdf"))
    async def add_document(
        actor: Annotated[Actor, Depends(client)],
        batch_id: BatchId,
        document_id: DocumentId,
        request: Request,
        response: Response,
    ) -> ItemView:
        """Add a document (the body) under your own id. The same document again is 200 and changes nothing."""
        data = await request.body()
        item, new = await run_in_threadpool(service.add, actor, batch_id, document_id, data)
        response.status_code = 201 if new else 200
        return _item_view(item, Language.EN)

    @router.post("/{batch_id}/archive", openapi_extra=_octets("application/zip"))
    async def add_archive(actor: Annotated[Actor, Depends(client)], batch_id: BatchId, request: Request) -> Added:
        """Add every file of a ZIP (the body) under its name. Sent again after it was cut off, it goes on."""
        data = await request.body()
        return Added(added=await run_in_threadpool(service.add_archive, actor, batch_id, data))

    @router.post("/{batch_id}/start")
    def start_batch(actor: Annotated[Actor, Depends(client)], batch_id: BatchId) -> ProgressView:
        """Have the documents sealed, by a job. Ask for the batch to see how far it is."""
        service.start(actor, batch_id)
        return _progress_view(*service.batch(actor, batch_id))

    @router.post("/{batch_id}/cancel")
    def cancel_batch(actor: Annotated[Actor, Depends(client)], batch_id: BatchId) -> ProgressView:
        """End it early. What is sealed stays, and can be fetched."""
        service.cancel(actor, batch_id)
        return _progress_view(*service.batch(actor, batch_id))

    @router.delete("/{batch_id}", status_code=204)
    def remove_batch(actor: Annotated[Actor, Depends(client)], batch_id: BatchId) -> None:
        """Remove a batch that is not worked on, and all of its documents, for good."""
        service.remove(actor, batch_id)

    @router.get("/{batch_id}/documents")
    def list_batch_documents(
        actor: Annotated[Actor, Depends(client)],
        batch_id: BatchId,
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        state: ItemState | None = None,
        accept_language: Annotated[str | None, Header(max_length=200)] = None,
    ) -> ItemPage:
        """What became of each document, in the order they came."""
        page, following = service.documents(actor, batch_id, cursor, limit, state)
        language = negotiate(accept_language)
        return ItemPage(documents=[_item_view(one, language) for one in page], next=following)

    @router.get("/{batch_id}/documents/{document_id}")
    def show_batch_document(
        actor: Annotated[Actor, Depends(client)],
        batch_id: BatchId,
        document_id: DocumentId,
        accept_language: Annotated[str | None, Header(max_length=200)] = None,
    ) -> ItemView:
        """What became of one document."""
        return _item_view(service.document(actor, batch_id, document_id), negotiate(accept_language))

    @router.get("/{batch_id}/documents/{document_id}/sealed", response_class=Response, responses=_FILE)
    def sealed_document(
        actor: Annotated[Actor, Depends(client)], batch_id: BatchId, document_id: DocumentId
    ) -> Response:
        """The sealed document."""
        batch, data = service.sealed(actor, batch_id, document_id)
        return _attachment(data, batch.form.media_type, batch.form.file_name(document_id))

    @router.get("/{batch_id}/sealed", response_class=StreamingResponse, responses=_ZIP)
    def sealed_documents(actor: Annotated[Actor, Depends(client)], batch_id: BatchId) -> StreamingResponse:
        """Every document that is sealed by now, as one ZIP file."""
        headers = {"Content-Disposition": f'attachment; filename="{batch_id}.zip"'}
        return StreamingResponse(service.all_sealed(actor, batch_id), media_type="application/zip", headers=headers)

    return router


def _attachment(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _fields(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.batch_id,
        "state": batch.state,
        "credential": batch.credential_id,
        "format": batch.form.format.value,
        "packaging": batch.form.packaging.value if batch.form.packaging else None,
        "level": batch.level,
        "created_at": rfc3339(batch.created_at),
        "started_at": rfc3339(batch.started_at) if batch.started_at else None,
        "finished_at": rfc3339(batch.finished_at) if batch.finished_at else None,
        "kept_until": rfc3339(batch.kept_until),
    }


def _batch_view(batch: Batch) -> BatchView:
    return BatchView(**_fields(batch))


def _progress_view(batch: Batch, progress: Progress) -> ProgressView:
    return ProgressView(
        **_fields(batch),
        documents=progress.total,
        waiting=progress.waiting,
        sealed=progress.sealed,
        refused=progress.refused,
        octets=progress.octets,
        per_second=None if progress.per_second is None else round(progress.per_second, 2),
        ends_at=rfc3339(progress.ends_at) if progress.ends_at else None,
    )


def _item_view(item: Item, language: Language) -> ItemView:
    problem, told = None, json.loads(item.told or "{}")
    if item.refusal is not None:
        problem = ProblemView(
            code=item.refusal,
            detail=text(item.refusal, language, **told),
            hint=hint_of(item.refusal, language, **told),
        )
    return ItemView(
        id=item.document_id,
        state=item.state,
        size=item.size,
        sha256=item.sha256.hex(),
        sealed_sha256=item.sealed_sha256.hex() if item.sealed_sha256 else None,
        settled_at=rfc3339(item.settled_at) if item.settled_at else None,
        problem=problem,
        rule=told.get("rule"),
    )
