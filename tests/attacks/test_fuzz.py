"""A short search of the long one (`make fuzz`): with a seed that stays the same, so that a failure can be repeated."""

from __future__ import annotations

from pathlib import Path

from signing.verify.trust import Trust
from tests.attacks import fuzz
from tests.attacks.increments import changed
from tests.attacks.specimens import Specimens


def test_a_short_search(tmp_path: Path) -> None:
    """Three seconds: no changed file passes, none trips the verifier."""
    assert fuzz.run(3, 83, tmp_path) > 0


def test_the_search_would_find(specimens: Specimens, trust: Trust) -> None:
    """A file that passes with other signed octets is a finding: here, two different good documents."""
    assert fuzz.finding(specimens["long-term"], specimens["long-term"], trust) is None
    assert fuzz.finding(specimens["long-term"], specimens["form"], trust) == "passes"
    assert fuzz.finding(changed(specimens["signed"], lambda pdf: [pdf.Root]), specimens["signed"], trust) is None
