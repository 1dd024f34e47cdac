"""Assurance levels and gates: data, in any order, frozen at the decision; and what happens with a control off."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ekyc import store
from ekyc.errors import (
    ApprovalImpossible,
    DecisionMissing,
    DecisionNotReproduced,
    EvidenceFirst,
    GateClosed,
    LevelNotHigher,
    LevelUnknown,
    LevelWithout,
    WrongState,
)
from ekyc.evidence.record import Evidence, EvidenceKind
from ekyc.model import State
from ekyc.policy import Outcome, Policy, default_policy, evaluate, judge, parse_policy
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import Method
from tests.ekyc.story import SECOND, World
from tests.ekyc.test_ekyc_policy import ledger_of

FROZEN = Path(__file__).parent / "frozen"
K = EvidenceKind
WHOLE = [
    (K.CONSENT, "accepted", ""),
    (K.AGREEMENT, "accepted", ""),
    (K.CONTACT, "verified", ""),
    (K.DOCUMENT, "valid", ""),
    (K.REGISTRY, "match", ""),
    (K.DEDUPE, "unique", ""),
    (K.REVIEW, "bound", "in-person"),
]


def changed(**changes: Any) -> Policy:
    """The policy of this build with other values."""
    return parse_policy(default_policy().model_dump(mode="json", exclude_unset=True) | changes)


def without(name: str, level: str = "IAL2") -> Policy:
    """The policy of this build with one key of a level left out."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    del data["levels"][level][name]
    return parse_policy(data)


@pytest.mark.parametrize("version", ["2026.1", "2026.5"])
def test_decisions_of_before_are_reproduced(version: str) -> None:
    """Decisions that an earlier build made and kept, with an earlier policy: the same bytes, and the same digest."""
    kept = json.loads((FROZEN / f"decisions-{version}.json").read_text(encoding="utf-8"))
    policy = parse_policy(json.loads(kept["policy"]))
    assert policy.document() == kept["policy"].encode()
    ledger = [
        Evidence(
            **one
            | {"kind": EvidenceKind(one["kind"]), "at": datetime.fromisoformat(one["at"])}
            | {name: bytes.fromhex(one[name]) for name in ("content", "hash")}
        )
        for one in kept["ledger"]
    ]
    for level, document in kept["decisions"].items():
        assert evaluate(policy, level, ledger).document == document.encode()


@pytest.mark.parametrize("level", ["IAL2", "IAL3"])
def test_the_document_can_come_before_the_contact(world: World, level: str) -> None:
    """Whichever is first, both are asked for, and the way goes on where both are there."""
    actor, enrolment = world.start(level)
    name, person = enrolment.id, series(500 if level == "IAL2" else 501)
    world.service.enrolment.consent(actor, name, world.accept())
    shown = world.submit(actor, name, person)
    assert shown.state is State.CONSENTED
    with pytest.raises(WrongState):
        world.service.registry.match(actor, name)
    assert world.prove_contact(actor, name).state is State.DOCUMENT_VALIDATED
    assert world.service.registry.match(actor, name).state is State.REGISTRY_MATCHED
    world.staff.add(SECOND)
    assert world.approve(name).state is State.APPROVED
    world.service.decider.replay(name)


def test_an_expired_card_before_the_contact(world: World) -> None:
    """The contact is proved while another card is asked for, once; then the way goes on."""
    from ekyc.errors import DocumentExpired

    actor, enrolment = world.start()
    name = enrolment.id
    world.service.enrolment.consent(actor, name, world.accept())
    from ekyc.registry_simulation.persons import specimens

    with pytest.raises(DocumentExpired):
        world.submit(actor, name, specimens()["expired-card"])
    assert world.prove_contact(actor, name).state is State.NEEDS_INPUT
    with pytest.raises(WrongState):
        world.prove_contact(actor, name)
    assert world.submit(actor, name, series(502)).state is State.DOCUMENT_VALIDATED


