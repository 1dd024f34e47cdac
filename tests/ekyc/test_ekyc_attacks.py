"""Each attack with its control on, which refuses, and with the control off, when the same attack goes through.

Insiders are in test_ekyc_review.py, officers of recalls in test_ekyc_recall.py, replayed codes of authenticators in
tests/hsm (they are judged in the token), chips and images in test_chip_attacks.py and test_ekyc_images.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest

import ekyc.documents.desk
import ekyc.store
from ekyc.contacts.desk import Channel
from ekyc.documents.lost import LostDocument, LostDocuments
from ekyc.errors import (
    DocumentExpired,
    DocumentReportedLost,
    DuplicatePerson,
    EnrolmentUnknown,
    MrzCheckDigitWrong,
    OtpExpired,
    OtpThrottled,
    OtpUsed,
    OtpWrong,
    RegistryNoMatch,
    RetryLater,
    UnderAge,
    WrongState,
)
from ekyc.model import State
from ekyc.policy import default_policy
from ekyc.ports import RegistryAnswer, RegistryOutcome, RegistryQuery
from ekyc.registry_simulation.persons import Specimen, series, specimens
from foundation.db.engine import StaleWrite
from foundation.errors import CamTrustError
from foundation.http.actor import Credential, Unauthenticated
from tests.ekyc.story import KEEPERS, PHONE, World

Attack = Callable[[World], State]
Off = Callable[[World, pytest.MonkeyPatch], None]


def settings(world: World, **changes: Any) -> None:
    """Other settings than anybody may set."""
    world.service = world.restarted(settings=world.service.files.settings.model_copy(update=changes))


# --- stolen and guessed codes ---


def late_code(world: World) -> State:
    """A code is found on a stolen phone an hour later."""
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    code = world.code(actor.id)
    world.clock.advance(timedelta(hours=1))
    return world.service.contact.verify(actor, name, code).state


def codes_last(world: World, patch: pytest.MonkeyPatch) -> None:
    settings(world, otp_minutes=600)


def guessed_code(world: World) -> State:
    """A few hundred guesses around the right code."""
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    right = int(world.code(actor.id))
    for guess in range(right - 20, right):
        with suppress(OtpWrong):
            world.service.contact.verify(actor, name, str(guess % 10**6).zfill(6))
    return world.service.contact.verify(actor, name, str(right).zfill(6)).state


def guesses_are_free(world: World, patch: pytest.MonkeyPatch) -> None:
    settings(world, otp_tries=10**6)


def stolen_code(world: World) -> State:
    """The code that was sent for one enrolment opens another person's."""
    victim, theirs = world.until(State.CONSENTED)
    world.service.contact.send(victim, theirs, Channel.SMS, PHONE)
    code = world.code(victim.id)
    thief, name = world.until(State.CONSENTED)
    world.service.contact.send(thief, name, Channel.SMS, "012 111 222")
    if code == world.code(thief.id):  # one time in a million
        code = str((int(code) + 1) % 10**6).zfill(6)
    return world.service.contact.verify(thief, name, code).state


def codes_for_anybody(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(world.service.contact), "_hash", lambda *_: bytes(32))


# --- documents ---


def typo(world: World) -> State:
    """One digit of the number is another one."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    person = specimens()["adult"]
    lines = [person.card()[0].replace(person.document_number, str(int(person.document_number) + 1)), *person.card()[1:]]
    return world.service.document.submit(actor, name, lines, person.surname_km, person.given_names_km).state


def no_check_digits(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ekyc.mrz.reading.check_digit", lambda _: ANY)


def card_of(name: str) -> Attack:
    def attack(world: World) -> State:
        actor, enrolment = world.until(State.CONTACT_VERIFIED)
        return world.submit(actor, enrolment, specimens()[name]).state

    return attack


def minor_alone(world: World) -> State:
    """Who is 15 goes on without a guardian (more of them: test_ekyc_guardians.py)."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "minor")
    world.service.registry.match(actor, name)
    return world.review(name).state


