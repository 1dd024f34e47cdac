"""Recalls: exactly those who do not stand without the evidence, by two officers, through kills."""

from __future__ import annotations

from typing import Any

import pytest

from ekyc.errors import RecallChanged, RecallEmpty, RecallSameOfficer, RecallUnknown, WrongState
from ekyc.evidence.record import EvidenceKind
from ekyc.model import State
from ekyc.policy import default_policy, parse_policy
from ekyc.recall import store as recall_store
from ekyc.recall.desk import ROLE, Origin
from ekyc.registry_simulation.persons import series
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.story import OFFICER, SECOND, World

FIRST, OTHER = (Actor(ActorKind.OFFICER, f"OFF-{name}", frozenset({ROLE})) for name in ("RECALL-1", "RECALL-2"))
REGISTRY = Origin(control="EKYC-REGISTRY", version=1)


def fact(world: World, name: str, kind: EvidenceKind, fact: str) -> str:
    return next(
        one.facts[fact]
        for one in reversed(world.service.files.ledger(world.state(name)))
        if one.kind is kind and fact in one.facts
    )


def test_a_control_that_was_wrong_is_called_back(both_worlds: World) -> None:
    """Everybody whose approval stands on it is suspended, whatever they have got to; nobody else is touched."""
    world = both_worlds
    states = (State.ACTIVATED, State.FACTOR_BOUND, State.APPROVED)
    people = [world.until(state, series(750 + number)) for number, state in enumerate(states)]
    waiting = world.until(State.REGISTRY_MATCHED, series(755))[1]
    earlier = world.until(State.DOCUMENT_VALIDATED, series(756))[1]
    found = world.service.recalls.look(REGISTRY)
    assert {one.enrolment_id for one in found.affected} == {name for _, name in people} | {waiting}
    before = {name: world.state(name) for _, name in people}
    assert {name: world.state(name) for _, name in people} == before  # a dry run
    proposed = world.service.recalls.propose(FIRST, REGISTRY, found.digest)
    assert {name: world.state(name) for _, name in people} == before
    done = world.service.recalls.confirm(OTHER, proposed.recall_id)
    assert (done.state, done.affected, done.done) == ("done", 4, 4)
    assert {world.state(name).state for _, name in people} == {State.SUSPENDED}
    assert {person for person, _ in world.ca.held} == {actor.id for actor, _ in people} | {
        world.state(waiting).person_id
    }
    assert world.state(waiting).state is State.NEEDS_INPUT
    assert world.state(earlier).state is State.DOCUMENT_VALIDATED
    actor, name = people[1]
    with pytest.raises(WrongState):
        world.service.issuance.certificate(actor, name)
    assert world.service.recalls.look(REGISTRY).affected == ()
    world.service.decider.replay(people[0][1])  # the decision stays what it was
    world.audit.verify(world.database)


def test_what_was_called_back_can_be_shown_again(world: World) -> None:
    """Somebody who was not approved yet goes on with new evidence."""
    actor, name = world.until(State.REGISTRY_MATCHED, series(757))
    found = world.service.recalls.look(REGISTRY)
    recall = world.service.recalls.propose(FIRST, REGISTRY, found.digest)
    world.service.recalls.confirm(OTHER, recall.recall_id)
    world.submit(actor, name, series(757))
    assert world.service.registry.match(actor, name).state is State.REGISTRY_MATCHED
    assert world.review(name).state is State.APPROVED


def test_an_officer_is_called_back_and_whoever_has_another_one_stands(world: World) -> None:
    """A policy of two officers' words: who was seen by one more officer than needed stands; who was not, does not."""
    world.staff.add(SECOND)
    alone = world.until(State.REGISTRY_MATCHED, series(758))[1]
    twice = world.until(State.REGISTRY_MATCHED, series(759), level="IAL3")[1]
    for name in (alone, twice):
        world.approve(name)
    ledger = world.service.files.ledger(world.state(twice))
    seen_by = [one for one in ledger if one.kind is EvidenceKind.REVIEW and one.facts["method"] == "in-person"]
    checked_by = next(one for one in ledger if one.kind is EvidenceKind.REVIEW and one.facts["method"] == "record")
    officer = checked_by.actor.partition(":")[2]
    assert seen_by[0].actor != checked_by.actor
    affected = {one.enrolment_id for one in world.service.recalls.look(Origin(officer=officer)).affected}
    assert twice in affected  # IAL3 needs both
    only = next(
        one.actor.partition(":")[2]
        for one in world.service.files.ledger(world.state(alone))
        if one.kind is EvidenceKind.REVIEW
    )
    assert alone in {one.enrolment_id for one in world.service.recalls.look(Origin(officer=only)).affected}


def test_whoever_is_proved_without_it_stands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a policy that takes either of two kinds of evidence, losing one of them changes nothing; if everybody who
    ever used it were suspended, they would be."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    for rule in data["levels"]["IAL2"]["rules"]:
        if rule["id"] == "EKYC-IAL2-REGISTRY":
            rule["any"].append([{"evidence": "document", "outcomes": ["valid"]}])
    world.service = world.restarted(policy=parse_policy(data))
    name = world.until(State.APPROVED, series(760))[1]
    found = world.service.recalls.look(REGISTRY)
    assert (found.affected, found.standing) == ((), (name,))
    monkeypatch.setattr(type(world.service.recalls), "_stands", lambda *_: False)
    assert [one.enrolment_id for one in world.service.recalls.look(REGISTRY).affected] == [name]


