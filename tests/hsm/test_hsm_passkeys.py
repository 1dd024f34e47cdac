"""Passkeys: registered in the token, and judged there over exactly what is approved."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.canonical import canonical_json
from foundation.keys.activation import (
    LIFETIME,
    ActivationData,
    Method,
    PasskeyAssertion,
    PinTotp,
    digests_root,
)
from foundation.keys.errors import (
    ActivationInvalid,
    DataInvalid,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyStoreError,
    MethodRefused,
    NotLoggedIn,
    OwnerDestroyed,
    PasskeyCloned,
    PasskeyInvalid,
    PasskeysUnavailable,
)
from foundation.keys.factors import ApprovalRequest
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.policy import DEFAULTS, KeyPolicy
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from tests.hsm.authenticator import ORIGIN, RP_ID, Authenticator, unb64
from tests.hsm.conftest import PERSON_PIN, SO_PIN, Person, Served

ONE, TWO = (hashlib.sha256(name).digest() for name in (b"one", b"two"))
SIGN = Mechanism.ECDSA
OWNER = "specimen-passkey-person"


@pytest.fixture
def party(served: Served) -> Served:
    """A token whose relying party is set."""
    officer = served.connect(SO_PIN, "so")
    officer.set_relying_party(RP_ID, [ORIGIN])
    officer.close()
    return served


class Holder:
    """A specimen person whose only factor is a passkey."""

    def __init__(self, served: Served, owner: str = OWNER, *, counts: bool = True) -> None:
        self.served, self.owner, self.device = served, owner, Authenticator(counts=counts)
        served.client.finish_passkey(owner, self.device.register(served.client.begin_passkey(owner)))

    def key(self, policy: KeyPolicy | None = None) -> KeyInfo:
        label = f"{self.owner}-{secrets.token_hex(4)}"
        return self.served.client.generate(label, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, self.owner, policy)

    def ask(self, key: KeyInfo, *digests: bytes) -> ApprovalRequest:
        return self.served.client.prepare_activation(key.key_id, digests, "specimen", Method.PASSKEY)

    def approve(self, request: ApprovalRequest) -> bytes:
        assert request.options is not None
        answer = PasskeyAssertion(self.device.answer(request.options))
        return self.served.client.approve(request.nonce, answer).token


@pytest.fixture
def holder(party: Served) -> Holder:
    return Holder(party)


def test_a_passkey_approves_what_its_device_was_shown(holder: Holder) -> None:
    """The challenge is the hash of the canonical data, which names the digests; then each is signed, once."""
    client, key = holder.served.client, holder.key()
    request = holder.ask(key, ONE, TWO)
    data = ActivationData(
        *(key.key_id, OWNER, digests_root([ONE, TWO]), 2, "specimen", request.nonce, request.expires, Method.PASSKEY)
    )
    assert request.data == data.canonical()
    asked = json.loads(request.options or "")
    assert unb64(asked["challenge"]) == hashlib.sha256(request.data).digest()
    assert (asked["userVerification"], asked["rpId"]) == ("required", RP_ID)
    assert [unb64(one["id"]) for one in asked["allowCredentials"]] == [holder.device.credential_id]
    token = holder.approve(request)
    signatures = client.sign_many(key.key_id, SIGN, [TWO, ONE], activation=token)
    for digest, signature in zip((TWO, ONE), signatures, strict=True):
        verify_signature(public_key(key), SIGN, signature, digest)
    with pytest.raises(ActivationInvalid):
        client.sign(key.key_id, SIGN, ONE, activation=token)


def test_what_the_person_has(holder: Holder, person: Person) -> None:
    """Methods and credential ids; nothing for who has nothing."""
    client = holder.served.client
    assert client.factors_of(OWNER).methods == {Method.PASSKEY}
    assert [one.credential_id for one in client.factors_of(OWNER).passkeys] == [holder.device.credential_id.hex()]
    assert client.factors_of(person.owner).methods == {Method.PIN_TOTP}
    assert not client.factors_of("nobody").methods


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://sign.specimen.example.evil.example"},
        {"origin": "https://specimen.example"},
        {"origin": "http://sign.specimen.example"},
        {"rp_id": "evil.example"},
        {"verified": False},
        {"kind": "webauthn.create"},
        {"challenge": bytes(32)},
        {"crossOrigin": True},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_answer_with_one_thing_wrong(holder: Holder, wrong: dict[str, object]) -> None:
    """Another origin, relying party or challenge, no user verification, another's frame: refused; the request stays."""
    request = holder.ask(holder.key(), ONE)
    answer: Callable[..., str] = holder.device.answer
    with pytest.raises(PasskeyInvalid):
        holder.served.client.approve(request.nonce, PasskeyAssertion(answer(request.options, **wrong)))
    holder.approve(request)


