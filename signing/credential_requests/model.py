"""A request for a seal credential, and everything that was done about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RequestState(StrEnum):
    """
    WAITING ──the last officer──▶ APPROVED ──▶ ISSUED
       ├──▶ REFUSED                  └──▶ FAILED      (the organisation left, or what was approved cannot be had)
       ├──▶ WITHDRAWN    (whoever asked took it back)
       └──▶ EXPIRED
    """

    WAITING = "waiting"
    APPROVED = "approved"
    ISSUED = "issued"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"


class ActKind(StrEnum):
    """What somebody did about a request."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    ISSUED = "issued"
    FAILED = "failed"


@dataclass(frozen=True)
class RequestAct:
    """``reason``: in the words of whoever did it, sealed in the tables."""

    kind: ActKind
    actor: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True)
class CredentialRequest:
    """``replaces``: the credential that this one follows, under the approval which that one had; None: a new one, which
    officers approve. ``terms``: exactly what will be certified, as text; ``approvals``: of how many officers;
    ``problem``: the code of what kept it from being made."""

    request_id: str
    agency_id: str
    client_id: str
    terms: str
    state: RequestState
    version: int
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    replaces: str | None = None
    approvals: int = 0
    credential_id: str | None = None
    problem: str | None = None
    acts: tuple[RequestAct, ...] = ()

    @property
    def digest(self) -> str:
        """What officers name: SHA-256 of the terms."""
        return hashlib.sha256(self.terms.encode()).hexdigest()

    @property
    def approvers(self) -> tuple[str, ...]:
        return tuple(one.actor for one in self.acts if one.kind is ActKind.APPROVED)
