"""Wrong PINs until the token locks, or does not. This spoils the token, so its label must say that it may be spoilt."""

from __future__ import annotations

import time

import pkcs11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PinIncorrect, PinLocked, PKCS11Error

from foundation.keys.pkcs11.uri import Pkcs11Uri
from foundation.keys.probe.report import SPOILABLE, Finding, Verdict

MOST_TRIES = 15
_FLAGS = {
    "CKF_USER_PIN_COUNT_LOW": TokenFlag.USER_PIN_COUNT_LOW,
    "CKF_USER_PIN_FINAL_TRY": TokenFlag.USER_PIN_FINAL_TRY,
    "CKF_USER_PIN_LOCKED": TokenFlag.USER_PIN_LOCKED,
}


def check_lockout(uri: Pkcs11Uri, pin: str) -> Finding:
    """Give up to 15 wrong PINs. PASS: it locked, or each made the next wait longer. FAIL: guessing is free."""
    library = pkcs11.lib(str(uri.module_path))
    tokens = [token for slot in library.get_slots(token_present=True) if uri.fits(token := slot.get_token())]
    if len(tokens) != 1 or SPOILABLE not in tokens[0].label.lower():
        return Finding("PIN lock-out", Verdict.NOT_TRIED, f"the token's label does not say '{SPOILABLE}'")
    slot = tokens[0].slot
    flags: list[str] = []
    waits: list[float] = []
    for number in range(1, MOST_TRIES + 1):
        begin = time.perf_counter()
        try:
            slot.get_token().open(user_pin=_wrong(pin, number)).close()
        except PinIncorrect:
            waits.append(time.perf_counter() - begin)
        except PinLocked:
            return _finding(Verdict.PASS, f"locked after {number - 1} wrong PINs", number - 1, flags)
        except PKCS11Error as error:
            return _finding(Verdict.UNKNOWN, f"wrong PIN {number}: {error or type(error).__name__}", number, flags)
        else:
            return _finding(Verdict.FAIL, f"PIN number {number}, which is wrong, was taken", number, flags)
        now = slot.get_token().flags
        flags += [name for name, flag in _FLAGS.items() if flag in now and name not in flags]
    try:
        slot.get_token().open(user_pin=pin).close()
    except PinLocked:
        return _finding(Verdict.PASS, f"locked after {MOST_TRIES} wrong PINs, without saying so", MOST_TRIES, flags)
    except PKCS11Error as error:
        return _finding(Verdict.UNKNOWN, f"the right PIN: {error or type(error).__name__}", MOST_TRIES, flags)
    if waits[-1] > 2 * waits[0] and waits[-1] > 1:
        return _finding(
            Verdict.PASS, f"each wrong PIN makes the next wait longer, {waits[-1]:.0f} s at last", MOST_TRIES, flags
        )
    said = f"{MOST_TRIES} wrong PINs, and the right one was taken at once: guessing costs nothing"
    return _finding(Verdict.FAIL, said, MOST_TRIES, flags)


def _wrong(pin: str, number: int) -> str:
    """As long as the right PIN and of the same kind of characters, but for its last one: a token takes it for a try."""
    digits = "0123456789".replace(pin[-1], "")
    return pin[:-1] + digits[number % len(digits)]


def _finding(verdict: Verdict, said: str, tries: int, flags: list[str]) -> Finding:
    return Finding("PIN lock-out", verdict, said, {"wrong_pins": tries, "flags": flags})
