"""Codes without a phone: a device with a button (HOTP, RFC 4226) and a card with printed codes."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import replace

import pyotp
import pytest

from foundation.keys.activation import Method
from foundation.keys.errors import (
    CodeUsed,
    DataInvalid,
    FactorsEnrolled,
    FactorsNotEnrolled,
    PinIncorrect,
    PinInvalid,
    PinLocked,
    WrappedKeyInvalid,
)
from hsm_emulation.factors import Record
from hsm_emulation.lockout import FREE_TRIES
from hsm_emulation.one_time_codes import CARD_CODES, LOOK_AHEAD, RESYNCHRONISE, Code, judge_card, judge_hotp
from tests.hsm.conftest import PERSON_PIN, Served

SEED = b"12345678901234567890"  # RFC 4226 appendix D
# The ten values of the same appendix.
VALUES = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
OWNER = "specimen"


class Device:
    """A device with a button."""

    def __init__(self, served: Served, *, confirmed: bool = True) -> None:
        self.hotp, self.counter = pyotp.HOTP(b32encode(SEED).decode()), 0
        sealed = served.client.seal_device("SN-1", SEED)
        served.client.enrol_device(OWNER, PERSON_PIN, "SN-1", sealed)
        if confirmed:
            served.client.confirm(OWNER, self.press())

    def press(self, times: int = 1) -> str:
        """The code of the last press."""
        self.counter += times
        return str(self.hotp.at(self.counter - 1))


def test_the_values_of_the_rfc() -> None:
    """RFC 4226 appendix D, each once and in order."""
    seed, last = b32encode(SEED).decode(), -1
    for counter, value in enumerate(VALUES):
        assert judge_hotp(seed, last, value) == (Code.FRESH, counter)
        last = counter
        assert judge_hotp(seed, last, value)[0] is Code.USED


def test_a_device_in_place_of_an_app(served: Served) -> None:
    """Pending until a code confirms it; PIN and code are right together; each code once, also after a restart."""
    device = Device(served, confirmed=False)
    with pytest.raises(FactorsNotEnrolled):
        served.client.check(OWNER, PERSON_PIN, device.press())
    served.client.confirm(OWNER, device.press())
    assert served.client.factors_of(OWNER).methods == {Method.PIN_TOTP}
    with pytest.raises(FactorsEnrolled):
        served.client.enrol(OWNER, PERSON_PIN)
    code = device.press()
    with pytest.raises(PinIncorrect):
        served.client.check(OWNER, "739146", code)
    served.client.check(OWNER, PERSON_PIN, code)
    served.restart()
    with pytest.raises(CodeUsed):
        served.client.check(OWNER, PERSON_PIN, code)


def test_a_button_that_was_pressed_unseen(served: Served) -> None:
    """Up to ten presses ahead are taken, eleven are not; two codes in a row bring it back, and the codes skipped are
    worth nothing."""
    device = Device(served)
    skipped = device.press()
    served.client.check(OWNER, PERSON_PIN, device.press(LOOK_AHEAD - 1))
    with pytest.raises(CodeUsed):
        served.client.check(OWNER, PERSON_PIN, skipped)
    with pytest.raises(PinIncorrect):
        served.client.check(OWNER, PERSON_PIN, device.press(LOOK_AHEAD + 1))
    first, second = device.press(200), device.press()
    with pytest.raises(PinIncorrect):
        served.client.check(OWNER, PERSON_PIN, second + first)
    served.client.check(OWNER, PERSON_PIN, first + second)
    with pytest.raises((CodeUsed, PinIncorrect)):
        served.client.check(OWNER, PERSON_PIN, first + second)
    served.client.check(OWNER, PERSON_PIN, device.press())


def test_how_far_two_codes_reach() -> None:
    """A thousand presses, and not one more."""
    seed = b32encode(SEED).decode()
    hotp = pyotp.HOTP(seed)
    for ahead, verdict in ((RESYNCHRONISE, Code.FRESH), (RESYNCHRONISE + 1, Code.WRONG)):
        assert judge_hotp(seed, -1, str(hotp.at(ahead - 1)) + str(hotp.at(ahead)))[0] is verdict


def test_guesses_lock_a_device_and_a_card_as_they_lock_an_app(served: Served) -> None:
    """After the free tries the person waits, right code or not."""
    Device(served)
    codes = served.client.enrol_card("other", PERSON_PIN)
    served.client.confirm("other", codes[0])
    for owner in (OWNER, "other"):
        for _ in range(FREE_TRIES):
            with pytest.raises(PinIncorrect):
                served.client.check(owner, "739146", "00000000")
        with pytest.raises(PinLocked):
            served.client.check(owner, PERSON_PIN, codes[1])


def test_a_seed_is_good_for_its_serial_number_and_token_alone(served: Served) -> None:
    """Sealed for both; what is too short to be a seed is none."""
    sealed = served.client.seal_device("SN-1", SEED)
    assert SEED not in sealed
    with pytest.raises(WrappedKeyInvalid):
        served.client.enrol_device(OWNER, PERSON_PIN, "SN-2", sealed)
    with pytest.raises(WrappedKeyInvalid):
        served.client.enrol_device(OWNER, PERSON_PIN, "SN-1", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(PinInvalid):
        served.client.enrol_device(OWNER, "123456", "SN-1", sealed)
    with pytest.raises(DataInvalid):
        served.client.seal_device("SN-1", b"short")
    assert served.client.inventory()["factors"] == 0


def test_a_card(served: Served) -> None:
    """Sixty codes, all different; any of them, each once; how many are left is told; nobody else's."""
    codes = served.client.enrol_card(OWNER, PERSON_PIN)
    assert len(set(codes)) == CARD_CODES
    assert {len(code) for code in codes} == {8}
    served.client.confirm(OWNER, codes[7])
    assert served.client.factors_of(OWNER).codes_left == CARD_CODES - 1
    with pytest.raises(CodeUsed):
        served.client.check(OWNER, PERSON_PIN, codes[7])
    served.client.check(OWNER, PERSON_PIN, codes[-1])
    served.restart()
    with pytest.raises(CodeUsed):
        served.client.check(OWNER, PERSON_PIN, codes[-1])
    others = served.client.enrol_card("other", PERSON_PIN)
    with pytest.raises(PinIncorrect):
        served.client.check(OWNER, PERSON_PIN, next(code for code in others if code not in codes))
    assert served.client.factors_of(OWNER).codes_left == CARD_CODES - 2
    assert served.client.factors_of("nobody").codes_left is None


