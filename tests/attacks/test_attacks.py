"""No attack passes, and each fails for its own reason. The files are made here, from documents that are really signed."""

from __future__ import annotations

import pytest

from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests.attacks import attacks_on_fields, attacks_on_keys, attacks_on_objects, attacks_on_octets
from tests.attacks.specimens import Attack, Specimens
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import NOW

ATTACKS = [
    one
    for group in (attacks_on_octets, attacks_on_objects, attacks_on_fields, attacks_on_keys)
    for one in group.attacks()
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.name)
def test_attack(specimens: Specimens, trust: Trust, attack: Attack) -> None:
    """The verdict that stands beside the attack, by the rule that stands there."""
    verdict = verify_file(attack.make(specimens), attack.name, trust, NOW)
    assert (*outcome(verdict), attack.rule in rules(verdict)) == (attack.indication, attack.sub, True), rules(verdict)


def test_their_number() -> None:
    """At least two hundred, each under a name of its own."""
    names = [one.name for one in ATTACKS]
    assert len(names) == len(set(names)) >= 200
