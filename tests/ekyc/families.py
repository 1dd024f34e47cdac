"""Minors and guardians in tests: factors that can be shown at any time, a minor who waits, other rules."""

from __future__ import annotations

from typing import Any

import pytest

from ekyc.model import State
from ekyc.policy import Policy, default_policy, parse_policy
from foundation.http.actor import Actor
from foundation.keys.errors import PinIncorrect
from tests.ekyc.story import PIN, World

CODE = "111222"


class Factors:
    """Checks as the token does, by a code that can be shown at any time; the real token has a test of its own."""

    def check(self, owner: str, pin: str, totp: str) -> None:  # noqa: ARG002
        if (pin, totp) != (PIN, CODE):
            raise PinIncorrect


def changed(**guardians: Any) -> Policy:
    """The policy of this build with other rules for guardians."""
    data = default_policy().model_dump(mode="json", exclude_unset=True)
    return parse_policy(data | {"guardians": data["guardians"] | guardians})


def by_policy(world: World, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    world.service = world.restarted(policy=policy)
    monkeypatch.setattr(world.service.guardians, "_factors", Factors())


def minor(world: World, person: str = "minor", level: str = "IAL2") -> tuple[Actor, str, str]:
    """A minor who is known to the registry and waits; with the code for the guardian."""
    actor, name = world.until(State.DOCUMENT_VALIDATED, person, level)
    assert world.service.registry.match(actor, name).state is State.WAITING_GUARDIAN
    return actor, name, world.service.guardians.invite(actor, name).code
