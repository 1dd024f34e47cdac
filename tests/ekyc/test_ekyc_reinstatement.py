"""The way back from SUSPENDED, by two officers; and what the base registry tells of the enrolled."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

import ekyc.recall.reinstatement
from ekyc import store
from ekyc.documents.lost import LostDocument
from ekyc.errors import (
    DocumentReportedLost,
    EvidenceChanged,
    RegistryUnavailable,
    ReviewReasonUnknown,
    ReviewSignatureInvalid,
    SelfReview,
    WrongState,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.lifecycle_errors import ReinstatementImpossible, ReinstatementSameOfficer
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.recall.desk import ROLE, Origin
from ekyc.registry.subjects import RegistrySubjectIndex
from ekyc.registry_simulation.persons import series
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.families import CODE, minor
from tests.ekyc.story import KEEPERS, PIN, World

FIRST, OTHER = (Actor(ActorKind.OFFICER, f"OFF-BACK-{n}", frozenset({ROLE})) for n in (1, 2))
ADAPTER = Actor(ActorKind.CLIENT, "registry")


def suspended(world: World, state: State = State.ACTIVATED, number: int = 800) -> tuple[Actor, str]:
    """Somebody whose registry answer was called back."""
    for officer in (FIRST, OTHER):
        world.staff.add(officer)
    actor, name = world.until(state, series(number))
    recalls = world.service.recalls
    origin = Origin(control="EKYC-REGISTRY")
    recalls.confirm(OTHER, recalls.propose(FIRST, origin, recalls.look(origin).digest).recall_id)
    assert world.state(name).state is State.SUSPENDED
    return actor, name


def speak(
    world: World,
    name: str,
    officer: Actor,
    reason: str = "evidence-is-sound",
    method: Method = Method.RECORD,
    seen: str | None = None,
) -> State:
    """An officer's signed word on the evidence as it stands."""
    digest = seen or world.service.reinstatements.show(officer, name).evidence_digest
    said = review_statement.statement(name, digest, "reinstate", method.value, reason)
    signature = review_statement.sign(world.staff.keys[officer.id], said)
    return world.service.reinstatements.decide(officer, name, reason, method, digest, signature).state


@pytest.mark.parametrize("stood", [State.ACTIVATED, State.FACTOR_BOUND, State.APPROVED])
def test_two_officers_bring_somebody_back_to_where_they_stood(both_worlds: World, stood: State) -> None:
    """The first word changes nothing, the second releases the certificates; the ledger has both signatures; and the way
    goes on to a certificate, or a login, as if nothing had been."""
    world = both_worlds
    actor, name = suspended(world, stood)
    assert {person for person, _ in world.ca.held} == {actor.id}
    world.clock.advance(timedelta(days=40))  # longer than an enrolment that nobody finishes is kept
    assert speak(world, name, FIRST) is State.SUSPENDED
    assert world.service.reinstatements.show(OTHER, name).proposed_by == str(FIRST)
    assert speak(world, name, OTHER, "person-seen-again", Method.IN_PERSON) is stood
    assert world.ca.held == []
    world.service.enrolment.sweep()
    assert world.state(name).state is stood
    record = latest(world.service.files.ledger(world.state(name)), EvidenceKind.REINSTATEMENT)
    assert record is not None
    assert (record.control, record.actor, record.facts["first"]) == ("EKYC-REINSTATEMENT", str(OTHER), str(FIRST))
    for officer, part in ((FIRST, "first_"), (OTHER, "")):
        said = review_statement.statement(
            name,
            record.facts["seen"],
            "reinstate",
            record.facts[f"{part}method"],
            record.facts[f"{part}reason"],
        )
        review_statement.check(world.staff.key_of(officer.id), said, record.facts[f"{part}signature"])
    if stood is State.APPROVED:
        world.bind_factors(actor, name)
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    assert world.service.approvals.for_login(actor.id, b"SPECIMEN") is not None
    world.service.decider.replay(name)
    world.audit.verify(world.database)
    with pytest.raises(WrongState):
        world.service.reinstatements.show(FIRST, name)


