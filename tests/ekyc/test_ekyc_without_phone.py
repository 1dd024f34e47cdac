"""People without a smartphone: a printed card with codes, and a device that an officer hands over."""

from __future__ import annotations

import json
import re
from base64 import b32encode
from pathlib import Path

import pyotp
import pytest
from joserfc import jwe
from joserfc.jwk import OctKey
from sqlalchemy import select

from ekyc.authenticators.device_file import read_devices
from ekyc.authenticators.without_phone import (
    DeviceFileInvalid,
    DeviceNotAllotted,
    DeviceSeed,
    DeviceUnknown,
    otp_devices,
)
from ekyc.errors import SelfReview, WrongState
from ekyc.evidence.record import EvidenceKind, latest
from ekyc.model import State
from foundation.keys.errors import CodeUsed, PinIncorrect
from tests import programs
from tests.ekyc.story import OFFICER, PIN, World

SEED, TRANSPORT = bytes(range(20)), bytes(32)
HOTP = pyotp.HOTP(b32encode(SEED).decode())


def printed_codes(pdf: bytes, folder: Path) -> list[str]:
    """The codes on a card, as poppler reads them."""
    file = folder / "card.pdf"
    file.write_bytes(pdf)
    text = programs.run("pdftotext", "-layout", file, "-").stdout
    return ["".join(one) for one in re.findall(r"\b([0-9]{4}) ([0-9]{4})\b", text)]


def test_a_printed_card_takes_the_place_of_an_app(both_worlds: World, tmp_path: Path) -> None:
    """One page with sixty codes in both languages; one of them confirms it; each signs once; nothing keeps them."""
    world = both_worlds
    actor, name = world.until(State.APPROVED)
    codes = printed_codes(world.service.without_phone.print_card(actor, name, PIN), tmp_path)
    assert len(set(codes)) == 60
    with pytest.raises(PinIncorrect):
        world.service.issuance.confirm_factors(actor, name, "00000000")
    assert world.service.issuance.confirm_factors(actor, name, codes[3]).state is State.FACTOR_BOUND
    assert world.service.issuance.certificate(actor, name).state is State.ACTIVATED
    record = latest(world.service.files.ledger(world.state(name)), EvidenceKind.FACTOR)
    assert record is not None
    assert record.facts == {"kind": "pin+card"}
    world.token.check(actor.id, PIN, codes[9])
    with pytest.raises(CodeUsed):
        world.token.check(actor.id, PIN, codes[9])
    shown = world.service.authenticators.show(actor)
    assert (shown.codes, shown.codes_left) == ("card", 58)
    with pytest.raises(WrongState):
        world.service.without_phone.print_card(actor, name, PIN)


def test_a_card_looks_as_it_should(world: World, tmp_path: Path) -> None:
    """One page; its Khmer and English read back; it names nobody."""
    actor, name = world.until(State.APPROVED)
    file = tmp_path / "card.pdf"
    file.write_bytes(world.service.without_phone.print_card(actor, name, PIN))
    text = programs.run("pdftotext", file, "-").stdout.replace("\u200b", "")
    assert "Codes for signing" in text
    assert "លេខកូដសម្រាប់ចុះហត្ថលេខា" in text
    assert text.count("\f") == 1
    assert actor.id not in text
    assert "SOPHEA" not in text


def test_a_device_that_an_officer_hands_over(both_worlds: World) -> None:
    """Imported, allotted once, bound with a PIN, confirmed by its code; nobody else gets it."""
    world = both_worlds
    desk = world.service.without_phone
    assert desk.import_devices("operator:console", [DeviceSeed("SN-0001", SEED), DeviceSeed("SN-0002", SEED)]) == 2
    assert desk.import_devices("operator:console", [DeviceSeed("SN-0001", bytes(20))]) == 0
    with world.database.read() as connection:
        assert all(SEED not in bytes(row.sealed) for row in connection.execute(select(otp_devices)))
    actor, name = world.until(State.APPROVED)
    with pytest.raises(DeviceNotAllotted):
        desk.bind_device(actor, name, PIN)
    desk.allot(OFFICER, name, "SN-0001")
    other, theirs = world.until(State.APPROVED, "leading-zero", phone="012 111 222")
    for serial in ("SN-0001", "SN-9999"):
        with pytest.raises(DeviceUnknown):
            desk.allot(OFFICER, theirs, serial)
    with pytest.raises(DeviceNotAllotted):
        desk.bind_device(other, theirs, PIN)
    assert desk.bind_device(actor, name, PIN) == "SN-0001"
    assert world.service.issuance.confirm_factors(actor, name, HOTP.at(0)).state is State.FACTOR_BOUND
    world.token.check(actor.id, PIN, HOTP.at(1))
    with pytest.raises(CodeUsed):
        world.token.check(actor.id, PIN, HOTP.at(1))
    assert world.service.authenticators.show(actor).codes == "hotp"
    with pytest.raises(WrongState):
        desk.allot(OFFICER, name, "SN-0002")


