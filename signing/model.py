"""What signing works with: levels, credentials, documents and the states that they go through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509

from foundation.errors import CamTrustError

if TYPE_CHECKING:
    from signing.forms import Form


class Level(StrEnum):
    """Baseline levels of AdES signatures (EN 319 142-1 §6, EN 319 122-1 §6, ...), lowest first."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"

    def includes(self, other: Level) -> bool:
        """Whether this level has all that ``other`` has."""
        order = list(Level)
        return order.index(self) >= order.index(other)


class DocumentState(StrEnum):
    """
    UPLOADED ──authorised──▶ PREPARED ──▶ SIGNED
       ▲                        │
       └── anything that failed ┘          REFUSED: found unfit when it was prepared

    A document that a crash left PREPARED can be authorised again: PREPARED says that a request works on it, not that
    anything was signed. Which request may finish is decided by the version, which each change raises by one.
    """

    UPLOADED = "uploaded"
    PREPARED = "prepared"
    SIGNED = "signed"
    REFUSED = "refused"


class CredentialStatus(StrEnum):
    """WITHDRAWN and ACTIVE are kept; that a certificate is on hold is looked up in the books of its CA."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Signatory:
    """A key with the certificate over it, and the certificates above that one, issuer first, root last.

    ``wrapped``: the key itself, sealed by the token that can use it; None for a key that the token holds.
    """

    key_id: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    wrapped: bytes | None = None


@dataclass(frozen=True)
class Credential:
    """A signing credential. ``owner`` is an opaque id: a person's, or that of the client that seals with it."""

    credential_id: str
    owner: str
    signatory: Signatory
    status: CredentialStatus


@dataclass(frozen=True)
class Document:
    """A document as the tables know it; its name, password and content are sealed elsewhere.

    ``size`` in octets; ``sha256`` of what was uploaded; ``pages`` of a PDF, else 0; ``form``: of the signature that it
    is to have; ``refusal`` is the code that it was refused with.
    """

    sequence: int
    document_id: str
    owner: str
    size: int
    sha256: bytes
    pages: int
    encrypted: bool
    form: Form
    state: DocumentState
    version: int
    uploaded_at: datetime
    level: Level | None = None
    signed_at: datetime | None = None
    signed_version: int | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class SignatureText:
    """What the signature dictionary says besides the signature (ISO 32000-2 Table 255); None: the entry is absent."""

    reason: str | None = None
    location: str | None = None
    name: str | None = None


class FieldAction(StrEnum):
    """Which fields a lock closes (ISO 32000-2 Table 237)."""

    ALL = "All"
    INCLUDE = "Include"
    EXCLUDE = "Exclude"


@dataclass(frozen=True)
class FieldLock:
    """What a signature locks when it is made. ``fields``: those that ``action`` includes or excludes, by full names.

    ``permission``: what may still be done to the document: 1 nothing, 2 forms and signatures, 3 annotations too;
    None: the lock is about fields alone. Status data and document timestamps may always follow.
    """

    action: FieldAction
    fields: tuple[str, ...] = ()
    permission: int | None = None


@dataclass(frozen=True)
class NamedDocument:
    """A document with its name, for its owner's eyes."""

    document: Document
    name: str


@dataclass(frozen=True)
class Page:
    """Some of a person's documents; ``next`` is the cursor of the following page, None at the end."""

    documents: tuple[NamedDocument, ...]
    next: str | None


@dataclass(frozen=True)
class ApprovalPart:
    """A document that waits, at the version at which it was claimed."""

    document_id: str
    version: int


@dataclass(frozen=True)
class Approval:
    """A question to a person's device that waits for its answer; ``approval_id`` is the token's nonce in hex."""

    approval_id: str
    owner: str
    credential_id: str
    expires: datetime
    parts: tuple[ApprovalPart, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one document of an authorisation: signed (no error), or the reason why it was not."""

    document_id: str
    error: CamTrustError | None = None
