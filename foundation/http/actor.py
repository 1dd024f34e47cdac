"""Who is asking. No endpoint takes a name from a request: an actor comes from a credential or there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from foundation.errors import CamTrustError, Kind


class ActorKind(StrEnum):
    """Who can act."""

    PERSON = "person"  # a citizen, with the session of their enrolment or login
    OFFICER = "officer"  # a registration or revocation officer, with a signed assertion
    CLIENT = "client"  # an API client of an agency, with a signed assertion
    OPERATOR = "operator"  # who runs the service, with a signed assertion


@dataclass(frozen=True)
class Actor:
    """An authenticated actor. ``id`` is opaque; ``roles`` are what was granted when it was registered."""

    kind: ActorKind
    id: str
    roles: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Credential:
    """What a request shows: the Authorization header, and what an assertion must be bound to."""

    authorization: str
    method: str
    url: str  # scheme, authority and path as asked, without the query
    body_digest: bytes  # SHA-256 of the body


class Authenticator(Protocol):
    """Turns a credential into an actor."""

    def authenticate(self, credential: Credential) -> Actor:
        """Raises Unauthenticated for anything but a valid, unused, current credential."""
        ...


class Unauthenticated(CamTrustError):
    """No credential, or one that is not valid (which part is not told)."""

    code = "foundation.unauthenticated"
    kind = Kind.UNAUTHENTICATED


class Forbidden(CamTrustError):
    """A valid credential of somebody who may not do this."""

    code = "foundation.forbidden"
    kind = Kind.FORBIDDEN
