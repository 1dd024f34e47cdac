"""Each step and what it refuses: contact codes, documents, registry, review, issuance."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

import ekyc.store
from ekyc.config import RegistryHttpSettings
from ekyc.contact import Channel, canonical_address
from ekyc.document import age_on
from ekyc.errors import (
    BirthDateIncomplete,
    CertificateMismatch,
    ContactInvalid,
    DocumentExpired,
    DocumentNotAccepted,
    DuplicatePerson,
    EnrolmentExpired,
    EvidenceChanged,
    GuardianNeeded,
    InPersonNeeded,
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
    ReviewReasonUnknown,
    SelfReview,
    TermsOutdated,
    UnderAge,
    WithdrawTooLate,
    WrongState,
)
from ekyc.model import State
from ekyc.mrz import TD3, write
from ekyc.ports import CitizenCertificateRequest, IssuedCertificate, RegistryQuery
from ekyc.registry_http import HttpRegistry
from ekyc.registry_simulation.persons import series, specimens
from ekyc.registry_simulation.process import RegistryProcess
from ekyc.review import Method, Verdict
from ekyc.terms import Acceptance
from foundation.http.actor import Forbidden
from foundation.keys.errors import PinIncorrect, PinInvalid
from tests.ekyc.story import OFFICER, OPERATOR, PHONE, PIN, SmallCa, World

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
        ("minor", GuardianNeeded, State.REJECTED),
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
        adapter = HttpRegistry(RegistryHttpSettings(url=short_lived.url))
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


def test_a_review_needs_the_evidence_that_was_seen(world: World) -> None:
    """A verdict on other evidence, with a reason that does not fit, or on one's own enrolment is refused."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    decide = world.service.review.decide
    seen = world.service.review.show(OFFICER, name).evidence_digest
    with pytest.raises(EvidenceChanged):
        decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", "0" * 64)
    for verdict, reason in ((Verdict.BIND, "document-suspicious"), (Verdict.REJECT, "nothing")):
        with pytest.raises(ReviewReasonUnknown):
            decide(OFFICER, name, verdict, Method.IN_PERSON, reason, seen)
    world.staff.persons[OFFICER.id] = actor.id
    with pytest.raises(SelfReview):
        world.service.review.show(OFFICER, name)
    with pytest.raises(SelfReview):
        decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", seen)
    assert world.state(name).state is State.REGISTRY_MATCHED


def test_an_officer_is_known_under_another_enrolment_too(world: World) -> None:
    """The same human being with a second enrolment is still the officer: told by the index of the person."""
    own, _ = world.until(State.REGISTRY_MATCHED, "officer")
    _, second = world.until(State.REGISTRY_MATCHED, "officer")
    world.staff.persons[OFFICER.id] = own.id
    with pytest.raises(SelfReview):
        world.review(second)


def test_an_officer_can_refuse(world: World) -> None:
    """A refusal ends the enrolment, with its reason."""
    _, name = world.until(State.REGISTRY_MATCHED)
    refused = world.review(name, Verdict.REJECT, Method.REMOTE_VIDEO, "person-is-not-holder")
    assert (refused.state, refused.reason) == (State.REJECTED, "reason_officer_refused")


def test_a_referred_case_needs_the_person(both_worlds: World) -> None:
    """What the registry or an officer refers, nobody can bind from afar; seen in person, it is approved."""
    actor, name = both_worlds.until(State.DOCUMENT_VALIDATED, "differs-in-khmer")
    assert both_worlds.service.registry.match(actor, name).state is State.REFERRED_IN_PERSON
    with pytest.raises(InPersonNeeded):
        both_worlds.review(name)
    assert both_worlds.review(name, method=Method.IN_PERSON).state is State.APPROVED
    _, other = both_worlds.until(State.REGISTRY_MATCHED, series(9))
    referred = both_worlds.review(other, Verdict.REFER, Method.REMOTE_VIDEO, "cannot-tell-remotely")
    assert referred.reason == "reason_officer_referred"
    with pytest.raises(InPersonNeeded):
        both_worlds.review(other)


def test_the_highest_level_is_in_person(world: World) -> None:
    """IAL3 is not approved by a video: the policy refers, naming the rule that is not met."""
    _, name = world.until(State.REGISTRY_MATCHED, series(10), level="IAL3")
    referred = world.review(name)
    assert (referred.state, referred.reason) == (State.REFERRED_IN_PERSON, "reason_binding_in_person")
    assert world.review(name, method=Method.IN_PERSON).state is State.APPROVED
    decisions = world.service.decider.replay(name)
    assert [one.outcome.value for one in decisions] == ["refer", "approved"]
    assert [one.rule for one in decisions[0].against] == ["EKYC-IAL3-BINDING"]


