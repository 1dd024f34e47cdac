"""The canonical form of what a person approves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from foundation import merkle
from foundation.keys.activation import ActivationData, ChangeData, Method, digests_root

ONE, TWO = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()
DATA = ActivationData(
    "key", "owner", digests_root([ONE, TWO]), 2, "sign", bytes(32), datetime(2026, 7, 14, tzinfo=UTC), Method.PASSKEY
)


def test_the_root_is_the_tree_of_rfc_6962() -> None:
    """One digest: its leaf. Two: the node over both leaves, in their order."""
    assert digests_root([ONE]) == hashlib.sha256(b"\0" + ONE).digest()
    assert digests_root([ONE, TWO]) == merkle.node_hash(merkle.leaf_hash(ONE), merkle.leaf_hash(TWO))
    assert digests_root([TWO, ONE]) != digests_root([ONE, TWO])


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=600), st.data())
def test_each_digest_can_be_shown_alone(digests: list[bytes], data: st.DataObject) -> None:
    """An inclusion proof leads from any digest to the root that was approved."""
    index = data.draw(st.integers(0, len(digests) - 1))
    leaves = [merkle.leaf_hash(one) for one in digests]
    tiles = merkle.appended(lambda *_: b"", 0, leaves)
    proof = merkle.inclusion_proof(lambda *at: tiles[at], index, len(digests))
    assert merkle.verify_inclusion(leaves[index], index, len(digests), proof, digests_root(digests))


def test_the_canonical_form_is_written_down() -> None:
    """A verifier in another language finds exactly these octets."""
    assert DATA.canonical() == (
        b'{"act":"sign","audience":"sign","count":2,"expires":"2026-07-14T00:00:00Z","format":"camtrust-activation-1",'
        b'"key_id":"key","method":"passkey","nonce":"' + b"00" * 32 + b'","owner":"owner",'
        b'"root":"' + DATA.root.hex().encode() + b'"}'
    )
    assert DATA.challenge() == hashlib.sha256(DATA.canonical()).digest()


def test_every_field_is_in_the_challenge() -> None:
    """Another key, owner, list, count, audience, nonce, expiry or method: another challenge."""
    others = [
        replace(DATA, key_id="other"),
        replace(DATA, owner="other"),
        replace(DATA, root=digests_root([TWO, ONE])),
        replace(DATA, count=3),
        replace(DATA, audience="other"),
        replace(DATA, nonce=bytes(31) + b"\1"),
        replace(DATA, expires=datetime(2026, 7, 15, tzinfo=UTC)),
        replace(DATA, method=Method.PIN_TOTP),
    ]
    assert len({DATA.challenge(), *(one.challenge() for one in others)}) == 1 + len(others)


def test_it_names_its_digests_and_no_others() -> None:
    """In their order, with multiplicity."""
    assert DATA.names([ONE, TWO])
    assert not any(DATA.names(other) for other in ([TWO, ONE], [ONE], [ONE, TWO, TWO], [ONE, ONE]))


def test_a_change_is_not_a_signature() -> None:
    """The two acts have disjoint canonical forms."""
    change = ChangeData("owner", {"kind": "pin"}, bytes(32), DATA.expires, Method.PASSKEY)
    assert json.loads(change.canonical())["act"] == "change-factor"
    assert change.challenge() != DATA.challenge()