def test_a_card_is_kept_as_hashes_under_the_persons_key() -> None:
    """The record without the key gives nothing to compare with."""
    from hsm_emulation.factors import with_card

    codes = ("12345678", "87654321")
    record = with_card(Record(), codes, b"k" * 32)
    assert not any(code in record.encode().decode() for code in codes)
    assert judge_card(record.card, (), "12345678", b"k" * 32) == (Code.FRESH, 0)
    assert judge_card(record.card, (), "12345678", b"x" * 32) == (Code.WRONG, -1)
    assert Record.decode(record.encode()) == record


def test_without_the_memory_of_what_was_used_a_card_and_a_device_would_be_replayed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place and the counter that were used are all that refuse a code a second time: not kept, it passes again."""
    device = Device(served)
    codes = served.client.enrol_card("other", PERSON_PIN)
    served.client.confirm("other", codes[0])
    pressed = device.press()
    for owner, code in ((OWNER, pressed), ("other", codes[1])):
        served.client.check(owner, PERSON_PIN, code)
        with pytest.raises(CodeUsed):
            served.client.check(owner, PERSON_PIN, code)
    succeeded = Record.succeeded
    monkeypatch.setattr(
        Record,
        "succeeded",
        lambda record, step: replace(succeeded(record, step), last_step=record.last_step, card_used=record.card_used),
    )
    for owner, code in ((OWNER, device.press()), ("other", codes[2])):
        for _ in range(3):
            served.client.check(owner, PERSON_PIN, code)
