"""What was asked under which key, and what was answered: sealed, and kept for 24 hours.

A row is *running* while the first request with its key is being answered, and *done* afterwards. A running row has a
lease: when the process that answers dies, the row stays behind, and after the lease the same request is done again.
What it had already written stands, which is why state changes are compare-and-sets. Neither key, request nor answer
is stored readable: the place is a digest over the key, the request's digest is sealed too (a digest over a body with
a PIN in it could be searched for), and the answer may hold a session.
"""

from __future__ import annotations

import base64
import hmac
import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, LargeBinary, MetaData, String, Table, delete, select

from foundation.clock import Clock
from foundation.db.engine import Database, StaleWrite, compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.errors import CamTrustError
from foundation.http.errors import IdempotencyAnswerLost, IdempotencyInFlight, IdempotencyKeyReused
from foundation.randomness import Randomness, SystemRandomness
from foundation.vault import Vault

metadata = MetaData()

requests = Table(
    "idempotency_requests",
    metadata,
    Column("place", LargeBinary(32), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("request", LargeBinary, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempt", LargeBinary(16), nullable=False),
    Column("answer", LargeBinary, nullable=True),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

_RUNNING, _DONE = "running", "done"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, as it is given again."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """The right to answer a key's request; ``attempt`` tells it from a later claim of the same place."""

    place: bytes
    owner: str
    attempt: bytes


class IdempotencyStore:
    """Claims, answers, and their end. ``lease`` must be longer than the longest request."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        randomness: Randomness | None = None,
        *,
        lifetime: timedelta = timedelta(hours=24),
        lease: timedelta = timedelta(minutes=2),
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._randomness = randomness or SystemRandomness()
        self._lifetime = lifetime
        self._lease = lease
        self._pruned: datetime | None = None
        self._pruning = threading.Lock()

    def claim(self, place: bytes, owner: str, request: bytes) -> Claim | Answer:
        """Claim ``place`` for the request with digest ``request``, or get the answer that it had before.

        Raises IdempotencyKeyReused, IdempotencyInFlight, IdempotencyAnswerLost, or what the vault raises.
        """
        self._prune_now_and_then()
        now, claim = self._clock.now(), Claim(place, owner, self._randomness.bytes(16))
        sealed = self._vault.seal(owner, _purpose(place, "request"), request)
        values = {
            "place": place,
            "owner": owner,
            "request": sealed,
            "state": _RUNNING,
            "attempt": claim.attempt,
            "lease_until": now + self._lease,
            "expires_at": now + self._lifetime,
        }
        with self._database.unit_of_work() as connection:
            connection.execute(delete(requests).where(requests.c.place == place, requests.c.expires_at <= now))
            if insert_once(connection, requests, values):
                return claim
            row = connection.execute(select(requests).where(requests.c.place == place)).one_or_none()
        if row is None:  # let go of between our two statements
            raise IdempotencyInFlight(retry_after=1)
        if not hmac.compare_digest(self._vault.open(row.owner, _purpose(place, "request"), row.request), request):
            raise IdempotencyKeyReused
        if row.state == _DONE:
            if row.answer is None:
                raise IdempotencyAnswerLost
            return _unpack(self._vault.open(row.owner, _purpose(place, "answer"), row.answer))
        if row.lease_until > now:
            raise IdempotencyInFlight(retry_after=min(5.0, (row.lease_until - now).total_seconds()))
        return self._take_over(claim, row.attempt, now)

    def keep(self, claim: Claim, answer: Answer) -> None:
        """Store the answer. Raises StaleWrite where the lease ended and another request took the place.

        Where the vault cannot seal, the place is marked as done without an answer (nothing is made twice), and the
        vault's failure is raised.
        """
        sealed, failure = None, None
        try:
            sealed = self._vault.seal(claim.owner, _purpose(claim.place, "answer"), _pack(answer))
        except CamTrustError as error:
            failure = error
        with self._database.unit_of_work() as connection:
            compare_and_set(connection, requests, _mine(claim), {"state": _DONE, "answer": sealed})
        if failure is not None:
            raise failure

    def release(self, claim: Claim) -> None:
        """Forget the claim: nothing was made."""
        with self._database.unit_of_work() as connection:
            connection.execute(delete(requests).where(_mine(claim)))

    def prune(self) -> int:
        """Delete what has expired; gives how many rows that were."""
        with self._database.unit_of_work() as connection:
            return connection.execute(delete(requests).where(requests.c.expires_at <= self._clock.now())).rowcount

    def _take_over(self, claim: Claim, attempt: bytes, now: datetime) -> Claim:
        abandoned = Claim(claim.place, claim.owner, attempt)
        try:
            with self._database.unit_of_work() as connection:
                compare_and_set(
                    connection,
                    requests,
                    _mine(abandoned),
                    {"attempt": claim.attempt, "lease_until": now + self._lease},
                )
        except StaleWrite:
            raise IdempotencyInFlight(retry_after=1) from None
        return claim

    def _prune_now_and_then(self) -> None:
        now = self._clock.now()
        with self._pruning:
            if self._pruned is not None and now - self._pruned < timedelta(minutes=10):
                return
            self._pruned = now
        self.prune()


def _mine(claim: Claim) -> ColumnElement[bool]:
    return (requests.c.place == claim.place) & (requests.c.attempt == claim.attempt) & (requests.c.state == _RUNNING)


def _purpose(place: bytes, what: str) -> str:
    return f"idempotency-{what}:{place.hex()}"


def _pack(answer: Answer) -> bytes:
    body = base64.b64encode(answer.body).decode()
    return json.dumps({"status": answer.status, "headers": answer.headers, "body": body}).encode()


def _unpack(data: bytes) -> Answer:
    value = json.loads(data)
    headers = tuple((str(name), str(content)) for name, content in value["headers"])
    return Answer(int(value["status"]), headers, base64.b64decode(value["body"]))