@pytest.mark.parametrize("by", ["exchange", "document", "officer", "issuer"])
def test_one_answer_one_document_one_officer(world: World, by: str) -> None:
    """Each origin finds its own and leaves another person alone; an unknown one finds nobody."""
    _, mine = world.until(State.APPROVED, series(761))
    _, other = world.until(State.APPROVED, series(762))
    found: tuple[Any, ...]
    if by == "exchange":
        with world.database.read() as connection:
            reference = world.service.files.open(connection, world.state(mine), EvidenceKind.REGISTRY)["reference"]
        found, expected = world.service.recalls.look(Origin(exchange=reference)).affected, {mine}
    elif by == "document":
        index = fact(world, mine, EvidenceKind.DOCUMENT, "document")
        found, expected = world.service.recalls.look(Origin(document=index)).affected, {mine}
    elif by == "officer":
        found, expected = world.service.recalls.look(Origin(officer=OFFICER.id)).affected, {mine, other}
    else:
        found, expected = world.service.recalls.look(Origin(issuer="0" * 64)).affected, set()
    assert {one.enrolment_id for one in found} == expected


def test_two_officers_and_what_was_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One officer alone, another list than the dry run's, and no origin are refused, and nothing moves. Without the
    check of the second officer the first one would do it alone."""
    recalls, (_, name) = world.service.recalls, world.until(State.APPROVED, series(763))
    for empty in (Origin(), Origin(version=1)):
        with pytest.raises(RecallEmpty):
            recalls.look(empty)
    with pytest.raises(RecallChanged):
        recalls.propose(FIRST, REGISTRY, "0" * 64)
    digest = recalls.look(REGISTRY).digest
    proposed = recalls.propose(FIRST, REGISTRY, digest)
    with pytest.raises(RecallSameOfficer):
        recalls.confirm(FIRST, proposed.recall_id)
    with pytest.raises(RecallUnknown):
        recalls.confirm(OTHER, "RCL-AAAAAAAAAAAAAAAA")
    _, later = world.until(State.APPROVED, series(764))
    with pytest.raises(RecallChanged):
        recalls.confirm(OTHER, proposed.recall_id)
    assert {world.state(one).state for one in (name, later)} == {State.APPROVED}
    again = recalls.propose(FIRST, REGISTRY, recalls.look(REGISTRY).digest)
    monkeypatch.setattr("ekyc.recall.desk.is_another", lambda *_: True)
    assert recalls.confirm(FIRST, again.recall_id).state == "done"


@pytest.mark.parametrize("stage", ["suspend", "mark"])
def test_a_kill_in_between_is_gone_on_with(both_worlds: World, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """Killed while the CA is told, or before it is written down: the upkeep finishes it, once for each person."""
    world = both_worlds
    names = [world.until(State.ACTIVATED, series(770 + n + (5 if stage == "mark" else 0)))[1] for n in range(2)]
    recalls = world.service.recalls
    proposed = recalls.propose(FIRST, REGISTRY, recalls.look(REGISTRY).digest)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if stage == "suspend":
        monkeypatch.setattr(world.ca, "suspend_citizens", killed)
    else:
        monkeypatch.setattr(recall_store, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        recalls.confirm(OTHER, proposed.recall_id)
    monkeypatch.undo()
    assert {world.state(name).state for name in names} == {State.SUSPENDED}
    assert world.restarted().recalls.resume() == 1
    assert world.restarted().recalls.resume() == 0
    assert {person for person, _ in world.ca.held} == {world.state(name).person_id for name in names}
    assert recalls.confirm(OTHER, proposed.recall_id).state == "done"


def test_recalls_over_http(world: World) -> None:
    """Dry run, proposal, confirmation; each by an officer with the role."""
    _, name = world.until(State.APPROVED, series(765))
    world.sessions.staff |= {"first": FIRST, "other": OTHER}
    client, body = world.client(), {"control": "EKYC-REGISTRY"}
    first, other = ({"Authorization": f"Staff {who}"} for who in ("first", "other"))
    assert (
        client.post("/ekyc/v1/recalls/preview", json=body, headers={"Authorization": "Staff officer"}).status_code
        == 403
    )
    found = client.post("/ekyc/v1/recalls/preview", json=body, headers=first).json()
    assert [one["enrolment_id"] for one in found["affected"]] == [name]
    proposed = client.post("/ekyc/v1/recalls", json=body | {"digest": found["digest"]}, headers=first)
    path = f"/ekyc/v1/recalls/{proposed.json()['recall_id']}/confirmation"
    assert client.post(path, headers=first).json()["code"] == "ekyc.recall_same_officer"
    assert client.post(path, headers=other).json()["state"] == "done"
    assert world.state(name).state is State.SUSPENDED
