"""What ``/sign/v1`` takes and gives, as JSON."""

import json
from typing import Annotated, Any

from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from foundation.catalogue import Language
from foundation.clock import rfc3339
from foundation.errors import CamTrustError
from signing.approval import Asked
from signing.model import Credential, CredentialStatus, DocumentState, Level, NamedDocument, Outcome

ID = r"^[0-9a-f]{32}$"
"""Documents and credentials have ids like this."""


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

    credential: Annotated[str, Field(pattern=ID)]
    documents: Annotated[list[Annotated[str, Field(pattern=ID)]], Field(min_length=1, max_length=1000)]
    pin: Annotated[SecretStr, Field(min_length=1, max_length=64)]
    totp: Annotated[SecretStr, Field(min_length=1, max_length=16)]
    level: Level | None = Field(None, description="B-T, B-LT or B-LTA; B-LT when absent")


class NewApproval(BaseModel):
    """Documents to be approved by a passkey of the person."""

    model_config = ConfigDict(extra="forbid")

    credential: Annotated[str, Field(pattern=ID)]
    documents: Annotated[list[Annotated[str, Field(pattern=ID)]], Field(min_length=1, max_length=1000)]
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


def document_view(named: NamedDocument) -> DocumentView:
    """A document as its owner sees it."""
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


def credential_view(credential: Credential) -> CredentialView:
    """A credential with what its certificate says."""
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


def approval_view(asked: Asked, language: Language) -> ApprovalView:
    """A question to a device; problems in ``language``."""
    return ApprovalView(
        id=asked.approval_id,
        expires_at=rfc3339(asked.expires),
        data=asked.data.decode(),
        options=json.loads(asked.options),
        documents=[ApprovalPartView(id=name, digest=digest.hex()) for name, digest in asked.digests.items()],
        refused=[outcome_view(one, language) for one in asked.refused],
    )


def outcome_view(outcome: Outcome, language: Language) -> OutcomeView:
    """What became of a document; a problem in ``language``."""
    error: CamTrustError | None = outcome.error
    problem = None
    if error is not None:
        problem = ProblemView(code=error.code, detail=error.message(language), hint=error.hint(language))
    return OutcomeView(id=outcome.document_id, signed=error is None, problem=problem)
