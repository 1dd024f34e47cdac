"""Signing over HTTP: ``/sign/v1``. Persons sign their documents; clients of agencies seal theirs."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from cryptography.x509.oid import NameOID
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from foundation.catalogue import Language, negotiate
from foundation.clock import rfc3339
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.approval import Asked
from signing.config import SigningConfig
from signing.errors import LevelNotAllowed, UploadInvalid
from signing.forms import Form
from signing.model import Credential, CredentialStatus, DocumentState, Level, NamedDocument, Outcome
from signing.pdf_options import PdfOptions
from signing.service import MAX_PAGE, SigningService
from signing.upload import Upload, read_upload

_ID = r"^[0-9a-f]{32}$"
_FORM_ROOM = 64 * 1024  # what a form has besides its file
_UPLOAD_FIELDS = frozenset({"password", "field", "lock", "certify", "visible", "format", "packaging"})
_EXTENSION_FIELDS = frozenset({"level", "password"})
_SEAL_FIELDS = _UPLOAD_FIELDS | {"credential", "level"}

ApprovalId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the approval's id, as it was given")]
DocumentId = Annotated[str, Path(pattern=_ID, description="the document's id, as the upload gave it")]


class DocumentView(BaseModel):
    """A document as its owner sees it. ``sha256`` is of the file as it was uploaded: compare it with your own."""

    id: str = Field(description="opaque id")
    name: str = Field(description="file name, as uploaded")
    size: int = Field(description="octets, as uploaded")
    sha256: str = Field(description="SHA-256 of the uploaded file, hexadecimal")
    pages: int = Field(description="of a PDF; 0 for any other format")
    format: str = Field(description="of the signature: pades, cades, xades, jades, asic-e, asic-s")
    packaging: str | None = Field(description="how document and signature go together; null for pades")
    encrypted: bool = Field(description="the PDF is protected by a password, and stays so")
    state: DocumentState
    uploaded_at: str = Field(description="RFC 3339, UTC")
    level: Level | None = Field(description="PAdES level of the signature, once signed")
    signed_at: str | None = Field(description="RFC 3339, UTC, once signed")
    refusal: str | None = Field(description="code of the reason, where the document cannot be signed")


class DocumentPage(BaseModel):
    """A page of documents, the newest first; ``next`` is the cursor of the following one."""

    documents: list[DocumentView]
    next: str | None


class CredentialView(BaseModel):
    """A signing credential of the caller."""

    id: str
    subject: str = Field(description="common name in the certificate")
    status: CredentialStatus
    not_before: str
    not_after: str
    certificate: str = Field(description="hexadecimal serial number of the certificate")


class NewAuthorisation(BaseModel):
    """Both factors of the person, for exactly these documents. PIN and code are checked by the key's own token."""

    model_config = ConfigDict(extra="forbid")

    credential: Annotated[str, Field(pattern=_ID)]
    documents: Annotated[list[Annotated[str, Field(pattern=_ID)]], Field(min_length=1, max_length=1000)]
    pin: Annotated[SecretStr, Field(min_length=1, max_length=64)]
    totp: Annotated[SecretStr, Field(min_length=1, max_length=16)]
    level: Level | None = Field(None, description="B-T, B-LT or B-LTA; B-LT when absent")


class NewApproval(BaseModel):
    """Documents to be approved by a passkey of the person."""

    model_config = ConfigDict(extra="forbid")

    credential: Annotated[str, Field(pattern=_ID)]
    documents: Annotated[list[Annotated[str, Field(pattern=_ID)]], Field(min_length=1, max_length=1000)]
    level: Level | None = Field(None, description="B-T, B-LT or B-LTA; B-LT when absent")


class Assertion(BaseModel):
    """What the person's device answered."""

    model_config = ConfigDict(extra="forbid")

    assertion: dict[str, Any] = Field(
        default_factory=dict, description="the PublicKeyCredential of navigator.credentials.get(), as toJSON() gives it"
    )


class ProblemView(BaseModel):
    """Why a document was not signed, in the language of the request."""

    code: str
    detail: str
    hint: str


class OutcomeView(BaseModel):
    """What became of one document."""

    id: str
    signed: bool
    problem: ProblemView | None