def reported_lost(world: World) -> State:
    """A card that its holder reported as lost is shown by whoever has it."""
    person = series(905)
    world.service.lost_documents.report(KEEPERS[0], [LostDocument("KHM", person.document_number)])
    actor, name = world.until(State.CONTACT_VERIFIED)
    return world.submit(actor, name, person).state


def no_list(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LostDocuments, "holds", lambda *_: False)


def no_judgment(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(type(world.service.document), "_judge", lambda *_: ekyc.documents.desk._Finding("valid", None))


def no_ages(world: World, patch: pytest.MonkeyPatch) -> None:
    world.service = world.restarted(policy=default_policy().model_copy(update={"age_card": 0, "age_full": 0}))


# --- the registry ---


def other_name(world: World) -> State:
    """The number and birth of somebody else, under a name that is not theirs."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    person = series(900)
    impostor = Specimen(**{**vars(person), "surname": "IMPOSTOR", "given_names": "NAME"})
    world.submit(actor, name, impostor)
    return world.service.registry.match(actor, name).state


class Credulous:
    """A registry that finds everybody."""

    def match(self, query: RegistryQuery) -> RegistryAnswer:  # noqa: ARG002
        return RegistryAnswer(RegistryOutcome.MATCH, {}, "SPECIMEN")


def registry_says_yes(world: World, patch: pytest.MonkeyPatch) -> None:
    world.service = world.restarted(registry=Credulous())


def oracle(world: World) -> State:
    """Whose birth is it? One after another is asked, until the registry knows the number under one."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    person = series(901)
    for day in range(1, 8):
        guess = Specimen(**{**vars(person), "date_of_birth": f"1959-02-{day:02}"})
        with suppress(RegistryNoMatch):
            world.submit(actor, name, guess)
            world.service.registry.match(actor, name)
    world.submit(actor, name, person)
    return world.service.registry.match(actor, name).state


def oracle_answers(world: World, patch: pytest.MonkeyPatch) -> None:
    settings(world, registry_tries=10**6, no_match_wait_seconds=0)


# --- persons ---


def twice(world: World) -> State:
    """Somebody who is enrolled enrols once more."""
    world.until(State.APPROVED, series(902))
    actor, name = world.until(State.DOCUMENT_VALIDATED, series(902))
    world.service.registry.match(actor, name)
    return world.review(name).state


def indexes_differ(world: World, patch: pytest.MonkeyPatch) -> None:
    index, random = world.service.files.index, world.service.files.randomness
    keyed, persons = index.of, ("subject", "namesake")
    patch.setattr(index, "of", lambda name, *parts: random.bytes(32) if name in persons else keyed(name, *parts))


def anothers(world: World) -> State:
    """Somebody goes on with an enrolment whose id they know."""
    _, name = world.until(State.CONTACT_VERIFIED)
    stranger, _ = world.start()
    return world.submit(stranger, name, series(903)).state


def everybody_owns(world: World, patch: pytest.MonkeyPatch) -> None:
    def found(_: Any, enrolment_id: str | None = None) -> Any:
        return world.state(str(enrolment_id))

    patch.setattr(world.service.files, "of_person", found)


def double_submit(world: World) -> State:
    """What was written on one version is written once more by whoever still holds it."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    held = world.state(name)
    world.submit(actor, name, series(904))
    with world.database.unit_of_work() as connection:
        return world.service.files.touch(connection, held).state


def no_versions(world: World, patch: pytest.MonkeyPatch) -> None:
    def unconditionally(connection: Any, table: Any, condition: Any, values: Any) -> None:
        connection.execute(table.update().values(values))

    patch.setattr(ekyc.store, "compare_and_set", unconditionally)


def fixation(world: World) -> State:
    """The attacker starts, lets the victim go on with the same session and raise the level, and comes back with it."""
    client = world.client()
    started = client.post("/ekyc/v1/enrolments", json={"level": "CONTACT", "language": "en"}).json()
    session, name = started["session_token"], started["enrolment"]["id"]
    headers = {"Authorization": f"Bearer {session}"}
    client.post(f"/ekyc/v1/enrolments/{name}/consent", json=vars(world.accept()), headers=headers)
    client.post(f"/ekyc/v1/enrolments/{name}/level", json={"level": "IAL2"}, headers=headers)
    actor = world.sessions.authenticate(Credential(f"Bearer {session}", "GET", "http://testserver", bytes(32)))
    return world.service.enrolment.show(actor, name).state


def fixation_at_contact(world: World) -> State:
    """The attacker starts; the victim proves their own contact in that session and goes on in a new one."""
    client = world.client()
    started = client.post("/ekyc/v1/enrolments", json={"level": "IAL2", "language": "en"}).json()
    session, name = started["session_token"], started["enrolment"]["id"]
    base, headers = f"/ekyc/v1/enrolments/{name}", {"Authorization": f"Bearer {session}"}
    client.post(f"{base}/consent", json=vars(world.accept()), headers=headers)
    client.post(f"{base}/contact", json={"channel": "sms", "address": PHONE}, headers=headers)
    body = {"code": world.code(started["enrolment"]["person_id"]), "shared": True}
    proved = client.post(f"{base}/contact/verification", json=body, headers=headers).json()
    victim = {"Authorization": f"Bearer {proved['session_token']}"}
    assert client.get(base, headers=victim).json()["state"] == "CONTACT_VERIFIED"
    actor = world.sessions.authenticate(Credential(f"Bearer {session}", "GET", "http://testserver", bytes(32)))
    return world.service.enrolment.show(actor, name).state


def sessions_stay(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(world.sessions, "close_all", lambda _: None)


ATTACKS: tuple[tuple[str, Attack, Off, tuple[type[CamTrustError], ...]], ...] = (
    ("code-found-later", late_code, codes_last, (OtpExpired,)),
    ("code-guessed", guessed_code, guesses_are_free, (OtpThrottled,)),
    ("code-of-another", stolen_code, codes_for_anybody, (OtpWrong,)),
    ("mrz-typo", typo, no_check_digits, (MrzCheckDigitWrong,)),
    ("lost-card", reported_lost, no_list, (DocumentReportedLost,)),
    ("expired-card", card_of("expired-card"), no_judgment, (DocumentExpired,)),
    ("child", card_of("child"), no_ages, (UnderAge,)),
    ("minor", minor_alone, no_ages, (WrongState,)),
    ("name-of-another", other_name, registry_says_yes, (RegistryNoMatch,)),
    ("registry-oracle", oracle, oracle_answers, (RetryLater, WrongState)),
    ("twice", twice, indexes_differ, (DuplicatePerson,)),
    ("anothers-enrolment", anothers, everybody_owns, (EnrolmentUnknown,)),
    ("double-submit", double_submit, no_versions, (StaleWrite,)),
    ("session-fixation", fixation, sessions_stay, (Unauthenticated,)),
    ("session-fixation-at-contact", fixation_at_contact, sessions_stay, (Unauthenticated,)),
)


@pytest.mark.parametrize(("attack", "off", "refusals"), [one[1:] for one in ATTACKS], ids=[one[0] for one in ATTACKS])
def test_an_attack_is_refused_by_its_control(
    world: World, monkeypatch: pytest.MonkeyPatch, attack: Attack, off: Off, refusals: tuple[type[CamTrustError], ...]
) -> None:
    """With the control the attack is refused, by its own code. Without it, the same attack goes through."""
    with pytest.raises(refusals):
        attack(world)
    off(world, monkeypatch)
    assert attack(world) not in (State.REJECTED, State.NEEDS_INPUT)


def test_a_code_is_good_once(world: World) -> None:
    """A code that was used is refused as used, by whoever brings it again, in whatever state."""
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    code = world.code(actor.id)
    world.service.contact.verify(actor, name, code)
    with pytest.raises(OtpUsed):
        world.service.contact.verify(actor, name, code)
