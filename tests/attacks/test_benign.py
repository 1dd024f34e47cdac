"""No file in which nothing is wrong is refused: as many of them as there are attacks, by several producers."""

from __future__ import annotations

import pytest

from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests.attacks.benign import benign
from tests.attacks.specimens import Place, Specimens
from tests.attacks.test_attacks import ATTACKS
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import NOW

BENIGN = [*benign()]


@pytest.mark.parametrize("place", BENIGN, ids=lambda one: one.name)
def test_benign(specimens: Specimens, trust: Trust, place: Place) -> None:
    """TOTAL-PASSED."""
    verdict = verify_file(place.make(specimens), place.name, trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None), rules(verdict)


def test_their_number() -> None:
    """As many as there are attacks."""
    assert len({one.name for one in BENIGN}) == len(BENIGN) >= len(ATTACKS)