@pytest.mark.parametrize(
    ("later", "rule"),
    [
        (K.DOCUMENT, "EKYC-IAL2-REGISTRY"),
        (K.REGISTRY, "EKYC-IAL2-BINDING"),
    ],
)
def test_evidence_about_something_else_does_not_count(later: EvidenceKind, rule: str) -> None:
    """A registry answer to another document, or an officer's word on another answer, is no evidence; without the
    policy's ``after`` it would be."""
    outcome = "valid" if later is K.DOCUMENT else "match"
    records = ledger_of([*WHOLE, (later, outcome, "")])
    judgment = judge(default_policy(), "IAL2", records)
    assert judgment.outcome is Outcome.REFER
    assert rule in [reason.rule for reason in judgment.reasons if not reason.met]
    text = json.dumps(default_policy().model_dump(mode="json", exclude_unset=True))
    data = json.loads(text, object_hook=lambda one: {k: v for k, v in one.items() if k != "after"})
    assert judge(parse_policy(data), "IAL2", records).outcome is Outcome.APPROVED


def test_a_gate_names_what_comes_first(world: World) -> None:
    """A step behind a gate of the policy is refused with what is missing; without the gate it would be taken."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["levels"]["IAL2"]["gates"]["review"] = ["EKYC-IAL2-REGISTRY"]
    actor, name = world.until(State.DOCUMENT_VALIDATED, "differs-in-khmer")
    world.service.registry.match(actor, name)
    world.service = world.restarted(policy=parse_policy(data))
    with pytest.raises(EvidenceFirst) as told:
        world.review(name, method=Method.IN_PERSON)
    assert told.value.names == ("reason_registry",)
    world.service = world.restarted(policy=without("gates"))
    assert world.review(name, method=Method.IN_PERSON).state is State.APPROVED


def test_a_gate_is_of_rules_that_exist() -> None:
    """A gate before an unknown step, or of an unknown rule, is no policy."""
    from ekyc.errors import PolicyInvalid

    for gates in ({"nose": []}, {"registry": ["EKYC-NONE"]}):
        data = default_policy().model_dump(mode="json", exclude_unset=True)
        data["levels"]["IAL2"]["gates"] = gates
        with pytest.raises(PolicyInvalid):
            parse_policy(data)


def test_a_level_that_is_not_offered_cannot_be_started(world: World) -> None:
    """A level that a policy describes and does not offer; nor can one go on to it."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["levels"]["VOUCHED"]["offered"] = False
    world.service = world.restarted(policy=parse_policy(data))
    with pytest.raises(LevelUnknown):
        world.start("VOUCHED")
    actor, name = world.until(State.CONTACT_VERIFIED)
    with pytest.raises(LevelUnknown):
        world.service.enrolment.raise_level(actor, name, "VOUCHED")


def test_level_0_is_an_account_and_goes_on_to_more(both_worlds: World) -> None:
    """It takes no document, and its state is that of a proved contact; raised, it goes the whole way."""
    world = both_worlds
    actor, enrolment = world.start("CONTACT")
    name = enrolment.id
    world.service.enrolment.consent(actor, name, world.accept())
    with pytest.raises(LevelWithout):
        world.submit(actor, name, series(503))
    assert not any(one.kind is K.DOCUMENT for one in world.service.files.ledger(world.state(name)))
    assert world.prove_contact(actor, name).state is State.CONTACT_VERIFIED
    first = world.sessions.open(actor.id)
    raised = world.service.enrolment.raise_level(actor, name, "IAL2")
    assert (raised.enrolment.level, raised.enrolment.state) == ("IAL2", State.CONTACT_VERIFIED)
    assert set(world.sessions.tokens) == {raised.session_token} != {first}
    with pytest.raises(LevelNotHigher):
        world.service.enrolment.raise_level(actor, name, "CONTACT")
    world.submit(actor, name, series(503))
    world.service.registry.match(actor, name)
    assert world.review(name).state is State.APPROVED
    with pytest.raises(WrongState):
        world.service.enrolment.raise_level(actor, name, "IAL3")
    world.audit.verify(world.database)


