"""Each step and what it refuses: contact codes, documents, registry, review, issuance."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ekyc.config import RegistryHttpSettings
from ekyc.contacts.desk import Channel, canonical_address
from ekyc.documents.desk import age_on
from ekyc.errors import (
    BirthDateIncomplete,
    ContactInvalid,
    DocumentExpired,
    DocumentNotAccepted,
    DuplicatePerson,
    EnrolmentExpired,
    LevelUnknown,
    OtpExpired,
    OtpMissing,
    OtpThrottled,
    OtpUsed,
    OtpWrong,
    PersonDeceased,
    RegistryNoMatch,
    RegistryUnavailable,
    ResendThrottled,
    RetryLater,
    TermsOutdated,
    UnderAge,
)
from ekyc.model import State
from ekyc.mrz import TD3, write
from ekyc.ports import RegistryQuery
from ekyc.registry.http import HttpRegistry
from ekyc.registry_simulation.persons import series, specimens
from ekyc.registry_simulation.process import RegistryProcess
from ekyc.terms import Acceptance
from foundation.http.actor import Forbidden
from tests.ekyc.story import OFFICER, OPERATOR, PHONE, World

# --- start and consent ---


def test_start_knows_its_levels(world: World) -> None:
    """A level that the policy does not have is refused before anything is stored."""
    with pytest.raises(LevelUnknown):
        world.start("IAL9")


def test_consent_is_to_what_is_in_force(world: World) -> None:
    """Another version or digest of the agreement is refused, and the enrolment stays where it was."""
    actor, enrolment = world.start()
    right = world.accept()
    for wrong in (
        Acceptance(right.purpose, "0", right.agreement_version, right.agreement_digest),
        Acceptance(right.purpose, right.consent_version, right.agreement_version, "0" * 64),
    ):
        with pytest.raises(TermsOutdated):
            world.service.enrolment.consent(actor, enrolment.id, wrong)
    assert world.state(enrolment.id).state is State.DRAFT


def test_an_enrolment_ends_when_nobody_finishes_it(world: World) -> None:
    """After its days it is EXPIRED, by itself or by the sweep, and its data is destroyed."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    _, other = world.until(State.CONSENTED)
    world.clock.advance(timedelta(days=31))
    with pytest.raises(EnrolmentExpired):
        world.submit(actor, name, specimens()["adult"])
    assert world.service.enrolment.sweep() == 3  # one more expired, two erased
    assert [world.state(one).state for one in (name, other)] == [State.EXPIRED] * 2
    assert all(world.state(one).erased_at for one in (name, other))


# --- contact ---


@pytest.mark.parametrize("written", ["012 987 654", "+855 12 987 654", "០១២៩៨៧៦៥៤"])
def test_phone_numbers_have_one_form(written: str) -> None:
    """However it is written, a Cambodian mobile number is one number."""
    assert canonical_address(Channel.SMS, written) == "+85512987654"


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        (Channel.SMS, "12"),
        (Channel.SMS, "023 123"),
        (Channel.SMS, "call me"),
        (Channel.EMAIL, "a@b"),
        (Channel.EMAIL, "a b@c.org"),
    ],
)
def test_addresses_that_cannot_be_used(channel: Channel, address: str) -> None:
    """What is no mobile number and no e-mail address is refused."""
    with pytest.raises(ContactInvalid):
        canonical_address(channel, address)


def test_a_code_is_good_once(both_worlds: World) -> None:
    """A replayed code is told as one, and no code is asked for twice."""
    actor, name = both_worlds.until(State.CONSENTED)
    with pytest.raises(OtpMissing):
        both_worlds.service.contact.verify(actor, name, "123456")
    both_worlds.prove_contact(actor, name)
    with pytest.raises(OtpUsed):
        both_worlds.service.contact.verify(actor, name, both_worlds.code(actor.id))


def test_wrong_codes_are_counted_and_kill_the_code(both_worlds: World) -> None:
    """Five wrong tries, each saying how many are left; then the right code is refused too."""
    actor, name = both_worlds.until(State.CONSENTED)
    both_worlds.service.contact.send(actor, name, Channel.SMS, PHONE)
    right = both_worlds.code(actor.id)
    wrong = str((int(right) + 1) % 10**6).zfill(6)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(OtpWrong) as told:
            both_worlds.service.contact.verify(actor, name, wrong)
        assert told.value.params["left"] == left
    with pytest.raises(OtpThrottled):
        both_worlds.service.contact.verify(actor, name, right)
    both_worlds.clock.advance(timedelta(minutes=2))
    assert both_worlds.prove_contact(actor, name).state is State.CONTACT_VERIFIED


