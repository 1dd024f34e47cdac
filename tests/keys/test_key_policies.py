"""Key policies as values: one canonical form, strictly read, never more than the key's use allows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from foundation.keys.errors import PolicyInvalid
from foundation.keys.policy import DEFAULTS, KeyPolicy, Signable, policy_for
from foundation.keys.port import KeyUse


@pytest.mark.parametrize("use", KeyUse)
def test_a_policy_is_read_back_from_its_canonical_form(use: KeyUse) -> None:
    """For each use: parsing what was written gives the same policy, with the same hash."""
    policy = DEFAULTS[use]
    again = KeyPolicy.parse(json.loads(policy.canonical))
    assert again == policy
    assert again.hash == policy.hash


def test_every_difference_changes_the_hash() -> None:
    """Two policies that differ in any field have different hashes; the order of a set's members is none."""
    base = DEFAULTS[KeyUse.ISSUING_CA]
    assert base.certificates is not None
    others = [
        replace(base, use_limit=7),
        replace(base, needs_quorum=False),
        replace(base, clock_seconds=2),
        replace(base, kinds=base.kinds - {Signable.OCSP}),
        replace(base, certificates=replace(base.certificates, longest_days=1)),
        replace(base, certificates=replace(base.certificates, path_length=0)),
        replace(base, certificates=replace(base.certificates, name_space=(("2.5.4.6", "KH"),))),
    ]
    assert len({base.hash, *(one.hash for one in others)}) == len(others) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"format": "camtrust-key-policy-0"},
        {"surprise": 1},
        {"kinds": []},
        {"kinds": ["ocsp", "crl", "certificate", "request"]},
        {"kinds": ["certificate", "anything"]},
        {"certificates": None},
        {"use_limit": 0},
        {"use_limit": True},
        {"needs_activation": True},
        {"needs_quorum": 1},
        {"clock_seconds": 0},
        {"clock_seconds": 61},
    ],
)
def test_anything_but_a_policy_is_refused(change: dict[str, Any]) -> None:
    """An unknown field, a value of the wrong kind or out of range, a list that is not sorted: PolicyInvalid."""
    with pytest.raises(PolicyInvalid):
        KeyPolicy.parse({**DEFAULTS[KeyUse.ISSUING_CA].data(), **change})


@pytest.mark.parametrize("field", DEFAULTS[KeyUse.ISSUING_CA].data())
def test_a_missing_field_is_refused(field: str) -> None:
    """Nothing of a policy is left to a default when it is read."""
    rest = {name: value for name, value in DEFAULTS[KeyUse.ISSUING_CA].data().items() if name != field}
    with pytest.raises(PolicyInvalid):
        KeyPolicy.parse(rest)


def test_a_policy_never_allows_more_than_the_use() -> None:
    """A certifying key cannot be given messages to sign, a document key certificates, a citizen's key no owner."""
    free = KeyPolicy(kinds=frozenset({Signable.MESSAGE}))
    for use, policy in (
        (KeyUse.ISSUING_CA, free),
        (KeyUse.TSA, DEFAULTS[KeyUse.AUDIT]),
        (KeyUse.AUDIT, DEFAULTS[KeyUse.ISSUING_CA]),
        (KeyUse.CITIZEN_SIGN, free),
    ):
        with pytest.raises(PolicyInvalid):
            policy_for(use, policy)
