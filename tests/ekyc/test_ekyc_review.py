"""Reviews: drawn at random, signed by the officer, by two where the policy says so; each control also switched off."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

import ekyc.store
from ekyc.errors import NotAssigned, ReviewReasonUnknown, ReviewSignatureInvalid, SelfReview, WrongState
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.ports import RegistryOutcome
from ekyc.registry_simulation.persons import series
from ekyc.review import statement as review_statement
from ekyc.review import store as review_store
from ekyc.review.desk import Method, Verdict
from ekyc.review.sealed_cases import SealedTests
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.errors import OwnerDestroyed
from foundation.vault import SealBroken
from tests.ekyc.story import OFFICER, SECOND, THIRD, World

OFFICERS = {one.id: one for one in (OFFICER, SECOND, THIRD)}


def turn(world: World, name: str) -> Actor:
    drawn = world.service.review.assignments.turn_of(world.state(name))
    assert drawn is not None
    return OFFICERS[drawn]


def three(world: World) -> World:
    for officer in (SECOND, THIRD):
        world.staff.add(officer)
    return world


def test_a_case_is_drawn_for_an_officer_and_stays_theirs(both_worlds: World) -> None:
    """One officer sees it in their queue and can open it; the others see and open nothing."""
    world = three(both_worlds)
    _, name = world.until(State.REGISTRY_MATCHED, series(700))
    theirs = turn(world, name)
    for officer in OFFICERS.values():
        mine = [item.id for item in world.service.review.queue(officer, None, 10).items]
        assert mine == ([name] if officer is theirs else [])
        if officer is not theirs:
            with pytest.raises(NotAssigned):
                world.service.review.show(officer, name)
            with pytest.raises(NotAssigned):
                world.decide(officer, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", "0" * 64)
    assert turn(world, name) is theirs
    assert world.review(name, officer=theirs).state is State.APPROVED


def test_officers_are_drawn_by_chance(world: World) -> None:
    """Over sixty cases each of three officers gets some: nobody can tell beforehand who."""
    three(world)
    names = [world.start()[1].id for _ in range(60)]
    with world.database.unit_of_work() as connection:
        connection.execute(ekyc.store.enrolments.update().values(state="REGISTRY_MATCHED"))
    drawn = Counter(turn(world, name).id for name in names)
    assert set(drawn) == set(OFFICERS)


def test_a_turn_that_passes_is_another_s(world: World) -> None:
    """After the hours of a turn another officer is drawn; one who is disabled loses theirs at once."""
    three(world)
    _, name = world.until(State.REGISTRY_MATCHED, series(701))
    first = turn(world, name)
    world.clock.advance(timedelta(hours=world.service.files.settings.review_turn_hours, seconds=1))
    second = turn(world, name)
    assert second is not first
    with pytest.raises(NotAssigned):
        world.review(name, officer=first)
    del world.staff.keys[second.id]
    third = turn(world, name)
    assert third not in (first, second)
    world.staff.keys.clear()
    assert world.service.review.assignments.turn_of(world.state(name)) is None


def test_with_nobody_to_draw_it_waits(world: World) -> None:
    """No officers, or only the applicant themselves: the case waits, and is drawn when somebody is there."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(702))
    world.staff.persons[OFFICER.id] = actor.id
    assert world.service.review.assignments.turn_of(world.state(name)) is None
    assert world.service.review.queue(OFFICER, None, 10).items == ()
    world.staff.add(SECOND)
    assert [one.id for one in world.service.review.queue(SECOND, None, 10).items] == [name]


def test_two_officers_where_the_level_says_so(both_worlds: World) -> None:
    """IAL3 waits for a second, different officer; both signatures are in the ledger; the person sees the state."""
    world = three(both_worlds)
    _, name = world.until(State.REGISTRY_MATCHED, series(703), level="IAL3")
    first = turn(world, name)
    assert world.review(name, method=Method.IN_PERSON, officer=first).state is State.REVIEW_2
    second = turn(world, name)
    assert second is not first
    with pytest.raises(NotAssigned):
        world.review(name, method=Method.IN_PERSON, officer=first)
    assert world.second(name).state is State.APPROVED
    said = [one for one in world.service.files.ledger(world.state(name)) if one.kind is EvidenceKind.REVIEW]
    assert {one.actor for one in said} == {str(first), str(second)}
    for one in said:
        key = world.staff.key_of(one.actor.partition(":")[2])
        facts = one.facts
        again = review_statement.statement(name, facts["seen"], "bind", facts["method"], facts["reason"])
        review_statement.check(key, again, facts["signature"])
    world.service.decider.replay(name)


