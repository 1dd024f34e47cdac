"""What makes a person's one-time codes, and whether a code is one of them. Pure.

TOTP (RFC 6238) is an app on a phone; HOTP (RFC 4226) a small device with a button; a card is a sheet with codes, each
good once. A code is used up by one number (``last_step``: the TOTP step, or the HOTP counter), on a card by its place.
All candidates are compared every time.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum, StrEnum
from hashlib import sha256
from itertools import pairwise

import pyotp

from foundation.randomness import Randomness

STEP = 30  # seconds
LOOK_AHEAD = 10  # presses of the button that nobody saw, RFC 4226 §7.4
LOOK_BACK = 10  # codes that are told as used
RESYNCHRONISE = 1000  # how far two codes in a row may be ahead (RFC 4226 appendix E.4)
DIGITS = 6
CARD_CODES = 60
CARD_DIGITS = 8


class Generator(StrEnum):
    """What makes the codes."""

    TOTP = "totp"
    HOTP = "hotp"
    CARD = "card"


class Code(Enum):
    """What a one-time code turned out to be."""

    FRESH = "fresh"
    USED = "used"
    WRONG = "wrong"


def judge_totp(seed: str, last: int, code: str, now: float) -> tuple[Code, int]:
    """Compare with the steps before, at and after ``now``; gives the step for a fresh code."""
    totp = pyotp.TOTP(seed)
    current = int(now) // STEP
    return _among({step: str(totp.generate_otp(step)) for step in (current - 1, current, current + 1)}, last, code)


def judge_hotp(seed: str, last: int, code: str) -> tuple[Code, int]:
    """Compare with the next counters, and with those just used; gives the counter for a fresh code.

    Two codes in a row (twelve digits) bring a device back whose button was pressed up to a thousand times unseen.
    """
    hotp = pyotp.HOTP(seed)
    if len(code) == 2 * DIGITS:
        made = [str(hotp.at(counter)) for counter in range(last + 1, last + 2 + RESYNCHRONISE)]
        pairs = {last + 2 + at: first + then for at, (first, then) in enumerate(pairwise(made))}
        return _among(pairs, last, code)
    counters = range(max(0, last + 1 - LOOK_BACK), last + 1 + LOOK_AHEAD)
    return _among({counter: str(hotp.at(counter)) for counter in counters}, last, code)


def judge_card(card: Sequence[str], used: Sequence[int], code: str, pepper: bytes) -> tuple[Code, int]:
    """Compare with every code of a card; gives the place of a fresh one."""
    given = card_hash(code, pepper)
    verdict, found = Code.WRONG, -1
    for place, one in enumerate(card):
        if hmac.compare_digest(one, given):
            verdict, found = (Code.USED, -1) if place in used else (Code.FRESH, place)
    return verdict, found


def new_card(randomness: Randomness) -> tuple[str, ...]:
    """Codes for a card, all different."""
    codes: dict[str, None] = {}
    while len(codes) < CARD_CODES:
        codes[str(int.from_bytes(randomness.bytes(16), "big") % 10**CARD_DIGITS).zfill(CARD_DIGITS)] = None
    return tuple(codes)


def card_hash(code: str, pepper: bytes) -> str:
    """What is kept of a code: an HMAC under the person's key, so that the record alone gives nothing to search."""
    return hmac.new(pepper, b"code-card:" + code.encode(), sha256).hexdigest()


def _among(made: dict[int, str], last: int, code: str) -> tuple[Code, int]:
    verdict, found = Code.WRONG, -1
    for step, one in made.items():
        if hmac.compare_digest(one.encode(), code.encode()):
            if step > last:
                verdict, found = Code.FRESH, step
            elif verdict is Code.WRONG:
                verdict = Code.USED
    return verdict, found