def test_another_device_does_not_answer(holder: Holder) -> None:
    """Another person's passkey, one that claims the id, and an altered signature are refused."""
    request, stranger = holder.ask(holder.key(), ONE), Authenticator()
    other = Holder(holder.served, "another")
    claimed = Authenticator()
    claimed.credential_id = holder.device.credential_id
    good = json.loads(holder.device.answer(request.options or ""))
    good["response"]["signature"] = good["response"]["signature"][:-6] + "AAAAAA"
    for answer in (*(one.answer(request.options or "") for one in (stranger, other.device, claimed)), json.dumps(good)):
        with pytest.raises(PasskeyInvalid):
            holder.served.client.approve(request.nonce, PasskeyAssertion(answer))


def test_an_answer_is_good_for_its_request_alone(holder: Holder) -> None:
    """Replayed, for another list, for another key, after its use and after its expiry: nothing is approved."""
    client, key, second = holder.served.client, holder.key(), holder.key()
    first, other, of_second = holder.ask(key, ONE), holder.ask(key, TWO), holder.ask(second, ONE)
    answer = PasskeyAssertion(holder.device.answer(first.options or ""))
    for request in (other, of_second):
        with pytest.raises(PasskeyInvalid):
            client.approve(request.nonce, answer)
    client.approve(first.nonce, answer)
    for _ in range(2):
        with pytest.raises(ActivationInvalid):
            client.approve(first.nonce, answer)
    late = PasskeyAssertion(holder.device.answer(other.options or ""))
    holder.served.clock.advance(LIFETIME)
    with pytest.raises(ActivationInvalid):
        client.approve(other.nonce, late)


def test_what_is_approved_late_is_not_longer_good(holder: Holder) -> None:
    """The expiry that the person approved is that of the activation."""
    client, key = holder.served.client, holder.key()
    request = holder.ask(key, ONE)
    holder.served.clock.advance(LIFETIME - timedelta(seconds=1))
    token = holder.approve(request)
    holder.served.clock.advance(timedelta(seconds=1))
    with pytest.raises(ActivationInvalid):
        client.sign(key.key_id, SIGN, ONE, activation=token)


def test_a_counter_that_goes_back_is_a_clone(holder: Holder) -> None:
    """Two devices with one key: the one that counts less is refused and told; nothing is approved."""
    key, client = holder.key(), holder.served.client
    for _ in range(3):
        holder.approve(holder.ask(key, ONE))
    request = holder.ask(key, ONE)
    for count in (0, 2):  # answers as number 1, then as number 3, which was seen
        holder.device.count = count
        with pytest.raises(PasskeyCloned):
            client.approve(request.nonce, PasskeyAssertion(holder.device.answer(request.options or "")))
    holder.device.count = 3
    holder.approve(request)
    refused = [entry for entry in client.audit_entries() if entry["outcome"] == PasskeyCloned.code]
    assert len(refused) == 2


def test_a_device_that_does_not_count(party: Served) -> None:
    """Synchronised passkeys answer zero for ever: taken, since there is nothing that goes back."""
    holder = Holder(party, counts=False)
    for _ in range(2):
        holder.approve(holder.ask(holder.key(), ONE))


