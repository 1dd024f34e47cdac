"""A phone that several people share: they say so, up to a number; codes name the enrolment, and the others are told."""

from __future__ import annotations

import pytest

from ekyc.config import EkycSettings
from ekyc.contacts.desk import Channel
from ekyc.contacts.proved import ContactFull, ContactShared
from ekyc.model import State
from foundation.http.actor import Actor
from tests.ekyc.story import OPERATOR, PHONE, World


def asked(world: World) -> tuple[Actor, str, str]:
    """Another person to whom a code was sent, to the same phone; with the text that arrived."""
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    return actor, name, world.outbox.read(OPERATOR, actor.id)[0].text


def test_a_shared_phone(both_worlds: World) -> None:
    """Who does not say that it is shared is refused with the right code, which stays good; who says so goes on, and the
    one before is told. Nothing is told to whoever has no code."""
    world = both_worlds
    first, name, text = asked(world)
    assert name[-4:] not in text
    world.service.contact.verify(first, name, world.code(first.id))
    second, theirs, text = asked(world)
    assert theirs[-4:] in text
    code = world.code(second.id)
    with pytest.raises(ContactShared):
        world.service.contact.verify(second, theirs, code)
    assert world.state(theirs).state is State.CONSENTED
    assert world.service.contact.verify(second, theirs, code, shared=True).state is State.CONTACT_VERIFIED
    assert "proved a phone number or address of yours" in world.outbox.read(OPERATOR, first.id)[0].text


def test_no_more_than_so_many(world: World) -> None:
    """Two here; one who leaves makes room."""
    world.service = world.restarted(settings=EkycSettings(contact_persons=2))
    for _ in range(2):
        actor, name, _ = asked(world)
        world.service.contact.verify(actor, name, world.code(actor.id), shared=True)
    third, theirs, _ = asked(world)
    with pytest.raises(ContactFull):
        world.service.contact.verify(third, theirs, world.code(third.id), shared=True)
    world.service.enrolment.withdraw(actor, name)
    assert world.service.contact.verify(third, theirs, world.code(third.id), shared=True).state is (
        State.CONTACT_VERIFIED
    )


def test_a_number_that_nobody_has_proved_says_nothing(world: World) -> None:
    """A code that was sent and never shown is no proof: the next one need not share it."""
    asked(world)
    second, theirs, text = asked(world)
    assert theirs[-4:] not in text
    assert world.service.contact.verify(second, theirs, world.code(second.id)).state is State.CONTACT_VERIFIED
