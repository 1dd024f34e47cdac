"""Sessions of persons: bearer tokens of 256 random bits, of which only the SHA-256 is stored.

A token is always made here and never taken over from a request, so a session cannot be planted on somebody
(fixation). What raises a session's trust rotates it: the old token ends in the same unit of work. Check:

    SE-01  the token is one of ours, its session open, within its lifetime and not idle for too long
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

from foundation.base64url import encoded
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.http.actor import Actor, ActorKind, Unauthenticated
from foundation.randomness import Randomness
from identity.config import SessionSettings
from identity.model import OpenedSession
from identity.store import SessionRow, SessionStore

SCHEME = "Bearer"

_PREFIX = "cts_"  # so that a token that leaks into a file can be recognised by scanners
_TOKEN = re.compile(r"^cts_[A-Za-z0-9_-]{43}$")
_EXTEND_EVERY = timedelta(minutes=1)


class PersonSessions:
    """Opens, checks, rotates and closes sessions."""

    def __init__(
        self, database: Database, clock: Clock, randomness: Randomness, trail: AuditTrail, settings: SessionSettings
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._trail = trail
        self._settings = settings
        self._store = SessionStore()

    def open(self, person_id: str) -> OpenedSession:
        """A new session of a person who has just been authenticated by the caller."""
        now = self._clock.now()
        session, row = self._new(person_id, None)
        with self._database.unit_of_work() as connection:
            self._store.prune(connection, now)
            self._store.add(connection, row, now)
            self._trail.append(connection, f"{ActorKind.PERSON}:{person_id}", "identity.session_opened", person_id)
        return session

    def authenticate(self, token: str) -> Actor:
        """The person whose session this is. Raises Unauthenticated. Being used keeps it from going idle."""
        digest, now = _digest(token), self._clock.now()
        with self._database.read() as connection:
            row = self._store.current(connection, digest, now)
        if row is None:
            raise Unauthenticated(rule="SE-01")
        idle_until = min(now + self._settings.idle, row.expires_at)
        if idle_until - row.idle_until >= _EXTEND_EVERY:
            with self._database.unit_of_work() as connection:
                self._store.extend(connection, digest, idle_until)
        return Actor(ActorKind.PERSON, row.person_id)

    def rotate(self, token: str) -> OpenedSession:
        """End this token and open another for the same session, with the same end. Raises Unauthenticated."""
        digest, now = _digest(token), self._clock.now()
        try:
            with self._database.unit_of_work() as connection:
                row = self._store.current(connection, digest, now)
                if row is None:
                    raise Unauthenticated(rule="SE-01")
                session, new = self._new(row.person_id, row)
                self._store.close(connection, digest, now)
                self._store.add(connection, new, now)
                actor = f"{ActorKind.PERSON}:{row.person_id}"
                self._trail.append(connection, actor, "identity.session_rotated", row.person_id)
        except StaleWrite:
            raise Unauthenticated(rule="SE-01") from None
        return session

    def close(self, token: str) -> None:
        """End a session. Raises Unauthenticated where it is not open."""
        digest, now = _digest(token), self._clock.now()
        try:
            with self._database.unit_of_work() as connection:
                row = self._store.current(connection, digest, now)
                if row is None:
                    raise Unauthenticated(rule="SE-01")
                self._store.close(connection, digest, now)
                actor = f"{ActorKind.PERSON}:{row.person_id}"
                self._trail.append(connection, actor, "identity.session_closed", row.person_id)
        except StaleWrite:
            raise Unauthenticated(rule="SE-01") from None

    def close_all(self, person_id: str) -> int:
        """End every session of a person (lost phone, revocation, erasure); gives how many there were."""
        with self._database.unit_of_work() as connection:
            closed = self._store.close_all(connection, person_id, self._clock.now())
            self._trail.append(
                connection,
                f"{ActorKind.PERSON}:{person_id}",
                "identity.sessions_closed",
                person_id,
                {"count": closed},
            )
        return closed

    def _new(self, person_id: str, before: SessionRow | None) -> tuple[OpenedSession, SessionRow]:
        now = self._clock.now()
        token = _PREFIX + encoded(self._randomness.bytes(32))
        expires_at = now + self._settings.lifetime if before is None else before.expires_at
        row = SessionRow(_digest(token), person_id, expires_at, min(now + self._settings.idle, expires_at))
        return OpenedSession(token, expires_at, int(self._settings.idle.total_seconds())), row


def _digest(token: str) -> bytes:
    """SHA-256 is enough for 256 random bits; what does not look like a token of ours is not looked up."""
    if not _TOKEN.match(token):
        raise Unauthenticated(rule="SE-01")
    return hashlib.sha256(token.encode()).digest()
