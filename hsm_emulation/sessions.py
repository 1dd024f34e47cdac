"""Operators: their PINs, their sessions, and the master key that a login unlocks.

The master key is in memory while somebody is logged in and is forgotten with the last session. A login costs one
Argon2id derivation and gives a session token; further connections of the same client show that token instead.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil

from foundation.clock import Clock
from foundation.keys.errors import NotLoggedIn, TokenPinIncorrect, TokenPinInvalid, TokenPinLocked, WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.lockout import wait_after
from hsm_emulation.sealing import KEY_LENGTH, SALT_LENGTH, Cost, derive, seal, unseal
from hsm_emulation.store import Store

_SHORTEST_PIN, _LONGEST_PIN = 6, 255
_ABANDONED_AFTER = 600.0


class Role(StrEnum):
    """Who can log in (PKCS#11: CKU_SO, CKU_USER). SO sets the user's PIN and looks; USER works with keys."""

    SO = "so"
    USER = "user"


@dataclass
class Session:
    """One login. ``actor`` names it in the audit log; ``connections`` counts those that use it now."""

    actor: str
    role: Role
    token_hash: bytes
    alive: bool = True
    connections: int = 0
    idle_since: float = field(default_factory=time.monotonic)


def check_operator_pin(pin: str) -> None:
    """TokenPinInvalid unless it has 6 to 255 characters."""
    if not _SHORTEST_PIN <= len(pin) <= _LONGEST_PIN:
        raise TokenPinInvalid


def wrap_master_key(
    connection: sqlite3.Connection, role: Role, pin: str, master: bytes, cost: Cost, randomness: Randomness
) -> None:
    """Store the master key under this operator's PIN; their wrong tries are forgotten."""
    salt = randomness.bytes(SALT_LENGTH)
    wrapped = seal(derive(pin, salt, cost), master, _bound_to(role), randomness)
    connection.execute(
        "INSERT OR REPLACE INTO operators (role, salt, wrapped) VALUES (?, ?, ?)", (role.value, salt, wrapped)
    )


def _bound_to(role: Role) -> dict[str, str]:
    return {"what": "master-key", "role": role.value}


class Sessions:
    """Logins and the master key."""

    def __init__(
        self,
        store: Store,
        audit: AuditLog,
        clock: Clock,
        randomness: Randomness,
        cost: Cost,
        when_locked: Callable[[], None],
    ) -> None:
        self._store, self._audit, self._clock, self._randomness = store, audit, clock, randomness
        self._cost = cost
        self._when_locked = when_locked
        self._master: bytes | None = None
        self._sessions: dict[bytes, Session] = {}
        self._lock = threading.Lock()
        self._login = threading.Lock()

    def master_key(self) -> bytes:
        """The master key; NotLoggedIn while nobody is."""
        master = self._master
        if master is None:
            raise NotLoggedIn
        return master

    def login(self, role: Role, pin: str) -> tuple[Session, bytes]:
        """A session and its token. Raises TokenPinIncorrect, or TokenPinLocked with ``retry_after`` in seconds.

        Logins are one at a time, so that guesses cannot overtake the counter; the counter is on disk before the answer.
        """
        with self._login:
            row = self._store.read().execute("SELECT * FROM operators WHERE role = ?", (role.value,)).fetchone()
            now = self._clock.now().timestamp()
            if row["locked_until"] > now:
                raise TokenPinLocked(retry_after=ceil(row["locked_until"] - now))
            try:
                master = unseal(derive(pin, row["salt"], self._cost), row["wrapped"], _bound_to(role))
            except WrappedKeyInvalid:
                self._store.write(lambda connection: self._count_failure(connection, role, now))
                raise TokenPinIncorrect from None
            token = self._randomness.bytes(KEY_LENGTH)
            token_hash = hashlib.sha256(token).digest()
            session = Session(f"{role.value}:{token_hash.hex()[:12]}", role, token_hash)
            self._store.write(lambda connection: self._record_login(connection, session))
            with self._lock:
                self._sessions[token_hash] = session
                self._master = master
        return session, token

    def resume(self, token: bytes) -> Session:
        """The session of a token that :meth:`login` gave; NotLoggedIn when it is over (or never was)."""
        with self._lock:
            session = self._sessions.get(hashlib.sha256(token).digest())
        if session is None:
            raise NotLoggedIn
        return session

    def logout(self, session: Session) -> None:
        """End a session, on every connection that uses it. With the last one the token locks."""
        with self._lock:
            session.alive = False
            self._sessions.pop(session.token_hash, None)
            locked = not self._sessions
            if locked:
                self._master = None
        if locked:
            self._when_locked()
        self._store.write(lambda connection: self._audit.append(connection, session.actor, "logout", "token", "done"))

    def attach(self, session: Session) -> None:
        """A connection uses this session."""
        with self._lock:
            session.connections += 1

    def detach(self, session: Session) -> None:
        """A connection that used this session is gone."""
        with self._lock:
            session.connections -= 1
            session.idle_since = time.monotonic()

    def drop_abandoned(self) -> None:
        """End the sessions that no connection has used for ten minutes: their client was killed."""
        limit = time.monotonic() - _ABANDONED_AFTER
        with self._lock:
            over = [one for one in self._sessions.values() if one.connections == 0 and one.idle_since < limit]
        for session in over:
            self.logout(session)

    def set_user_pin(self, session: Session, pin: str) -> None:
        """The SO sets the user's PIN anew (PKCS#11 C_InitPIN); a lock-out of the user ends with it."""
        check_operator_pin(pin)
        master = self.master_key()

        def work(connection: sqlite3.Connection) -> None:
            wrap_master_key(connection, Role.USER, pin, master, self._cost, self._randomness)
            self._audit.append(connection, session.actor, "set-user-pin", "token", "done")

        self._store.write(work)

    def _count_failure(self, connection: sqlite3.Connection, role: Role, now: float) -> None:
        connection.execute("UPDATE operators SET failures = failures + 1 WHERE role = ?", (role.value,))
        (failures,) = connection.execute("SELECT failures FROM operators WHERE role = ?", (role.value,)).fetchone()
        until = int(now) + wait + 1 if (wait := wait_after(failures)) else 0
        connection.execute("UPDATE operators SET locked_until = ? WHERE role = ?", (until, role.value))
        self._audit.append(connection, role.value, "login", "token", TokenPinIncorrect.code, {"failures": failures})

    def _record_login(self, connection: sqlite3.Connection, session: Session) -> None:
        connection.execute("UPDATE operators SET failures = 0, locked_until = 0 WHERE role = ?", (session.role.value,))
        self._audit.append(connection, session.actor, "login", "token", "done")
