"""Changing a factor is an approval by another one; losing all of them destroys the keys."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest

from foundation.keys.activation import LIFETIME, ChangeData, Method, PasskeyAssertion, PinTotp
from foundation.keys.errors import (
    ActivationInvalid,
    ActivationRequired,
    DataInvalid,
    FactorsNotEnrolled,
    KeyHandleInvalid,
    LastFactor,
    PasskeyInvalid,
    PinIncorrect,
    PinInvalid,
    PinLocked,
    WrappedKeyInvalid,
)
from foundation.keys.factors import ChangeKind, ChangeRequest, FactorChange
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.lockout import FREE_TRIES
from tests.hsm.authenticator import Authenticator
from tests.hsm.conftest import PERSON_PIN, Person, Served
from tests.hsm.test_hsm_passkeys import OWNER, Holder, holder, party

__all__ = ["holder", "party"]  # fixtures

ONE = hashlib.sha256(b"one").digest()
NEW_PIN = "739146"


def ask(served: Served, owner: str, change: FactorChange, method: Method = Method.PIN_TOTP) -> ChangeRequest:
    return served.client.prepare_change(owner, change, method)


def add_passkey(person: Person) -> Authenticator:
    """A further factor for a person with PIN and authenticator app."""
    client, device = person.served.client, Authenticator()
    response = device.register(client.begin_passkey(person.owner))
    request = ask(person.served, person.owner, FactorChange(ChangeKind.ADD_PASSKEY, passkey=response))
    client.approve_change(person.owner, request.approval.nonce, PinTotp(PERSON_PIN, person.next_code()))
    return device


def by_passkey(
    served: Served, device: Authenticator, request: ChangeRequest, totp: str | None = None, owner: str = OWNER
) -> None:
    answer = PasskeyAssertion(device.answer(request.approval.options or ""))
    served.client.approve_change(owner, request.approval.nonce, answer, totp)


def test_a_new_pin(served: Served, person: Person) -> None:
    """Approved with the old PIN and a code; then the new one is right and the old one wrong."""
    request = ask(served, person.owner, FactorChange(ChangeKind.PIN, pin=NEW_PIN))
    assert json.loads(request.approval.data)["change"]["kind"] == "pin"
    assert NEW_PIN.encode() not in request.approval.data
    served.client.check(person.owner, PERSON_PIN, person.next_code())  # nothing changed yet
    served.client.approve_change(person.owner, request.approval.nonce, PinTotp(PERSON_PIN, person.next_code()))
    with pytest.raises(PinIncorrect):
        served.client.check(person.owner, PERSON_PIN, person.next_code())
    served.client.check(person.owner, NEW_PIN, person.next_code())
    with pytest.raises(ActivationInvalid):
        served.client.approve_change(person.owner, request.approval.nonce, PinTotp(NEW_PIN, person.next_code()))


def test_a_new_authenticator_app(served: Served, person: Person) -> None:
    """The new seed counts once a code of it is shown beside the old factors; the old seed is gone then."""
    request = ask(served, person.owner, FactorChange(ChangeKind.TOTP))
    new = pyotp.parse_uri(request.provisioning_uri or "")
    assert isinstance(new, pyotp.TOTP)
    assert new.secret not in request.approval.data.decode()
    for wrong in (None, "", person.code(1)):
        with pytest.raises(PinIncorrect):
            served.client.approve_change(
                person.owner, request.approval.nonce, PinTotp(PERSON_PIN, person.next_code()), wrong
            )
    code = person.next_code()
    served.client.approve_change(
        person.owner, request.approval.nonce, PinTotp(PERSON_PIN, code), new.at(served.clock.now())
    )
    with pytest.raises(PinIncorrect):
        served.client.check(person.owner, PERSON_PIN, person.next_code())
    served.client.check(person.owner, PERSON_PIN, new.at(served.clock.now()))


def test_a_wrong_proof_changes_nothing_and_is_counted(served: Served, person: Person) -> None:
    """Guessing at a change is guessing: five tries, then it is locked."""
    request = ask(served, person.owner, FactorChange(ChangeKind.PIN, pin=NEW_PIN))
    served.clock.advance(timedelta(seconds=30))
    for _ in range(FREE_TRIES):
        with pytest.raises(PinIncorrect):
            served.client.approve_change(person.owner, request.approval.nonce, PinTotp("999111", person.code()))
    with pytest.raises(PinLocked):
        served.client.approve_change(person.owner, request.approval.nonce, PinTotp(PERSON_PIN, person.code()))


def test_a_passkey_beside_pin_and_code(served: Served, party: Served, person: Person) -> None:
    """Added with PIN and code, it approves signatures; PIN and code still do."""
    device = add_passkey(person)
    assert served.client.factors_of(person.owner).methods == {Method.PIN_TOTP, Method.PASSKEY}
    key = person.key()
    request = served.client.prepare_activation(key.key_id, [ONE], "specimen", Method.PASSKEY)
    token = served.client.approve(request.nonce, PasskeyAssertion(device.answer(request.options or ""))).token
    served.client.sign(key.key_id, Mechanism.ECDSA, ONE, activation=token)
    served.client.sign(key.key_id, Mechanism.ECDSA, ONE, activation=person.activate(key, ONE))


def test_a_passkey_replaces_a_forgotten_pin(served: Served, party: Served, person: Person) -> None:
    """The passkey approves a new PIN and a new seed; a lock-out of the old PIN ends with them."""
    device = add_passkey(person)
    served.clock.advance(timedelta(seconds=30))
    for _ in range(FREE_TRIES):
        with pytest.raises(PinIncorrect):
            served.client.check(person.owner, "999111", person.code())
    change = FactorChange(ChangeKind.PIN_AND_TOTP, pin=NEW_PIN)
    request = ask(served, person.owner, change, Method.PASSKEY)
    new = pyotp.parse_uri(request.provisioning_uri or "")
    assert isinstance(new, pyotp.TOTP)
    by_passkey(served, device, request, new.at(served.clock.now()), person.owner)
    served.clock.advance(timedelta(seconds=30))
    served.client.check(person.owner, NEW_PIN, new.at(served.clock.now()))


def test_pin_and_app_for_who_has_a_passkey_alone(holder: Holder) -> None:
    """A PIN alone or a seed alone cannot be set where there is neither; both together can."""
    served = holder.served
    for change in (FactorChange(ChangeKind.PIN, pin=NEW_PIN), FactorChange(ChangeKind.TOTP)):
        with pytest.raises(FactorsNotEnrolled):
            ask(served, OWNER, change, Method.PASSKEY)
    request = ask(served, OWNER, FactorChange(ChangeKind.PIN_AND_TOTP, pin=NEW_PIN), Method.PASSKEY)
    new = pyotp.parse_uri(request.provisioning_uri or "")
    assert isinstance(new, pyotp.TOTP)
    by_passkey(served, holder.device, request, new.at(served.clock.now()))
    served.clock.advance(timedelta(seconds=30))
    served.client.check(OWNER, NEW_PIN, new.at(served.clock.now()))
    assert served.client.factors_of(OWNER).methods == {Method.PIN_TOTP, Method.PASSKEY}


def test_taking_a_passkey_away(holder: Holder) -> None:
    """The last factor is not taken away; one of two is, and does not answer any more."""
    served, lost = holder.served, holder.device
    removal = FactorChange(ChangeKind.REMOVE_PASSKEY, passkey=lost.credential_id.hex())
    with pytest.raises(LastFactor):
        ask(served, OWNER, removal, Method.PASSKEY)
    second = Authenticator()
    response = second.register(served.client.begin_passkey(OWNER))
    by_passkey(served, lost, ask(served, OWNER, FactorChange(ChangeKind.ADD_PASSKEY, passkey=response), Method.PASSKEY))
    key = holder.key()
    waiting = holder.ask(key, ONE)
    by_passkey(served, second, ask(served, OWNER, removal, Method.PASSKEY))
    with pytest.raises(PasskeyInvalid):
        holder.approve(waiting)
    served.client.approve(waiting.nonce, PasskeyAssertion(second.answer(waiting.options or "")))


def test_two_removals_at_once_leave_one_factor(holder: Holder) -> None:
    """Each of two passkeys approves that the other is taken away: one of the two requests finds itself the last."""
    served, first, second = holder.served, holder.device, Authenticator()
    response = second.register(served.client.begin_passkey(OWNER))
    adding = ask(served, OWNER, FactorChange(ChangeKind.ADD_PASSKEY, passkey=response), Method.PASSKEY)
    by_passkey(served, first, adding)
    requests = [
        (signer, ask(served, OWNER, FactorChange(ChangeKind.REMOVE_PASSKEY, passkey=gone), Method.PASSKEY))
        for signer, gone in ((first, second.credential_id.hex()), (second, first.credential_id.hex()))
    ]

    def attempt(which: tuple[Authenticator, ChangeRequest]) -> bool:
        try:
            by_passkey(served, *which)
        except (PasskeyInvalid, LastFactor):
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(attempt, requests)) == 1
    assert len(served.client.factors_of(OWNER).passkeys) == 1


def test_what_is_approved_is_this_change(holder: Holder) -> None:
    """The assertion is over the data that names owner, change, nonce and expiry; for another request it is none."""
    served = holder.served
    responses = [Authenticator().register(served.client.begin_passkey(OWNER)) for _ in range(2)]
    mine, other = (
        ask(served, OWNER, FactorChange(ChangeKind.ADD_PASSKEY, passkey=one), Method.PASSKEY) for one in responses
    )
    said = json.loads(mine.approval.data)
    data = ChangeData(OWNER, said["change"], mine.approval.nonce, mine.approval.expires, Method.PASSKEY)
    assert data.canonical() == mine.approval.data
    answer = PasskeyAssertion(holder.device.answer(mine.approval.options or ""))
    with pytest.raises(PasskeyInvalid):
        served.client.approve_change(OWNER, other.approval.nonce, answer)
    signing = holder.ask(holder.key(), ONE)
    with pytest.raises(PasskeyInvalid):
        served.client.approve(signing.nonce, answer)
    for wrong in (signing.nonce, bytes(32)):
        with pytest.raises(ActivationInvalid):
            served.client.approve_change(OWNER, wrong, answer)
    with pytest.raises(ActivationInvalid):
        served.client.approve_change("another", mine.approval.nonce, answer)
    served.clock.advance(LIFETIME)
    with pytest.raises(ActivationInvalid):
        served.client.approve_change(OWNER, mine.approval.nonce, answer)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (FactorChange(ChangeKind.PIN, pin="123456"), PinInvalid),
        (FactorChange(ChangeKind.PIN), DataInvalid),
        (FactorChange(ChangeKind.PIN, pin=NEW_PIN, passkey="00"), DataInvalid),
        (FactorChange(ChangeKind.TOTP, pin=NEW_PIN), DataInvalid),
        (FactorChange(ChangeKind.ADD_PASSKEY), DataInvalid),
        (FactorChange(ChangeKind.ADD_PASSKEY, passkey="{}"), PasskeyInvalid),
        (FactorChange(ChangeKind.REMOVE_PASSKEY, passkey="00"), DataInvalid),
    ],
)
def test_odd_changes_are_refused(served: Served, person: Person, change: FactorChange, refused: type) -> None:
    """Refused when asked for, before anybody approves anything."""
    with pytest.raises(refused):
        ask(served, person.owner, change)


def test_who_has_nothing_changes_nothing(served: Served, person: Person) -> None:
    """Neither somebody without factors nor by a method that one does not have."""
    with pytest.raises(FactorsNotEnrolled):
        ask(served, "nobody", FactorChange(ChangeKind.PIN, pin=NEW_PIN))
    with pytest.raises(FactorsNotEnrolled):
        ask(served, person.owner, FactorChange(ChangeKind.PIN, pin=NEW_PIN), Method.PASSKEY)


def test_all_factors_lost(served: Served, person: Person) -> None:
    """Keys and approvals are destroyed with the factors; what was sealed stays; new factors do not revive old keys."""
    client, key = served.client, person.key()
    _, wrapped = client.new_data_key(person.owner, "mail")
    token = person.activate(key, ONE)
    client.sign(key.key_id, Mechanism.ECDSA, ONE, activation=person.activate(key, ONE))  # it is in the daemon's memory
    assert client.lose_factors(person.owner) == (key.key_id,)
    with pytest.raises(KeyHandleInvalid):
        client.sign(key.key_id, Mechanism.ECDSA, ONE, activation=token)
    with pytest.raises(FactorsNotEnrolled):
        client.check(person.owner, PERSON_PIN, person.next_code())
    client.open_data_key(person.owner, "mail", wrapped)
    for table in ("activations", "activation_digests", "requests", "factors", "keys"):
        assert served.look(f"SELECT COUNT(*) FROM {table}") == [(0,)]  # noqa: S608 (our five names)
    again = Person(served, person.owner)
    new = again.key("again")
    with pytest.raises(ActivationRequired):
        client.sign(new.key_id, Mechanism.ECDSA, ONE)
    client.sign(new.key_id, Mechanism.ECDSA, ONE, activation=again.activate(new, ONE))
    assert client.lose_factors(person.owner) == (new.key_id,)
    with pytest.raises(FactorsNotEnrolled):
        client.lose_factors("nobody")


def test_lost_factors_do_not_come_back_with_their_row(served: Served, person: Person) -> None:
    """Whoever kept the row of the lost factors (the stolen phone's) puts it back: it is of another generation."""
    ((sealed,),) = served.look("SELECT sealed FROM factors WHERE owner = ?", person.owner)
    served.client.lose_factors(person.owner)
    for again in (False, True):
        if again:
            Person(served, person.owner)
        served.edit("INSERT OR REPLACE INTO factors (owner, sealed) VALUES (?, ?)", person.owner, sealed)
        with pytest.raises(WrappedKeyInvalid):
            served.client.check(person.owner, PERSON_PIN, person.next_code())


def test_wrapped_keys_are_lost_too(served: Served, person: Person) -> None:
    """No wrapping of the person's signs after the loss, wherever it is kept."""
    client = served.client
    made = client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    token = person.activate(made.info, ONE)
    assert client.lose_factors(person.owner) == (made.info.key_id,)
    Person(served, person.owner)
    with pytest.raises(KeyHandleInvalid):
        client.sign_wrapped(made.wrapped, Mechanism.ECDSA, [ONE], activation=token)
    assert client.wrapped_keys(person.owner) == ()
