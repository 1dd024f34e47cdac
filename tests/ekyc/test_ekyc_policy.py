"""The policy and the states as pure values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekyc.errors import GateClosed, LevelUnknown, PolicyInvalid, WrongState
from ekyc.evidence.record import GENESIS, Evidence, EvidenceKind, chained, latest
from ekyc.model import CLOSED, TRANSITIONS, Enrolment, State, check_transition
from ekyc.policy import Outcome, default_policy, evaluate, parse_policy

AT = datetime(2026, 5, 1, tzinfo=UTC)
POLICY = default_policy()
OUTCOMES = {
    EvidenceKind.CONSENT: ("accepted",),
    EvidenceKind.AGREEMENT: ("accepted",),
    EvidenceKind.CONTACT: ("verified",),
    EvidenceKind.DOCUMENT: ("captured", "valid", "expired", "under-age"),
    EvidenceKind.CHIP: ("authentic", "failed"),
    EvidenceKind.REGISTRY: ("match", "review", "no-match", "deceased"),
    EvidenceKind.GUARDIAN: ("bound", "review", "no-match", "withdrawn"),
    EvidenceKind.DEDUPE: ("unique", "duplicate"),
    EvidenceKind.REVIEW: ("bound", "refused", "referred"),
}
# The fact of a record that the policy looks at, and what it can be.
FACTS = {
    EvidenceKind.REVIEW: ("method", ("in-person", "remote-video", "record")),
    EvidenceKind.DOCUMENT: ("type", ("khmer-id-card", "passport", "passport of a minor")),
    EvidenceKind.CHIP: ("possession_proved", ("true", "false")),
}
RECORD = st.sampled_from(sorted(OUTCOMES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.sampled_from(OUTCOMES[kind]), st.sampled_from(FACTS.get(kind, ("", ("",)))[1])
    )
)


def ledger_of(records: list[tuple[EvidenceKind, str, str]]) -> tuple[Evidence, ...]:
    ledger: list[Evidence] = []
    for number, (kind, outcome, fact) in enumerate(records):
        facts = {FACTS[kind][0]: fact.split(" ")[0]} if kind in FACTS and fact else {}
        facts |= {"minor": "true"} if fact.endswith("minor") else {}
        actor = f"officer:OFF-{number % 3}" if kind is EvidenceKind.REVIEW else "person:KH-SPECIMEN"
        ledger.append(
            chained(
                ledger[-1].hash if ledger else GENESIS,
                enrolment_id="ENR-SPECIMEN",
                sequence=len(ledger) + 1,
                kind=kind,
                outcome=outcome,
                facts=facts,
                content=bytes(32),
                actor=actor,
                at=AT,
            )
        )
    return tuple(ledger)


def needed(level: str, ledger: tuple[Evidence, ...]) -> bool:
    """What a level needs, said a second time and in another way than the policy file."""
    last = {kind: latest(ledger, kind) for kind in EvidenceKind}

    def shows(kind: EvidenceKind, outcome: str, *about: EvidenceKind) -> bool:
        record = last[kind]
        later = max((one.sequence for other in about if (one := last[other])), default=0)
        return record is not None and record.outcome == outcome and record.sequence > later

    document, answer = EvidenceKind.DOCUMENT, EvidenceKind.REGISTRY
    review = last[EvidenceKind.REVIEW]
    chip = last[EvidenceKind.CHIP]
    word = last[EvidenceKind.GUARDIAN]
    later = max((one.sequence for one in (last[document], last[answer], chip, word) if one), default=0)
    said = [one for one in ledger if one.kind is EvidenceKind.REVIEW and one.sequence > later]
    spoke = {one.actor: one for one in said}
    holders = [one for one in spoke.values() if one.outcome == "bound"]
    in_person = any(one.facts["method"] == "in-person" for one in holders)
    seen = in_person or any(one.facts["method"] == "remote-video" for one in holders)
    points = 30 * any(one.kind is answer and one.outcome == "review" for one in ledger)
    points += 20 * any(one.kind is EvidenceKind.REVIEW and one.outcome == "referred" for one in ledger)
    points += 20 * min(2, sum(one.kind is answer and one.outcome == "no-match" for one in ledger))
    points += 10 * any(one.facts.get("channel") == "email" for one in ledger)
    two = bool(said) and said[-1].outcome == "bound" and len(holders) >= 2
    officers = two or (level == "IAL2" and points < 40)
    registry = shows(answer, "match", document)
    if level == "IAL2":
        registry = registry or (shows(answer, "review", document) and in_person)
    proved = chip is not None and chip.outcome == "authentic" and chip.facts["possession_proved"] == "true"
    shown = last[document]
    card = shown is not None and shown.facts.get("type") != "passport"
    minor = shown is not None and shown.facts.get("minor") == "true"
    guarded = shows(EvidenceKind.GUARDIAN, "bound", document)
    guarded = guarded or (shows(EvidenceKind.GUARDIAN, "review", document) and in_person)
    return (
        (guarded or not minor)
        and (card or proved or (level == "IAL2" and in_person))
        and not (chip is not None and chip.outcome == "failed")
        and shows(EvidenceKind.CONSENT, "accepted")
        and shows(EvidenceKind.AGREEMENT, "accepted")
        and shows(EvidenceKind.CONTACT, "verified")
        and shows(EvidenceKind.DOCUMENT, "valid")
        and registry
        and shows(EvidenceKind.DEDUPE, "unique", document)
        and (in_person if level == "IAL3" else seen)
        and officers
        and not (review is not None and review.outcome == "refused")
    )


@given(st.lists(RECORD, max_size=14), st.sampled_from(("IAL2", "IAL3")))
@settings(max_examples=300)
def test_approval_needs_exactly_its_evidence(records: list[tuple[EvidenceKind, str, str]], level: str) -> None:
    """Whatever is in the ledger, it is approved when its level's evidence is there and never else; twice the same."""
    ledger = ledger_of(records)
    decision = evaluate(POLICY, level, ledger)
    assert (decision.outcome is Outcome.APPROVED) == needed(level, ledger)
    assert evaluate(parse_policy(json.loads(POLICY.document())), level, ledger).document == decision.document


