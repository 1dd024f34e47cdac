"""Appeals against refusals: once, in time, by another officer than those before; each control on and off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

import ekyc.appeals.desk
from ekyc.appeals.desk import ROLE, AppealDesk, Word
from ekyc.appeals.errors import AppealLate, AppealMade, AppealOfficerBefore, AppealUnknown
from ekyc.errors import (
    EvidenceChanged,
    GateClosed,
    NotAssigned,
    RegistryNoMatch,
    ReviewReasonUnknown,
    ReviewSignatureInvalid,
    SelfReview,
    WrongState,
)
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import Enrolment, State
from ekyc.registry_simulation.persons import series, specimens
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method, ReviewDesk, Verdict
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.story import OFFICER, OPERATOR, SECOND, THIRD, World

ANOTHER, LAST = (Actor(ActorKind.OFFICER, f"OFF-APPEAL-{n}", frozenset({ROLE})) for n in (1, 2))
WHY = "That was me, with shorter hair."


def refused(world: World, number: int = 740) -> tuple[Actor, str]:
    """Somebody whom an officer refused."""
    for officer in (SECOND, THIRD, ANOTHER, LAST):
        world.staff.add(officer)
    world.staff.reviewers = lambda: [OFFICER.id]  # type: ignore[method-assign]
    actor, name = world.until(State.REGISTRY_MATCHED, series(number))
    world.review(name, Verdict.REJECT, reason="person-is-not-holder")
    assert world.state(name).state is State.REJECTED
    world.staff.reviewers = lambda: [OFFICER.id, SECOND.id, THIRD.id]  # type: ignore[method-assign]
    return actor, name


def speak(
    world: World,
    name: str,
    officer: Actor = ANOTHER,
    word: Word = Word.GRANT,
    reason: str = "refusal-was-wrong",
    signer: Actor | None = None,
) -> Enrolment:
    """An officer's signed word on the evidence as it stands."""
    desk = world.service.appeals
    digest = desk.show(officer, name).evidence_digest
    said = review_statement.statement(name, digest, word.value, "record", reason)
    signature = review_statement.sign(world.staff.keys[(signer or officer).id], said)
    return desk.decide(officer, name, word, reason, digest, signature)


def test_a_granted_appeal_goes_to_another_officer(both_worlds: World) -> None:
    """The applicant sees until when and by when; the statement is sealed; the case goes on to an officer who had no
    word in it, the decision is made anew, and every decision is still reproduced."""
    world = both_worlds
    actor, name = refused(world)
    desk = world.service.appeals
    before = desk.of_person(actor, name)
    assert (before.state, before.until) == ("possible", world.clock.now() + timedelta(days=90))
    world.clock.advance(timedelta(days=30))
    lodged = desk.lodge(actor, name, WHY)
    assert (lodged.state, lodged.due_at) == ("lodged", world.clock.now() + timedelta(days=14))
    assert world.state(name).review_due_at == lodged.due_at
    assert desk.waiting() == (name,)
    case = desk.show(ANOTHER, name)
    assert case.statement == WHY
    assert WHY not in str([vars(one) for one in world.service.files.ledger(world.state(name))])
    moved = speak(world, name)
    assert (moved.state, moved.reason) == (State.REFERRED_IN_PERSON, "reason_appeal_granted")
    assert "appeal was granted" in world.outbox.read(OPERATOR, actor.id)[0].text
    assert desk.of_person(actor, name).state == "granted"
    with pytest.raises(NotAssigned):
        world.review(name, method=Method.IN_PERSON)  # the officer of before
    turn = world.service.review.assignments.turn_of(moved)
    officer = next(one for one in (SECOND, THIRD) if one.id == turn)
    assert world.review(name, method=Method.IN_PERSON, officer=officer).state is State.APPROVED
    assert WHY in str(world.service.own_data.export(actor, name))
    assert str(ANOTHER) in [one.who for one in world.service.own_data.accesses(actor, name)]
    world.service.decider.replay(name)
    world.audit.verify(world.database)
    with pytest.raises(AppealUnknown):
        desk.show(LAST, name)


