"""What the endpoints of signing requests take and give, as JSON."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from foundation.clock import rfc3339
from foundation.words import khmer_words, words
from signing.errors import UploadInvalid
from signing.forms import Form
from signing.model import DocumentState, Level
from signing.pdf_options import PdfOptions
from signing.requests.delivery import LONGEST_PURPOSE, LONGEST_REFERENCE, SentDocument
from signing.requests.model import AskedDocument, Report, ReportKind, Requester, RequestState, ShownRequest, Stop
from signing.views import ID, OutcomeView

WORDS = 8
"""Octets of a digest that are said in words, one word each: enough to compare two screens, not to name a document."""

PERSON = r"^[!-~]{1,128}$"
CLIENT = r"^act_[a-z2-7]{24}$"


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewDocument(_Input):
    """A document to be signed, with the options of an upload."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    content: str = Field(min_length=1, description="the file's octets, Base64 (RFC 4648 §4)")
    format: Annotated[str, Field(max_length=20)] | None = Field(None, description="as for an upload; pades when absent")
    packaging: Annotated[str, Field(max_length=20)] | None = None
    field: Annotated[str, Field(max_length=200)] | None = None
    visible: Annotated[str, Field(max_length=200)] | None = None
    lock: Annotated[str, Field(max_length=200)] | None = None
    certify: Annotated[str, Field(max_length=20)] | None = None

    def sent(self) -> SentDocument:
        """What the desk takes. UploadInvalid, FormUnknown, OptionInvalid."""
        try:
            data = base64.b64decode(self.content, validate=True)
        except (binascii.Error, ValueError):
            raise UploadInvalid from None
        options = PdfOptions.parse(field=self.field, lock=self.lock, certify=self.certify, visible=self.visible)
        return SentDocument(self.name, data, Form.named(self.format, self.packaging), options)


class NewRequest(_Input):
    """What a client asks of a person: to sign all of these, for this purpose, until then."""

    person: Annotated[str, Field(pattern=PERSON, description="the person's opaque id")]
    purpose: Annotated[str, Field(min_length=1, max_length=LONGEST_PURPOSE, description="shown to the person as it is")]
    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=100)]
    level: Level | None = Field(None, description="B-T, B-LT or B-LTA; B-LT when absent")
    expires_in: Annotated[int, Field(ge=60, le=31 * 86400)] | None = Field(
        None, description="seconds to answer in: 5 minutes to 30 days; a week when absent"
    )
    reference: Annotated[str, Field(min_length=1, max_length=LONGEST_REFERENCE)] | None = Field(
        None, description="the client's own word for it, given back with every answer"
    )
    passkey_only: bool = Field(False, description="take no approval but one that the person's device binds to these")

    def lasts(self) -> timedelta | None:
        return None if self.expires_in is None else timedelta(seconds=self.expires_in)


class Refusal(_Input):
    """Why the person does not sign."""

    unexpected: bool = Field(False, description="the person did not start this: operators see it")


class Block(_Input):
    """A client that the person takes no requests of."""

    client: Annotated[str, Field(pattern=CLIENT)]


class RequestCredential(_Input):
    """With which of the person's credentials."""

    credential: Annotated[str, Field(pattern=ID)]


class RequestApproval(RequestCredential):
    """Both factors of the person. The device does not bind them to the documents: whoever takes them decides."""

    pin: Annotated[SecretStr, Field(min_length=1, max_length=64)]
    totp: Annotated[SecretStr, Field(min_length=1, max_length=16)]


class RequesterView(BaseModel):
    """Who asks, by the label under which it is registered here."""

    id: str
    label: str
    active: bool = Field(description="false: it may not act here any more")


class RequestDocumentView(BaseModel):
    """A document of a request. ``words``: the first 8 octets of its SHA-256, to compare two screens."""

    id: str
    name: str
    size: int
    pages: int
    sha256: str = Field(description="SHA-256 of the file, hexadecimal")
    words_en: list[str]
    words_km: list[str]
    state: DocumentState | None = Field(description="null: it went with the request")


class RequestView(BaseModel):
    """A signing request, for the person asked and for the client that asks."""

    id: str
    state: RequestState
    requester: RequesterView
    person: str
    purpose: str
    reference: str | None
    level: Level | None
    passkey_only: bool
    documents: list[RequestDocumentView]
    created_at: str = Field(description="RFC 3339, UTC")
    expires_at: str = Field(description="RFC 3339, UTC")
    decided_at: str | None = Field(description="RFC 3339, UTC, once it is answered, withdrawn or run out")


class RequestPageView(BaseModel):
    """A page of requests, the newest first; ``next`` is the cursor of the following one."""

    requests: list[RequestView]
    next: str | None


class AnsweredView(BaseModel):
    """The request after an approval, and what became of each document."""

    request: RequestView
    documents: list[OutcomeView]


class ReportView(BaseModel):
    """That somebody did not expect to be asked."""

    request: str = Field(description="the id of what asked them")
    kind: ReportKind = Field(description="a signing request, a prompt of the CSC API, or its authorisation page")
    client: str
    created_at: str
    reported_at: str


class ReportPage(BaseModel):
    """A page of reports, the newest first."""

    reports: list[ReportView]
    next: str | None


class StopView(BaseModel):
    """A client that may ask nobody."""

    client: str
    stopped_at: str
    by: str = Field(description="an operator, or `reports`")


def request_view(shown: ShownRequest) -> RequestView:
    """A request as it is shown."""
    request, states = shown.request, {one.document.document_id: one.document.state for one in shown.documents}
    return RequestView(
        id=request.request_id,
        state=request.state,
        requester=requester_view(shown.requester),
        person=request.person,
        purpose=shown.details.purpose,
        reference=shown.details.reference,
        level=request.level,
        passkey_only=request.passkey_only,
        documents=[_document(one, states.get(one.document_id)) for one in shown.details.documents],
        created_at=rfc3339(request.created_at),
        expires_at=rfc3339(request.expires_at),
        decided_at=rfc3339(request.decided_at) if request.decided_at else None,
    )


def requester_view(requester: Requester) -> RequesterView:
    """A client as persons see it."""
    return RequesterView(id=requester.client_id, label=requester.label, active=requester.active)


def report_view(report: Report) -> ReportView:
    """A report as operators see it."""
    return ReportView(
        request=report.subject,
        kind=report.kind,
        client=report.client_id,
        created_at=rfc3339(report.created_at),
        reported_at=rfc3339(report.reported_at),
    )


def stop_view(stop: Stop) -> StopView:
    """A stop as operators see it."""
    return StopView(client=stop.client_id, stopped_at=rfc3339(stop.stopped_at), by=stop.by)


def _document(asked: AskedDocument, state: DocumentState | None) -> RequestDocumentView:
    return RequestDocumentView(
        id=asked.document_id,
        name=asked.name,
        size=asked.size,
        pages=asked.pages,
        sha256=asked.sha256.hex(),
        words_en=list(words(asked.sha256[:WORDS])),
        words_km=list(khmer_words(asked.sha256[:WORDS])),
        state=state,
    )