def test_the_queue_is_paged(world: World) -> None:
    """Pages follow each other and lose nobody."""
    names = {world.until(State.REGISTRY_MATCHED, series(n))[1] for n in range(20, 25)}
    found: set[str] = set()
    cursor = None
    for _ in range(3):
        page = world.service.review.queue(cursor, 2)
        found |= {item.id for item in page.items}
        cursor = page.next_cursor
    assert (found, cursor) == (names, None)


# --- factors, key, certificate ---


def test_factors_refuse_and_can_be_set_again(world: World) -> None:
    """A guessable PIN and a wrong code are refused; until a code is confirmed, another secret can be had."""
    actor, name = world.until(State.APPROVED, series(30))
    with pytest.raises(PinInvalid):
        world.service.issuance.enrol_factors(actor, name, "123456")
    first = world.service.issuance.enrol_factors(actor, name, PIN)
    assert first != world.service.issuance.enrol_factors(actor, name, PIN)
    with pytest.raises(PinIncorrect):
        world.service.issuance.confirm_factors(actor, name, "abcdef")
    assert world.bind_factors(actor, name).state is State.FACTOR_BOUND


class Killed(BaseException):
    """The process ends here."""


def test_a_kill_at_every_stage_loses_nothing(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after token or CA did its part and before it was written down, the next call goes on from there."""
    world = both_worlds
    actor, name = world.until(State.APPROVED, series(31 if world.database.dialect == "sqlite" else 32))
    files = world.service.files

    def killed(*_: object, **__: object) -> None:
        raise Killed

    def kill_at(stage: str, step: object) -> None:
        monkeypatch.setattr(files, "record", killed)
        with pytest.raises(Killed):
            step()  # type: ignore[operator]
        monkeypatch.undo()
        assert world.state(name).state.value == stage

    kill_at("APPROVED", lambda: world.bind_factors(actor, name))
    assert world.service.issuance.confirm_factors(actor, name, "000000").state is State.FACTOR_BOUND
    kill_at("FACTOR_BOUND", lambda: world.service.issuance.certificate(actor, name))
    world.service.issuance._make_key(actor, world.state(name))
    kill_at("KEY_GENERATED", lambda: world.service.issuance.certificate(actor, name))
    world.service.issuance._certify(actor, world.state(name))
    kill_at("CERTIFICATE_ISSUED", lambda: world.service.issuance.certificate(actor, name))
    done = world.restarted().issuance.certificate(actor, name)
    assert done.state is State.ACTIVATED
    assert len(world.token.find(owner=actor.id)) == len(world.ca.issued) == len(world.credentials.registered) == 1
    assert {request.enrolment_id for request in world.ca.requests} == {name}


def test_a_certificate_for_another_key_is_not_taken(world: World) -> None:
    """Whatever the issuer answers, the certificate must be for the key that was made."""
    actor, name = world.until(State.FACTOR_BOUND, series(33))
    _, elsewhere = world.until(State.ACTIVATED, series(34))

    class WrongCa(SmallCa):
        def issue_citizen(self, request: CitizenCertificateRequest) -> IssuedCertificate:  # noqa: ARG002
            return world.ca.issued[elsewhere]

    with pytest.raises(CertificateMismatch):
        world.restarted(issuer=WrongCa(world.clock)).issuance.certificate(actor, name)
    assert world.state(name).state is State.KEY_GENERATED
    with pytest.raises(WithdrawTooLate):
        world.service.enrolment.withdraw(actor, name)


def test_steps_out_of_order_say_what_is_next(world: World) -> None:
    """A step that is not next is a conflict which names the steps that are."""
    actor, name = world.until(State.CONSENTED)
    for step in (
        lambda: world.submit(actor, name, specimens()["adult"]),
        lambda: world.service.registry.match(actor, name),
        lambda: world.service.issuance.enrol_factors(actor, name, PIN),
        lambda: world.service.issuance.certificate(actor, name),
        lambda: world.review(name),
    ):
        with pytest.raises(WrongState) as told:
            step()
        assert told.value.names == ("contact", "verify-contact", "withdraw")


def test_the_ledger_and_decisions_cannot_be_changed_unseen(world: World) -> None:
    """A changed record breaks the chain; a changed decision does not replay."""
    from ekyc.errors import EvidenceChainBroken
    from ekyc.evidence import verify_chain

    _, name = world.until(State.APPROVED, series(35))
    verify_chain(world.service.files.ledger(world.state(name)))
    table = ekyc.store.decisions
    with world.database.unit_of_work() as connection:
        document = connection.execute(select(table.c.document)).scalar_one()
        connection.execute(table.update().values(document=document.replace("IAL2", "IAL3")))
    with pytest.raises(ValueError, match="does not follow"):
        world.service.decider.replay(name)
    with world.database.unit_of_work() as connection:
        records = ekyc.store.evidence
        connection.execute(records.update().where(records.c.kind == "registry").values(outcome="review"))
    with pytest.raises(EvidenceChainBroken):
        verify_chain(world.service.files.ledger(world.state(name)))