def test_one_answer_by_many_at_once(holder: Holder) -> None:
    """Eight threads bring the same answer: one activation comes out."""
    request = holder.ask(holder.key(), ONE)
    answer = PasskeyAssertion(holder.device.answer(request.options or ""))

    def attempt(_: int) -> bool:
        try:
            holder.served.client.approve(request.nonce, answer)
        except (ActivationInvalid, PasskeyCloned):
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


def test_a_request_survives_a_restart_and_an_edit_voids_it(holder: Holder) -> None:
    """Requests are in the store, sealed; nothing of them is in the daemon's memory."""
    key = holder.key()
    request, edited = holder.ask(key, ONE), holder.ask(key, TWO)
    holder.served.restart()
    holder.approve(request)
    holder.served.edit("UPDATE requests SET expires = expires + 3600")
    with pytest.raises(ActivationInvalid):
        holder.approve(edited)


def test_many_open_requests_do_not_pile_up(holder: Holder) -> None:
    """Of one person the newest 32 wait; what is over is gone with the next one."""
    key = holder.key()
    requests = [holder.ask(key, ONE) for _ in range(34)]
    assert holder.served.look("SELECT COUNT(*) FROM requests") == [(32,)]
    with pytest.raises(ActivationInvalid):
        holder.approve(requests[0])
    holder.approve(requests[-1])
    holder.served.clock.advance(LIFETIME)
    holder.ask(key, ONE)
    assert holder.served.look("SELECT COUNT(*) FROM requests") == [(1,)]


def test_a_policy_can_demand_a_passkey(holder: Holder, person: Person) -> None:
    """A key whose policy names passkeys alone is not activated with PIN and code, in one call or in two."""
    default = DEFAULTS[KeyUse.CITIZEN_SIGN]
    strict = KeyPolicy(kinds=default.kinds, needs_activation=True, methods=frozenset({Method.PASSKEY}))
    key = holder.key(strict)
    client = holder.served.client
    holder.approve(holder.ask(key, ONE))
    owned = client.generate("strict", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, person.owner, strict)
    with pytest.raises(MethodRefused):
        client.activate(owned.key_id, [ONE], PERSON_PIN, person.next_code(), "specimen")
    with pytest.raises(MethodRefused):
        client.prepare_activation(owned.key_id, [ONE], "specimen", Method.PIN_TOTP)


def test_pin_and_code_can_be_proved_in_two_steps(served: Served, person: Person) -> None:
    """Prepared with PIN and code in mind, a passkey's answer does not fit, and the other way round."""
    key = person.key()
    request = served.client.prepare_activation(key.key_id, [ONE], "specimen", Method.PIN_TOTP)
    assert request.options is None
    with pytest.raises(ActivationInvalid):
        served.client.approve(request.nonce, PasskeyAssertion("{}"))
    token = served.client.approve(request.nonce, PinTotp(PERSON_PIN, person.next_code())).token
    served.client.sign(key.key_id, SIGN, ONE, activation=token)
    with pytest.raises(FactorsNotEnrolled):
        served.client.prepare_activation(key.key_id, [ONE], "specimen", Method.PASSKEY)