def test_complete_evidence_is_approved_and_each_missing_piece_is_named() -> None:
    """Without any one piece the decision refers and names its rule."""
    whole = [
        (kind, outcomes[0], FACTS.get(kind, ("", ("",)))[1][0])
        for kind, outcomes in OUTCOMES.items()
        if kind is not EvidenceKind.DOCUMENT
    ]
    whole.insert(3, (EvidenceKind.DOCUMENT, "valid", "passport of a minor"))
    whole.append((EvidenceKind.REVIEW, "bound", "record"))
    assert evaluate(POLICY, "IAL3", ledger_of(whole)).outcome is Outcome.APPROVED
    for n in range(len(whole)):
        decision = evaluate(POLICY, "IAL3", ledger_of(whole[:n] + whole[n + 1 :]))
        assert decision.outcome is Outcome.REFER
        named = [reason.rule for reason in decision.against]
        assert len(named) == (2 if whole[n] == (EvidenceKind.REVIEW, "bound", "in-person") else 1), named
        assert all(rule.startswith("EKYC-IAL3-") for rule in named)


def test_a_policy_is_parsed_strictly() -> None:
    """Unknown keys, unknown evidence and rules without conditions are no policy; nor is there a level of any name."""
    good = POLICY.model_dump(mode="json")
    for bad in (
        {**good, "extra": 1},
        {**good, "levels": {}},
        {**good, "levels": {"IAL2": {"policy_oid": "2.999", "rules": []}}},
        {
            **good,
            "refusals": [{"id": "EKYC-REFUSE-X", "text": "reason_x", "when": {"evidence": "nose", "outcomes": ["x"]}}],
        },
    ):
        with pytest.raises(PolicyInvalid):
            parse_policy(bad)
    with pytest.raises(LevelUnknown):
        POLICY.level("IAL1")


def test_policy_oids_are_of_the_example_arc() -> None:
    """Until Cambodia assigns an arc, every level's OID is an example (2.999); the level of contacts has none."""
    assert set(POLICY.oids()) == set(POLICY.levels) - {"CONTACT"}
    assert all(oid.startswith("2.999.") for oid in POLICY.oids().values())


def enrolment_in(state: State) -> Enrolment:
    later = AT + timedelta(days=1)
    return Enrolment("ENR-S", "KH-S", "IAL2", "en", state, 1, None, None, AT, later, None, None, None, None, None, None)


def test_closed_states_stay_closed_and_all_states_are_reached() -> None:
    """Nothing leads out of a closed state but an appeal out of a refusal; every state but the first can be reached."""
    assert all(not TRANSITIONS[state] for state in CLOSED - {State.REJECTED})
    assert TRANSITIONS[State.REJECTED] == {State.REFERRED_IN_PERSON, State.NEEDS_INPUT}
    assert set().union(*TRANSITIONS.values()) == set(State) - {State.DRAFT}
    assert set(TRANSITIONS) == set(State)


@given(st.sampled_from(sorted(State)), st.sampled_from(sorted(State)), st.lists(RECORD, max_size=8))
def test_no_transition_beside_the_table_and_none_past_its_gate(
    state: State, to: State, records: list[tuple[EvidenceKind, str, str]]
) -> None:
    """A transition is refused unless it is in the table and its evidence is in the ledger."""
    ledger = ledger_of(records)
    enrolment = enrolment_in(state)
    if to not in TRANSITIONS[state]:
        with pytest.raises(WrongState):
            check_transition(enrolment, to, ledger)
    elif state is State.REJECTED:
        with pytest.raises(GateClosed):  # nor an appeal
            check_transition(enrolment, to, ledger)
    elif to in (State.APPROVED, State.FACTOR_BOUND, State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED):
        with pytest.raises(GateClosed):  # these records hold no decision
            check_transition(enrolment, to, ledger)
