"""Any bytes: a changed byte never passes, junk never raises, and bounds hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekyc.chip import ChipOutcome, ChipVerdict, authenticate
from ekyc.chip.certificates import read_certificate
from ekyc.chip.der import Malformed, check_bounds
from foundation.x509 import der
from tests.ekyc.chip_parties import NOW, Method, authority, document_signer, rsa_key
from tests.ekyc.chip_specimen import Chip, Sealing, chip


def judge(one: Chip) -> ChipVerdict:
    return authenticate(one.files, one.anchors, one.crls, NOW)


def test_bounds() -> None:
    """Depth, number of elements and lying lengths are refused without recursion."""
    deep = b""
    for _ in range(30):
        deep = der.tlv(0x30, deep)
    many = der.tlv(0x30, b"\x05\x00" * 5000)
    for data in (
        deep,
        many,
        b"\x30\x80\x00\x00",
        b"\x30\x05\x02\x01",
        b"\x30\x81\x01\x05",
        b"\x00\x00",
        b"\x1f\xff\xff\xff",
    ):
        with pytest.raises(Malformed):
            check_bounds(data)
    with pytest.raises(Malformed):
        read_certificate(der.tlv(0x30, b"\x00" * 40_000))


@cache
def _chips() -> tuple[Chip, ...]:
    issuer = authority()
    return (
        chip(how=Sealing(signing_time=NOW)),
        chip(how=Sealing(attributes=False, by_key_id=True, lds_version=1)),
        chip(document_signer(issuer, rsa_key(), method=Method("sha256", pss=True)), issuer),
        chip(document_signer(issuer, rsa_key()), issuer),
    )


@settings(max_examples=400)
@given(
    which=st.integers(0, 3),
    name=st.sampled_from(["EF.SOD"] * 4 + ["DG1", "DG2"]),
    at=st.floats(0, 1),
    change=st.integers(1, 255),
)
def test_a_changed_byte_never_passes(which: int, name: str, at: float, change: int) -> None:
    """Whatever byte of a data group or of EF.SOD is changed to whatever value, the chip is not AUTHENTIC."""
    one = _chips()[which]
    data = bytearray(one.files[name])
    place = min(int(at * len(data)), len(data) - 1)
    data[place] ^= change
    changed = bytes(data)
    if name != "EF.SOD" or changed != _alias(_chips()[3]):
        assert judge(replace(one, files={**one.files, name: changed})).outcome is not ChipOutcome.AUTHENTIC


def _alias(one: Chip) -> bytes:
    """EF.SOD with rsaEncryption where it has sha256WithRSAEncryption."""
    data = one.files["EF.SOD"]
    place = data.rindex(der.oid("1.2.840.113549.1.1.11")) + 10
    return data[:place] + b"\x01" + data[place + 1 :]


@pytest.mark.parametrize("which", [0, 1])
def test_no_byte_of_the_signed_object_is_without_meaning(which: int) -> None:
    """Every byte of EF.SOD, one after the other: with its lowest bit or its case changed, the chip does not pass."""
    one = _chips()[which]
    data = one.files["EF.SOD"]
    for place in range(len(data)):
        for change in (0x01, 0x20):
            changed = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
            assert not judge(replace(one, files={**one.files, "EF.SOD": changed})).passed, place


def test_the_one_alias() -> None:
    """rsaEncryption and sha256WithRSAEncryption name the same signature: the exception that EF.SOD's reader states."""
    one = _chips()[3]
    assert judge(replace(one, files={**one.files, "EF.SOD": _alias(one)})).passed


@settings(max_examples=150)
@given(
    files=st.dictionaries(
        st.sampled_from(["EF.COM", "EF.SOD", "DG1", "DG2", "DG15", "x"]),
        st.binary(max_size=80).map(lambda data: der.tlv(0x77, data)) | st.binary(max_size=80),
    ),
    more=st.binary(max_size=60),
)
def test_junk_never_raises_and_never_passes(files: dict[str, bytes], more: bytes) -> None:
    """Files, anchors and CRLs of any bytes."""
    assert not authenticate(files, [more], [more], NOW).passed
    good = chip()
    assert not authenticate({**good.files, **files}, [more], [more], NOW).passed
