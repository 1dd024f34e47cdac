"""A person's factors seen from the services: passkeys, approvals over a challenge, and changes of factors.

PIN and one-time code alone are `foundation.keys.port.Factors`. Everything here is checked inside the token; what the
services carry is a question of the token's and the answer of the person's device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from foundation.keys.activation import Method, Proof
from foundation.keys.port import Activation, Factors


@dataclass(frozen=True)
class ApprovalRequest:
    """What the token waits to have approved, once, until ``expires``.

    ``nonce`` names it; ``data`` is the canonical form (`foundation.keys.activation`); ``options`` is the JSON for
    ``navigator.credentials.get()``, whose challenge is the SHA-256 of ``data``; None for PIN and one-time code.
    """

    nonce: bytes
    data: bytes
    expires: datetime
    options: str | None


class ChangeKind(StrEnum):
    """What can be changed."""

    PIN = "pin"
    TOTP = "totp"
    PIN_AND_TOTP = "pin-and-totp"
    ADD_PASSKEY = "add-passkey"
    REMOVE_PASSKEY = "remove-passkey"


@dataclass(frozen=True)
class FactorChange:
    """A change as it is asked for. ``pin``: the new one. ``passkey``: the JSON that ``navigator.credentials.create()``
    gave (to add), or the credential id in hex (to remove)."""

    kind: ChangeKind
    pin: str | None = field(default=None, repr=False)
    passkey: str | None = None


@dataclass(frozen=True)
class ChangeRequest:
    """A change that waits for approval; ``provisioning_uri`` for the authenticator app when the seed is new."""

    approval: ApprovalRequest
    provisioning_uri: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RegisteredPasskey:
    """A passkey as the outside knows it: its credential id in hex."""

    credential_id: str


@dataclass(frozen=True)
class FactorsOf:
    """What a person has: methods, passkeys, and how many codes of a card are left (None: no card). Nothing secret."""

    methods: frozenset[Method]
    passkeys: tuple[RegisteredPasskey, ...]
    codes_left: int | None = None
    codes: str | None = None  # what makes one-time codes: totp, hotp or card


class PasskeyPresence(Protocol):
    """That a person is there, shown by a passkey: for logging in."""

    def prepare_presence(self, owner: str, audience: str) -> ApprovalRequest:
        """Ask the person's device. FactorsNotEnrolled for a person without a passkey."""
        ...

    def check_presence(self, owner: str, nonce: bytes, proof: Proof) -> None:
        """Check the answer to what this person was asked; good once. ActivationInvalid, PasskeyInvalid, …"""
        ...


class PersonFactors(Factors, Protocol):
    """Passkeys beside PIN and one-time code. Every failure is a `foundation.keys.errors` class."""

    def factors_of(self, owner: str) -> FactorsOf:
        """What the person has; nothing where nothing was enrolled."""
        ...

    def enrol_card(self, owner: str, pin: str) -> tuple[str, ...]:
        """Like ``enrol``, with a card instead of an app: its codes, each good once, given once. Any of them confirms
        it. They stand where one-time codes stand."""
        ...

    def enrol_device(self, owner: str, pin: str, serial: str, sealed: bytes) -> None:
        """Like ``enrol``, with an HOTP device (RFC 4226) instead of an app. ``sealed``: what ``seal_device`` gave.

        Where its button was pressed unseen more than ten times, two codes in a row are taken as one of twelve digits.
        """
        ...

    def seal_device(self, serial: str, seed: bytes) -> bytes:
        """The seed of a device, sealed for this token alone and this serial number. DataInvalid."""
        ...

    def begin_passkey(self, owner: str) -> str:
        """JSON for ``navigator.credentials.create()``; PasskeysUnavailable."""
        ...

    def finish_passkey(self, owner: str, response: str) -> None:
        """Register the person's first factor. FactorsEnrolled: a further one is a change. PasskeyInvalid."""
        ...

    def prepare_activation(
        self, key_id: str, digests: Sequence[bytes], audience: str, method: Method
    ) -> ApprovalRequest:
        """Ask the key's owner to permit exactly these digests to be signed, once each."""
        ...

    def approve(self, nonce: bytes, proof: Proof) -> Activation:
        """The owner's proof over what was prepared; good once. ActivationInvalid, PasskeyInvalid, PinIncorrect, …"""
        ...

    def prepare_change(self, owner: str, change: FactorChange, method: Method) -> ChangeRequest:
        """Ask the person to approve a change by ``method``, a factor that they have. LastFactor, PinInvalid, …"""
        ...

    def approve_change(self, owner: str, nonce: bytes, proof: Proof, totp: str | None = None) -> None:
        """Make the change, which is of this person's. ``totp``: a code of the new seed, where there is one."""
        ...

    def lose_factors(self, owner: str) -> tuple[str, ...]:
        """All factors are lost: destroy them and every key of the person's (their ids); they can enrol anew."""
        ...