def test_an_upheld_refusal_stays_and_there_is_no_second_appeal(world: World) -> None:
    """With a reason that the applicant sees."""
    actor, name = refused(world, 741)
    world.service.appeals.lodge(actor, name, WHY)
    with pytest.raises(ReviewReasonUnknown):
        speak(world, name, word=Word.UPHOLD)
    assert speak(world, name, word=Word.UPHOLD, reason="nothing-new").state is State.REJECTED
    told = world.service.appeals.of_person(actor, name)
    assert (told.state, told.reason, world.state(name).review_due_at) == ("upheld", "nothing-new", None)
    with pytest.raises(AppealMade):
        world.service.appeals.lodge(actor, name, WHY)


def test_what_nobody_but_the_person_can_show_is_shown_again(world: World) -> None:
    """Refused by the registry, it is the person who goes on, with the document."""
    actor, name = refused_by_the_registry(world)
    world.staff.add(ANOTHER)
    world.service.appeals.lodge(actor, name, WHY)
    assert speak(world, name, reason="new-evidence").state is State.NEEDS_INPUT
    world.submit(actor, name, specimens()["adult"])
    assert world.service.registry.match(actor, name).state is State.REGISTRY_MATCHED
    world.staff.add(SECOND)  # two answers without a match are points of risk
    world.staff.reviewers = lambda: [OFFICER.id, SECOND.id]  # type: ignore[method-assign]
    assert world.approve(name).state is State.APPROVED
    world.service.decider.replay(name)


def refused_by_the_registry(world: World) -> tuple[Actor, str]:
    """Somebody whom the registry did not know three times."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    for _ in range(3):
        world.clock.advance(timedelta(minutes=2))
        world.submit(actor, name, specimens()["wrong-birth"])
        with pytest.raises(RegistryNoMatch):
            world.service.registry.match(actor, name)
    assert world.state(name).state is State.REJECTED
    return actor, name


def test_a_refusal_is_left_by_an_appeal_alone(world: World) -> None:
    """Whoever would move it is stopped by the table's gate; and an appeal that was granted leads out of no later
    refusal."""
    actor, name = refused(world, 742)
    files, stale = world.service.files, world.state(name)
    with pytest.raises(GateClosed), files.step(stale) as connection:
        files.advance(connection, stale, State.REFERRED_IN_PERSON, "specimen")
    world.service.appeals.lodge(actor, name, WHY)
    moved = speak(world, name)
    turn = world.service.review.assignments.turn_of(moved)
    officer = next(one for one in (SECOND, THIRD) if one.id == turn)
    world.review(name, Verdict.REJECT, Method.IN_PERSON, "person-is-not-holder", officer)
    again = world.state(name)
    assert again.state is State.REJECTED
    with pytest.raises(GateClosed), files.step(again) as connection:
        files.advance(connection, again, State.REFERRED_IN_PERSON, "specimen")
    with pytest.raises(AppealMade):
        world.service.appeals.lodge(actor, name, WHY)


def test_only_who_was_refused_appeals(world: World) -> None:
    """And an officer signs what is there, with their own key."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(743), phone="012 700 743")
    with pytest.raises(WrongState):
        world.service.appeals.lodge(actor, name, WHY)
    actor, name = refused(world, 744)
    world.service.appeals.lodge(actor, name, WHY)
    with pytest.raises(ReviewSignatureInvalid):
        speak(world, name, signer=LAST)
    with pytest.raises(EvidenceChanged):
        world.service.appeals.decide(ANOTHER, name, Word.GRANT, "new-evidence", "0" * 64, "x" * 40)
    record = latest(world.service.files.ledger(world.state(name)), EvidenceKind.APPEAL)
    assert record is not None
    assert (record.control, record.outcome) == ("EKYC-APPEAL", "lodged")


Attack = Callable[[World], State]
Off = Callable[[World, pytest.MonkeyPatch], None]


