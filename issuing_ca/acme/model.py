"""ACME's values and states (RFC 8555 §7.1.6).

order          pending ─every authorization valid─▶ ready ─finalize─▶ processing ─▶ valid
                  └───────── one invalid, or expired ─────────────▶ invalid ◀──┘
authorization  pending ─▶ valid | invalid | expired | deactivated
challenge      pending ─▶ processing ─▶ valid | invalid
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Every state of RFC 8555 §7.1.6."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"


class ChallengeKind(StrEnum):
    """How control of a name is shown."""

    HTTP = "http-01"
    DNS = "dns-01"


class CredentialState(StrEnum):
    """An external account credential is good for one account."""

    NEW = "new"
    BOUND = "bound"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Credential:
    """An external account credential (RFC 8555 §7.3.4): what an officer verified about who will ask.

    ``subject``: verified attributes, without the CN, which is the first name of each order; ``domains``: names that may
    be asked for, each with everything below it (none: any name whose control is shown). ``authority``: the issuing CA
    that it is good at, and no other.
    """

    kid: str
    authority: str
    profile: str
    subject: tuple[tuple[str, str], ...]
    domains: tuple[str, ...]
    owner: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    state: CredentialState
    account: str | None


@dataclass(frozen=True)
class NewCredential:
    """A credential with its HMAC key (base64url), which is shown once."""

    credential: Credential
    hmac_key: str


@dataclass(frozen=True)
class Account:
    """An account at one CA: a key, and the credential that says for whom it asks."""

    id: str
    authority: str
    thumbprint: str
    jwk: dict[str, Any]
    credential: str
    status: Status


@dataclass(frozen=True)
class Order:
    """An order for one certificate."""

    id: str
    account: str
    status: Status
    names: tuple[str, ...]
    not_after: datetime | None
    expires: datetime
    replaces: str | None
    serial: str | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Challenge:
    """One way to show control of a name."""

    id: str
    authorization: str
    kind: ChallengeKind
    token: str
    status: Status
    validated_at: datetime | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Authorization:
    """Control of one name, for one order."""

    id: str
    order: str
    account: str
    name: str
    status: Status
    expires: datetime
    challenges: tuple[Challenge, ...]


@dataclass(frozen=True)
class OrderView:
    """An order with the ids of its authorizations."""

    order: Order
    authorizations: tuple[str, ...]


@dataclass(frozen=True)
class RenewalInfo:
    """When a certificate should be renewed (RFC 9773 §4.2)."""

    start: datetime
    end: datetime
