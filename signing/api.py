"""Signing over HTTP: ``/sign/v1``. Persons sign their documents; clients of agencies seal theirs."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from foundation.catalogue import negotiate
from foundation.http.actor import Actor, ActorKind
from foundation.http.direct import FORM, direct
from foundation.http.guard import Guard
from signing.config import SigningConfig
from signing.errors import LevelNotAllowed, UploadInvalid
from signing.forms import Form, media_type
from signing.model import Level
from signing.pdf_options import PdfOptions
from signing.service import MAX_PAGE, SigningService
from signing.upload import Upload, read_upload
from signing.views import (
    ID,
    ApprovalView,
    Assertion,
    AuthorisationView,
    CredentialView,
    DocumentPage,
    DocumentView,
    NewApproval,
    NewAuthorisation,
    approval_view,
    credential_view,
    document_view,
    outcome_view,
)

_FORM_ROOM = 64 * 1024  # what a form has besides its file
_UPLOAD_FIELDS = frozenset({"password", "field", "lock", "certify", "visible", "format", "packaging"})
_EXTENSION_FIELDS = frozenset({"level", "password"})
SEAL_FIELDS = _UPLOAD_FIELDS | {"credential", "level", "printed"}

ApprovalId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the approval's id, as it was given")]
DocumentId = Annotated[str, Path(pattern=ID, description="the document's id, as the upload gave it")]


def body_limits(config: SigningConfig) -> Mapping[str, int]:
    """How many octets the upload addresses take, for the body limit of the application."""
    limit = config.maximum_document_bytes + _FORM_ROOM
    return {
        "/sign/v1/documents": limit,
        "/sign/v1/seals": limit,
        "/sign/v1/extensions": limit,
        "/sign/v1/held-seals": limit,
    }


def create_router(service: SigningService, guard: Guard) -> APIRouter:
    """All endpoints under ``/sign/v1``."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    person, sealer = guard.person(), guard.client("sign-seal")
    anyone = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: "sign-seal"})

    # The guard comes first: nobody's form is read before they are known.
    async def uploaded(request: Request, _: Annotated[Actor, Depends(person)]) -> Upload:
        return await read_upload(request, _UPLOAD_FIELDS)

    async def to_seal(request: Request, _: Annotated[Actor, Depends(sealer)]) -> Upload:
        return await read_upload(request, SEAL_FIELDS)

    @router.get("/credentials")
    def list_credentials(actor: Annotated[Actor, Depends(person)]) -> list[CredentialView]:
        """The caller's signing credentials."""
        return [credential_view(one) for one in service.credentials(actor)]

    @router.post("/documents", status_code=201, openapi_extra=upload_form(_UPLOAD_FIELDS, frozenset()))
    def upload_document(
        actor: Annotated[Actor, Depends(person)], form: Annotated[Upload, Depends(uploaded)]
    ) -> DocumentView:
        """Upload a document to be signed. It is checked at once; one that cannot be signed is refused with the cause.

        ``format`` is the signature's: pades (a PDF; the default), or for files of any kind cades, xades, jades,
        asic-e or asic-s; ``packaging`` how both go together. ``password`` opens an encrypted PDF; ``field`` names an
        existing empty signature field. ``visible``: auto, field, at=LEFT,BOTTOM page=N, or anchor=WORDS, with size=WxH
        and qr, in points. ``lock``: all, include=A,B or exclude=A,B, then close, forms or notes; ``certify``: one of
        these three, for the first signature.
        """
        named = service.upload(
            actor,
            form.name,
            form.data,
            form=form_of(form),
            password=form.fields.get("password"),
            options=options_of(form),
        )
        return document_view(named)

    @router.get("/documents")
    def list_documents(
        actor: Annotated[Actor, Depends(person)],
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> DocumentPage:
        """The caller's documents, the newest first."""
        page = service.documents(actor, cursor, limit)
        return DocumentPage(documents=[document_view(one) for one in page.documents], next=page.next)

    @router.get("/documents/{document_id}")
    def show_document(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> DocumentView:
        """One document of the caller."""
        return document_view(service.document(actor, document_id))

    @router.get("/documents/{document_id}/signed", response_class=Response, responses=_SIGNED)
    def signed_document(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> Response:
        """The signed file: the document with its signature, or the signature beside it where the packaging says so."""
        form = service.document(actor, document_id).document.form
        name, data = service.signed(actor, document_id)
        return signed_file(name, form, data)

    @router.delete("/documents/{document_id}", status_code=204)
    def delete_document(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> None:
        """Remove a document and its signed version for good."""
        service.delete(actor, document_id)

    @router.post("/authorisations")
    def authorise(
        actor: Annotated[Actor, Depends(person)],
        body: NewAuthorisation,
        accept_language: Annotated[str | None, Header(max_length=200)] = None,
    ) -> AuthorisationView:
        """Sign one or several documents with PIN and one-time code.

        A wrong or used code refuses the whole request; otherwise each document has its own outcome.
        """
        outcomes = service.authorise(
            actor,
            body.credential,
            body.documents,
            pin=body.pin.get_secret_value(),
            totp=body.totp.get_secret_value(),
            level=body.level,
        )
        language = negotiate(accept_language)
        return AuthorisationView(documents=[outcome_view(one, language) for one in outcomes])

    @router.post("/authorisations/passkey", status_code=201)
    def ask_passkey(
        actor: Annotated[Actor, Depends(person)],
        body: NewApproval,
        accept_language: Annotated[str | None, Header(max_length=200)] = None,
    ) -> ApprovalView:
        """Prepare one or several documents and ask the person's passkey to approve exactly these.

        ``options`` go to ``navigator.credentials.get()``; the answer goes to the address of the new approval. Without a
        document that can be signed there is nothing to approve: the problem is that of the first.
        """
        asked = service.ask_passkey(actor, body.credential, body.documents, level=body.level)
        return approval_view(asked, negotiate(accept_language))

    @router.post("/authorisations/passkey/{approval_id}")
    def answer_passkey(
        actor: Annotated[Actor, Depends(person)],
        approval_id: ApprovalId,
        body: Assertion,
        accept_language: Annotated[str | None, Header(max_length=200)] = None,
    ) -> AuthorisationView:
        """Sign what the passkey approved. The token checks the assertion; a wrong one can be answered again."""
        outcomes = service.answer_passkey(actor, approval_id, json.dumps(body.assertion))
        language = negotiate(accept_language)
        return AuthorisationView(documents=[outcome_view(one, language) for one in outcomes])

    async def to_extend(request: Request, _: Annotated[Actor, Depends(anyone)]) -> Upload:
        return await read_upload(request, _EXTENSION_FIELDS)

    @router.post(
        "/extensions", response_class=Response, responses=_SIGNED, openapi_extra=upload_form(_EXTENSION_FIELDS, set())
    )
    def extend(actor: Annotated[Actor, Depends(anyone)], form: Annotated[Upload, Depends(to_extend)]) -> Response:
        """Raise the signatures of a PDF, of a container, or of CAdES, XAdES and JAdES with the document inside to a
        level, or renew the archive timestamp.

        ``level``: B-T, B-LT or B-LTA, the default. Nothing of the document is kept. What does not hold is refused.
        """
        level = level_of(form.fields.get("level")) or Level.B_LTA
        extended = service.extend(str(actor), form.data, level=level, password=form.fields.get("password"))
        kind = media_type(extended)
        return attachment(form.name or "document", kind, extended)

    async def seal_directly(request: Request) -> Response:
        actor = await sealer(request)
        return await run_in_threadpool(seal, actor, await to_seal(request, actor))

    @router.post(
        "/seals", response_class=Response, responses=_SIGNED, openapi_extra=upload_form(SEAL_FIELDS, {"credential"})
    )
    @direct(seal_directly, FORM)
    def seal(actor: Annotated[Actor, Depends(sealer)], form: Annotated[Upload, Depends(to_seal)]) -> Response:
        """Put the organisation's seal on a document and give it back at once; nothing of the document is kept.

        ``format``, ``packaging``, ``field``, ``visible``, ``lock`` and ``certify`` as for an upload. ``printed``: JSON,
        an object of labels and values, for a QR code by which a print can be checked. ``visible`` with template=NAME:
        as an approved template of the client's organisation looks.
        """
        if "credential" not in form.fields:
            raise UploadInvalid
        sealed = service.seal(
            actor,
            form.fields["credential"],
            form.data,
            name=form.name,
            form=form_of(form),
            level=level_of(form.fields.get("level")),
            password=form.fields.get("password"),
            options=options_of(form),
        )
        return signed_file(form.name, form_of(form), sealed)

    return router


_SIGNED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The signed file, of the media type of its format.",
        "content": {kind: {"schema": {"type": "string"}} for kind in ("application/pdf", "application/octet-stream")},
    }
}


def upload_form(fields: frozenset[str], required: set[str] | frozenset[str]) -> dict[str, Any]:
    """The form, for the OpenAPI document: the framework does not read it, so it cannot know."""
    properties: dict[str, Any] = {"file": {"type": "string", "contentMediaType": "application/octet-stream"}}
    properties |= {name: {"type": "string"} for name in sorted(fields)}
    schema = {"type": "object", "properties": properties, "required": ["file", *sorted(required)]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def form_of(upload: Upload) -> Form:
    """The form that an upload names. Raises FormUnknown."""
    return Form.named(upload.fields.get("format"), upload.fields.get("packaging"))


def options_of(upload: Upload) -> PdfOptions:
    """What an upload says about field, lock and appearance. Raises OptionInvalid."""
    names = ("field", "lock", "certify", "visible", "printed")
    return PdfOptions.parse(**{name: upload.fields.get(name) for name in names})


def level_of(value: str | None) -> Level | None:
    """The level of this name. Raises LevelNotAllowed."""
    if value is None:
        return None
    try:
        return Level(value)
    except ValueError:
        raise LevelNotAllowed(level="?") from None


def signed_file(name: str, form: Form, data: bytes) -> Response:
    """RFC 6266: the name in both forms, as an attachment."""
    return attachment(form.file_name((name or "document")[:200]), form.media_type, data)


def attachment(full: str, media_type: str, data: bytes) -> Response:
    """RFC 6266: a file as an attachment, its name in both forms."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_. ") else "_" for one in full)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"
    return Response(data, media_type=media_type, headers={"Content-Disposition": disposition})