def test_a_document_that_was_called_back_is_read_as_it_was_shown(world: World) -> None:
    """The record that calls it back has no content: after the way back the name comes from the document."""
    for officer in (FIRST, OTHER):
        world.staff.add(officer)
    actor, name = world.until(State.ACTIVATED, series(801))
    recalls, origin = world.service.recalls, Origin(control="EKYC-DOCUMENT-MRZ")
    recalls.confirm(OTHER, recalls.propose(FIRST, origin, recalls.look(origin).digest).recall_id)
    speak(world, name, FIRST)
    assert speak(world, name, OTHER) is State.ACTIVATED
    login = world.service.approvals.for_login(actor.id, b"SPECIMEN")
    assert login is not None
    assert dict(login.subject)["surname"] == "SPECIMEN"


# --- attacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", ["on", "off"])
def test_one_officer_alone(world: World, monkeypatch: pytest.MonkeyPatch, control: str) -> None:
    """Speaking twice is refused; with the control off one officer would have been enough."""
    _, name = suspended(world)
    speak(world, name, FIRST)
    if control == "off":
        monkeypatch.setattr(ekyc.recall.reinstatement, "is_another", lambda *_: True)
        assert speak(world, name, FIRST) is State.ACTIVATED
    else:
        with pytest.raises(ReinstatementSameOfficer):
            speak(world, name, FIRST)
        assert world.state(name).state is State.SUSPENDED


@pytest.mark.parametrize("control", ["on", "off"])
def test_an_officer_s_own_case(world: World, monkeypatch: pytest.MonkeyPatch, control: str) -> None:
    """Nobody brings themselves back, unless the control is off."""
    actor, name = suspended(world)
    speak(world, name, FIRST)
    world.staff.persons[OTHER.id] = actor.id
    if control == "off":
        monkeypatch.setattr(world.service.review, "is_their_own", lambda *_: False)
        assert speak(world, name, OTHER) is State.ACTIVATED
    else:
        with pytest.raises(SelfReview):
            speak(world, name, OTHER)


def test_what_is_signed_is_what_stands(world: World) -> None:
    """Another digest, another officer's key, another reason than signed, a reason nobody knows, one that needs to see
    the person: all refused. Evidence that came in between makes the first word void."""
    actor, name = suspended(world)
    desk = world.service.reinstatements
    digest = desk.show(FIRST, name).evidence_digest
    with pytest.raises(EvidenceChanged):
        speak(world, name, FIRST, seen="0" * 64)
    said = review_statement.statement(name, digest, "reinstate", "record", "evidence-is-sound")
    for key, reason in ((OTHER, "evidence-is-sound"), (FIRST, "person-seen-again")):
        signature = review_statement.sign(world.staff.keys[key.id], said)
        method = Method.RECORD if reason == "evidence-is-sound" else Method.IN_PERSON
        with pytest.raises(ReviewSignatureInvalid):
            desk.decide(FIRST, name, reason, method, digest, signature)
    for reason, method in (("because", Method.IN_PERSON), ("person-seen-again", Method.RECORD)):
        with pytest.raises(ReviewReasonUnknown):
            speak(world, name, FIRST, reason, method)
    speak(world, name, FIRST)
    RegistrySubjectIndex(world.service.files, world.service.lost_documents).follow(
        ADAPTER, "EVENT-1", "death", series(800).document_number, (actor.id,)
    )
    assert desk.show(OTHER, name).proposed_by is None


def test_a_policy_without_a_way_back_has_none(world: World) -> None:
    """As every policy was before."""
    _, name = suspended(world)
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    del data["reinstatement"]
    world.service = world.restarted(policy=parse_policy(data))
    with pytest.raises(ReinstatementImpossible):
        speak(world, name, FIRST)


