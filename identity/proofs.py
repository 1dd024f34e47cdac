"""A person proves both factors: PIN and one-time code, or a passkey. The token checks them and counts the tries."""

from __future__ import annotations

from foundation.keys.activation import PasskeyAssertion
from foundation.keys.errors import (
    ActivationInvalid,
    CodeUsed,
    FactorsNotEnrolled,
    OwnerDestroyed,
    PasskeyCloned,
    PasskeyInvalid,
    PasskeysUnavailable,
    PinIncorrect,
    PinInvalid,
)
from foundation.keys.factors import ApprovalRequest, PasskeyPresence
from foundation.keys.port import Factors
from identity.errors import LoginRefused

REFUSED = (
    ActivationInvalid,
    CodeUsed,
    FactorsNotEnrolled,
    OwnerDestroyed,
    PasskeyCloned,
    PasskeyInvalid,
    PinIncorrect,
    PinInvalid,
)
"""Whoever proves nothing, whatever the cause: told in the audit trail alone."""


class PersonProofs:
    """Checks factors. What is wrong is not told: a person who does not exist is refused as one with a wrong PIN."""

    def __init__(self, factors: Factors, passkeys: PasskeyPresence | None, audience: str) -> None:
        self._factors, self._passkeys, self._audience = factors, passkeys, audience

    def check(self, person_id: str, pin: str, totp: str) -> None:
        """PIN and code; raises LoginRefused, or PinLocked."""
        try:
            self._factors.check(person_id, pin, totp)
        except REFUSED as refused:
            raise LoginRefused(rule=refused.code) from None

    def ask_passkey(self, person_id: str) -> ApprovalRequest:
        """What to ask the person's device. LoginRefused for whoever has no passkey here."""
        if self._passkeys is None:
            raise PasskeysUnavailable
        try:
            return self._passkeys.prepare_presence(person_id, self._audience)
        except REFUSED as refused:
            raise LoginRefused(rule=refused.code) from None

    def check_passkey(self, person_id: str, question: str, assertion: str) -> None:
        """The device's answer, once. ``question``: the request's nonce in hex; ``assertion``: the JSON of the
        PublicKeyCredential. Raises LoginRefused, whatever was wrong."""
        if self._passkeys is None:
            raise PasskeysUnavailable
        try:
            self._passkeys.check_presence(person_id, bytes.fromhex(question), PasskeyAssertion(assertion))
        except REFUSED as refused:
            raise LoginRefused(rule=refused.code) from None