class ApprovalPartView(BaseModel):
    """A document that waits for the approval."""

    id: str
    digest: str = Field(description="what is signed: the hash of its signed attributes, hexadecimal")


class ApprovalView(BaseModel):
    """A question to the person's device."""

    id: str
    expires_at: str = Field(description="RFC 3339, UTC")
    data: str = Field(description="canonical activation data; its SHA-256 is the challenge")
    options: dict[str, Any] = Field(description="for navigator.credentials.get(), as JSON")
    documents: list[ApprovalPartView]
    refused: list[OutcomeView] = Field(description="documents that cannot be signed, with the reasons")


class AuthorisationView(BaseModel):
    """One outcome a document, in the order asked."""

    documents: list[OutcomeView]


def body_limits(config: SigningConfig) -> Mapping[str, int]:
    """How many octets the upload addresses take, for the body limit of the application."""
    limit = config.maximum_document_bytes + _FORM_ROOM
    return {"/sign/v1/documents": limit, "/sign/v1/seals": limit, "/sign/v1/extensions": limit}


def create_router(service: SigningService, guard: Guard) -> APIRouter:
    """All endpoints under ``/sign/v1``."""
    router = APIRouter(prefix="/sign/v1", tags=["Signing"])
    person, sealer = guard.person(), guard.client("sign-seal")
    anyone = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: "sign-seal"})

    # The guard comes first: nobody's form is read before they are known.
    async def uploaded(request: Request, _: Annotated[Actor, Depends(person)]) -> Upload:
        return await read_upload(request, _UPLOAD_FIELDS)

    async def to_seal(request: Request, _: Annotated[Actor, Depends(sealer)]) -> Upload:
        return await read_upload(request, _SEAL_FIELDS)

    @router.get("/credentials")
    def list_credentials(actor: Annotated[Actor, Depends(person)]) -> list[CredentialView]:
        """The caller's signing credentials."""
        return [_credential(one) for one in service.credentials(actor)]

    @router.post("/documents", status_code=201, openapi_extra=_form(_UPLOAD_FIELDS, frozenset()))
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
            form=_form_of(form),
            password=form.fields.get("password"),
            options=_options(form),
        )
        return _document(named)

    @router.get("/documents")
    def list_documents(
        actor: Annotated[Actor, Depends(person)],
        cursor: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> DocumentPage:
        """The caller's documents, the newest first."""
        page = service.documents(actor, cursor, limit)
        return DocumentPage(documents=[_document(one) for one in page.documents], next=page.next)

    @router.get("/documents/{document_id}")
    def show_document(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> DocumentView:
        """One document of the caller."""
        return _document(service.document(actor, document_id))

    @router.get("/documents/{document_id}/signed", response_class=Response, responses=_SIGNED)
    def signed_document(actor: Annotated[Actor, Depends(person)], document_id: DocumentId) -> Response:
        """The signed file: the document with its signature, or the signature beside it where the packaging says so."""
        form = service.document(actor, document_id).document.form
        name, data = service.signed(actor, document_id)
        return _file(name, form, data)

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
        return AuthorisationView(documents=[_outcome(one, language) for one in outcomes])

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
        return _approval(asked, negotiate(accept_language))

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
        return AuthorisationView(documents=[_outcome(one, language) for one in outcomes])

    async def to_extend(request: Request, _: Annotated[Actor, Depends(anyone)]) -> Upload:
        return await read_upload(request, _EXTENSION_FIELDS)

    @router.post(
        "/extensions", response_class=Response, responses=_SIGNED, openapi_extra=_form(_EXTENSION_FIELDS, set())
    )
    def extend(actor: Annotated[Actor, Depends(anyone)], form: Annotated[Upload, Depends(to_extend)]) -> Response:
        """Raise the signatures of a PDF or an attached CAdES signature to a level, or renew the archive timestamp.

        ``level``: B-T, B-LT or B-LTA, the default. Nothing of the document is kept. What does not hold is refused.
        """
        level = _level(form.fields.get("level")) or Level.B_LTA
        extended = service.extend(str(actor), form.data, level=level, password=form.fields.get("password"))
        kind = "application/pdf" if b"%PDF-" in extended[:1024] else "application/pkcs7-mime"
        return _attachment(form.name or "document", kind, extended)

    @router.post(
        "/seals", response_class=Response, responses=_SIGNED, openapi_extra=_form(_SEAL_FIELDS, {"credential"})
    )
    def seal(actor: Annotated[Actor, Depends(sealer)], form: Annotated[Upload, Depends(to_seal)]) -> Response:
        """Put the organisation's seal on a document and give it back at once; nothing of the document is kept.

        ``format``, ``packaging``, ``field``, ``visible``, ``lock`` and ``certify`` as for an upload.
        """
        if "credential" not in form.fields:
            raise UploadInvalid
        sealed = service.seal(
            actor,
            form.fields["credential"],
            form.data,
            name=form.name,
            form=_form_of(form),
            level=_level(form.fields.get("level")),
            password=form.fields.get("password"),
            options=_options(form),
        )
        return _file(form.name, _form_of(form), sealed)

    return router


_SIGNED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The signed file, of the media type of its format.",
        "content": {kind: {"schema": {"type": "string"}} for kind in ("application/pdf", "application/octet-stream")},
    }
}


