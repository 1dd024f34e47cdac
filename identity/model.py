"""Actors that are registered, and the sessions of persons."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from foundation.http.actor import Actor, ActorKind
from foundation.printable import is_line
from identity.errors import ActorInvalid

REGISTRABLE = frozenset({ActorKind.OFFICER, ActorKind.CLIENT, ActorKind.OPERATOR})
"""Persons are never registered as actors: they come from an enrolment, and act through a session."""

_ROLE = re.compile(r"^[a-z][a-z0-9-]{1,63}$")
_MAX_ROLES = 32
_MAX_LABEL = 100


class ActorStatus(StrEnum):
    """Whether a registered actor may act. Disabled is final: whoever comes back is registered with a new key."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True)
class RegisteredActor:
    """An officer, API client or operator. ``label`` names the post or system, not a person.

    ``person_id``: under which an officer is enrolled as a citizen, so that nobody reviews their own enrolment.

    ``public_key`` is a DER SubjectPublicKeyInfo on P-256; ``registered_by`` is an actor as text, or ``installation``.
    """

    id: str
    kind: ActorKind
    label: str
    roles: frozenset[str]
    public_key: bytes
    status: ActorStatus
    registered_by: str
    registered_at: datetime
    person_id: str | None = None

    def acting(self) -> Actor:
        """The actor that its credential stands for."""
        return Actor(self.kind, self.id, self.roles)


@dataclass(frozen=True)
class OpenedSession:
    """A session as it is handed over, once: the token is stored nowhere. Idle for ``idle_seconds``, it ends."""

    token: str
    expires_at: datetime
    idle_seconds: int


@dataclass(frozen=True)
class ActorPage:
    """A page of actors by id; ``next_cursor`` is None on the last."""

    items: tuple[RegisteredActor, ...]
    next_cursor: str | None


def checked_label(label: str) -> str:
    """One printable line of at most 100 characters. Raises ActorInvalid."""
    label = label.strip()
    if not is_line(label, _MAX_LABEL):
        raise ActorInvalid(field="label")
    return label


def checked_roles(roles: Iterable[str]) -> frozenset[str]:
    """Lower-case names such as ``ekyc-review``; at most 32. Raises ActorInvalid."""
    found = frozenset(roles)
    if len(found) > _MAX_ROLES or not all(_ROLE.match(role) for role in found):
        raise ActorInvalid(field="roles")
    return found