@pytest.mark.parametrize(
    "wrong",
    [{"origin": "https://evil.example"}, {"verified": False}, {"crossOrigin": True}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_registration_with_one_thing_wrong(party: Served, wrong: dict[str, object]) -> None:
    """Nothing is registered for another origin, without user verification, or in another's frame."""
    register: Callable[..., str] = Authenticator().register
    with pytest.raises(PasskeyInvalid):
        party.client.finish_passkey(OWNER, register(party.client.begin_passkey(OWNER), **wrong))
    assert not party.client.factors_of(OWNER).methods


def test_a_registration_is_for_its_person_and_once(party: Served) -> None:
    """The options of one person do not register for another; used or late ones register for nobody."""
    options = party.client.begin_passkey(OWNER)
    response = Authenticator().register(options)
    with pytest.raises(ActivationInvalid):
        party.client.finish_passkey("another", response)
    late = Authenticator().register(party.client.begin_passkey("late"))
    party.client.finish_passkey(OWNER, response)
    with pytest.raises(ActivationInvalid):
        party.client.finish_passkey(OWNER, response)
    party.clock.advance(LIFETIME)
    with pytest.raises(ActivationInvalid):
        party.client.finish_passkey("late", late)


def test_first_factors_are_first(party: Served, person: Person) -> None:
    """Whoever has a factor gets no second one by enrolment: no passkey beside a PIN, no PIN beside a passkey."""
    with pytest.raises(FactorsEnrolled):
        Holder(party, person.owner)
    holder = Holder(party)
    with pytest.raises(FactorsEnrolled):
        party.client.enrol(holder.owner, PERSON_PIN)
    with pytest.raises(FactorsNotEnrolled):
        party.client.activate(holder.key().key_id, [ONE], PERSON_PIN, "123456", "specimen")


def test_a_pending_pin_is_gone_when_a_passkey_comes_first(party: Served) -> None:
    """A PIN that was set and never confirmed cannot be confirmed beside the passkey later."""
    pending = Person(party, OWNER, confirmed=False)
    Holder(party, OWNER)
    with pytest.raises(FactorsEnrolled):
        party.client.confirm(OWNER, pending.code())


def test_the_destroyed_register_nothing(party: Served) -> None:
    """After destruction there are no options to be had."""
    holder = Holder(party)
    party.client.destroy_owner(holder.owner)
    with pytest.raises(OwnerDestroyed):
        party.client.begin_passkey(holder.owner)


def test_without_a_relying_party_there_are_no_passkeys(served: Served) -> None:
    """It is set by the security officer alone, to origins of its own domain."""
    with pytest.raises(PasskeysUnavailable):
        served.client.begin_passkey(OWNER)
    with pytest.raises(NotLoggedIn):
        served.client.set_relying_party(RP_ID, [ORIGIN])
    officer = served.connect(SO_PIN, "so")
    for origins in ([], ["https://evil.example"], ["http://specimen.example"], ["https://evilspecimen.example"]):
        with pytest.raises(DataInvalid):
            officer.set_relying_party(RP_ID, origins)
    officer.set_relying_party("localhost", ["http://localhost:8440"])
    officer.close()


def test_a_new_relying_party_does_not_widen_old_passkeys(holder: Holder) -> None:
    """The origins of a passkey are those of its registration."""
    officer = holder.served.connect(SO_PIN, "so")
    officer.set_relying_party(RP_ID, ["https://new.specimen.example"])
    officer.close()
    request = holder.ask(holder.key(), ONE)
    answer = holder.device.answer(request.options or "", origin="https://new.specimen.example")
    with pytest.raises(PasskeyInvalid):
        holder.served.client.approve(request.nonce, PasskeyAssertion(answer))
    holder.approve(request)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.one_of(
        st.text(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.dictionaries(
                st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "signature"]), inner, max_size=6
            ),
            max_leaves=12,
        ).map(json.dumps),
    )
)
def test_garbage_is_refused(holder: Holder, response: str) -> None:
    """Whatever comes instead of an answer, it is one of three refusals."""
    request = holder.ask(holder.key(), ONE)
    for call in (
        lambda: holder.served.client.approve(request.nonce, PasskeyAssertion(response)),
        lambda: holder.served.client.finish_passkey("another", response),
    ):
        with pytest.raises((PasskeyInvalid, DataInvalid, ActivationInvalid)):
            call()


def test_the_refusals_say_nothing_of_the_person(holder: Holder) -> None:
    """Every refusal has a code of its own and no parameter."""
    errors: list[KeyStoreError] = [PasskeyInvalid(), PasskeyCloned(), PasskeysUnavailable(), MethodRefused()]
    assert len({error.code for error in errors}) == len(errors)
    assert canonical_json([error.params for error in errors]) == b"[{},{},{},{}]"
