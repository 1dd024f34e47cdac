"""Attacks on corrections, each with its control on, which refuses, and off, when the same attack goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import ekyc.corrections.checks
import ekyc.corrections.desk
import ekyc.corrections.review
from ekyc import store
from ekyc.authenticators.recovery import Loss
from ekyc.corrections.checks import CorrectionChecks
from ekyc.corrections.errors import (
    CorrectionHeld,
    CorrectionOfficerBefore,
    CorrectionOtherPerson,
    CorrectionSameOfficer,
    CorrectionUnconfirmed,
)
from ekyc.errors import DuplicatePerson, InPersonNeeded, SelfReview
from ekyc.model import Enrolment, State
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import ReviewDesk
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import PinIncorrect
from tests.ekyc.corrections import FIRST, OTHER, ask, enrolled, known, speak
from tests.ekyc.families import Factors
from tests.ekyc.story import OFFICER, World

Attack = Callable[[World], str]
Off = Callable[[World, pytest.MonkeyPatch], None]


def decided(world: World, name: str, first: Actor = FIRST, second: Actor = OTHER) -> str:
    """Two words for it."""
    for officer in (first, second):
        state = speak(world, name, officer).state
    return state


def anothers_document(world: World) -> str:
    """Somebody shows the card of another person, whom the registry knows."""
    actor, name, _, _ = enrolled(world, 720)
    known(world, series(721))
    ask(world, actor, name, series(721))
    return decided(world, name)


def who_looks_at_numbers(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.corrections.desk, "is_another_person", lambda *_: False)


def unknown_to_the_registry(world: World) -> str:
    """A card with another name, of which the registry has not heard."""
    actor, name, was, _ = enrolled(world, 722)
    known(world, was)
    ask(world, actor, name, replace(was, surname="CHEA", surname_km="ជា"))
    return decided(world, name)


def whatever_it_says(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.corrections.checks, "is_confirmed", lambda _: True)


def in_the_cool_off(world: World) -> str:
    """Whoever passed for the person at a desk has new factors, which do not sign yet."""
    actor, name, _, now = enrolled(world, 723)
    world.service.recovery.recover(Actor(ActorKind.OFFICER, "OFF-DESK", OFFICER.roles), name, Loss.LOST)
    world.bind_factors(actor, name)
    world.service.issuance.certificate(actor, name)
    ask(world, actor, name, now)
    return decided(world, name)


def not_held(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CorrectionChecks, "check_not_held", lambda *_: None)


def to_somebody_who_exists(world: World) -> str:
    """To number and birth of somebody who is enrolled."""
    actor, name, was, _ = enrolled(world, 724)
    now = replace(was, date_of_birth="1990-03-04")
    index = world.service.document.examine(now.card(), now.surname_km, now.given_names_km).index
    _, other = world.until(State.ACTIVATED, series(725), phone="012 700 725")
    with world.database.unit_of_work() as connection:  # the other one is enrolled under this very number
        store.change(connection, store.load(connection, other), {"subject_index": index}, claimed_index=index)
    known(world, now)
    world.__dict__["theirs"] = {index: name}  # what is said of it while the control is off
    ask(world, actor, name, now)
    return decided(world, name)


def nobody_is_claimed(world: World, patch: pytest.MonkeyPatch) -> None:
    change = store.change

    def unclaimed(connection: Any, enrolment: Enrolment, values: Any, **columns: Any) -> Enrolment:
        columns.pop("claimed_index", None)
        return change(connection, enrolment, values, **columns)

    patch.setattr(ekyc.corrections.review.store, "change", unclaimed)
    patch.setattr(store, "claimed_by", lambda _, index: world.__dict__.get("theirs", {}).get(index))


def of_a_namesake(world: World) -> str:
    """To name and birth of somebody who is enrolled under another number, by officers who saw nobody in person."""
    world.until(State.ACTIVATED, series(726), phone="012 700 726")
    actor, name, was, _ = enrolled(world, 727)
    them = series(726)
    now = replace(was, surname=them.surname, given_names=them.given_names, date_of_birth=them.date_of_birth)
    known(world, now)
    ask(world, actor, name, now)
    return decided(world, name)


def no_namesakes(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "has_namesake", lambda *_: False)


def by_who_enrolled_them(world: World) -> str:
    """The officer who approved the enrolment corrects it too."""
    actor, name, _, now = enrolled(world, 728)
    ask(world, actor, name, now)
    return decided(world, name, OFFICER)


def whoever_spoke(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.corrections.review, "spoke_before", lambda *_: False)


def by_one_alone(world: World) -> str:
    """One officer speaks twice."""
    actor, name, _, now = enrolled(world, 729)
    ask(world, actor, name, now)
    return decided(world, name, FIRST, FIRST)


def one_is_two(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.corrections.review, "is_another", lambda *_: True)


def of_themselves(world: World) -> str:
    """An officer corrects their own name."""
    actor, name, _, now = enrolled(world, 730)
    world.staff.persons[FIRST.id] = actor.id
    ask(world, actor, name, now)
    return decided(world, name)


def own_cases(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReviewDesk, "is_their_own", lambda *_: False)


def with_a_stolen_session(world: World) -> str:
    """Whoever has the session alone guesses a code."""
    actor, name, _, now = enrolled(world, 731)
    ask(world, actor, name, now, "000000")
    return decided(world, name)


def no_factors(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Factors, "check", lambda *_: None)


@pytest.mark.parametrize(
    ("attack", "refused", "off"),
    [
        (anothers_document, CorrectionOtherPerson, who_looks_at_numbers),
        (unknown_to_the_registry, CorrectionUnconfirmed, whatever_it_says),
        (in_the_cool_off, CorrectionHeld, not_held),
        (to_somebody_who_exists, DuplicatePerson, nobody_is_claimed),
        (of_a_namesake, InPersonNeeded, no_namesakes),
        (by_who_enrolled_them, CorrectionOfficerBefore, whoever_spoke),
        (by_one_alone, CorrectionSameOfficer, one_is_two),
        (of_themselves, SelfReview, own_cases),
        (with_a_stolen_session, PinIncorrect, no_factors),
    ],
)
@pytest.mark.parametrize("control", ["on", "off"])
def test_a_correction_is_refused_while_its_control_is_on(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack,
    refused: type[CamTrustError],
    off: Off,
    control: str,
) -> None:
    """With the control the attack is refused and the certificate stays; without it, it is corrected."""
    if control == "on":
        with pytest.raises(refused):
            attack(world)
        assert world.ca.revoked == {} or attack is in_the_cool_off  # there the recovery revoked one
        return
    off(world, monkeypatch)
    assert attack(world) == "corrected"


def test_a_cool_off_that_begins_later_counts_too(world: World) -> None:
    """Asked for before, and every factor lost meanwhile: the second word is refused while the new ones wait."""
    actor, name, _, now = enrolled(world, 732)
    ask(world, actor, name, now)
    seen = world.service.correction_reviews.show(FIRST, name)
    assert seen.first_by is None
    world.service.recovery.recover(Actor(ActorKind.OFFICER, "OFF-DESK", OFFICER.roles), name, Loss.LOST)
    world.bind_factors(actor, name)
    world.service.issuance.certificate(actor, name)
    speak(world, name, FIRST)
    with pytest.raises(CorrectionHeld):
        speak(world, name, OTHER)
    world.clock.advance(timedelta(hours=73))
    assert speak(world, name, OTHER).state == "corrected"