def too_late(world: World) -> State:
    """After the policy's time."""
    actor, name = refused(world, 745)
    world.clock.advance(timedelta(days=90))
    world.service.appeals.lodge(actor, name, WHY)
    return speak(world, name).state


def no_time(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.appeals.desk, "until", lambda *_: world.clock.now() + timedelta(days=1))


def by_who_refused(world: World) -> State:
    """The officer who refused decides on the appeal."""
    actor, name = refused(world, 746)
    world.service.appeals.lodge(actor, name, WHY)
    return speak(world, name, OFFICER).state


def whoever_spoke(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.appeals.desk, "spoke_before", lambda *_: False)


def of_their_own(world: World) -> State:
    """An officer grants their own appeal."""
    actor, name = refused(world, 747)
    world.staff.persons[ANOTHER.id] = actor.id
    world.service.appeals.lodge(actor, name, WHY)
    return speak(world, name).state


def own_cases(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReviewDesk, "is_their_own", lambda *_: False)


def twice(world: World) -> State:
    """A second appeal, to an officer who may think otherwise."""
    actor, name = refused(world, 748)
    world.service.appeals.lodge(actor, name, WHY)
    speak(world, name, ANOTHER, Word.UPHOLD, "nothing-new")
    world.service.appeals.lodge(actor, name, WHY)
    return speak(world, name, LAST).state


def any_number(world: World, patch: pytest.MonkeyPatch) -> None:
    lodge = AppealDesk.lodge

    def again(self: AppealDesk, actor: Actor, name: str, said: str) -> object:
        with world.database.unit_of_work() as connection:
            connection.execute(ekyc.appeals.desk.appeals.delete())
        return lodge(self, actor, name, said)

    patch.setattr(AppealDesk, "lodge", again)


@pytest.mark.parametrize(
    ("attack", "stopped", "off"),
    [
        (too_late, AppealLate, no_time),
        (by_who_refused, AppealOfficerBefore, whoever_spoke),
        (of_their_own, SelfReview, own_cases),
        (twice, AppealMade, any_number),
    ],
)
@pytest.mark.parametrize("control", ["on", "off"])
def test_an_appeal_is_refused_while_its_control_is_on(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack,
    stopped: type[CamTrustError],
    off: Off,
    control: str,
) -> None:
    """With the control it is refused, without it the case goes on."""
    if control == "on":
        with pytest.raises(stopped):
            attack(world)
        return
    off(world, monkeypatch)
    assert attack(world) is State.REFERRED_IN_PERSON


def test_over_http(world: World) -> None:
    """Applicant and officer."""
    actor, name = refused(world, 749)
    world.sessions.staff |= {"appeals": ANOTHER}
    with world.client() as client:
        theirs = {"Authorization": f"Bearer {world.sessions.open(actor.id)}", "Origin": "http://testserver"}
        path = f"/ekyc/v1/enrolments/{name}/appeal"
        assert client.get(path, headers=theirs).json()["state"] == "possible"
        lodged = client.post(path, json={"statement": WHY}, headers={**theirs, "Idempotency-Key": "appeal-specimen-1"})
        assert (lodged.status_code, lodged.json()["state"]) == (201, "lodged")
        staff = {"Authorization": "Staff appeals", "Idempotency-Key": "appeal-specimen-2"}
        assert client.get("/ekyc/v1/appeals", headers=staff).json() == {"items": [name]}
        case = client.get(f"/ekyc/v1/appeals/{name}", headers=staff).json()
        assert case["statement"] == WHY
        assert any(one["content"] for one in case["evidence"])
        said = review_statement.statement(name, case["evidence_digest"], "grant", "record", "refusal-was-wrong")
        body = {
            "decision": "grant",
            "reason": "refusal-was-wrong",
            "evidence_digest": case["evidence_digest"],
            "signature": review_statement.sign(world.staff.keys[ANOTHER.id], said),
        }
        done = client.post(f"/ekyc/v1/appeals/{name}", json=body, headers=staff).json()
        assert done["state"] == "REFERRED_IN_PERSON"
        assert done["review_due_at"] is not None
