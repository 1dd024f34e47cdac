"""Attacks on guardianship, each with its control on, which refuses, and off, when the same attack goes through."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import ekyc.guardians.desk
from ekyc.errors import WrongState
from ekyc.guardians import store as guardian_store
from ekyc.guardians.desk import GuardianDesk
from ekyc.guardians.errors import (
    GuardianInvitationUnknown,
    GuardianIsMinor,
    GuardianNotConfirmed,
    GuardianNotHolder,
    GuardianQuota,
    GuardianSelf,
)
from ekyc.model import State
from ekyc.policy import default_policy
from ekyc.ports import Cause, RegistryAnswer, RegistryOutcome, RelationQuery
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from tests.ekyc.families import CODE, by_policy, changed, minor
from tests.ekyc.story import PIN, World

Attack = Callable[[World], State]
Off = Callable[[World, pytest.MonkeyPatch], None]


def alone(world: World) -> State:
    """A minor goes on without anybody."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, "minor")
    world.service.registry.match(actor, name)
    return world.review(name).state


def of_age(world: World, patch: pytest.MonkeyPatch) -> None:
    world.service = world.restarted(policy=default_policy().model_copy(update={"age_full": 15}))


def oneself(world: World) -> State:
    """A minor answers their own invitation."""
    actor, name, code = minor(world)
    world.service.guardians.accept(actor, code, "mother", PIN, CODE)
    return world.state(name).state


def whoever(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ekyc.guardians.desk, "is_self", lambda *_: False)
    no_certificate(world, patch)
    minors_too(world, patch)
    everything_agrees(world, patch)


def by_a_minor(world: World) -> State:
    """An enrolled minor answers for their brother, and the registry even agrees."""
    elder = enrolled_minor(world)
    _, name, code = minor(world, "minor-brother")
    world.service.guardians.accept(elder, code, "guardian", PIN, CODE)
    return world.state(name).state


def enrolled_minor(world: World) -> Actor:
    found: Actor | None = getattr(world, "elder", None)
    if found is None:
        mother, _ = world.until(State.ACTIVATED, "adult")
        found, name, code = minor(world)
        world.service.guardians.accept(mother, code, "mother", PIN, CODE)
        world.review(name)
        world.bind_factors(found, name)
        world.service.issuance.certificate(found, name)
        world.elder = found  # type: ignore[attr-defined]
    return found


def minors_too(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GuardianDesk, "_is_of_age", lambda *_: True)


def by_a_revoked_guardian(world: World) -> State:
    """The mother's certificate was revoked; her session and factors still work."""
    mother, theirs = guardian(world)
    world.ca.revoked[world.state(theirs).certificate_serial or ""] = Cause.SUPERSEDED
    _, name, code = minor(world)
    world.service.guardians.accept(mother, code, "mother", PIN, CODE)
    return world.state(name).state


def guardian(world: World) -> tuple[Actor, str]:
    """The mother, enrolled once in a world."""
    found = getattr(world, "mother", None) or world.until(State.ACTIVATED, "adult")
    world.mother = found  # type: ignore[attr-defined]
    return found


def no_certificate(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GuardianDesk, "_holds", lambda *_: True)


def wrong_relation(world: World) -> State:
    """A holder who is not the father says that he is."""
    stranger, _ = getattr(world, "stranger", None) or world.until(State.ACTIVATED, "lifetime-card")
    world.stranger = (stranger, "")  # type: ignore[attr-defined]
    _, name, code = minor(world)
    world.service.guardians.accept(stranger, code, "father", PIN, CODE)
    return world.state(name).state


class Agreeing:
    """A register that knows every relation."""

    def relation(self, query: RelationQuery) -> RegistryAnswer:  # noqa: ARG002
        return RegistryAnswer(RegistryOutcome.MATCH, {}, "SPECIMEN")


def everything_agrees(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(world.service.guardians, "_relations", Agreeing())


def too_many(world: World) -> State:
    """One guardian for more minors than the policy permits."""
    mother, _ = guardian(world)
    for person in ("minor", "minor-brother"):
        _, name, code = minor(world, person)
        world.service.guardians.accept(mother, code, "mother", PIN, CODE)
    return world.state(name).state


def many(world: World, patch: pytest.MonkeyPatch) -> None:
    by_policy(world, changed(most=100), patch)


def used_twice(world: World) -> State:
    """An invitation that was answered is answered by somebody else too."""
    mother, _ = guardian(world)
    _, name, code = minor(world)
    world.service.guardians.accept(mother, code, "mother", PIN, CODE)
    world.service.guardians.withdraw(mother, name)
    world.service.guardians.accept(mother, code, "mother", PIN, CODE)
    return world.state(name).state


def invitations_last(world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guardian_store.invitations, "use", lambda *_: None)


ATTACKS: tuple[tuple[str, Attack, Off, tuple[type[CamTrustError], ...]], ...] = (
    ("alone", alone, of_age, (WrongState,)),
    ("self", oneself, whoever, (GuardianSelf,)),
    ("guardian-is-a-minor", by_a_minor, minors_too, (GuardianIsMinor,)),
    ("revoked-guardian", by_a_revoked_guardian, no_certificate, (GuardianNotHolder,)),
    ("wrong-relation", wrong_relation, everything_agrees, (GuardianNotConfirmed,)),
    ("too-many", too_many, many, (GuardianQuota,)),
    ("invitation-twice", used_twice, invitations_last, (GuardianInvitationUnknown,)),
)


@pytest.mark.parametrize(("attack", "off", "refusals"), [one[1:] for one in ATTACKS], ids=[one[0] for one in ATTACKS])
def test_an_attack_on_guardianship_is_refused_by_its_control(
    family: World, monkeypatch: pytest.MonkeyPatch, attack: Attack, off: Off, refusals: tuple[type[CamTrustError], ...]
) -> None:
    """With the control the attack is refused, by its own code. Without it, the same attack goes through."""
    if attack is too_many:
        by_policy(family, changed(most=1), monkeypatch)
    with pytest.raises(refusals):
        attack(family)
    off(family, monkeypatch)
    assert attack(family) in (State.REGISTRY_MATCHED, State.APPROVED)
