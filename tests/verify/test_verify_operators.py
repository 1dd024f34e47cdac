"""Sets of trust-list operators: two of three sign, one alone does not, and sets hand over to each other."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.verify.bundle import Bundle, BundleContents, BundleProblem, read_bundle
from signing.verify.bundle_export import add_signature, export_bundle
from signing.verify.errors import BundleNotMade
from signing.verify.operators import (
    OperatorSet,
    OperatorsInvalid,
    SignedSet,
    new_set,
    read_chain,
    sign_set,
    verified_chain,
    write_chain,
)
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from tests.verify.verify_world import NOW, Holder, World, issue, usage

EARLY = NOW - timedelta(days=20)


@cache
def operator(number: int) -> Holder:
    """A self-signed operator, one of six."""
    return issue(f"SPECIMEN Operator {number}", None, [(usage("digital_signature"), True)])


def signed(one: OperatorSet, *numbers: int) -> SignedSet:
    made = SignedSet(one, ())
    for number in numbers:
        made = sign_set(made, operator(number).key, operator(number).certificate)
    return made


def operators(before: OperatorSet | None, threshold: int, *numbers: int, at: datetime = EARLY) -> OperatorSet:
    return new_set(before, [operator(one).certificate for one in numbers], threshold, at)


FIRST = operators(None, 2, 1, 2, 3)
CHAIN = (signed(FIRST, 1, 2),)


def bundle(world: World, chain: tuple[SignedSet, ...] | None, *numbers: int, **changes: object) -> bytes:
    issued = NOW - timedelta(days=1)
    contents = BundleContents(
        sequence=7,
        issued=issued,
        expires=issued + timedelta(days=14),
        specimen=True,
        anchors=(world.root.certificate,),
        operators=None if chain is None else write_chain(chain),
    )
    contents = dataclasses.replace(contents, **changes)  # type: ignore[arg-type]
    return export_bundle(contents, [(operator(one).key, operator(one).certificate) for one in numbers])


def taken(octets: bytes, *pins: str) -> bool:
    return isinstance(read_bundle(octets, frozenset(pins)), Bundle)


def test_two_of_three(world: World) -> None:
    """Any two of the pinned set; one alone, one twice and a stranger beside one are not enough."""
    for pair in ((1, 2), (2, 3), (1, 3), (1, 2, 3)):
        assert taken(bundle(world, CHAIN, *pair), FIRST.sha256)
    assert not taken(bundle(world, CHAIN, 1), FIRST.sha256)
    assert not taken(bundle(world, CHAIN, 1, 4), FIRST.sha256)
    assert not taken(bundle(world, CHAIN, 1, 2), "00" * 32)


def test_one_operator_cannot_lower_the_threshold(world: World) -> None:
    """A thief of one key: no chain at all, a chain of their own, a threshold of one in the bundle."""
    one = operators(None, 1, 1)
    assert not taken(bundle(world, None, 1), FIRST.sha256)
    assert not taken(bundle(world, (signed(one, 1),), 1), FIRST.sha256)
    assert not taken(bundle(world, CHAIN, 1, threshold=1), FIRST.sha256)
    # a second set that lets one alone sign, which two never handed over to
    with pytest.raises(BundleNotMade):
        bundle(world, (*CHAIN, signed(operators(FIRST, 1, 1), 1)), 1)


def test_signatures_are_added_one_by_one(world: World) -> None:
    """Each operator signs on a machine of their own what the others signed; nobody signs twice."""
    first = bundle(world, CHAIN, 3)
    assert not taken(first, FIRST.sha256)
    second = add_signature(first, (operator(1).key, operator(1).certificate))
    assert taken(second, FIRST.sha256)
    with pytest.raises(BundleNotMade):
        add_signature(second, (operator(1).key, operator(1).certificate))
    with pytest.raises(BundleNotMade):
        add_signature(second[:-1], (operator(2).key, operator(2).certificate))


def test_a_set_hands_over_to_the_next(world: World) -> None:
    """The old pin leads to the new operators; the old ones sign no more; the new pin holds too."""
    second = operators(FIRST, 2, 3, 4, 5)
    chain = (*CHAIN, signed(second, 1, 3, 4))
    for pin in (FIRST.sha256, second.sha256):
        assert taken(bundle(world, chain, 4, 5), pin)
        assert not taken(bundle(world, chain, 1, 2), pin)
    with pytest.raises(OperatorsInvalid):  # of the set before, one alone
        verified_chain(write_chain((*CHAIN, signed(second, 1, 4, 5))))
    with pytest.raises(OperatorsInvalid):  # of the new one, one alone
        verified_chain(write_chain((*CHAIN, signed(second, 1, 2, 4))))


def test_operators_who_were_replaced_are_remembered(world: World) -> None:
    """The stolen keys of the first set sign a bundle that leaves the second set out: a verifier that saw it refuses."""
    forged = bundle(world, CHAIN, 1, 2, sequence=99)
    pins = frozenset({FIRST.sha256})
    assert build_trust(forged, pins, [], NOW, STRICT, None, 0).reasons == ()
    refused = build_trust(forged, pins, [], NOW, STRICT, None, 2)
    assert [one.rule for one in refused.reasons] == ["BND-OPERATORS"]
    assert refused.reasons[0].sub_indication is not None


def test_the_pin_of_one_certificate_holds_on(world: World) -> None:
    """Who pinned the only operator is led to the set that this operator handed over to; to no larger first set."""
    alone = operators(None, 1, 1)
    second = operators(alone, 2, 1, 2, 3)
    chain = (signed(alone, 1), signed(second, 1, 2))
    pin = alone.operators[0]
    assert taken(bundle(world, None, 1), pin)
    assert taken(bundle(world, chain, 2, 3), pin)
    assert not taken(bundle(world, chain, 1), pin)
    assert not taken(bundle(world, CHAIN, 1, 2), pin)


def test_sets_that_no_reader_takes() -> None:
    """Thresholds, numbers, dates and names."""
    for threshold in (0, 4):
        with pytest.raises(OperatorsInvalid):
            operators(None, threshold, 1, 2, 3)
    with pytest.raises(OperatorsInvalid):
        operators(FIRST, 1, 1, at=EARLY - timedelta(days=1))
    for octets in (b"", b"[]", b"{}", b"null", b"[1]", b'[{"set":{},"signatures":[]}]', b"[" * 5000):
        with pytest.raises(OperatorsInvalid):
            read_chain(octets)
    skipped = dataclasses.replace(operators(FIRST, 1, 1), version=3)
    with pytest.raises(OperatorsInvalid):
        read_chain(write_chain((*CHAIN, SignedSet(skipped, ()))))
    with pytest.raises(OperatorsInvalid):
        verified_chain(write_chain((SignedSet(FIRST, (*CHAIN[0].signatures, b"\x30\x00")),)))


@cache
def two_sets() -> bytes:
    return write_chain((*CHAIN, signed(operators(FIRST, 1, 4), 1, 2, 4)))


@settings(max_examples=60)
@given(st.data())
def test_any_changed_octet_of_a_chain(data: st.DataObject) -> None:
    """Nothing in the file can be changed: not a name, not a number, not a signature."""
    octets = two_sets()
    place = data.draw(st.integers(0, len(octets) - 1))
    changed = octets[:place] + bytes((octets[place] ^ data.draw(st.integers(1, 255)),)) + octets[place + 1 :]
    with pytest.raises(OperatorsInvalid):
        verified_chain(changed)


def test_a_bundle_older_than_its_operators(world: World) -> None:
    """A set that begins after the bundle was issued is not the one that signed it."""
    late = operators(None, 1, 1, at=NOW)
    with pytest.raises(BundleNotMade):
        bundle(world, (signed(late, 1),), 1)


def test_what_is_claimed_is_shown(world: World) -> None:
    """Without a pin the fingerprint to compare is the newest set's."""
    problem = read_bundle(bundle(world, CHAIN, 1, 2), frozenset())
    assert isinstance(problem, BundleProblem)
    assert problem.reason.params["signer"] == FIRST.sha256