def _form(fields: frozenset[str], required: set[str] | frozenset[str]) -> dict[str, Any]:
    """The form, for the OpenAPI document: the framework does not read it, so it cannot know."""
    properties: dict[str, Any] = {"file": {"type": "string", "contentMediaType": "application/octet-stream"}}
    properties |= {name: {"type": "string"} for name in sorted(fields)}
    schema = {"type": "object", "properties": properties, "required": ["file", *sorted(required)]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _form_of(upload: Upload) -> Form:
    return Form.named(upload.fields.get("format"), upload.fields.get("packaging"))


def _options(upload: Upload) -> PdfOptions:
    return PdfOptions.parse(**{name: upload.fields.get(name) for name in ("field", "lock", "certify", "visible")})


def _level(value: str | None) -> Level | None:
    if value is None:
        return None
    try:
        return Level(value)
    except ValueError:
        raise LevelNotAllowed(level="?") from None


def _document(named: NamedDocument) -> DocumentView:
    document = named.document
    return DocumentView(
        id=document.document_id,
        name=named.name,
        size=document.size,
        sha256=document.sha256.hex(),
        pages=document.pages,
        format=document.form.format.value,
        packaging=document.form.packaging.value if document.form.packaging else None,
        encrypted=document.encrypted,
        state=document.state,
        uploaded_at=rfc3339(document.uploaded_at),
        level=document.level,
        signed_at=rfc3339(document.signed_at) if document.signed_at else None,
        refusal=document.refusal,
    )


def _credential(credential: Credential) -> CredentialView:
    certificate = credential.signatory.certificate
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CredentialView(
        id=credential.credential_id,
        subject=str(names[0].value) if names else "",
        status=credential.status,
        not_before=rfc3339(certificate.not_valid_before_utc),
        not_after=rfc3339(certificate.not_valid_after_utc),
        certificate=f"{certificate.serial_number:x}",
    )


def _approval(asked: Asked, language: Language) -> ApprovalView:
    return ApprovalView(
        id=asked.approval_id,
        expires_at=rfc3339(asked.expires),
        data=asked.data.decode(),
        options=json.loads(asked.options),
        documents=[ApprovalPartView(id=name, digest=digest.hex()) for name, digest in asked.digests.items()],
        refused=[_outcome(one, language) for one in asked.refused],
    )


def _outcome(outcome: Outcome, language: Language) -> OutcomeView:
    error: CamTrustError | None = outcome.error
    problem = None
    if error is not None:
        problem = ProblemView(code=error.code, detail=error.message(language), hint=error.hint(language))
    return OutcomeView(id=outcome.document_id, signed=error is None, problem=problem)


def _file(name: str, form: Form, data: bytes) -> Response:
    """RFC 6266: the name in both forms, as an attachment."""
    return _attachment(form.file_name((name or "document")[:200]), form.media_type, data)


def _attachment(full: str, media_type: str, data: bytes) -> Response:
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_. ") else "_" for one in full)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"
    return Response(data, media_type=media_type, headers={"Content-Disposition": disposition})
