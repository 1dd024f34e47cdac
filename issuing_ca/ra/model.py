"""Requests that two officers approve, and their decisions.

pending ─two approvals─▶ approved ─▶ issued | failed
   ├─ one rejection, or withdrawn by whoever asked ─▶ rejected
   └─ thirty days ─▶ expired
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from issuing_ca.model import CertificateRecord


class RequestState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    ISSUED = "issued"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class ApprovalReason(StrEnum):
    """Why an officer approves."""

    IDENTITY_VERIFIED = "identity-verified"
    ORGANISATION_VERIFIED = "organisation-verified"
    CONTROL_VERIFIED = "control-verified"
    RENEWAL = "renewal-of-verified"


class RejectionReason(StrEnum):
    """Why an officer rejects; ``withdrawn`` is for whoever asked."""

    NOT_VERIFIED = "not-verified"
    NOT_ENTITLED = "not-entitled"
    INCORRECT = "request-incorrect"
    DUPLICATE = "duplicate"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Decision:
    """What one officer said. ``comment`` is opened only for whoever reads the request."""

    officer: str
    approves: bool
    reason: str
    comment: str | None
    at: datetime


@dataclass(frozen=True)
class CertificateApplication:
    """A request for a certificate, as it was made; nothing of it changes."""

    id: str
    profile: str
    csr: bytes
    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    owner: str
    not_after: datetime | None
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: RequestState
    serial: str | None
    failure: str | None
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class CertificateQuery:
    """Which certificates a bulk revocation is about; every condition that is given must hold, and one must be given."""

    profile: str | None = None
    owner: str | None = None
    evidence: str | None = None
    requested_by: str | None = None
    issued_from: datetime | None = None
    issued_until: datetime | None = None
    evidences: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not any(
            (
                self.profile,
                self.owner,
                self.evidence,
                self.requested_by,
                self.issued_from,
                self.issued_until,
                self.evidences,
            )
        )


@dataclass(frozen=True)
class Matching:
    """What a query finds that is not revoked: how many, a digest of all their serial numbers, and the first ones."""

    count: int
    digest: str
    first: tuple[CertificateRecord, ...]


@dataclass(frozen=True)
class BulkProgress:
    """How far a bulk revocation has come."""

    revoked: int
    remaining: int
    digest: str  # of what remains: shown again to go on
