"""People without a document in tests: what they declare, who vouches for them, the officer of their commune."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ekyc.model import Enrolment, State
from ekyc.policy import Policy, default_policy, parse_policy
from ekyc.registry_simulation.persons import series
from ekyc.review import statement as review_statement
from ekyc.review.desk import Verdict
from ekyc.vouching.desk import Declaration
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.families import CODE, Factors
from tests.ekyc.story import PIN, World

COMMUNE = "120401"
CHIEF = Actor(ActorKind.OFFICER, "OFF-COMMUNE", frozenset({"ekyc-commune", f"commune-{COMMUNE}"}))
ELSEWHERE = Actor(ActorKind.OFFICER, "OFF-ELSEWHERE", frozenset({"ekyc-commune", "commune-010203"}))
SAID = Declaration("SPECIMEN", "SREY MOM", "គំរូ", "ស្រីមុំ", date(1999, 4, 14), COMMUNE)


def by_rules(world: World, patch: pytest.MonkeyPatch, **vouching: Any) -> None:
    """The world goes on with other rules for vouching."""
    by_policy(world, patch, changed(**vouching))


def by_policy(world: World, patch: pytest.MonkeyPatch, policy: Policy) -> None:
    world.service = world.restarted(policy=policy)
    patch.setattr(world.service.vouching, "_factors", Factors())


def changed(**vouching: Any) -> Policy:
    """The policy of this build with other rules for vouching."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    return parse_policy(data | {"vouching": data["vouching"] | vouching})


def phone(world: World) -> str:
    """A number that nobody else of a world has."""
    world.__dict__["phones"] = number = world.__dict__.get("phones", 0) + 1
    return f"012 9{number:05}"


def holder(world: World, number: int) -> Actor:
    """A certificate holder of the series, enrolled once in a world."""
    known: dict[int, Actor] = world.__dict__.setdefault("holders", {})
    if number not in known:
        known[number] = world.until(State.ACTIVATED, series(number), phone=phone(world))[0]
    return known[number]


def declared(world: World, said: Declaration = SAID) -> tuple[Actor, str]:
    """Somebody without a document, who has declared who they are."""
    actor, enrolment = world.start("VOUCHED")
    world.service.enrolment.consent(actor, enrolment.id, world.accept())
    world.prove_contact(actor, enrolment.id, phone(world))
    assert world.service.vouching.declare(actor, enrolment.id, said).state is State.WAITING_VOUCHERS
    return actor, enrolment.id


def another(number: int) -> Declaration:
    """A declaration of somebody else."""
    return replace(SAID, date_of_birth=date(1980, 1, 1 + number))


def vouch(world: World, actor: Actor, name: str, voucher: Actor) -> Enrolment:
    """The person invites, the voucher looks and approves."""
    desk = world.service.vouching
    code = desk.invite(actor, name).code
    asked = desk.look(voucher, code)
    return desk.vouch(voucher, code, asked.evidence_digest, PIN, CODE)


def speak(
    world: World,
    name: str,
    officer: Actor = CHIEF,
    verdict: Verdict = Verdict.BIND,
    reason: str = "person-is-holder",
    signer: Actor | None = None,
) -> Enrolment:
    """The commune's officer sees the person, and signs."""
    if officer.id not in world.staff.keys:
        world.staff.add(officer)
    seen = world.service.commune.show(officer, name).evidence_digest
    said = review_statement.statement(name, seen, verdict.value, "in-person", reason)
    signature = review_statement.sign(world.staff.keys[(signer or officer).id], said)
    return world.service.commune.decide(officer, name, verdict, reason, seen, signature)


def vouched(world: World, *vouchers: Actor, said: Declaration = SAID) -> tuple[Actor, str]:
    """Declared, and vouched for by these."""
    actor, name = declared(world, said)
    for one in vouchers:
        vouch(world, actor, name, one)
    return actor, name
