"""A pass lists everything that it relied on, so that a second checker, which shares no code, proves it again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify.second_checker import NotProven, prove
from tests.verify.verify_world import NOW, SIGNED_AT, World


def relied_on(world: World, data: bytes, bundle: bytes) -> list[list[dict[str, Any]]]:
    trust = build_trust(bundle, frozenset({world.pin}), [], NOW, STRICT)
    verdict = json.loads(json.dumps(verify_file(data, "a.pdf", trust, NOW).json()))
    assert verdict["indication"] == "TOTAL-PASSED"
    return [one["relied_on"] for one in verdict["signatures"]]


def test_passes_are_proved_again(world: World, signed: bytes) -> None:
    """Chains, statuses and timestamps of a B-LT and a B-LTA document, for each signature in them."""
    bundle = world.bundle()
    for data in (signed, world.timestamp(signed, SIGNED_AT + timedelta(hours=3))):
        for listed in relied_on(world, data, bundle):
            assert {one["kind"] for one in listed} >= {"certificate", "anchor", "crl"}
            assert prove(data, bundle, listed) >= 4


def test_what_is_missing_is_not_proved(world: World, signed: bytes) -> None:
    """The checker is worth something: without an issuer, or for another document, nothing is proved."""
    bundle = world.bundle()
    (listed,) = relied_on(world, signed, bundle)
    without = [one for one in listed if one["kind"] != "certificate" or "Issuing" not in one["what"]]
    with pytest.raises(NotProven):
        prove(signed, bundle, without)
    with pytest.raises(NotProven):
        prove(world.sign(signed, field="Other"), bundle, [{**listed[0], "sha256": "00" * 32}])
