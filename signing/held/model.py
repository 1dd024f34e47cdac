"""A seal that waits for whoever may release it, and the states that it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from signing.forms import Form
from signing.model import Document, DocumentState, Level


class HeldState(StrEnum):
    """
    WAITING ──released──▶ RELEASED ──▶ SEALED
       │                     └───────▶ FAILED: it could not be sealed, with the code of the reason
       └──refused──▶ REFUSED
    Whatever is not released in time is as good as refused. A crash leaves it RELEASED, and releasing it again makes
    the seal: who may do so is the same, and one result alone is kept.
    """

    WAITING = "waiting"
    RELEASED = "released"
    SEALED = "sealed"
    REFUSED = "refused"
    FAILED = "failed"


class RefusalReason(StrEnum):
    """Why a seal was not released."""

    CONTENT = "content"
    NOT_AUTHORISED = "not-authorised"
    UNEXPECTED = "unexpected"
    OTHER = "other"


@dataclass(frozen=True)
class HeldSeal:
    """What was asked for. ``sha256`` is of the document: whoever releases it names it. ``client``: who asked (an id);
    ``decided_by``: who released or refused it; ``problem``: the code of the reason why it could not be sealed."""

    held_id: str
    client: str
    credential_id: str
    sha256: bytes
    size: int
    pages: int
    encrypted: bool
    form: Form
    level: Level
    state: HeldState
    version: int
    asked_at: datetime
    expires: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: RefusalReason | None = None
    problem: str | None = None

    def document(self) -> Document:
        """The same for the custody, which seals what belongs to it for the client that asked."""
        return Document(
            sequence=0,
            document_id=self.held_id,
            owner=self.client,
            size=self.size,
            sha256=self.sha256,
            pages=self.pages,
            encrypted=self.encrypted,
            form=self.form,
            state=DocumentState.UPLOADED,
            version=self.version,
            uploaded_at=self.asked_at,
            signed_version=self.version - 1 if self.state is HeldState.SEALED else None,
        )


@dataclass(frozen=True)
class NamedHeldSeal:
    """A held seal with the name of its document."""

    held: HeldSeal
    name: str