def test_level_0_never_gets_a_certificate(world: World) -> None:
    """Even where a row of the database says that an account is approved and has its factors, no key is made for it;
    with a policy OID at its level there would be a key, and the registration authority's check is met."""
    actor, name = world.until(State.FACTOR_BOUND, series(504))
    with world.database.unit_of_work() as connection:
        connection.execute(store.enrolments.update().values(level="CONTACT"))
    with pytest.raises(GateClosed):
        world.service.issuance.certificate(actor, name)
    assert (world.ca.issued, world.token.wrapped_keys(actor.id)) == ({}, ())
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["levels"]["CONTACT"]["policy_oid"] = "2.999.116.1.1.0"
    off = world.restarted(policy=parse_policy(data))
    with pytest.raises(ApprovalImpossible):  # the next control: the decision was about another level
        off.issuance.certificate(actor, name)
    assert len(world.token.wrapped_keys(actor.id)) == 1


def test_the_certificate_carries_the_level_that_was_decided(world: World) -> None:
    """The OID comes from the frozen decision: a policy that changed meanwhile changes nothing of it."""
    actor, name = world.until(State.FACTOR_BOUND, series(505))
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    data["levels"]["IAL2"]["policy_oid"] = "2.999.116.1.1.99"
    later = world.restarted(policy=parse_policy(data))
    later.issuance.certificate(actor, name)
    assert [request.policy_oid for request in world.ca.requests] == ["2.999.116.1.1.2"]
    with pytest.raises(DecisionMissing):
        later.decider.policy_oid(world.start()[1].id)


def test_the_risk_is_frozen_with_the_decision(world: World) -> None:
    """Points of what applies stand in the decision, rule by rule; another policy now does not change a replay."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "differs-in-khmer")
    world.service.registry.match(actor, name)
    world.review(name, method=Method.IN_PERSON)
    risk = {"rules": ["EKYC-RISK-REGISTRY-REVIEW"], "score": 30}
    assert json.loads(world.service.decider.last(name) or b"")["risk"] == risk
    later = world.restarted(policy=changed(risks=[], version="2027.1"))
    [again] = later.decider.replay(name)
    assert json.loads(again.document)["risk"] == risk
    assert again.document == later.decider.last(name)


@pytest.mark.parametrize("table", ["policies", "decisions"])
def test_a_changed_decision_or_policy_is_not_reproduced(world: World, table: str) -> None:
    """Whoever changes what is kept, replaying tells."""
    _, name = world.until(State.APPROVED, series(506))
    rows = getattr(store, table)
    with world.database.unit_of_work() as connection:
        text = connection.execute(rows.select()).one().document
        changed_text = text.replace(f'"{default_policy().version}"', '"2026.99"')
        assert changed_text != text
        connection.execute(rows.update().values(document=changed_text))
    with pytest.raises(DecisionNotReproduced):
        world.service.decider.replay(name)


def test_levels_over_http(world: World) -> None:
    """Raising answers with a new session; the one before is over."""
    client = world.client()
    started = client.post("/ekyc/v1/enrolments", json={"level": "CONTACT", "language": "en"}).json()
    base, old = (
        f"/ekyc/v1/enrolments/{started['enrolment']['id']}",
        {"Authorization": f"Bearer {started['session_token']}"},
    )
    terms = world.accept()
    client.post(f"{base}/consent", json=vars(terms), headers=old)
    raised = client.post(f"{base}/level", json={"level": "IAL3"}, headers=old)
    assert raised.json()["enrolment"]["level"] == "IAL3"
    assert client.get(base, headers=old).status_code == 401
    new = {"Authorization": f"Bearer {raised.json()['session_token']}"}
    assert client.get(base, headers=new).status_code == 200
    assert client.post(f"{base}/level", json={"level": "IAL2"}, headers=new).json()["code"] == "ekyc.level_not_higher"
