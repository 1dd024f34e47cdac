"""Whatever is prepared, approved, signed, waited for and restarted, in any order: nothing is signed that was not named,
nothing more often than it was named, nothing after its expiry. A model says of each step what must come of it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from foundation.clock import SetClock
from foundation.keys.activation import LIFETIME, Method, PasskeyAssertion
from foundation.keys.errors import ActivationInvalid, CodeUsed, PasskeyInvalid
from foundation.keys.factors import ApprovalRequest, ChangeKind, FactorChange
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyInfo, Mechanism
from tests.hsm.authenticator import ORIGIN, RP_ID, Authenticator
from tests.hsm.conftest import SO_PIN, Person, Served

SIGN = Mechanism.ECDSA
DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
LISTS = st.lists(st.sampled_from(DIGESTS), min_size=1, max_size=5)


@dataclass
class Asked:
    request: ApprovalRequest
    key: KeyInfo
    digests: list[bytes]
    expires: datetime
    open: bool = True


@dataclass
class Permitted:
    token: bytes
    key: KeyInfo
    left: Counter[bytes]
    expires: datetime


class ActivationMachine(RuleBasedStateMachine):
    """A person with two keys, PIN and app, and a passkey."""

    asked: Bundle[Asked] = Bundle("asked")
    permitted: Bundle[Permitted] = Bundle("permitted")

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="camtrust-hsm-"))
        self.clock = SetClock(datetime(2026, 7, 14, 9, 0, tzinfo=UTC))
        self.served = Served(self.directory / "token", self.clock)
        officer = self.served.connect(SO_PIN, "so")
        officer.set_relying_party(RP_ID, [ORIGIN])
        officer.close()
        self.person = Person(self.served, "specimen")
        self.device = Authenticator()
        client = self.served.client
        response = self.device.register(client.begin_passkey("specimen"))
        change = FactorChange(ChangeKind.ADD_PASSKEY, passkey=response)
        adding = client.prepare_change("specimen", change, Method.PIN_TOTP)
        client.approve_change("specimen", adding.approval.nonce, self.person.proof())
        self.keys = [self.person.key("one"), self.person.key("two")]
        self.approved: Counter[tuple[str, bytes]] = Counter()
        self.signed: Counter[tuple[str, bytes]] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "served"):
            self.served.stop()
            shutil.rmtree(self.directory)

    def _permit(self, token: bytes, key: KeyInfo, digests: list[bytes], expires: datetime) -> Permitted:
        self.approved.update((key.key_id, digest) for digest in digests)
        return Permitted(token, key, Counter(digests), expires)

    @rule(target=asked, which=st.integers(0, 1), digests=LISTS)
    def prepare(self, which: int, digests: list[bytes]) -> Asked:
        key = self.keys[which]
        request = self.served.client.prepare_activation(key.key_id, digests, "specimen", Method.PASSKEY)
        assert request.expires == (self.clock.now() + LIFETIME).replace(microsecond=0)
        return Asked(request, key, digests, request.expires)

    @rule(target=permitted, asked=asked)
    def approve(self, asked: Asked) -> Permitted:
        answer = PasskeyAssertion(self.device.answer(asked.request.options or ""))
        good = asked.open and self.clock.now() < asked.expires
        try:
            token = self.served.client.approve(asked.request.nonce, answer).token
        except ActivationInvalid:
            assert not good
            return Permitted(bytes(32), asked.key, Counter(), asked.expires)
        assert good
        asked.open = False
        return self._permit(token, asked.key, asked.digests, asked.expires)

    @rule(asked=asked, other=asked)
    def approve_with_the_answer_to_another(self, asked: Asked, other: Asked) -> None:
        if asked is other:
            return
        answer = PasskeyAssertion(self.device.answer(other.request.options or ""))
        try:
            self.served.client.approve(asked.request.nonce, answer)
        except (PasskeyInvalid, ActivationInvalid):
            return
        raise AssertionError("an answer to another question was taken")

    @rule(target=permitted, which=st.integers(0, 1), digests=LISTS)
    def activate_with_pin_and_code(self, which: int, digests: list[bytes]) -> Permitted:
        key = self.keys[which]
        proof = self.person.proof()
        try:
            made = self.served.client.activate(key.key_id, digests, proof.pin, proof.totp, "specimen")
        except CodeUsed:
            raise AssertionError("a fresh code was not taken") from None
        return self._permit(made.token, key, digests, made.expires)

    @rule(permitted=permitted, which=st.integers(0, 1), digests=LISTS)
    def sign(self, permitted: Permitted, which: int, digests: list[bytes]) -> None:
        key, wanted = self.keys[which], Counter(digests)
        good = key == permitted.key and wanted <= permitted.left and self.clock.now() < permitted.expires
        try:
            signatures = self.served.client.sign_many(key.key_id, SIGN, digests, activation=permitted.token)
        except ActivationInvalid:
            assert not good
            return
        assert good
        for digest, signature in zip(digests, signatures, strict=True):
            verify_signature(public_key(key), SIGN, signature, digest)
        permitted.left -= wanted
        self.signed.update((key.key_id, digest) for digest in digests)

    @rule(permitted=permitted)
    def sign_all_that_is_left_and_once_more(self, permitted: Permitted) -> None:
        which, left = self.keys.index(permitted.key), list(permitted.left.elements())
        for digests in (left, *([one] for one in left)):
            if digests:
                self.sign(permitted, which, digests)

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule()
    def restart(self) -> None:
        self.served.restart()

    @invariant()
    def nothing_is_signed_more_often_than_it_was_approved(self) -> None:
        if hasattr(self, "signed"):
            assert self.signed <= self.approved


TestActivationModel = ActivationMachine.TestCase
TestActivationModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
