"""Passkeys as first and further factors, changes of factors, and the way back in when all are lost."""

from __future__ import annotations

import json
from typing import Any

import pyotp
import pytest

from ekyc.authenticators.recovery import Loss
from ekyc.errors import ChangeUnknown, EnrolmentUnknown, SelfReview, WrongState
from ekyc.evidence.record import EvidenceKind
from ekyc.model import State
from ekyc.ports import Cause
from ekyc.registry_simulation.persons import series
from foundation.http.actor import Actor
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp
from foundation.keys.errors import (
    ActivationInvalid,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyHandleInvalid,
    PasskeyInvalid,
    PinIncorrect,
)
from foundation.keys.factors import ChangeKind, FactorChange
from tests.ekyc.story import OFFICER, PIN, World
from tests.hsm.authenticator import Authenticator

NEW_PIN = "739146"


def with_passkey(world: World, number: int) -> tuple[Actor, str, Authenticator]:
    """A person who goes all the way with a passkey."""
    actor, name = world.until(State.APPROVED, series(number))
    device, desk = Authenticator(), world.service.authenticators
    moved = desk.bind_passkey(actor, name, device.register(desk.begin_passkey(actor)))
    assert moved.state is State.FACTOR_BOUND
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    return actor, name, device


def test_a_passkey_is_a_first_factor(both_worlds: World) -> None:
    """From APPROVED to a certificate with a passkey alone; the ledger says which kind; PIN and code are not asked."""
    world = both_worlds
    actor, name, _ = with_passkey(world, 60)
    assert world.service.authenticators.show(actor).methods == {Method.PASSKEY}
    kinds = [one for one in world.service.files.ledger(world.state(name)) if one.kind is EvidenceKind.FACTOR]
    assert [(one.outcome, dict(one.facts)) for one in kinds] == [("bound", {"kind": "passkey"})]


def test_a_wrong_registration_binds_nothing(world: World) -> None:
    """Another origin, or another's options: the enrolment stays APPROVED, and the right answer still binds."""
    actor, name = world.until(State.APPROVED, series(61))
    other, _ = world.until(State.APPROVED, series(62))
    desk, device = world.service.authenticators, Authenticator()
    with pytest.raises(PasskeyInvalid):
        desk.bind_passkey(actor, name, device.register(desk.begin_passkey(actor), origin="https://evil.example"))
    with pytest.raises(ActivationInvalid):
        desk.bind_passkey(actor, name, device.register(desk.begin_passkey(other)))
    assert world.state(name).state is State.APPROVED
    desk.bind_passkey(actor, name, device.register(desk.begin_passkey(actor)))


def test_a_kill_after_the_token_registered_it(world: World) -> None:
    """Registered in the token, and not written down: the same answer again goes on."""
    actor, name = world.until(State.APPROVED, series(63))
    desk = world.service.authenticators
    response = Authenticator().register(desk.begin_passkey(actor))
    world.token.finish_passkey(actor.id, response)
    assert desk.bind_passkey(actor, name, response).state is State.FACTOR_BOUND


def test_only_after_approval(world: World) -> None:
    """Who is not approved gets no options and binds nothing; who has a factor adds by a change only."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(64))
    desk = world.service.authenticators
    with pytest.raises(WrongState):
        desk.begin_passkey(actor)
    with pytest.raises(WrongState):
        desk.bind_passkey(actor, name, "{}")
    done, theirs = world.until(State.ACTIVATED, series(65))
    with pytest.raises(WrongState):
        desk.bind_passkey(done, theirs, Authenticator().register(desk.begin_passkey(done)))
    with pytest.raises(FactorsEnrolled):
        world.token.finish_passkey(done.id, Authenticator().register(desk.begin_passkey(done)))


def test_a_change_is_approved_by_a_factor(world: World) -> None:
    """A passkey approves PIN and authenticator; another's request, or one that is made, is as absent as none."""
    actor, _, device = with_passkey(world, 66)
    other, _, stranger = with_passkey(world, 67)
    desk = world.service.authenticators
    asked = desk.ask_change(actor, FactorChange(ChangeKind.PIN_AND_TOTP, pin=NEW_PIN), Method.PASSKEY)
    app = pyotp.parse_uri(asked.provisioning_uri or "")
    assert isinstance(app, pyotp.TOTP)
    change, options = asked.approval.nonce.hex(), asked.approval.options or ""
    for who, answer in ((other, stranger.answer(options)), (other, device.answer(options))):
        with pytest.raises(ChangeUnknown):
            desk.change(who, change, PasskeyAssertion(answer), app.now())
    with pytest.raises(PasskeyInvalid):
        desk.change(actor, change, PasskeyAssertion(stranger.answer(options)), app.now())
    with pytest.raises(PinIncorrect):
        desk.change(actor, change, PasskeyAssertion(device.answer(options)), "000000")
    desk.change(actor, change, PasskeyAssertion(device.answer(options)), app.now())
    assert desk.show(actor).methods == {Method.PASSKEY, Method.PIN_TOTP}
    with pytest.raises(ChangeUnknown):
        desk.change(actor, change, PinTotp(NEW_PIN, app.now()), None)