def test_nobody_hands_a_device_to_themselves(world: World) -> None:
    """An officer is not their own customer."""
    desk = world.service.without_phone
    desk.import_devices("operator:console", [DeviceSeed("SN-0001", SEED)])
    actor, name = world.until(State.APPROVED)
    world.staff.persons[OFFICER.id] = actor.id
    with pytest.raises(SelfReview):
        desk.allot(OFFICER, name, "SN-0001")


def test_the_file_that_comes_with_devices() -> None:
    """It opens with its transport key alone, is a list of devices or nothing, and no failure quotes a seed."""

    def sealed(content: object, key: bytes = TRANSPORT) -> bytes:
        header = {"alg": "dir", "enc": "A256GCM"}
        return jwe.encrypt_compact(
            header, json.dumps(content).encode(), OctKey.import_key(key), ["dir", "A256GCM"]
        ).encode()

    good = {"devices": [{"serial": "SN-0001", "seed": SEED.hex()}]}
    assert read_devices(sealed(good), TRANSPORT) == (DeviceSeed("SN-0001", SEED),)
    changed = bytearray(sealed(good))
    changed[-30] ^= 1
    for file, key in (
        (sealed(good), bytes(31)),
        (sealed(good), b"x" * 32),
        (bytes(changed), TRANSPORT),
        (b"not a file", TRANSPORT),
        (sealed({"devices": [{"serial": "SN-0001", "seed": "zz"}]}), TRANSPORT),
        (sealed([SEED.hex()]), TRANSPORT),
    ):
        with pytest.raises(DeviceFileInvalid) as refused:
            read_devices(file, key)
        assert SEED.hex() not in str(refused.value)


@pytest.mark.parametrize(
    "devices",
    [
        [DeviceSeed("SN-0001", SEED), DeviceSeed("SN-0001", SEED)],
        [DeviceSeed("SN-0001", b"short")],
        [DeviceSeed("sn 1", SEED)],
    ],
)
def test_devices_that_are_not_taken(world: World, devices: list[DeviceSeed]) -> None:
    """Twice, too short a seed, no serial number: none of the file is kept."""
    with pytest.raises(DeviceFileInvalid):
        world.service.without_phone.import_devices("operator:console", devices)
    with world.database.read() as connection:
        assert connection.execute(select(otp_devices)).all() == []


def test_over_http(world: World, tmp_path: Path) -> None:
    """The card as a file that is not kept by anybody between; the device by an officer, never by the person."""
    client = world.client()
    world.service.without_phone.import_devices("operator:console", [DeviceSeed("SN-0001", SEED)])
    actor, name = world.until(State.APPROVED)
    person = {"Authorization": f"Bearer {world.sessions.open(actor.id)}"}
    path = f"/ekyc/v1/enrolments/{name}"
    assert client.post(f"{path}/otp-device", json={"pin": PIN}, headers=person).json()["code"] == (
        "ekyc.device_not_allotted"
    )
    hand_over = f"/ekyc/v1/reviews/{name}/otp-device"
    assert client.post(hand_over, json={"serial": "SN-0001"}, headers=person).status_code == 403
    officer = {"Authorization": "Staff officer"}
    assert client.post(hand_over, json={"serial": "SN-0001"}, headers=officer).status_code == 200
    assert client.post(f"{path}/otp-device", json={"pin": PIN}, headers=person).json() == {"serial": "SN-0001"}
    card = client.post(f"{path}/code-card", json={"pin": PIN}, headers=person)  # changed their mind
    assert (card.status_code, card.headers["Content-Type"], card.headers["Cache-Control"]) == (
        201,
        "application/pdf",
        "no-store",
    )
    code = printed_codes(card.content, tmp_path)[0]
    confirmed = client.post(f"{path}/factors/confirmation", json={"code": code}, headers=person)
    assert confirmed.json()["state"] == "FACTOR_BOUND"
    shown = client.get("/ekyc/v1/authenticators", headers=person).json()
    assert (shown["codes"], shown["codes_left"]) == ("card", 59)
