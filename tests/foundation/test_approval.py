"""Approval statements: one form, one signer, one certificate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from foundation.approval import Approval, ApprovalRefused, check_bound, check_time, document, parse, verify
from foundation.canonical import canonical_json
from tests.registration_authority import SoftwareAuthority

AT = datetime(2026, 5, 1, tzinfo=UTC)
AUTHORITY = SoftwareAuthority()
APPROVAL = Approval(
    authority="issuing",
    profile="citizen-sign",
    person="KH-SPECIMEN",
    subject="0a" * 32,
    public_key="0b" * 32,
    key_id="0c" * 16,
    level="IAL2",
    evidence="0d" * 32,
    not_after=None,
    at=AT,
    expires=AT + timedelta(minutes=10),
    nonce="0e" * 32,
)
SIGNED = AUTHORITY.sign(APPROVAL)


def rule_of(error: ApprovalRefused) -> object:
    return error.params["rule"]


def test_what_was_signed_is_what_is_read() -> None:
    """With every field, and with those that may be absent."""
    for one in (APPROVAL, replace(APPROVAL, key_id=None, not_after=AT + timedelta(days=300))):
        assert verify(AUTHORITY.sign(one), AUTHORITY.pins) == one
        assert parse(one.canonical) == one


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_octet_may_change(place: int, change: int) -> None:
    """Any octet of the document, changed to any other, is refused (the hexadecimal of the same octets too)."""
    changed = bytearray(SIGNED)
    changed[place] ^= change
    with pytest.raises(ApprovalRefused):
        verify(bytes(changed), AUTHORITY.pins)


@pytest.mark.parametrize("part", ["key", "signature"])
def test_the_same_octets_in_other_digits_are_refused(part: str) -> None:
    """Key and signature have one spelling: in capital letters, or with a space in between, they are not taken."""
    outer = json.loads(SIGNED)
    for spelt in (outer[part].upper(), f"{outer[part][:2]} {outer[part][2:]}"):
        with pytest.raises(ApprovalRefused) as told:
            verify(canonical_json(outer | {part: spelt}), AUTHORITY.pins)
        assert rule_of(told.value) == "APPROVAL-FORM"


@given(st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(repr))
def test_anything_else_is_refused(data: bytes | str) -> None:
    """Whatever is no document of this form is refused by name, and nothing else is raised."""
    octets = data if isinstance(data, bytes) else data.encode()
    for call in (lambda: verify(octets, AUTHORITY.pins), lambda: parse(octets)):
        with pytest.raises(ApprovalRefused):
            call()


def test_only_the_pinned_key_counts() -> None:
    """The key in the document proves nothing; one of another kind is refused although it is pinned."""
    other = SoftwareAuthority()
    for signed, pins in ((other.sign(APPROVAL), AUTHORITY.pins), (SIGNED, frozenset[str]())):
        with pytest.raises(ApprovalRefused) as told:
            verify(signed, pins)
        assert rule_of(told.value) == "APPROVAL-SIGNER"
    outer = json.loads(SIGNED)
    lent = json.dumps({**outer, "signature": json.loads(other.sign(APPROVAL))["signature"]}, separators=(",", ":"))
    with pytest.raises(ApprovalRefused) as told:
        verify(lent.encode(), AUTHORITY.pins)
    assert rule_of(told.value) == "APPROVAL-SIGNATURE"
    key = rsa.generate_private_key(65537, 2048)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = document(APPROVAL, spki, lambda _: AUTHORITY.key.sign(b"", ec.ECDSA(hashes.SHA256())))
    with pytest.raises(ApprovalRefused) as told:
        verify(made, {sha256(spki).hexdigest()})
    assert rule_of(told.value) == "APPROVAL-SIGNER"


@pytest.mark.parametrize(
    ("moment", "good"),
    [
        (AT, True),
        (AT + timedelta(minutes=10) - timedelta(microseconds=1), True),
        (AT + timedelta(minutes=10), False),
        (AT - timedelta(minutes=2), False),
    ],
)
def test_it_is_in_force_for_a_time(moment: datetime, good: bool) -> None:
    """From when it was made until it expires, and never for longer than an hour."""
    if good:
        check_time(APPROVAL, moment)
        return
    with pytest.raises(ApprovalRefused) as told:
        check_time(APPROVAL, moment)
    assert rule_of(told.value) == "APPROVAL-TIME"
    with pytest.raises(ApprovalRefused):
        check_time(replace(APPROVAL, expires=AT + timedelta(hours=2)), AT)


def test_each_field_binds() -> None:
    """Every field that the certificate says is compared."""
    fields = {
        name: getattr(APPROVAL, name) for name in ("person", "subject", "public_key", "profile", "level", "evidence")
    }
    check_bound(APPROVAL, **fields)
    for name in fields:
        with pytest.raises(ApprovalRefused) as told:
            check_bound(APPROVAL, **{**fields, name: "another"})
        assert told.value.params == {"rule": "APPROVAL-BOUND", "field": name}