def test_all_lost_and_back_in(both_worlds: World) -> None:
    """The officer leads the person back: certificate revoked, key destroyed, sessions ended; then new factors, a new
    key and a new certificate under the same person id. What was verified is still there, and the chain holds."""
    world = both_worlds
    actor, name = world.until(State.ACTIVATED, series(68))
    before, session = world.state(name), world.sessions.open(actor.id)
    (old,) = world.token.wrapped_keys(actor.id)
    recovered = world.service.recovery.recover(OFFICER, name, Loss.STOLEN)
    after = recovered.enrolment
    assert (after.state, after.key_id, after.certificate_serial, after.credential_id) == (
        *(State.APPROVED, None, None, None),
    )
    assert world.ca.revoked == {before.certificate_serial: Cause.COMPROMISED}
    assert world.token.wrapped_keys(actor.id) == ()
    assert session not in world.sessions.tokens
    assert world.sessions.tokens[recovered.session_token] == actor.id
    with pytest.raises(FactorsNotEnrolled):
        world.token.check(actor.id, PIN, "000000")
    desk = world.service.authenticators
    desk.bind_passkey(actor, name, Authenticator().register(desk.begin_passkey(actor)))
    done = world.service.issuance.certificate(actor, name)
    assert (done.state, done.person_id) == (State.ACTIVATED, before.person_id)
    assert done.key_id not in (None, old.key_id)
    assert done.certificate_serial not in (None, before.certificate_serial)
    assert world.service.decider.of_person(actor, name)
    world.audit.verify(world.database)


def test_who_may_lead_back_and_from_where(world: World) -> None:
    """Not the officer's own enrolment, none before there are factors, none that is unknown."""
    _, name = world.until(State.APPROVED, series(69))
    with pytest.raises(WrongState):
        world.service.recovery.recover(OFFICER, name, Loss.LOST)
    with pytest.raises(EnrolmentUnknown):
        world.service.recovery.recover(OFFICER, "ENR-" + "A" * 16, Loss.LOST)
    actor, theirs = world.until(State.ACTIVATED, series(70))
    world.staff.persons[OFFICER.id] = actor.id
    with pytest.raises(SelfReview):
        world.service.recovery.recover(OFFICER, theirs, Loss.LOST)
    assert world.state(theirs).state is State.ACTIVATED


def test_a_recovery_that_was_cut_off_is_repeated(world: World) -> None:
    """The token has destroyed the factors, the step was not written: asked again, it goes through."""
    actor, name = world.until(State.ACTIVATED, series(71))
    (key,) = world.token.wrapped_keys(actor.id)
    world.token.lose_factors(actor.id)
    with pytest.raises(KeyHandleInvalid):
        world.token.destroy_wrapped(actor.id, key.key_id)
    assert world.service.recovery.recover(OFFICER, name, Loss.LOST).enrolment.state is State.APPROVED
    assert list(world.ca.revoked.values()) == [Cause.SUPERSEDED]


def test_over_http(world: World) -> None:
    """Options, registration, change, recovery, with the status codes and problems of each."""
    actor, name = world.until(State.APPROVED, series(72))
    http, device = world.client(), Authenticator()
    head = {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}

    def post(path: str, body: Any, who: dict[str, str] = head) -> Any:
        return http.post(f"/ekyc/v1{path}", json=body, headers=who)

    options = post("/authenticators/passkey-options", {}).json()["options"]
    refused = post(f"/enrolments/{name}/passkey", {"credential": {}})
    assert (refused.status_code, refused.json()["code"]) == (403, "foundation.passkey_invalid")
    credential = json.loads(device.register(json.dumps(options)))
    bound = post(f"/enrolments/{name}/passkey", {"credential": credential})
    assert (bound.status_code, bound.json()["state"]) == (200, "FACTOR_BOUND"), bound.text
    shown = http.get("/ekyc/v1/authenticators", headers=head).json()
    nothing = {"codes": None, "codes_left": None}  # neither an app, a device nor a card
    assert shown == {"methods": ["passkey"], "passkeys": [device.credential_id.hex()], **nothing}
    weak = post("/authenticators/changes", {"kind": "pin-and-totp", "method": "passkey", "pin": "123456"})
    assert (weak.status_code, weak.json()["code"]) == (422, "foundation.pin_invalid")
    last = {"kind": "remove-passkey", "method": "passkey", "credential_id": device.credential_id.hex()}
    assert post("/authenticators/changes", last).json()["code"] == "foundation.last_factor"
    asked = post("/authenticators/changes", {"kind": "pin-and-totp", "method": "passkey", "pin": NEW_PIN})
    assert asked.status_code == 201, asked.text
    view = asked.json()
    assert json.loads(view["data"])["change"]["kind"] == "pin-and-totp"
    app = pyotp.parse_uri(view["provisioning_uri"])
    assert isinstance(app, pyotp.TOTP)
    where = f"/authenticators/changes/{view['id']}"
    assert post(where, {}).json()["code"] == "foundation.key_data_invalid"
    body = {"assertion": json.loads(device.answer(json.dumps(view["options"]))), "new_code": app.now()}
    assert post(where, body).status_code == 204
    assert post(where, body).json()["code"] == "ekyc.change_unknown"
    staff = {"Authorization": "Staff officer"}
    assert post(f"/reviews/{name}/recovery", {"loss": "lost"}).status_code == 403
    led = post(f"/reviews/{name}/recovery", {"loss": "lost"}, staff)
    assert (led.status_code, led.json()["enrolment"]["state"]) == (201, "APPROVED"), led.text
    assert http.get("/ekyc/v1/authenticators", headers=head).status_code == 401
    again = {"Authorization": f"Bearer {led.json()['session_token']}"}
    assert http.get("/ekyc/v1/authenticators", headers=again).json() == {"methods": [], "passkeys": [], **nothing}
