"""What somebody who took over the services has in hand, and the ways to a signature that they try."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundation.keys.activation import Method, PasskeyAssertion
from foundation.keys.errors import (
    ActivationInvalid,
    ActivationRequired,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyHandleInvalid,
    KeyStoreError,
    NotLoggedIn,
    PasskeyInvalid,
    RoleNotAllowed,
    WrappedKeyInvalid,
)
from foundation.keys.factors import ChangeKind, FactorChange
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism, WrappedKey
from hsm_emulation.client import HsmClient
from tests.hsm.authenticator import Authenticator

SIGN = Mechanism.ECDSA
CONTRACT, FORGED = hashlib.sha256(b"the contract").digest(), hashlib.sha256(b"another contract").digest()
Way = tuple[Callable[[], Any], tuple[type[KeyStoreError], ...]]
VICTIM, ACCOMPLICE = "specimen-victim", "specimen-accomplice"
PIN, GUESS = "482913", "739146"


class Loot:
    """What the services have seen and kept, up to the moment when they were taken over."""

    def __init__(self, client: HsmClient, device: Authenticator) -> None:
        self.accomplices_device = Authenticator()
        client.finish_passkey(VICTIM, device.register(client.begin_passkey(VICTIM)))
        answer = self.accomplices_device.register(client.begin_passkey(ACCOMPLICE))
        client.finish_passkey(ACCOMPLICE, answer)
        self.old, self.second, self.theirs = (
            client.generate_wrapped(owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
            for owner in (VICTIM, VICTIM, ACCOMPLICE)
        )
        self.request, self.answer, self.used = self._approved(client, device, self.old)
        client.sign_wrapped(self.old.wrapped, SIGN, [CONTRACT], activation=self.used)
        client.renew_person(VICTIM)
        self.wrapped = client.rewrap(self.old.wrapped)
        _, _, self.spent = self._approved(client, device, self.old)
        client.sign_wrapped(self.wrapped, SIGN, [CONTRACT], activation=self.spent)
        _, _, self.unused = self._approved(client, device, self.old)
        _, _, self.of_second = self._approved(client, device, self.second)
        _, _, self.accomplices = self._approved(client, self.accomplices_device, self.theirs, FORGED)

    @staticmethod
    def _approved(client: HsmClient, device: Authenticator, key: WrappedKey, digest: bytes = CONTRACT) -> Any:
        request = client.prepare_activation(key.info.key_id, [digest], "specimen", Method.PASSKEY)
        answer = PasskeyAssertion(device.answer(request.options or ""))
        return request, answer, client.approve(request.nonce, answer).token


def ways(
    loot: Loot, client: HsmClient, path: Path
) -> dict[str, tuple[Callable[[], Any], tuple[type[KeyStoreError], ...]]]:
    """Every way through the socket to a signature over FORGED, were it open; and the refusals that it meets."""

    def sign(wrapped: bytes, activation: bytes | None, digest: bytes = FORGED) -> Callable[[], Any]:
        return lambda: client.sign_wrapped(wrapped, SIGN, [digest], activation=activation)

    def ask() -> Any:
        return client.prepare_activation(loot.old.info.key_id, [FORGED], "specimen", Method.PASSKEY)

    def approve(answer: Callable[[str], str]) -> Callable[[], Any]:
        def attempt() -> Any:
            request = ask()
            token = client.approve(request.nonce, PasskeyAssertion(answer(request.options or ""))).token
            return client.sign_wrapped(loot.wrapped, SIGN, [FORGED], activation=token)

        return attempt

    def edited(before: bytes, after: bytes) -> bytes:
        assert before in loot.wrapped
        return loot.wrapped.replace(before, after)

    def add_passkey_by_its_own_answer() -> None:
        mine = Authenticator()
        client.finish_passkey(VICTIM, mine.register(client.begin_passkey(VICTIM)))

    def add_passkey_by_the_accomplice() -> None:
        mine = Authenticator()
        change = FactorChange(ChangeKind.ADD_PASSKEY, passkey=mine.register(client.begin_passkey(VICTIM)))
        request = client.prepare_change(VICTIM, change, Method.PASSKEY).approval
        answer = loot.accomplices_device.answer(request.options or "")
        client.approve_change(VICTIM, request.nonce, PasskeyAssertion(answer))

    theirs, victims = loot.accomplices_device, loot.old.info.key_id.encode()
    stolen_id = Authenticator()
    stolen_id.credential_id = bytes.fromhex(client.factors_of(VICTIM).passkeys[0].credential_id)
    old_answer = loot.answer.response
    return {
        "without an activation": (sign(loot.wrapped, None), (ActivationRequired,)),
        "with noise": (sign(loot.wrapped, os.urandom(32)), (ActivationInvalid,)),
        "with one that was used, again": (sign(loot.wrapped, loot.spent, CONTRACT), (ActivationInvalid,)),
        "with one that was used, for another": (sign(loot.wrapped, loot.used), (ActivationInvalid,)),
        "with one that is not used, for another": (sign(loot.wrapped, loot.unused), (ActivationInvalid,)),
        "with one of another key": (sign(loot.wrapped, loot.of_second, CONTRACT), (ActivationInvalid,)),
        "with one of another person": (sign(loot.wrapped, loot.accomplices), (ActivationInvalid,)),
        "with a wrapping that was replaced": (sign(loot.old.wrapped, loot.unused, CONTRACT), (WrappedKeyInvalid,)),
        "with the owner edited": (
            sign(edited(VICTIM.encode(), ACCOMPLICE.encode()), loot.accomplices),
            (WrappedKeyInvalid, KeyHandleInvalid),
        ),
        "with the key edited": (
            sign(edited(victims, loot.theirs.info.key_id.encode()), loot.accomplices),
            (WrappedKeyInvalid, KeyHandleInvalid),
        ),
        "the same answer again": (lambda: client.approve(loot.request.nonce, loot.answer), (ActivationInvalid,)),
        "an old answer to a new question": (approve(lambda _: old_answer), (PasskeyInvalid,)),
        "the accomplice's answer": (approve(theirs.answer), (PasskeyInvalid,)),
        "an answer in the victim's name": (approve(stolen_id.answer), (PasskeyInvalid,)),
        "no answer": (approve(lambda _: "{}"), (PasskeyInvalid,)),
        "PIN and code that there are not": (
            lambda: client.activate(loot.old.info.key_id, [FORGED], PIN, "000000", "specimen"),
            (FactorsNotEnrolled,),
        ),
        "PIN and code enrolled for them": (lambda: client.enrol(VICTIM, GUESS), (FactorsEnrolled,)),
        "a passkey enrolled for them": (add_passkey_by_its_own_answer, (FactorsEnrolled,)),
        "a passkey that the accomplice approves": (add_passkey_by_the_accomplice, (PasskeyInvalid,)),
        "another relying party": (
            lambda: client.set_relying_party("evil.example", ["https://evil.example"]),
            (NotLoggedIn,),
        ),
        "another PIN of the operator": (lambda: client.set_user_pin("000000-guess"), (NotLoggedIn,)),
        "as the security officer": (
            lambda: HsmClient(client._wire._path).login("guess-so-pin", "so"),
            (RoleNotAllowed,),
        ),
    }
