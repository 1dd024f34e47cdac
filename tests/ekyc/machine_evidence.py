"""What must hold of a ledger wherever the machine gets to, said a second time and in another way than in `ekyc/`."""

from __future__ import annotations

from itertools import pairwise

from ekyc.evidence.record import RECALLED, Evidence, EvidenceKind, latest, verify_chain
from ekyc.review import statement as review_statement
from tests.ekyc.story import Staff
from tests.ekyc.test_ekyc_policy import needed

_MADE = (EvidenceKind.FACTOR, EvidenceKind.KEY, EvidenceKind.CERTIFICATE, EvidenceKind.CREDENTIAL)


def supports(level: str, ledger: tuple[Evidence, ...]) -> bool:
    """Whether a ledger holds what a certificate of this level stands on."""
    return needed_without_document(ledger) if level == "VOUCHED" else needed(level, ledger)


def needed_without_document(ledger: tuple[Evidence, ...]) -> bool:
    """Consent, contact, a declaration; since then two who vouch, and the commune's officer who saw the person; a second
    officer where somebody of that name is enrolled, say; nobody else enrolled as this person."""
    last = {kind: latest(ledger, kind) for kind in EvidenceKind}
    declared = last[EvidenceKind.DECLARATION]
    if declared is None or declared.outcome != "declared":
        return False
    since = [one for one in ledger if one.sequence > declared.sequence]
    words = [one for one in since if one.kind is EvidenceKind.VOUCH]
    vouchers = {one.actor for one in words if one.outcome == "vouched"}
    reviews = [one for one in since if one.kind is EvidenceKind.REVIEW and words and one.sequence > words[-1].sequence]
    bound = [one for one in {one.actor: one for one in reviews}.values() if one.outcome == "bound"]
    commune = [
        one
        for one in bound
        if one.facts.get("role") == "commune"
        and one.facts["method"] == "in-person"
        and one.actor.endswith(declared.facts["commune"])  # how the machine names its communes' officers
        and one.actor.removeprefix("officer:") not in vouchers
    ]
    unique = [one for one in since if one.kind is EvidenceKind.DEDUPE]
    points = 40 * any(one.facts.get("namesake") == "true" for one in ledger if one.kind is EvidenceKind.DEDUPE)
    points += 20 * any(one.outcome == "referred" for one in ledger if one.kind is EvidenceKind.REVIEW)
    return (
        _accepted(last[EvidenceKind.CONSENT], "accepted")
        and _accepted(last[EvidenceKind.AGREEMENT], "accepted")
        and _accepted(last[EvidenceKind.CONTACT], "verified")
        and _accepted(last[EvidenceKind.REVIEW], "bound")
        and words[-1:] != []
        and words[-1].outcome == "vouched"
        and len(vouchers) >= 2
        and not any(one.actor == f"person:{declared.actor.partition(':')[2]}" for one in words)
        and bool(commune)
        and bool(unique)
        and unique[-1].outcome == "unique"
        and len(bound) >= (2 if points >= 40 else 1)
    )


def _accepted(record: Evidence | None, outcome: str) -> bool:
    return record is not None and record.outcome == outcome


def check_renewals(ledger: tuple[Evidence, ...]) -> None:
    """Between two keys either every factor was lost, or the registry was asked again and still knew the person."""
    keys = [one.sequence for one in ledger if one.kind is EvidenceKind.KEY]
    for before, after in pairwise(keys):
        between = ledger[before : after - 1]
        lost = any(one.kind is EvidenceKind.FACTOR and one.outcome == "lost" for one in between)
        asked = [one for one in between if one.kind is EvidenceKind.REGISTRY and one.outcome != RECALLED]
        assert lost or (asked and asked[-1].outcome == "match" and asked[-1].facts.get("for") == "renewal")


def check_suspensions(ledger: tuple[Evidence, ...], staff: Staff) -> None:
    """What was called back after the decision (by a recall, or a guardian) stops everything that is made, until two
    different officers have signed for exactly the evidence of then; a minor comes back with a guardian."""
    decided = latest(ledger, EvidenceKind.DECISION)
    stopped = withdrawn = False
    for one in ledger[len(ledger) if decided is None else decided.sequence :]:
        if one.outcome == RECALLED or (one.kind is EvidenceKind.GUARDIAN and one.outcome == "withdrawn"):
            stopped = True
        if one.kind is EvidenceKind.GUARDIAN:
            withdrawn = one.outcome not in ("bound", "review")
        if one.kind is EvidenceKind.REINSTATEMENT:
            assert stopped
            assert not withdrawn
            check_reinstatement(one, ledger, staff)
            stopped = False
        if one.kind in _MADE and one.outcome != "lost":
            assert not stopped, one.kind


def check_reinstatement(record: Evidence, ledger: tuple[Evidence, ...], staff: Staff) -> None:
    """Two different officers, each with their own signature over the evidence as it stood."""
    facts, digest = record.facts, verify_chain(ledger[: record.sequence - 1]).hex()
    assert facts["seen"] == digest
    assert facts["first"] != record.actor
    for who, part in ((facts["first"], "first_"), (record.actor, "")):
        said = review_statement.statement(
            record.enrolment_id, digest, "reinstate", facts[f"{part}method"], facts[f"{part}reason"]
        )
        review_statement.check(staff.key_of(who.partition(":")[2]), said, facts[f"{part}signature"])
