"""The receipt's `verified_claims` against OpenID Identity Assurance Schema Definition 1.0, clause 5.

OpenID's JSON schema (draft 12, not normative) names no licence where it is published and is not distributed here; what
the specification requires of each member is written down in this file, from its text.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from ekyc.model import State
from ekyc.receipts import receipt
from tests.ekyc.families import Factors
from tests.ekyc.story import World
from tests.ekyc.vouchers import holder, speak, vouched

# Clause 5.4.4: what each type of evidence is described in, and must name the type of.
DESCRIBED = {"document": "document_details", "electronic_record": "record", "vouch": "attestation"}
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})")


def problems(verified: Any) -> list[str]:
    """What clause 5 does not allow in a `verified_claims` element; nothing where it conforms."""
    found: list[str] = []

    def needs(holds: bool, what: str) -> None:
        if not holds:
            found.append(what)

    needs(isinstance(verified, dict) and set(verified) == {"verification", "claims"}, "5.2 verification and claims")
    if found:
        return found
    verification = verified["verification"]
    needs(isinstance(verified["claims"], dict), "5.3 claims")
    needs(isinstance(verification.get("trust_framework"), str), "5.4.2 trust_framework")
    for member in ("assurance_level", "verification_process"):
        needs(isinstance(verification.get(member, ""), str), f"5.4.2 {member}")
    needs(_time(verification), "5.4.2 time")
    needs(isinstance(verification.get("evidence"), list), "5.4.2 evidence")
    for evidence in verification.get("evidence") or ():
        described = DESCRIBED.get(evidence.get("type"))
        needs(described is not None, "5.4.4 type")
        checks = evidence.get("check_details")
        needs(checks is None or bool(checks), "5.4.4 check_details")
        for check in checks or ():
            needs(bool(check.get("check_method")), "5.4.4 check_method")
            needs(isinstance(check.get("check_id", ""), str), "5.4.4 check_id")
            needs(_time(check), "5.4.4 check time")
        if described in evidence:
            needs(isinstance(evidence[described].get("type"), str), f"5.4.4 {described}.type")
        needs(set(evidence) <= {"type", "check_details", described}, "5.4.4 members")
    return found


def _time(element: dict[str, Any]) -> bool:
    return "time" not in element or bool(TIME.fullmatch(element["time"]))


def claims_of(world: World, name: str, **named: str) -> Any:
    enrolment = world.state(name)
    facts = receipt.Facts(
        "https://specimen.example", enrolment.person_id, name, enrolment.level, "1f", "RCP-1", world.clock.now(), named
    )
    return receipt.claims(facts, world.service.files.ledger(enrolment))["verified_claims"]


def test_of_somebody_with_a_card_and_of_somebody_without(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document, records and officers; vouchers and the commune's officer; with a name and without."""
    _, name = world.until(State.APPROVED)
    for said in (claims_of(world, name), claims_of(world, name, given_name="SOKHA")):
        assert problems(said) == []
    kinds = [one["type"] for one in said["verification"]["evidence"]]
    assert kinds == ["document", "electronic_record", "electronic_record"]
    monkeypatch.setattr(world.service.vouching, "_factors", Factors())
    _, other = vouched(world, holder(world, 1), holder(world, 2))
    speak(world, other)
    said = claims_of(world, other)
    assert problems(said) == []
    assert "vouch" in [one["type"] for one in said["verification"]["evidence"]]


@pytest.mark.parametrize(
    ("spoil", "clause"),
    [
        (lambda one: one.pop("claims"), "5.2 verification and claims"),
        (lambda one: one.update(more=1), "5.2 verification and claims"),
        (lambda one: one["verification"].pop("trust_framework"), "5.4.2 trust_framework"),
        (lambda one: one["verification"].update(time="yesterday"), "5.4.2 time"),
        (lambda one: one["verification"]["evidence"][0].update(type="gossip"), "5.4.4 type"),
        (lambda one: one["verification"]["evidence"][0].update(check_details=[]), "5.4.4 check_details"),
        (lambda one: one["verification"]["evidence"][0]["check_details"][0].pop("check_method"), "5.4.4 check_method"),
        (lambda one: one["verification"]["evidence"][0]["document_details"].pop("type"), "5.4.4 document_details.type"),
    ],
)
def test_the_check_finds_what_it_is_for(world: World, spoil: Callable[[Any], None], clause: str) -> None:
    """Each member that is required, taken away or spoilt."""
    _, name = world.until(State.APPROVED)
    said = copy.deepcopy(claims_of(world, name))
    spoil(said)
    assert clause in problems(said)
