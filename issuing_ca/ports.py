"""What the issuing CA needs from outside of its room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from foundation.keys.port import Attesting, KeyStore


class AttestedKeys(KeyStore, Attesting, Protocol):
    """A token that signs what it says of its keys."""


class KeyControl(Protocol):
    """Switches a certified key off and on, next to the key. A `foundation.keys.port.KeyStore` is one."""

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        """Raises a `foundation.keys.errors` class; KeyHandleInvalid where the key is gone for good."""
        ...


@dataclass(frozen=True)
class Witnessed:
    """How far an authority's status changes had come: ``size`` of them, the root of the tree over them, and the number
    of its newest CRL. With ``serial`` it is the change itself: state, reason, and when (RFC 3339)."""

    authority: str
    size: int
    root: bytes
    crl_number: int
    serial: str | None = None
    state: str | None = None
    reason: str | None = None
    at: str | None = None


class StatusWitness(Protocol):
    """Remembers, outside of the database, how far the status of certificates had come."""

    def held(self) -> AbstractContextManager[None]:
        """No other process adds anything during the block."""
        ...

    def newest(self) -> Mapping[str, Witnessed]:
        """The last that was written of every authority."""
        ...

    def all(self) -> Sequence[Witnessed]:
        """Everything since it last began again, oldest first."""
        ...

    def add(self, seen: Sequence[Witnessed], *, again: bool = False) -> None:
        """Write down, for good when it returns. ``again``: what was written before counts no more."""
        ...


class OfficerPersons(Protocol):
    """Who stands behind an actor, where that is known, so that nobody approves under two names."""

    def person_of(self, actor_id: str) -> str | None:
        """The person id under which an actor is enrolled; None where that is not known."""
        ...


@dataclass(frozen=True)
class ApprovedLogin:
    """What the registration authority approved: the subject's attributes, level and evidence of the person, and its
    signed statement (`foundation.approval`) about them and the key."""

    subject: tuple[tuple[str, str], ...]
    level: str
    evidence: str
    document: bytes


class LoginApprovals(Protocol):
    """The registration authority, asked about a certificate for a key of a person's own device."""

    def approve_login(self, person_id: str, public_key: bytes) -> ApprovedLogin | None:
        """``public_key``: DER SubjectPublicKeyInfo. None for who is no activated person."""
        ...


class HolderFactors(Protocol):
    """A person's second factors, checked in the token. A `foundation.keys.port.Factors` is one."""

    def check(self, owner: str, pin: str, totp: str) -> None:
        """Raises PinIncorrect, PinLocked, FactorsNotEnrolled or CodeUsed."""
        ...
