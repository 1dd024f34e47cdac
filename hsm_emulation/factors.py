"""A person's second factors: what a PIN may be, what is kept of it, and whether a try was right. Pure.

One sealed record per owner holds PIN verifier, TOTP seed, last step used, wrong tries and passkeys: whoever edits a
field breaks the seal. TOTP is RFC 6238 with 30 s steps, 6 digits, SHA-1 (what authenticator apps speak); a step is
used once (§5.2). In its place there can be an HOTP device or a card with codes (`hsm_emulation.one_time_codes`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hmac import compare_digest
from typing import Any

import pyotp

from foundation.canonical import canonical_json
from foundation.keys.activation import Method
from foundation.keys.errors import PinInvalid
from hsm_emulation.lockout import wait_after
from hsm_emulation.one_time_codes import Code, Generator, card_hash, judge_card, judge_hotp, judge_totp
from hsm_emulation.sealing import Cost, derive

ISSUER = "CamTrust"
_ORDERS = (
    *("0123456789" * 3, "9876543210" * 3),
    *("147258369", "963852741", "369258147", "741852963", "159753", "753159", "357951", "951357"),
)


def check_pin(pin: str) -> None:
    """PinInvalid unless it is 6 to 12 digits and not among those that are guessed first.

    Refused: fewer than three different digits, runs up or down, keypad columns and diagonals, a repeated pattern
    (123123), pairs in order (112233), a palindrome of a run (123321).
    """
    if not (6 <= len(pin) <= 12 and pin.isascii() and pin.isdigit()):
        raise PinInvalid
    half = pin[: (len(pin) + 1) // 2]
    pairs = pin[::2] if pin[::2] == pin[1::2] else ""
    candidates = [pin, pairs, half if pin == pin[::-1] else ""]
    in_order = any(len(one) >= 3 and one in order for one in candidates for order in _ORDERS)
    repeated = any(pin == (pin[:size] * len(pin))[: len(pin)] for size in range(1, len(pin) // 2 + 1))
    if len(set(pin)) < 3 or in_order or repeated:
        raise PinInvalid


@dataclass(frozen=True)
class Passkey:
    """A passkey as it was registered. ``public_key`` is COSE (RFC 9052 §7), hex as is the id; ``sign_count`` the last
    that was seen. ``rp_id`` and ``origins`` are those that the token had then: later ones do not widen them."""

    credential_id: str
    public_key: str
    sign_count: int
    rp_id: str
    origins: tuple[str, ...]

    @staticmethod
    def of(values: Mapping[str, Any]) -> Passkey:
        """From its fields, as JSON gave them back."""
        return Passkey(**{**values, "origins": tuple(values["origins"])})


@dataclass(frozen=True)
class Record:
    """What is kept of one person's factors; times in seconds since 1970, ``last_step`` in TOTP steps.

    ``confirmed`` is of PIN and codes together; a person with passkeys alone has neither.
    """

    pin_salt: str = ""
    pin_hash: str = ""
    seed: str = ""
    confirmed: bool = False
    failures: int = 0
    locked_until: int = 0
    last_step: int = -1
    passkeys: tuple[Passkey, ...] = ()
    generator: Generator = Generator.TOTP
    card: tuple[str, ...] = ()
    card_used: tuple[int, ...] = ()

    @property
    def methods(self) -> frozenset[Method]:
        """How this person can prove themselves."""
        both = [Method.PIN_TOTP] if self.confirmed else []
        return frozenset([*both, *([Method.PASSKEY] if self.passkeys else [])])

    def encode(self) -> bytes:
        return canonical_json(asdict(self))

    @staticmethod
    def decode(data: bytes) -> Record:
        values = json.loads(data)
        passkeys = tuple(Passkey.of(one) for one in values.pop("passkeys"))
        generator = Generator(values.pop("generator", Generator.TOTP))  # records of before have none of these
        card, used = (tuple(values.pop(name, ())) for name in ("card", "card_used"))
        return Record(**values, passkeys=passkeys, generator=generator, card=card, card_used=used)

    def failed(self, now: float) -> Record:
        """After one more wrong try."""
        failures = self.failures + 1
        wait = wait_after(failures)
        return replace(self, failures=failures, locked_until=int(now) + wait + 1 if wait else 0)

    def succeeded(self, step: int) -> Record:
        """After a right try with the code of ``step``, which is used up."""
        after = replace(self, failures=0, locked_until=0)
        if self.generator is Generator.CARD:
            return replace(after, card_used=(*self.card_used, step))
        return replace(after, last_step=step)

    @property
    def codes_left(self) -> int | None:
        """How many codes of a card are not used yet; None where there is no card."""
        return len(self.card) - len(self.card_used) if self.generator is Generator.CARD else None

    def provisioning_uri(self, owner: str) -> str:
        """The ``otpauth://`` address that the authenticator app reads."""
        return str(pyotp.TOTP(self.seed).provisioning_uri(name=owner, issuer_name=ISSUER))


def with_pin(record: Record, pin: str, salt: bytes, cost: Cost, pepper: bytes) -> Record:
    """The record with this PIN. ``pepper`` is the person's key: without it no PIN can be searched for."""
    return replace(record, pin_salt=salt.hex(), pin_hash=derive(pin, salt, cost, pepper).hex())


def with_seed(record: Record, seed: str) -> Record:
    """The record with this TOTP seed (base32), of which no code was used yet."""
    return replace(record, seed=seed, last_step=-1, generator=Generator.TOTP, card=(), card_used=())


def with_hotp(record: Record, seed: str) -> Record:
    """The record with this HOTP seed (base32), of which no code was used yet."""
    return replace(with_seed(record, seed), generator=Generator.HOTP)


def with_card(record: Record, codes: Sequence[str], pepper: bytes) -> Record:
    """The record with this card, of which no code was used yet. ``pepper`` is the person's key."""
    made = tuple(card_hash(code, pepper) for code in codes)
    return replace(with_seed(record, ""), generator=Generator.CARD, card=made)


def judge_code(record: Record, code: str, now: datetime, pepper: bytes = b"") -> tuple[Code, int]:
    """Whether a code is one of the person's and not used yet; gives the step, counter or place of a fresh one."""
    if record.generator is Generator.HOTP:
        return judge_hotp(record.seed, record.last_step, code)
    if record.generator is Generator.CARD:
        return judge_card(record.card, record.card_used, code, pepper)
    return judge_totp(record.seed, record.last_step, code, now.timestamp())


class PinGuess:
    """One entered PIN. Argon2id is paid once however often the record changes while the guess is settled."""

    def __init__(self, pin: str) -> None:
        self._pin = pin
        self._made: dict[tuple[str, bytes], bytes] = {}

    def fits(self, record: Record, cost: Cost, pepper: bytes) -> bool:
        """Whether the PIN is the one that was enrolled."""
        place = (record.pin_salt, pepper)
        if place not in self._made:
            self._made[place] = derive(self._pin, bytes.fromhex(record.pin_salt), cost, pepper)
        return compare_digest(self._made[place], bytes.fromhex(record.pin_hash))
