"""An organisation that seals, who speaks for it, and the clients that act for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AgencyState(StrEnum):
    """
    PROPOSED ──approved──▶ SANDBOX ──approved──▶ PRODUCTION      (or at once to PRODUCTION)
       └──refused──▶ REFUSED           whatever is approved ──▶ WITHDRAWN
    """

    PROPOSED = "proposed"
    SANDBOX = "sandbox"
    PRODUCTION = "production"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"

    @property
    def approved(self) -> bool:
        return self in (AgencyState.SANDBOX, AgencyState.PRODUCTION)


@dataclass(frozen=True)
class Representative:
    """A person who speaks for an organisation. ``certificate``: SHA-256 of the one under the mandate's signature;
    ``signature``: that signature (detached CAdES), sealed for the person. Both None until they signed."""

    person_id: str
    signature: bytes | None = None
    certificate: str | None = None
    signed_at: datetime | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True)
class AgencyClient:
    """A client of an organisation's. ``stage``: what its credential was made for; both None where it has none."""

    client_id: str
    label: str
    added_by: str
    added_at: datetime
    credential_id: str | None = None
    stage: AgencyState | None = None
    withdrawn_at: datetime | None = None


@dataclass(frozen=True)
class Agency:
    """An organisation. ``number``: its organizationIdentifier (EN 319 412-1 §5.1.4); ``decided_by``: who approved,
    refused or withdrew it last; ``first_officer``: who approved it for ``first_stage``, where a second officer has to
    approve the same."""

    agency_id: str
    name_km: str
    name_latin: str
    number: str
    state: AgencyState
    version: int
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    representatives: tuple[Representative, ...] = ()
    clients: tuple[AgencyClient, ...] = ()
    first_officer: str | None = None
    first_stage: AgencyState | None = None

    def representative(self, person_id: str) -> Representative | None:
        """Who speaks for it now under this id."""
        return next((one for one in self.acting if one.person_id == person_id), None)

    def client(self, client_id: str) -> AgencyClient | None:
        return next((one for one in self.clients if one.client_id == client_id), None)

    @property
    def acting(self) -> tuple[Representative, ...]:
        """Those who were not withdrawn."""
        return tuple(one for one in self.representatives if one.withdrawn_at is None)
