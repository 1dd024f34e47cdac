"""Evidence beside the document: recorded in the ledger, bounded, and never a way past an officer."""

from __future__ import annotations

import pytest

from ekyc import store
from ekyc.errors import TooMuchEvidence
from ekyc.evidence.record import EvidenceKind, verify_chain
from ekyc.findings import CrossCheckOutcome, FaceOutcome, Finding, LivenessOutcome
from ekyc.model import TAKES_EVIDENCE, State
from ekyc.policy import Outcome, default_policy, evaluate
from tests.ekyc.story import World


def add(world: World, actor, enrolment_id: str, *findings: Finding):
    files = world.service.files
    return files.add(actor, files.begin(actor, enrolment_id, *TAKES_EVIDENCE), *findings)


def test_a_finding_is_a_record_with_control_and_reasons(world: World) -> None:
    """Kind, control, version, outcome and reasons stand in the ledger; the content stands there sealed."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    before = world.state(name)
    secret = {"surname": "SOPHEAP-OF-THE-TEST"}
    moved = add(
        world, actor, name, Finding(EvidenceKind.CROSS_CHECK, CrossCheckOutcome.DIFFERS, ("surname",), {}, secret)
    )
    assert (moved.state, moved.version) == (before.state, before.version + 1)
    with world.database.read() as connection:
        ledger = store.ledger(connection, name)
        sealed = store.sealed_content(connection, ledger[-1])
    record = ledger[-1]
    assert (record.control, record.control_version, record.outcome) == ("EKYC-CROSS-CHECK", 1, "differs")
    assert record.facts["reasons"] == "surname"
    assert b"SOPHEAP" not in sealed
    verify_chain(ledger)


@pytest.mark.parametrize(
    ("kind", "outcome", "rule"),
    [
        (EvidenceKind.CHIP, "failed", "EKYC-REFUSE-CHIP"),
        (EvidenceKind.CROSS_CHECK, "differs", "EKYC-REFUSE-CROSS-CHECK"),
    ],
)
def test_what_contradicts_is_refused_even_when_an_officer_binds(
    world: World, kind: EvidenceKind, outcome: str, rule: str
) -> None:
    """A cloned chip, or a chip of somebody else, rejects: the officer's word does not outweigh it."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    add(world, actor, name, Finding(kind, outcome))
    assert world.review(name).state is State.REJECTED
    with world.database.read() as connection:
        ledger = store.ledger(connection, name)
    policy = default_policy()
    assert rule in {reason.rule for reason in evaluate(policy, "IAL2", ledger).against}
    off = policy.model_copy(update={"refusals": tuple(one for one in policy.refusals if one.id != rule)})
    assert evaluate(off, "IAL2", ledger).outcome is Outcome.APPROVED


def test_face_and_liveness_alone_approve_nobody(world: World) -> None:
    """A person without an officer's verdict is not approved, whatever a model says."""
    actor, name = world.until(State.REGISTRY_MATCHED)
    findings = (
        Finding(EvidenceKind.LIVENESS, LivenessOutcome.LIVE),
        Finding(EvidenceKind.FACE, FaceOutcome.SAME),
        Finding(EvidenceKind.CHIP, "authentic", (), {"possession_proved": "true"}),
    )
    add(world, actor, name, *findings)
    with world.database.read() as connection:
        decision = evaluate(default_policy(), "IAL2", store.ledger(connection, name))
    assert decision.outcome is Outcome.REFER
    assert "EKYC-IAL2-BINDING" in {reason.rule for reason in decision.against}


def test_evidence_of_a_kind_is_bounded(world: World) -> None:
    """Nobody fills the ledger without end."""
    actor, name = world.until(State.CONTACT_VERIFIED)
    tries = world.service.files.settings.evidence_tries
    for _ in range(tries):
        add(world, actor, name, Finding(EvidenceKind.CHIP, "unsupported"))
    with pytest.raises(TooMuchEvidence):
        add(world, actor, name, Finding(EvidenceKind.CHIP, "authentic"))
    with world.database.read() as connection:
        assert store.ledger(connection, name)[-1].outcome == "unsupported"
