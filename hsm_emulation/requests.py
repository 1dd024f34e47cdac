"""Questions of the token that wait for an answer: each is named by a nonce, sealed for its person, and good once."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from foundation.canonical import canonical_json
from foundation.clock import Clock
from foundation.keys.activation import LIFETIME
from foundation.keys.errors import ActivationInvalid, OwnerDestroyed, WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.persons import Persons
from hsm_emulation.sealing import seal, unseal

NONCE_LENGTH = 32
_MOST_OPEN = 32  # of one person and one act; a further one takes the place of the oldest


@dataclass(frozen=True)
class Waiting:
    """A question that was not answered yet; ``key`` is its person's."""

    nonce: bytes
    owner: str
    expires: datetime
    content: dict[str, Any]
    key: bytes


class Requests:
    """The table of questions. Nothing is kept in memory: any worker may hear the answer."""

    def __init__(self, persons: Persons, clock: Clock, randomness: Randomness) -> None:
        self._persons, self._clock, self._randomness = persons, clock, randomness

    def new(self) -> tuple[bytes, datetime]:
        """A nonce, and when a question asked now is over (UTC, whole seconds)."""
        return self._randomness.bytes(NONCE_LENGTH), (self._clock.now() + LIFETIME).replace(microsecond=0)

    def put(
        self, connection: sqlite3.Connection, owner: str, nonce: bytes, expires: datetime, content: dict[str, Any]
    ) -> None:
        """Keep a question; those that are over are forgotten."""
        key, seconds = self._persons.key_in(connection, owner), int(expires.timestamp())
        sealed = seal(key, canonical_json(content), _bound_to(nonce, owner, seconds), self._randomness)
        connection.execute("DELETE FROM requests WHERE expires <= ?", (int(self._clock.now().timestamp()),))
        connection.execute(
            "DELETE FROM requests WHERE owner = ?1 AND act = ?2 AND nonce NOT IN"
            " (SELECT nonce FROM requests WHERE owner = ?1 AND act = ?2 ORDER BY rowid DESC LIMIT ?3)",
            (owner, content["act"], _MOST_OPEN - 1),
        )
        connection.execute(
            "INSERT INTO requests (nonce, owner, act, expires, sealed) VALUES (?, ?, ?, ?, ?)",
            (nonce, owner, content["act"], seconds, sealed),
        )

    def find(self, connection: sqlite3.Connection, nonce: bytes, act: str) -> Waiting:
        """A question of this kind; ActivationInvalid when there is none (any more), it is over, or it was edited."""
        row = connection.execute("SELECT * FROM requests WHERE nonce = ?", (nonce,)).fetchone()
        if row is None or row["expires"] <= self._clock.now().timestamp():
            raise ActivationInvalid
        try:
            key = self._persons.existing_key(row["owner"], connection)
            if key is None:
                raise ActivationInvalid
            content = json.loads(unseal(key, row["sealed"], _bound_to(nonce, row["owner"], row["expires"])))
        except (WrappedKeyInvalid, OwnerDestroyed):
            raise ActivationInvalid from None
        if content["act"] != act:
            raise ActivationInvalid
        return Waiting(nonce, row["owner"], datetime.fromtimestamp(row["expires"], UTC), content, key)

    @staticmethod
    def take(connection: sqlite3.Connection, nonce: bytes) -> None:
        """Use the question up, in the transaction that acts on its answer; ActivationInvalid: somebody else did."""
        if connection.execute("DELETE FROM requests WHERE nonce = ?", (nonce,)).rowcount != 1:
            raise ActivationInvalid


def _bound_to(nonce: bytes, owner: str, expires: int) -> dict[str, Any]:
    return {"what": "request", "nonce": nonce.hex(), "owner": owner, "expires": expires}
