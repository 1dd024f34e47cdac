"""Operators: their PINs, their sessions, and the master key that a login unlocks.

The master key is in a process's memory while a session that unlocked it is in use there, and is forgotten with the
last one. A login costs one Argon2id derivation and gives a session token; further connections of the same client, in
whichever process of the daemon they end, show that token instead.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from foundation.clock import Clock
from foundation.keys.errors import NotLoggedIn, TokenPinIncorrect, TokenPinInvalid, TokenPinLocked, WrappedKeyInvalid
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.lockout import wait_after
from hsm_emulation.sealing import KEY_LENGTH, SALT_LENGTH, Cost, derive, seal, unseal
from hsm_emulation.session_table import SessionTable
from hsm_emulation.store import Store

_SHORTEST_PIN, _LONGEST_PIN = 6, 255
_ABANDONED_AFTER = 600.0


class Role(StrEnum):
    """Who can log in (PKCS#11: CKU_SO, CKU_USER, and one of our own).

    SO sets the others' PINs and looks; USER works with keys; AUDITOR reads counts and the audit log, and unlocks
    nothing.
    """

    SO = "so"
    USER = "user"
    AUDITOR = "auditor"


_ROLES = tuple(Role)


@dataclass(frozen=True)
class Session:
    """One login. ``actor`` names it in the audit log."""

    actor: str
    role: Role
    token_hash: bytes


def check_operator_pin(pin: str) -> None:
    """TokenPinInvalid unless it has 6 to 255 characters."""
    if not _SHORTEST_PIN <= len(pin) <= _LONGEST_PIN:
        raise TokenPinInvalid


def wrap_master_key(
    connection: sqlite3.Connection, role: Role, pin: str, master: bytes, cost: Cost, randomness: Randomness
) -> None:
    """Store the master key (for the auditor: nothing) under this operator's PIN; their wrong tries are forgotten."""
    salt = randomness.bytes(SALT_LENGTH)
    wrapped = seal(derive(pin, salt, cost), master, _bound_to(role), randomness)
    connection.execute(
        "INSERT OR REPLACE INTO operators (role, salt, wrapped) VALUES (?, ?, ?)", (role.value, salt, wrapped)
    )


def master_key_of(role: Role, key: bytes, wrapped: bytes) -> bytes:
    """What :func:`wrap_master_key` stored, by the key derived from the PIN; WrappedKeyInvalid for another PIN."""
    return unseal(key, wrapped, _bound_to(role))


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
        self._known: dict[bytes, Session] = {}
        self._in_use: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self._table = SessionTable(store.shared, store.exclusive)
        self._version = store.shared.sessions
        self._login = store.lock("login.lock")

    def master_key(self) -> bytes:
        """The master key; NotLoggedIn while nobody is."""
        master = self._master
        if master is None:
            raise NotLoggedIn
        return master

    def login(self, role: Role, pin: str) -> tuple[Session, bytes]:
        """A session and its token. Raises TokenPinIncorrect, or TokenPinLocked with ``retry_after`` in seconds.

        Logins are one at a time, in all processes together, so that guesses cannot overtake the counter; the counter
        is on disk before the answer.
        """
        with self._login:
            row = self._store.read().execute("SELECT * FROM operators WHERE role = ?", (role.value,)).fetchone()
            if row is None:
                raise TokenPinIncorrect  # an auditor's PIN was never set
            now = self._clock.now().timestamp()
            if row["locked_until"] > now:
                raise TokenPinLocked(retry_after=ceil(row["locked_until"] - now))
            try:
                master = master_key_of(role, derive(pin, row["salt"], self._cost), row["wrapped"])
            except WrappedKeyInvalid:
                self._store.write(lambda connection: self._count_failure(connection, role, now))
                raise TokenPinIncorrect from None
            return self.open(role, master)

    def open(self, role: Role, master: bytes) -> tuple[Session, bytes]:
        """Begin a session for somebody who has shown that they may, with what that unlocked. Gives its token too."""
        token = self._randomness.bytes(KEY_LENGTH)
        session = _session(role, hashlib.sha256(token).digest())
        self._store.write(lambda connection: self._record_login(connection, session))
        sealed = seal(token, master, _held_for(session), self._randomness) if master else b""
        self._table.add(session.token_hash, _ROLES.index(role), sealed)
        self._remember(session, master)
        return session, token

    def resume(self, token: bytes) -> Session:
        """The session of a token that :meth:`login` gave; NotLoggedIn when it is over (or never was)."""
        self.refresh()
        token_hash = hashlib.sha256(token).digest()
        known = self._known.get(token_hash)
        if known is not None:
            return known
        row = self._table.find(token_hash)
        if row is None:
            raise NotLoggedIn
        session = _session(_ROLES[row.role], token_hash)
        self._remember(session, unseal(token, row.sealed, _held_for(session)) if row.sealed else b"")
        return session

    def alive(self, session: Session) -> bool:
        """Whether it was not ended since, in this process or another."""
        if self._version != self._store.shared.sessions:
            self.refresh()
        return session.token_hash in self._known

    def logout(self, session: Session) -> None:
        """End a session, on every connection that uses it. With the last one the token locks."""
        if self._table.remove(session.token_hash):
            self.refresh()
            self._store.write(
                lambda connection: self._audit.append(connection, session.actor, "logout", "token", "done")
            )

    def refresh(self) -> None:
        """Forget the sessions that were ended, and with the last that unlocked it, the master key."""
        version = self._store.shared.sessions  # read before the table, so that a later change is seen later
        if version == self._version:
            return
        live = {row.token_hash for row in self._table.all()}
        with self._lock:
            self._version = version
            self._known = {one: session for one, session in self._known.items() if one in live}
            locked = self._master is not None and all(one.role is Role.AUDITOR for one in self._known.values())
            if locked:
                self._master = None
        if locked:
            self._when_locked()

    def attach(self, session: Session) -> None:
        """A connection uses this session."""
        with self._lock:
            self._in_use[session.token_hash] += 1

    def detach(self, session: Session) -> None:
        """A connection that used this session is gone."""
        with self._lock:
            self._in_use[session.token_hash] -= 1
            if self._in_use[session.token_hash] <= 0:
                del self._in_use[session.token_hash]
        self._table.seen({session.token_hash})

    def tend(self) -> None:
        """From time to time: note the sessions in use here; end those that nobody has used for ten minutes."""
        self.refresh()
        with self._lock:
            in_use = set(self._in_use)
        self._table.seen(in_use)
        limit = time.monotonic() - _ABANDONED_AFTER
        for row in self._table.all():
            if row.seen < limit:
                self.logout(_session(_ROLES[row.role], row.token_hash))

    def _remember(self, session: Session, master: bytes) -> None:
        with self._lock:
            self._known[session.token_hash] = session
            self._version = -1  # what was read of the table may be old by now: look again before it is used
            if master:
                self._master = master

    def set_user_pin(self, session: Session, pin: str) -> None:
        """The SO sets the user's PIN anew (PKCS#11 C_InitPIN); a lock-out of the user ends with it."""
        self._set_pin(session, Role.USER, pin, self.master_key())

    def set_auditor_pin(self, session: Session, pin: str) -> None:
        """The SO sets the auditor's PIN, which unlocks nothing."""
        self._set_pin(session, Role.AUDITOR, pin, b"")

    def _set_pin(self, session: Session, role: Role, pin: str, unlocks: bytes) -> None:
        check_operator_pin(pin)

        def work(connection: sqlite3.Connection) -> None:
            wrap_master_key(connection, role, pin, unlocks, self._cost, self._randomness)
            self._audit.append(connection, session.actor, f"set-{role.value}-pin", "token", "done")

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


def _session(role: Role, token_hash: bytes) -> Session:
    return Session(f"{role.value}:{token_hash.hex()[:12]}", role, token_hash)


def _held_for(session: Session) -> dict[str, str]:
    return {"what": "session", "role": session.role.value, "token": session.token_hash.hex()}