def test_one_officer_twice_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even without the drawing of officers, the policy counts different ones; a policy that counts records would
    take the same officer twice."""
    three(world)
    _, name = world.until(State.REGISTRY_MATCHED, series(704), level="IAL3")
    monkeypatch.setattr(world.service.review.assignments, "check", lambda *_: None)
    for _ in range(3):
        assert world.review(name, method=Method.IN_PERSON).state is State.REVIEW_2
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    for rule in data["levels"]["IAL3"]["rules"]:
        for conditions in rule["any"]:
            for condition in conditions:
                condition.pop("distinct", None)
    off = world.restarted(policy=parse_policy(data))
    monkeypatch.setattr(off.review.assignments, "check", lambda *_: None)
    world.service = off
    assert world.review(name, method=Method.IN_PERSON).state is State.APPROVED


def test_risk_asks_for_a_second_officer(world: World) -> None:
    """At IAL2 one officer is enough while there is little risk; with more, another one is asked."""
    three(world)
    actor, name = world.until(State.DOCUMENT_VALIDATED, "differs-in-khmer")
    world.service.registry.match(actor, name)
    world.review(name, Verdict.REFER, Method.IN_PERSON, "registry-differs", officer=turn(world, name))
    assert world.review(name, method=Method.IN_PERSON, officer=turn(world, name)).state is State.REVIEW_2
    assert world.second(name).state is State.APPROVED
    [decision] = world.service.decider.replay(name)
    assert b'"score":50' in decision.document


def test_the_record_alone_binds_nobody(world: World) -> None:
    """A single officer who saw nobody binds nobody: it goes to somebody who sees the person."""
    _, name = world.until(State.REGISTRY_MATCHED, series(705))
    referred = world.review(name, method=Method.RECORD, reason="evidence-agrees")
    assert (referred.state, referred.reason) == (State.REFERRED_IN_PERSON, "reason_binding")


# --- each control, on and off ---


def _unsigned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ekyc.review.desk.check", lambda *_: None)


def _unassigned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.service.review.assignments, "check", lambda *_: None)


def _own_cases(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.service.review, "is_their_own", lambda *_: False)
    monkeypatch.setattr(world.service.review.assignments, "_own", lambda *_: False)


def _by_stolen_session(world: World, actor: Actor, name: str) -> Any:
    """Somebody with the officer's session and another key."""
    seen = world.service.review.show(OFFICER, name).evidence_digest
    world_key, world.staff.keys["other"] = world.staff.keys[OFFICER.id], world.staff.keys[OFFICER.id]
    from cryptography.hazmat.primitives.asymmetric import ec

    said = review_statement.statement(name, seen, "bind", "in-person", "person-is-holder")
    forged = review_statement.sign(ec.generate_private_key(ec.SECP256R1()), said)
    del world.staff.keys["other"], world_key
    return world.service.review.decide(OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", seen, forged)


def _of_another_verdict(world: World, actor: Actor, name: str) -> Any:
    """The officer signed a refusal; on the way it became an approval."""
    seen = world.service.review.show(OFFICER, name).evidence_digest
    said = review_statement.statement(name, seen, "reject", "in-person", "person-is-not-holder")
    signature = review_statement.sign(world.staff.keys[OFFICER.id], said)
    return world.service.review.decide(
        OFFICER, name, Verdict.BIND, Method.IN_PERSON, "person-is-holder", seen, signature
    )


def _chosen(world: World, actor: Actor, name: str) -> Any:
    """An officer who was not drawn takes the case of a friend."""
    world.staff.add(SECOND)
    return world.review(name, officer=SECOND)


def _approving_themselves(world: World, actor: Actor, name: str) -> Any:
    """The officer is the applicant."""
    world.staff.persons[OFFICER.id] = actor.id
    return world.review(name)


@pytest.mark.parametrize(
    ("attack", "off", "refusal"),
    [
        (_by_stolen_session, _unsigned, ReviewSignatureInvalid),
        (_of_another_verdict, _unsigned, ReviewSignatureInvalid),
        (_chosen, _unassigned, NotAssigned),
        (_approving_themselves, _own_cases, SelfReview),
    ],
    ids=["stolen-session", "changed-verdict", "chosen-case", "self-approval"],
)
def test_an_insider_is_refused_while_the_control_is_on(
    world: World, monkeypatch: pytest.MonkeyPatch, attack: Any, off: Any, refusal: type[CamTrustError]
) -> None:
    """With the control the attack is refused and nothing moves; without it, the same attack goes through."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(706))
    turn(world, name)
    with pytest.raises(refusal):
        attack(world, actor, name)
    assert world.state(name).state is State.REGISTRY_MATCHED
    off(world, monkeypatch)
    assert attack(world, actor, name).state is State.APPROVED


@pytest.mark.parametrize("bad", ["", "x", "a.b.c", "a" * 3000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_signature_is_refused(world: World, bad: str) -> None:
    """Nonsense, unsigned tokens and endless text are refused by the same words."""
    with pytest.raises(ReviewSignatureInvalid):
        review_statement.check(world.staff.key_of(OFFICER.id), b"{}", bad)
    with pytest.raises(ReviewSignatureInvalid):
        review_statement.check(None, b"{}", bad)


# --- the clock, and sealed tests ---


def test_the_person_sees_until_when(world: World) -> None:
    """From the first day of waiting the person is told a time; a second review does not move it; then it is gone."""
    three(world)
    actor, name = world.until(State.DOCUMENT_VALIDATED, series(707), level="IAL3")
    assert world.state(name).review_due_at is None
    promised = world.service.registry.match(actor, name).review_due_at
    assert promised == world.clock.now() + timedelta(hours=world.service.files.settings.review_hours)
    world.clock.advance(timedelta(hours=1))
    assert world.review(name, method=Method.IN_PERSON, officer=turn(world, name)).review_due_at == promised
    [item] = world.service.review.queue(turn(world, name), None, 10).items
    assert item.review_due_at == promised
    assert world.second(name).review_due_at is None


def seeded(world: World, right: tuple[str, ...]) -> str:
    person = series(708)
    content = {
        "document_number": person.document_number,
        "surname": person.surname,
        "given_names": "SERIES OTHER",
        "date_of_birth": person.date_of_birth,
    }
    return world.service.review.tests.seed(
        "operator:OPR-SPECIMEN", content, {"given_names": "mismatch"}, RegistryOutcome.REVIEW, right
    ).id


@pytest.mark.parametrize(("right", "good"), [(("reject", "refer"), False), (("bind",), True)])
def test_a_sealed_test_measures_and_ends(both_worlds: World, right: tuple[str, ...], good: bool) -> None:
    """It looks like any case, its answer can be read by nobody, and whatever is said no certificate can come of it."""
    world = both_worlds
    name = seeded(world, right)
    assert [one.id for one in world.service.review.queue(OFFICER, None, 10).items] == [name]
    case = world.service.review.show(OFFICER, name)
    assert "reject" not in repr(case)
    with world.database.read() as connection:
        sealed = connection.execute(select(review_store.tests.c.expected)).scalar_one()
    with pytest.raises((SealBroken, CamTrustError)):
        world.vault.open(case.enrolment.person_id, "review-test", bytes(sealed))
    ended = world.review(name, method=Method.IN_PERSON)
    assert (ended.state, ended.reason) == (State.WITHDRAWN, "reason_review_test")
    assert world.service.review.tests.results() == ((OFFICER.id, 1, int(good)),)
    assert latest(world.service.files.ledger(ended), EvidenceKind.DECISION) is None
    with pytest.raises(WrongState):
        world.review(name)
    world.service.enrolment.sweep()
    with pytest.raises(OwnerDestroyed):
        world.vault.seal(ended.person_id, "x", b"")


def test_a_test_case_that_was_not_marked_would_be_approved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mark (and with the index of a person) the same case goes to approval: it ends by the mark."""
    name = seeded(world, ("reject",))
    with world.database.unit_of_work() as connection:
        connection.execute(ekyc.store.enrolments.update().values(subject_index=bytes(32)))
    monkeypatch.setattr(SealedTests, "expected", lambda *_: None)
    assert world.review(name, method=Method.IN_PERSON).state is State.APPROVED
    with pytest.raises(ReviewReasonUnknown):
        seeded(world, ())
