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
class Delegation:
    """What a person let a client do in their name (an OAuth access token): it opens what asks for one of its scopes,
    and nothing else of the person's."""

    client_id: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class Actor:
    """An authenticated actor. ``id`` is opaque; ``roles`` are what was granted when it was registered.

    ``delegation``: None for whoever acts themselves.
    """

    kind: ActorKind
    id: str
    roles: frozenset[str] = field(default_factory=frozenset)
    delegation: Delegation | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Credential:
    """What a request shows: the Authorization header, what an assertion must be bound to, and the SHA-256 of the
    certificate of the TLS client, where a proxy that we believe showed one (`foundation.http.client_certificate`)."""

    authorization: str
    method: str
    url: str  # scheme, authority and path as asked, without the query
    body_digest: bytes  # SHA-256 of the body
    certificate: bytes | None = None


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