def test_a_code_grows_old_and_a_new_one_replaces_it(world: World) -> None:
    """After ten minutes, and after a newer code was sent, a code is not good."""
    actor, name = world.until(State.CONSENTED)
    send = world.service.contact.send
    send(actor, name, Channel.SMS, PHONE)
    first = world.code(actor.id)
    with pytest.raises(ResendThrottled) as told:
        send(actor, name, Channel.SMS, PHONE)
    assert told.value.retry_after == 60
    world.clock.advance(timedelta(minutes=10))
    with pytest.raises(OtpExpired):
        world.service.contact.verify(actor, name, first)
    send(actor, name, Channel.SMS, PHONE)
    if first != world.code(actor.id):
        with pytest.raises(OtpWrong):
            world.service.contact.verify(actor, name, first)


def test_codes_per_hour_are_limited_per_address_too(world: World) -> None:
    """Many enrolments cannot flood one phone: the limit is on the address as well."""
    for _ in range(5):
        actor, name = world.until(State.CONSENTED)
        world.service.contact.send(actor, name, Channel.SMS, PHONE)
    actor, name = world.until(State.CONSENTED)
    with pytest.raises(ResendThrottled):
        world.service.contact.send(actor, name, Channel.SMS, PHONE)
    world.service.contact.send(actor, name, Channel.EMAIL, "specimen@example.org")
    world.clock.advance(timedelta(hours=1, seconds=1))
    world.service.contact.send(actor, name, Channel.SMS, PHONE)


def test_khmer_digits_in_a_code(world: World) -> None:
    """A code may be typed in Khmer digits."""
    actor, name = world.until(State.CONSENTED)
    world.service.contact.send(actor, name, Channel.SMS, PHONE)
    khmer = world.code(actor.id).translate({48 + n: 0x17E0 + n for n in range(10)})
    assert world.service.contact.verify(actor, name, khmer).state is State.CONTACT_VERIFIED


def test_only_operators_read_the_outbox(world: World) -> None:
    """The outbox is for operators with its role; reading is written down."""
    actor, _ = world.until(State.CONTACT_VERIFIED)
    for reader in (actor, OFFICER):
        with pytest.raises(Forbidden):
            world.outbox.read(reader)
    assert "SPECIMEN" in world.outbox.read(OPERATOR)[0].text


# --- document ---


@pytest.mark.parametrize(
    ("person", "error", "state"),
    [
        ("expired-card", DocumentExpired, State.NEEDS_INPUT),
        ("child", UnderAge, State.REJECTED),
    ],
)
def test_documents_that_are_refused(world: World, person: str, error: type[Exception], state: State) -> None:
    """An expired card asks for another; who is too young is refused. The reason stands with the enrolment."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(error):
        world.submit(actor, name, specimens()[person])
    after = world.state(name)
    assert after.state is state
    assert after.reason == f"reason_{error.code.removeprefix('ekyc.')}"  # type: ignore[attr-defined]
    if state is State.NEEDS_INPUT:
        assert world.submit(actor, name, specimens()["adult"]).state is State.DOCUMENT_VALIDATED


def test_a_card_is_good_on_its_last_day_in_cambodia(world: World) -> None:
    """The day is counted in Phnom Penh: at 17:30 UTC it is the next day there."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    card = specimens()["adult"]
    last = world.clock.now().replace(year=2033, month=4, day=12, hour=16, minute=30)
    world.clock.set(last)
    enrolment = world.start()[1]
    assert enrolment.created_at == last
    actor, name = world.until(State.CONTACT_VERIFIED)
    world.clock.advance(timedelta(hours=1))
    with pytest.raises(DocumentExpired):
        world.submit(actor, name, card)
    world.clock.advance(-timedelta(hours=1))
    assert world.submit(actor, name, card).state is State.DOCUMENT_VALIDATED


def test_ages_are_full_years() -> None:
    """A birthday counts on its day; 29 February counts on 1 March in other years."""
    assert age_on(date(2008, 6, 2), date(2026, 6, 1)) == 17
    assert age_on(date(2008, 6, 2), date(2026, 6, 2)) == 18
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17
    assert age_on(date(2008, 2, 29), date(2026, 3, 1)) == 18


