"""A signing request, its states, and what each side may see of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from signing.model import Level, NamedDocument


class RequestState(StrEnum):
    """
    WAITING ──every document signed──▶ SIGNED
       ├── refused by the person ────▶ REFUSED
       ├── not expected by them ─────▶ REPORTED    refused, and operators see it
       ├── taken back by the client ─▶ WITHDRAWN
       └── not answered in time ─────▶ EXPIRED

    Each move is a compare-and-set on the version. Whatever ends a request but SIGNED removes its documents with it, in
    the same transaction: a signature that is still being made then finds nothing to be stored in.
    """

    WAITING = "waiting"
    SIGNED = "signed"
    REFUSED = "refused"
    REPORTED = "reported"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True)
class RequestLimits:
    """How much clients may ask. ``reports_that_stop``: so many people who did not expect a client's requests stop it.

    ``pin_and_code``: a person may answer with PIN and one-time code too, which the device does not bind to the
    documents: whoever takes them decides what they are for.
    """

    waiting_of_client: int = 5  # to one person, at a time
    waiting_in_all: int = 50
    daily_of_client: int = 20  # to one person
    daily_in_all: int = 100
    longest: timedelta = timedelta(days=30)
    shortest: timedelta = timedelta(minutes=5)
    usual: timedelta = timedelta(days=7)
    reports_that_stop: int = 3
    pin_and_code: bool = True


@dataclass(frozen=True)
class AskedDocument:
    """A document as it was sent: what the request says of it stays when the document is gone."""

    document_id: str
    name: str
    size: int
    pages: int
    sha256: bytes


@dataclass(frozen=True)
class Details:
    """What is personal in a request, kept sealed for the person. ``reference`` is the client's own word for it."""

    purpose: str
    reference: str | None
    documents: tuple[AskedDocument, ...]


@dataclass(frozen=True)
class SigningRequest:
    """A request as the tables know it. ``level`` None: the usual one; ``passkey_only``: the client wants no less."""

    sequence: int
    request_id: str
    person: str
    client_id: str
    state: RequestState
    version: int
    level: Level | None
    passkey_only: bool
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Requester:
    """Who asks, as it is registered here: never a name out of the request."""

    client_id: str
    label: str
    active: bool


@dataclass(frozen=True)
class ShownRequest:
    """A request for the eyes of the person asked or of the client that asks. ``documents``: those that are there."""

    request: SigningRequest
    requester: Requester
    details: Details
    documents: tuple[NamedDocument, ...]


@dataclass(frozen=True)
class RequestPage:
    """Some requests, the newest first; ``next`` is the cursor of the following page, None at the end."""

    requests: tuple[ShownRequest, ...]
    next: str | None


class ReportKind(StrEnum):
    """What a person did not expect."""

    REQUEST = "request"
    PROMPT = "prompt"  # of the CSC API, in the person's own session
    AUTHORISATION = "authorisation"  # the page that a client sent the person to


@dataclass(frozen=True)
class Report:
    """That a person did not expect to be asked; ``subject``: the id of what asked. Who they are, operators do not
    see."""

    subject: str
    client_id: str
    created_at: datetime
    reported_at: datetime
    kind: ReportKind = ReportKind.REQUEST
    sequence: int = field(default=0, repr=False)


@dataclass(frozen=True)
class Stop:
    """That a client may ask nobody any more, until it is released. ``by``: an operator, or ``reports``."""

    client_id: str
    stopped_at: datetime
    by: str
