"""Which document timestamps archive: those that stand behind the validation data (EN 319 142-1 §5.4.3)."""

from __future__ import annotations

from datetime import timedelta

from signing.verify.trust import Trust
from signing.verify.verdict import verify_file
from tests.verify.outcomes import outcome
from tests.verify.verify_world import NOW, SIGNED_AT, World, crl


def test_a_timestamp_before_the_validation_data_archives_nothing(world: World, plain: bytes, trust: Trust) -> None:
    """EN 319 142-1 §5.4.3: B-LTA is a timestamp over the validation data; one that stands before them leaves B-LT, one
    that follows raises the level, and evidence added behind it for itself takes nothing away."""
    stamped = world.timestamp(world.sign(plain), SIGNED_AT + timedelta(hours=1))
    late = world.add_evidence(stamped)
    verdict = verify_file(late, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [one.level for one in verdict.signatures] == ["B-LT", None]
    covered = world.timestamp(late, SIGNED_AT + timedelta(hours=2), "Stamp2")
    assert verify_file(covered, "a.pdf", trust, NOW).signatures[0].level == "B-LTA"
    more = world.add_evidence(covered, crls=[crl(world.tsa_ca)], ocsps=[], certificates=[])
    verdict = verify_file(more, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LTA"


def test_a_timestamp_over_half_of_the_validation_data_archives_nothing(
    world: World, plain: bytes, trust: Trust
) -> None:
    """The certificates and lists before the timestamp, the signer's status behind it: B-LT."""
    half = world.add_evidence(world.sign(plain), ocsps=[])
    stamped = world.timestamp(half, SIGNED_AT + timedelta(hours=1))
    whole = world.add_evidence(stamped, crls=[], certificates=[])
    verdict = verify_file(whole, "a.pdf", trust, NOW)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LT"
