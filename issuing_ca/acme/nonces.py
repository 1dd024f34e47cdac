"""Replay nonces (RFC 8555 §6.5): made without a write, good once, for an hour.

A nonce carries its time and a MAC under a key that every process reads from the database, so that strangers who ask
for nonces cost nothing; only a nonce that came with a good signature is written down as used.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from foundation.base64url import encoded
from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.db.once import insert_once
from foundation.randomness import Randomness
from issuing_ca.acme.errors import BadNonce, Malformed
from issuing_ca.acme.jose import decoded
from issuing_ca.acme.tables import nonce_key, used_nonces

LIFETIME = timedelta(hours=1)
_TIME, _RANDOM, _MAC = 6, 16, 16
_PRUNE_EVERY = timedelta(minutes=5)


class Nonces:
    """Gives nonces and takes each once."""

    def __init__(self, database: Database, clock: Clock, randomness: Randomness) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._key: bytes | None = None
        self._pruned: datetime | None = None

    def new(self) -> str:
        """A fresh nonce."""
        body = int(self._clock.now().timestamp()).to_bytes(_TIME, "big") + self._randomness.bytes(_RANDOM)
        return encoded(body + self._mac(body))

    def use(self, nonce: str | None) -> None:
        """Raises BadNonce for one that is not ours, too old, or used."""
        try:
            data = decoded(nonce or "", "nonce")
        except Malformed:
            raise BadNonce from None
        body, mac = data[: _TIME + _RANDOM], data[_TIME + _RANDOM :]
        if len(data) != _TIME + _RANDOM + _MAC or not hmac.compare_digest(mac, self._mac(body)):
            raise BadNonce
        now = self._clock.now()
        age = now.timestamp() - int.from_bytes(body[:_TIME], "big")
        if not -1 <= age < LIFETIME.total_seconds():
            raise BadNonce
        with self._database.unit_of_work() as connection:
            if not insert_once(connection, used_nonces, {"nonce": nonce, "expires": now + LIFETIME}):
                raise BadNonce
            if self._pruned is None or now - self._pruned > _PRUNE_EVERY:
                connection.execute(delete(used_nonces).where(used_nonces.c.expires <= now))
                self._pruned = now

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._shared_key(), body, hashlib.sha256)[:_MAC]

    def _shared_key(self) -> bytes:
        if self._key is None:
            with self._database.unit_of_work() as connection:
                insert_once(connection, nonce_key, {"one": 1, "key": self._randomness.bytes(32)})
                self._key = bytes(connection.execute(select(nonce_key.c.key)).scalar_one())
        return self._key
