"""Requests that two officers approve, and their decisions.

pending ─two approvals─▶ approved ─▶ issued | failed
   ├─ one rejection, or withdrawn by whoever asked ─▶ rejected
   └─ thirty days ─▶ expired
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from foundation.clock import rfc3339
from foundation.x509.csr import read_csr
from issuing_ca.model import CertificateRecord, Reason

LIFETIME = timedelta(days=30)  # of a request that nobody decides about


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


# What a holder may say; a release is the officers' to give, and what concerns CAs is not theirs.
HOLDER_REASONS = frozenset(
    {
        Reason.UNSPECIFIED,
        Reason.KEY_COMPROMISE,
        Reason.AFFILIATION_CHANGED,
        Reason.SUPERSEDED,
        Reason.CESSATION_OF_OPERATION,
        Reason.CERTIFICATE_HOLD,
    }
)


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
    """A request for a certificate, as it was made; nothing of it changes.

    ``csr``: the proof that the key is held, PKCS#10; where ``public_key`` (SubjectPublicKeyInfo) is given, the proof is
    another one, which was checked when it came. ``introduced_by``: who verified the machine that asks.
    """

    id: str
    authority: str
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
    public_key: bytes | None = None
    introduced_by: str | None = None

    @property
    def askers(self) -> tuple[str, ...]:
        """Whoever does not decide about it."""
        return tuple(one for one in (self.requested_by, self.introduced_by) if one is not None)

    @property
    def waits(self) -> bool:
        """Whether it can still become a certificate."""
        return self.state in (RequestState.PENDING, RequestState.APPROVED)

    def key(self) -> CertificatePublicKeyTypes:
        """The key that the certificate is for."""
        if self.public_key is not None:
            return cast("CertificatePublicKeyTypes", load_der_public_key(self.public_key))
        return read_csr(self.csr).public_key()

    def at(self, now: datetime) -> CertificateApplication:
        """The same as it stands now: nobody has to look after one that ran out."""
        if self.state is RequestState.PENDING and self.expires_at <= now:
            return replace(self, state=RequestState.EXPIRED)
        return self


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
        return not self.told

    @property
    def told(self) -> dict[str, str]:
        """The conditions that are given, by name, to be read."""
        given = {
            "profile": self.profile,
            "owner": self.owner,
            "evidence": self.evidence,
            "requested_by": self.requested_by,
            "issued_from": rfc3339(self.issued_from) if self.issued_from else None,
            "issued_until": rfc3339(self.issued_until) if self.issued_until else None,
            "evidences": " ".join(self.evidences),
        }
        return {name: value for name, value in given.items() if value}


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


class ProposalState(StrEnum):
    """Where a proposed bulk revocation stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True)
class RevocationProposal:
    """A bulk revocation that waits for a second officer, or what became of it. ``conditions``: what was asked;
    ``digest``: over the serial numbers that were found; ``done``: how many of them have been gone through."""

    id: str
    conditions: Mapping[str, str]
    reason: Reason
    count: int
    digest: str
    done: int
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    state: ProposalState
    decided_by: str | None
    decided_at: datetime | None

    def at(self, now: datetime) -> RevocationProposal:
        """The same as it stands now: nobody has to look after one that ran out."""
        if self.state is ProposalState.PENDING and self.expires_at <= now:
            return replace(self, state=ProposalState.EXPIRED)
        return self


def serials_digest(serials: Sequence[str]) -> str:
    """SHA-256, hexadecimal, of serial numbers in their order, a line each: what stands for all of them."""
    return hashlib.sha256("\n".join(serials).encode()).hexdigest()
