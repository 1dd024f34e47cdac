"""What every contact of before is told of contacts, factors and certificates that change, and what it can stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from ekyc.authenticators.cool_off import CoolOffRules, CoolOffs, Held, StopUnknown, default_rules
from ekyc.authenticators.recovery import Loss
from ekyc.contacts.desk import Channel
from ekyc.errors import WrongState
from ekyc.model import State
from foundation.http.actor import Actor
from foundation.keys.activation import Method, PinTotp
from foundation.keys.factors import ChangeKind, FactorChange
from tests.ekyc.story import OFFICER, OPERATOR, PHONE_E164, PIN, World

EMAIL = "sokha.specimen@example.org"


def told(world: World, actor: Actor, saying: str) -> list[str]:
    """To which addresses something was said, oldest first."""
    return [one.address for one in reversed(world.outbox.read(OPERATOR, actor.id)) if saying in one.text]


def with_two_contacts(world: World) -> tuple[Actor, str]:
    """A person who signs, with a phone, and an e-mail address that they added later."""
    actor, name = world.until(State.ACTIVATED)
    world.clock.advance(timedelta(minutes=2))
    world.service.contact.send(actor, name, Channel.EMAIL, EMAIL)
    assert world.service.contact.verify(actor, name, world.code(actor.id)).state is State.ACTIVATED
    return actor, name


def recovered(world: World) -> tuple[Actor, str, str]:
    """Led back by an officer, with new factors and certificate; and the code that stops it."""
    actor, name = with_two_contacts(world)
    world.service.recovery.recover(OFFICER, name, Loss.LOST)
    code = world.code(actor.id)
    world.bind_factors(actor, name)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    return actor, name, code


def held(world: World, actor: Actor) -> Held | None:
    """What signing would be told."""
    return CoolOffs(world.database, world.clock).held(actor.id)


def test_a_certificate_is_told_to_the_contact(both_worlds: World) -> None:
    """In the transaction that activates it."""
    actor, _ = both_worlds.until(State.ACTIVATED)
    assert told(both_worlds, actor, "a certificate to sign with was issued") == [PHONE_E164]


def test_a_further_contact_is_told_to_the_ones_before(both_worlds: World) -> None:
    """Not to itself; and every session of before has ended, as whenever a contact is proved."""
    world = both_worlds
    actor, name = world.until(State.ACTIVATED)
    session = world.sessions.open(actor.id)
    world.clock.advance(timedelta(minutes=2))
    world.service.contact.send(actor, name, Channel.EMAIL, EMAIL)
    world.service.contact.verify(actor, name, world.code(actor.id))
    assert told(world, actor, "was added for you") == [PHONE_E164]
    assert session not in world.sessions.tokens
    assert world.service.decider.replay(name)


def test_no_further_contact_while_it_is_decided(world: World) -> None:
    """Between document and certificate the contact stands as it was judged."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    with pytest.raises(WrongState):
        world.service.contact.send(actor, name, Channel.EMAIL, EMAIL)


def test_a_change_of_factors_is_told_to_all(world: World) -> None:
    """By phone and e-mail alike, once each."""
    actor, name = world.until(State.APPROVED)
    app = pyotp.parse_uri(world.service.issuance.enrol_factors(actor, name, PIN))
    assert isinstance(app, pyotp.TOTP)
    now = datetime.now(UTC)
    world.service.issuance.confirm_factors(actor, name, app.at(now))
    world.service.issuance.certificate(actor, name)
    world.clock.advance(timedelta(minutes=2))
    world.service.contact.send(actor, name, Channel.EMAIL, EMAIL)
    world.service.contact.verify(actor, name, world.code(actor.id))
    asked = world.service.authenticators.ask_change(actor, FactorChange(ChangeKind.PIN, "571936"), Method.PIN_TOTP)
    proof = PinTotp(PIN, app.at(now + timedelta(seconds=30)))
    world.service.authenticators.change(actor, asked.approval.nonce.hex(), proof, None)
    assert told(world, actor, "with which you sign was changed") == [PHONE_E164, EMAIL]


def test_new_factors_do_not_sign_for_a_time(both_worlds: World) -> None:
    """Every contact is told, with one code; the hours are those of the level; then nothing speaks against signing."""
    world = both_worlds
    before, _ = world.until(State.ACTIVATED, "leading-zero", phone="012 111 222")
    actor, _, _ = recovered(world)
    assert told(world, actor, "an officer was told that you lost") == [PHONE_E164, EMAIL]
    ends = world.clock.now() + timedelta(hours=default_rules().hours["IAL2"])
    assert held(world, actor) == Held(ends)
    assert held(world, before) is None
    world.clock.advance(timedelta(hours=72) - timedelta(seconds=1))
    assert held(world, actor) == Held(ends)
    world.clock.advance(timedelta(seconds=1))
    assert held(world, actor) is None


def test_an_old_contact_stops_it(both_worlds: World) -> None:
    """With the code, without a login: sessions end, certificates are on hold, everybody is told; repeating is safe. It
    stays so after the hours, until an officer has the person before them again."""
    world = both_worlds
    actor, name, code = recovered(world)
    session = world.sessions.open(actor.id)
    world.service.cool_off.stop(f" {code.lower()}")
    world.service.cool_off.stop(code.replace("-", ""))
    assert session not in world.sessions.tokens
    assert world.ca.held == [(actor.id, "ekyc:stopped")] * 2
    assert held(world, actor) == Held(None)
    assert told(world, actor, "was stopped with the code") == [PHONE_E164, EMAIL] * 2
    world.clock.advance(timedelta(days=30))
    assert held(world, actor) == Held(None)

    world.service.recovery.recover(OFFICER, name, Loss.STOLEN)
    found = held(world, actor)
    assert found is not None
    assert found.until is not None
    with pytest.raises(StopUnknown):
        world.service.cool_off.stop(code)  # of the recovery before


def test_codes_that_stop_nothing(world: World) -> None:
    """One that was never sent, and one whose time is over."""
    actor, _, code = recovered(world)
    with pytest.raises(StopUnknown):
        world.service.cool_off.stop("A" * 16)
    world.clock.advance(timedelta(hours=72))
    with pytest.raises(StopUnknown):
        world.service.cool_off.stop(code)
    assert world.ca.held == []
    assert held(world, actor) is None


def test_no_copy_of_the_database_has_the_code(world: World) -> None:
    """It stands there as an HMAC under a key in the token."""
    _, _, code = recovered(world)
    with world.database.read() as connection:
        [row] = connection.exec_driver_sql("SELECT * FROM ekyc_cool_offs").all()
    assert code.replace("-", "").encode() not in str(row).encode()
    assert code not in str(row)


def test_levels_without_hours_of_their_own_have_the_longest() -> None:
    """A level that the rules forget is held as long as any."""
    rules = CoolOffRules.model_validate({"version": "t", "other_levels_hours": 72, "hours": {"IAL3": 24}})
    assert (rules.lasts("IAL3"), rules.lasts("VOUCHED")) == (timedelta(hours=24), timedelta(hours=72))
    assert default_rules().other_levels_hours >= max(default_rules().hours.values())
