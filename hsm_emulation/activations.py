"""Authorisation next to the key (EN 419 241): factors are enrolled and checked here, and here a signature is permitted.

An activation is 32 random octets, of which only the SHA-256 is stored, sealed under the person's key together with the
key id, the exact digests, audience and expiry. Each digest is used up by a compare-and-set that is on the disk before
the signature is made. Tries of one person are one at a time, so that guesses cannot overtake the counter.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import zlib
from base64 import b32encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any

from foundation.clock import Clock
from foundation.keys.errors import (
    ActivationInvalid,
    CodeUsed,
    DataInvalid,
    FactorsEnrolled,
    FactorsNotEnrolled,
    KeyDisabled,
    PinIncorrect,
    PinLocked,
    WrappedKeyInvalid,
)
from foundation.keys.port import Activation, KeyInfo, TotpEnrolment
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.factors import Code, Record, check_pin, judge_code, judge_pin, new_record
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import KEY_LENGTH, SALT_LENGTH, Cost, seal, unseal
from hsm_emulation.sessions import Session
from hsm_emulation.store import Store

LIFETIME = timedelta(minutes=5)
MOST_DIGESTS = 1000
_KEPT_AFTER_EXPIRY = 3600
_SEED_LENGTH = 20


class Activations:
    """Persons' factors and what they permit (`foundation.keys.port.Factors`)."""

    def __init__(
        self, store: Store, persons: Persons, audit: AuditLog, clock: Clock, randomness: Randomness, cost: Cost
    ) -> None:
        self._store, self._persons, self._audit = store, persons, audit
        self._clock, self._randomness, self._cost = clock, randomness, cost
        self._one_at_a_time = [threading.Lock() for _ in range(64)]

    def _lock(self, owner: str) -> threading.Lock:
        return self._one_at_a_time[zlib.crc32(owner.encode()) % len(self._one_at_a_time)]

    def enrol(self, session: Session, owner: str, pin: str) -> TotpEnrolment:
        """Set the PIN and make a seed, pending until :meth:`confirm`. FactorsEnrolled, PinInvalid, OwnerDestroyed."""
        check_pin(pin)
        with self._lock(owner):
            key = self._persons.key(owner)
            if self._persons.has_factors(owner):
                raise FactorsEnrolled
            self._intent(session, "enrol", owner)
            seed = b32encode(self._randomness.bytes(_SEED_LENGTH)).decode()
            record = new_record(pin, self._randomness.bytes(SALT_LENGTH), seed, self._cost, key)

            def work(connection: sqlite3.Connection) -> None:
                self._persons.key_in(connection, owner)  # OwnerDestroyed, if that happened in between
                connection.execute(
                    "INSERT OR REPLACE INTO factors (owner, sealed) VALUES (?, ?)",
                    (owner, self._seal(owner, key, record)),
                )
                self._audit.append(connection, session.actor, "enrol", owner, "done")

            self._store.write(work)
        return TotpEnrolment(record.provisioning_uri(owner))

    def confirm(self, session: Session, owner: str, totp: str) -> None:
        """Prove that the authenticator holds the seed. PinIncorrect, PinLocked, FactorsNotEnrolled, FactorsEnrolled."""

        def done(connection: sqlite3.Connection) -> None:
            self._audit.append(connection, session.actor, "confirm", owner, "done")

        with self._lock(owner):
            self._judge(owner, None, totp, done)

    def check(self, session: Session, owner: str, pin: str, totp: str) -> None:
        """Check both factors. PinIncorrect, PinLocked, CodeUsed, FactorsNotEnrolled."""

        def done(connection: sqlite3.Connection) -> None:
            self._audit.append(connection, session.actor, "check", owner, "done")

        with self._lock(owner):
            self._judge(owner, pin, totp, done)

    def activate(
        self, session: Session, info: KeyInfo, digests: Sequence[bytes], pin: str, totp: str, audience: str
    ) -> Activation:
        """Check the factors of the key's owner and permit each of ``digests`` once, for five minutes."""
        owner = info.owner
        if owner is None or not 1 <= len(digests) <= MOST_DIGESTS:
            raise DataInvalid
        if any(len(digest) not in (32, 48, 64) for digest in digests):
            raise DataInvalid
        if not info.enabled:
            raise KeyDisabled
        token = self._randomness.bytes(KEY_LENGTH)
        token_hash = hashlib.sha256(token).digest()
        count = {"digests": len(digests), "audience": audience}
        with self._lock(owner):
            self._intent(session, "activate", info.key_id, count)
            key = self._persons.key(owner)
            expires = (self._clock.now() + LIFETIME).replace(microsecond=0)
            seconds = int(expires.timestamp())
            bound = _bound_to(token_hash, info.key_id, owner, audience, seconds, digests)
            sealed = seal(key, b"", bound, self._randomness)

            def permit(connection: sqlite3.Connection) -> None:
                long_ago = int(self._clock.now().timestamp()) - _KEPT_AFTER_EXPIRY
                connection.execute("DELETE FROM activations WHERE expires < ?", (long_ago,))
                connection.execute(
                    "INSERT INTO activations (token_hash, key_id, owner, audience, expires, sealed)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (token_hash, info.key_id, owner, audience, seconds, sealed),
                )
                connection.executemany(
                    "INSERT INTO activation_digests (token_hash, position, digest) VALUES (?, ?, ?)",
                    [(token_hash, position, digest) for position, digest in enumerate(digests)],
                )
                self._audit.append(connection, session.actor, "activate", info.key_id, "done", count)

            self._judge(owner, pin, totp, permit)
        return Activation(token, expires)

    def consume(
        self, connection: sqlite3.Connection, token: bytes, info: KeyInfo, digest: bytes, audience: str | None
    ) -> None:
        """Use up the permission for ``digest``, in the caller's transaction; the caller signs after it is committed.

        ActivationInvalid when the token is unknown, expired, of another key or audience, or does not (or no longer)
        name this digest, and when a stored field was edited.
        """
        token_hash = hashlib.sha256(token).digest()
        row = connection.execute("SELECT * FROM activations WHERE token_hash = ?", (token_hash,)).fetchone()
        if row is None or info.owner is None or row["key_id"] != info.key_id:
            raise ActivationInvalid
        if row["expires"] <= self._clock.now().timestamp() or audience not in (None, row["audience"]):
            raise ActivationInvalid
        named = connection.execute(
            "SELECT digest FROM activation_digests WHERE token_hash = ? ORDER BY position", (token_hash,)
        )
        bound = _bound_to(
            token_hash, info.key_id, info.owner, row["audience"], row["expires"], [one["digest"] for one in named]
        )
        key = self._persons.existing_key(info.owner, connection)
        if key is None:
            raise ActivationInvalid
        try:
            unseal(key, row["sealed"], bound)
        except WrappedKeyInvalid:
            raise ActivationInvalid from None
        used = connection.execute(
            "UPDATE activation_digests SET used = 1 WHERE token_hash = ?1 AND used = 0 AND position ="
            " (SELECT MIN(position) FROM activation_digests WHERE token_hash = ?1 AND used = 0 AND digest = ?2)",
            (token_hash, digest),
        )
        if used.rowcount != 1:
            raise ActivationInvalid

    def _judge(self, owner: str, pin: str | None, totp: str, granted: Callable[[sqlite3.Connection], None]) -> None:
        """Judge one try and store what follows before saying anything; ``granted`` runs in the same transaction.

        ``pin`` None: confirming. A replayed code is told as such whatever the PIN is, and is not a try: it says
        nothing about the PIN. Otherwise PIN and code are both always computed, and one error stands for both.
        """
        key = self._persons.existing_key(owner)
        known = self._record(self._store.read(), owner, key) if key else None
        if key is None or known is None or (pin is not None and not known[0].confirmed):
            raise FactorsNotEnrolled
        record, stored = known
        if pin is None and record.confirmed:
            raise FactorsEnrolled
        now = self._clock.now()
        if record.locked_until > now.timestamp():
            raise PinLocked(retry_after=ceil(record.locked_until - now.timestamp()))
        verdict, step = judge_code(record, totp, now)
        if verdict is Code.USED:
            raise CodeUsed
        right = pin is None or judge_pin(record, pin, self._cost, key)
        right = right and verdict is Code.FRESH
        after = replace(record.succeeded(step), confirmed=True) if right else record.failed(now.timestamp())
        sealed = self._seal(owner, key, after)

        def work(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE factors SET sealed = ? WHERE owner = ? AND sealed = ?", (sealed, owner, stored)
            )
            if changed.rowcount != 1:
                raise FactorsNotEnrolled  # destroyed in between
            if right and pin is None:
                self._persons.mark_factors(connection, owner, key)
            if right:
                granted(connection)

        self._store.write(work)
        if not right:
            raise PinIncorrect

    def _record(self, connection: sqlite3.Connection, owner: str, key: bytes) -> tuple[Record, bytes] | None:
        row = connection.execute("SELECT sealed FROM factors WHERE owner = ?", (owner,)).fetchone()
        if row is None:
            return None
        return Record.decode(unseal(key, row["sealed"], {"what": "factors", "owner": owner})), row["sealed"]

    def _seal(self, owner: str, key: bytes, record: Record) -> bytes:
        return seal(key, record.encode(), {"what": "factors", "owner": owner}, self._randomness)

    def _intent(self, session: Session, action: str, subject: str, details: dict[str, Any] | None = None) -> None:
        self._store.write(
            lambda connection: self._audit.append(connection, session.actor, action, subject, "intent", details)
        )


def _bound_to(
    token_hash: bytes, key_id: str, owner: str, audience: str, expires: int, digests: Sequence[bytes]
) -> dict[str, Any]:
    return {
        "what": "activation",
        "token": token_hash.hex(),
        "key_id": key_id,
        "owner": owner,
        "audience": audience,
        "expires": expires,
        "digests": [digest.hex() for digest in digests],
    }
