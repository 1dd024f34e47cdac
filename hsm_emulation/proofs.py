"""Judging what a person shows, and writing down what follows before anything is said.

A record of factors changes by compare-and-set in the store: whoever loses the race judges again what they find then.
So guesses at the same time, in any number of workers, are counted one by one, and a code or an assertion works once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import Any

from foundation.clock import Clock
from foundation.keys.activation import PinTotp, Proof
from foundation.keys.errors import (
    CodeUsed,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyStoreError,
    PinIncorrect,
    PinLocked,
    TokenUnavailable,
)
from foundation.randomness import Randomness
from hsm_emulation.factors import PinGuess, Record, judge_code
from hsm_emulation.one_time_codes import Code
from hsm_emulation.passkeys import verify_assertion
from hsm_emulation.person_record import PersonRecord
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import Cost, seal, unseal
from hsm_emulation.store import Store

Judged = tuple[Record, KeyStoreError | None]
Judge = Callable[[Record, bytes, datetime], Judged]
Edit = Callable[[Record], Record]
Granted = Callable[[sqlite3.Connection], object]

_TRIES = 512  # each lost race is another's success: as many as can be in hand at once


class _LostRace(Exception):
    pass


class Proofs:
    """The records of factors, and the tries against them."""

    def __init__(self, store: Store, persons: Persons, clock: Clock, randomness: Randomness, cost: Cost) -> None:
        self._store, self._persons, self._clock, self._randomness = store, persons, clock, randomness
        self.cost = cost

    def record(self, owner: str) -> Record | None:
        """What is kept of the owner's factors; None where there is nothing. OwnerDestroyed, WrappedKeyInvalid."""
        known = self._load(owner)
        return known[0] if known else None

    def write(self, connection: sqlite3.Connection, owner: str, record: Record) -> None:
        """Put a record where there is none that counts; for enrolment, which has checked that."""
        sealed = self._seal(owner, self._persons.record_in(connection, owner), record)
        connection.execute("INSERT OR REPLACE INTO factors (owner, sealed) VALUES (?, ?)", (owner, sealed))

    def prove(self, owner: str, proof: Proof, challenge: bytes, granted: Granted, edit: Edit | None = None) -> None:
        """Check a proof; ``granted`` runs in the transaction that writes the use of it, ``edit`` changes the record.

        PinIncorrect (never says which), PinLocked, CodeUsed, PasskeyInvalid, PasskeyCloned, FactorsNotEnrolled.
        """
        guess = PinGuess(proof.pin) if isinstance(proof, PinTotp) else None

        def judge(record: Record, key: bytes, now: datetime) -> Judged:
            if proof.method not in record.methods:
                raise FactorsNotEnrolled
            if isinstance(proof, PinTotp):
                after, refusal = self._judge_codes(record, key, now, guess, proof.totp)
            else:
                after, refusal = verify_assertion(record, proof.response, challenge), None
            return (edit(after) if edit and refusal is None else after), refusal

        self._settle(owner, judge, granted)

    def confirm(self, owner: str, totp: str, granted: Callable[[sqlite3.Connection, bytes], None]) -> None:
        """Check a code against PIN and seed that are still pending. PinIncorrect, PinLocked, FactorsEnrolled."""
        keys: list[bytes] = []

        def judge(record: Record, key: bytes, now: datetime) -> Judged:
            if record.methods:
                raise FactorsEnrolled
            keys[:] = [key]
            after, refusal = self._judge_codes(record, key, now, None, totp)
            return replace(after, confirmed=refusal is None), refusal

        self._settle(owner, judge, lambda connection: granted(connection, keys[0]))

    def _judge_codes(
        self, record: Record, key: bytes, now: datetime, guess: PinGuess | None, totp: str
    ) -> tuple[Record, KeyStoreError | None]:
        """A replayed code is told as such whatever the PIN is, and is not a try: it says nothing about the PIN.
        Otherwise PIN and code are both always computed, and one error stands for both.
        """
        if record.locked_until > now.timestamp():
            raise PinLocked(retry_after=ceil(record.locked_until - now.timestamp()))
        verdict, step = judge_code(record, totp, now, key)
        if verdict is Code.USED:
            raise CodeUsed
        right = guess is None or guess.fits(record, self.cost, key)
        if right and verdict is Code.FRESH:
            return record.succeeded(step), None
        return record.failed(now.timestamp()), PinIncorrect()

    def _settle(self, owner: str, judge: Judge, granted: Granted) -> None:
        for _ in range(_TRIES):
            known = self._load(owner)
            if known is None:
                raise FactorsNotEnrolled
            record, stored, person = known
            after, refusal = judge(record, person.key, self._clock.now())
            sealed = self._seal(owner, person, after)

            def work(
                connection: sqlite3.Connection,
                values: tuple[bytes, str, bytes] = (sealed, owner, stored),
                refused: bool = refusal is not None,
            ) -> None:
                changed = connection.execute("UPDATE factors SET sealed = ? WHERE owner = ? AND sealed = ?", values)
                if changed.rowcount != 1:
                    raise _LostRace
                if not refused:
                    granted(connection)

            try:
                self._store.write(work)
            except _LostRace:
                continue
            if refusal is not None:
                raise refusal
            return
        raise TokenUnavailable(retry_after=1)

    def _load(self, owner: str) -> tuple[Record, bytes, PersonRecord] | None:
        connection = self._store.read()
        person = self._persons.record(owner, connection)
        row = connection.execute("SELECT sealed FROM factors WHERE owner = ?", (owner,)).fetchone()
        if person is None or row is None:
            return None
        record = Record.decode(unseal(person.key, row["sealed"], _bound_to(owner, person.factors)))
        return record, row["sealed"], person

    def _seal(self, owner: str, person: PersonRecord, record: Record) -> bytes:
        return seal(person.key, record.encode(), _bound_to(owner, person.factors), self._randomness)


def _bound_to(owner: str, generation: int) -> dict[str, Any]:
    return {"what": "factors", "owner": owner, "generation": generation}