def test_killed_before_the_certificates_are_released(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upkeep releases them, once."""
    _, name = suspended(world)
    speak(world, name, FIRST)

    def killed(*_: Any) -> None:
        raise RegistryUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(world.ca, "release_citizens", killed)
        with pytest.raises(RegistryUnavailable):
            speak(world, name, OTHER)
    assert (world.state(name).state, len(world.ca.held)) == (State.ACTIVATED, 1)
    assert world.service.reinstatements.resume() == 1
    assert world.ca.held == []
    assert world.service.reinstatements.resume() == 0


def test_a_minor_comes_back_with_a_guardian_alone(family: World) -> None:
    """After the guardian withdrew, officers cannot bring the minor back before a guardian answers anew."""
    mother, _ = family.until(State.ACTIVATED, "adult")
    actor, name, code = minor(family)
    desk = family.service.guardians
    desk.accept(mother, code, "mother", PIN, CODE)
    family.review(name)
    for officer in (FIRST, OTHER):
        family.staff.add(officer)
    desk.withdraw(mother, name)
    with pytest.raises(ReinstatementImpossible):
        speak(family, name, FIRST)
    desk.accept(mother, desk.invite(actor, name).code, "mother", PIN, CODE)
    assert family.state(name).state is State.SUSPENDED
    speak(family, name, FIRST)
    assert speak(family, name, OTHER) is State.APPROVED


# --- what the registry tells -----------------------------------------------------------------------------------------


def told(world: World, kind: str, number: int, event: str = "EVENT-1") -> None:
    person = series(number)
    index = RegistrySubjectIndex(world.service.files, world.service.lost_documents)
    _, persons = index.find(person.document_number, date.fromisoformat(person.date_of_birth))
    index.follow(ADAPTER, event, kind, person.document_number, persons)


def test_a_death_ends_the_enrolment_for_good(both_worlds: World) -> None:
    """Approved: suspended without a way back. Before: rejected. Told again, nothing changes."""
    world = both_worlds
    for officer in (FIRST, OTHER):
        world.staff.add(officer)
    _, name = world.until(State.ACTIVATED, series(810))
    for _ in range(2):
        told(world, "death", 810)
    dead = world.state(name)
    assert (dead.state, dead.reason) == (State.SUSPENDED, "reason_person_deceased")
    records = [one for one in world.service.files.ledger(dead) if one.outcome == "deceased"]
    assert len(records) == 1
    with pytest.raises(ReinstatementImpossible):
        speak(world, name, FIRST)
    _, waiting = world.until(State.REGISTRY_MATCHED, series(811))
    told(world, "death", 811, "EVENT-2")
    assert world.state(waiting).state is State.REJECTED
    world.service.decider.replay(name)


def test_a_lost_card_suspends_until_it_is_found(world: World) -> None:
    """It is refused wherever it is shown; two officers bring its holder back once it is off the list."""
    for officer in (FIRST, OTHER):
        world.staff.add(officer)
    _, name = world.until(State.ACTIVATED, series(812))
    actor, waiting = world.until(State.REGISTRY_MATCHED, series(813))
    told(world, "card-lost", 812)
    told(world, "card-lost", 813, "EVENT-2")
    assert world.state(name).reason == "reason_document_reported_lost"
    assert world.state(waiting).state is State.NEEDS_INPUT
    with pytest.raises(DocumentReportedLost):
        world.submit(actor, waiting, series(813))
    with pytest.raises(ReinstatementImpossible):
        speak(world, name, FIRST)
    world.service.lost_documents.found_again(KEEPERS[0], [LostDocument("KHM", series(812).document_number)])
    speak(world, name, FIRST)
    assert speak(world, name, OTHER) is State.ACTIVATED


def test_a_death_after_a_suspension_is_the_reason_that_stays(world: World) -> None:
    """Who was suspended for something else and died has no way back any more."""
    _, name = suspended(world, number=814)
    told(world, "death", 814)
    assert world.state(name).reason == "reason_person_deceased"
    with pytest.raises(ReinstatementImpossible):
        speak(world, name, FIRST)


def test_reinstatements_over_http(world: World) -> None:
    """An officer sees why and what to sign; two of them answer."""
    _, name = suspended(world, number=815)
    world.sessions.staff |= {"back-1": FIRST, "back-2": OTHER}
    client = world.client()
    for officer, who in ((FIRST, "back-1"), (OTHER, "back-2")):
        headers = {"Authorization": f"Staff {who}"}
        shown = client.get(f"/ekyc/v1/reinstatements/{name}", headers=headers).json()
        assert shown["enrolment"]["reasons"][0]["code"] == "reason_evidence_recalled"
        digest = shown["evidence_digest"]
        said = review_statement.statement(name, digest, "reinstate", "record", "evidence-is-sound")
        body = {
            "reason": "evidence-is-sound",
            "method": "record",
            "evidence_digest": digest,
            "signature": review_statement.sign(world.staff.keys[officer.id], said),
        }
        answered = client.post(f"/ekyc/v1/reinstatements/{name}", json=body, headers=headers)
        assert answered.status_code == 200
    assert answered.json()["state"] == "ACTIVATED"
    with world.database.read() as connection:
        assert store.load(connection, name).reason is None
