"""What the identity room needs of others; the roof passes the real thing in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from foundation.keys.factors import ApprovalRequest
from foundation.keys.port import Activation


class SigningApprovals(Protocol):
    """A person permits exactly these digests to be signed with a credential of theirs, for a client.

    The key store checks the person's factors and gives the activation, which nothing else can be signed with. Every
    method raises a CamTrustError, and nothing is permitted then: for a credential that is not the person's, or not
    usable; and what the key store raises for factors that are not right.
    """

    def permit(
        self, person_id: str, credential_id: str, digests: Sequence[bytes], pin: str, totp: str, client_id: str
    ) -> Activation:
        """By PIN and one-time code."""
        ...

    def ask(self, person_id: str, credential_id: str, digests: Sequence[bytes], client_id: str) -> ApprovalRequest:
        """What the person's passkey is asked."""
        ...

    def answer(
        self, person_id: str, credential_id: str, digests: Sequence[bytes], nonce: bytes, assertion: str, client_id: str
    ) -> Activation:
        """By the passkey's answer to what was asked under ``nonce``; once."""
        ...


class ReportedClients(Protocol):
    """What becomes of reports that somebody did not expect to be asked."""

    def reported(self, connection: Connection, client_id: str, subject: str) -> None:
        """Somebody, nobody knows who, did not expect this client to send them here; ``subject`` names the request."""
        ...

    def stopped(self, client_id: str) -> bool:
        """Whether the client may ask nobody to sign."""
        ...


@dataclass(frozen=True)
class VerifiedName:
    """A person's name as it was verified."""

    name: str
    given_name: str | None = None
    family_name: str | None = None


class PersonNames(Protocol):
    """Persons' verified names."""

    def name_of(self, person_id: str) -> VerifiedName | None:
        """None for whoever has none (any more)."""
        ...