def test_other_documents_and_unknown_births(world: World) -> None:
    """A passport is not accepted yet; a card without a full birth date goes to an office. Nothing is kept of them."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    fields = {"document_code": "P", "issuer": "KHM", "document_number": "N00000001", "date_of_birth": "900413"}
    passport = write(TD3, fields | {"sex": "F", "nationality": "KHM", "date_of_expiry": "330412"}, "SPECIMEN", "SOPHEA")
    with pytest.raises(DocumentNotAccepted):
        world.service.document.submit(actor, name, passport, "គំរូ", "សុភា")
    from dataclasses import replace

    with pytest.raises(BirthDateIncomplete):
        world.submit(actor, name, replace(specimens()["adult"], date_of_birth="1990-04-<<"))
    assert world.state(name).state is State.CONTACT_VERIFIED
    assert "document" not in {record.kind for record in world.service.files.ledger(world.state(name))}


# --- registry ---


@pytest.mark.parametrize("person", ["adult", "leading-zero", "lifetime-card"])
def test_specimens_match(world: World, person: str) -> None:
    """Ordinary people match: also with a number that begins with zero, and with a card for life."""
    world.until(State.REGISTRY_MATCHED, person)


def test_a_silent_registry_means_wait(both_worlds: World, registry_process: RegistryProcess) -> None:
    """Down, broken or slow, the enrolment waits; asked again when it is back, it goes on."""
    actor, name = both_worlds.until(State.DOCUMENT_VALIDATED)
    for behaviour in ({"outage": True}, {"broken": True}):
        registry_process.switch(**behaviour)
        waiting = both_worlds.service.registry.match(actor, name)
        assert (waiting.state, waiting.reason) == (State.WAITING_REGISTRY, "reason_registry_unavailable")
        assert waiting.retry_at == both_worlds.clock.now() + timedelta(seconds=30)
    registry_process.switch()
    matched = both_worlds.service.registry.match(actor, name)
    assert (matched.state, matched.retry_at, matched.reason) == (State.REGISTRY_MATCHED, None, None)


def _query() -> RegistryQuery:
    one = specimens()["adult"]
    born = date.fromisoformat(one.date_of_birth)
    return RegistryQuery(
        one.document_number, one.surname, one.given_names, born, one.sex, one.surname_km, one.given_names_km
    )


def test_slow_and_dead_registries_are_unavailable(registry_process: RegistryProcess) -> None:
    """A registry that takes too long, or is not there at all, is unavailable and nothing else."""
    hasty = HttpRegistry(RegistryHttpSettings(url=registry_process.url, timeout_seconds=0.2))
    registry_process.switch(delay_seconds=1)
    with pytest.raises(RegistryUnavailable):
        hasty.match(_query())
    hasty.close()
    with RegistryProcess.start() as short_lived:
        adapter = HttpRegistry(RegistryHttpSettings(url=short_lived.url, timeout_seconds=60))
        assert adapter.match(_query()).outcome.value == "match"
    with pytest.raises(RegistryUnavailable):
        adapter.match(_query())
    adapter.close()


def test_no_match_asks_again_and_then_refuses(both_worlds: World) -> None:
    """The registry has another birth: look again, wait, and after three answers it is refused."""
    person = specimens()["wrong-birth"]
    actor, name = both_worlds.until(State.DOCUMENT_VALIDATED, person)
    for left in (2, 1):
        with pytest.raises(RegistryNoMatch) as told:
            both_worlds.service.registry.match(actor, name)
        assert told.value.params["left"] == left
        assert both_worlds.state(name).state is State.NEEDS_INPUT
        with pytest.raises(RetryLater):
            both_worlds.submit(actor, name, person)
        both_worlds.clock.advance(timedelta(minutes=1))
        both_worlds.submit(actor, name, person)
    with pytest.raises(RegistryNoMatch):
        both_worlds.service.registry.match(actor, name)
    after = both_worlds.state(name)
    assert (after.state, after.reason) == (State.REJECTED, "reason_registry_no_match")


def test_the_deceased_are_refused(world: World) -> None:
    """Only to who knows everything else does the registry tell it; the enrolment is refused."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "deceased")
    with pytest.raises(PersonDeceased):
        world.service.registry.match(actor, name)
    assert world.state(name).reason == "reason_person_deceased"


def test_unknown_persons_do_not_match(world: World) -> None:
    """Somebody whom the registry does not have does not match."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "not-registered")
    with pytest.raises(RegistryNoMatch):
        world.service.registry.match(actor, name)


def test_one_person_is_enrolled_once(both_worlds: World) -> None:
    """A second enrolment of an approved person is refused; also when both were on their way at the same time."""
    _, late = both_worlds.until(State.REGISTRY_MATCHED, series(7))
    both_worlds.until(State.APPROVED, series(7))
    actor, name = both_worlds.until(State.DOCUMENT_VALIDATED, series(7))
    with pytest.raises(DuplicatePerson):
        both_worlds.service.registry.match(actor, name)
    assert both_worlds.state(name).reason == "reason_duplicate_person"
    overtaken = both_worlds.review(late)
    assert (overtaken.state, overtaken.reason) == (State.REJECTED, "reason_duplicate_person")
    assert both_worlds.service.decider.replay(late)[0].outcome.value == "rejected"


def test_who_withdrew_can_enrol_again(world: World) -> None:
    """A withdrawn approval no longer holds the person."""
    actor, name = world.until(State.APPROVED, series(8))
    world.service.enrolment.withdraw(actor, name)
    world.until(State.APPROVED, series(8))


# --- review ---
