"""The registration authority over a CA of the tests: officers, and a person's factors that take one PIN and code."""

from __future__ import annotations

from dataclasses import dataclass, field

import issuing_ca.ra.store
from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import PinIncorrect
from foundation.randomness import SystemRandomness
from foundation.vault import Vault
from issuing_ca.ra.service import Registration
from tests.ca.ca_world import World

PIN, CODE = "739218465017", "123456"


@dataclass
class Persons:
    """Who stands behind an actor; nobody is known unless :attr:`known` says so."""

    known: dict[str, str] = field(default_factory=dict)

    def person_of(self, actor_id: str) -> str | None:
        return self.known.get(actor_id)


class OnePin:
    """Factors that are right for every person with one PIN and code: the token has tests of its own."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def check(self, owner: str, pin: str, totp: str) -> None:
        self.checked.append(owner)
        if (pin, totp) != (PIN, CODE):
            raise PinIncorrect


def registration(world: World, persons: Persons | None = None, factors: OnePin | None = None) -> Registration:
    """The registration authority of a world; makes its tables."""
    issuing_ca.ra.store.metadata.create_all(world.database.engine)
    vault = Vault(world.keys._token)  # type: ignore[arg-type]
    return Registration(
        world.ca, world.database, vault, world.clock, SystemRandomness(), world.audit, persons or Persons(),
        factors or OnePin(), world,
    )  # fmt: skip


def officer(name: str) -> Actor:
    return Actor(ActorKind.OFFICER, name)
