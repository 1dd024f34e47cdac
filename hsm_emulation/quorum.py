"""The token's custodians, the requests that wait for them, and the acts that are done when enough of them have signed.

The list of custodians is sealed under the key that logins open, also when it is empty: an edited or missing list is
WrappedKeyInvalid, never "nobody". A request's nonce is kept until it is used or ends; using it is in the transaction
that does the act or comes before it, so that an approved request is good once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from foundation.canonical import canonical_json
from foundation.clock import Clock
from foundation.keys.errors import NotLoggedIn, QuorumRequired, RequestInvalid, WrappedKeyInvalid
from foundation.keys.quorum import Custodians, Request, approvers
from foundation.randomness import Randomness
from hsm_emulation.audit import AuditLog
from hsm_emulation.sealing import seal, unseal
from hsm_emulation.sessions import Session, Sessions
from hsm_emulation.shared import changed
from hsm_emulation.store import Store

LIFETIME = timedelta(days=7)  # custodians may be far apart
_MOST_WAITING = 64
_BOUND = {"what": "custodians"}


def write_custodians(
    connection: sqlite3.Connection, custodians: Custodians, key: bytes, randomness: Randomness
) -> None:
    """Set the list, in the caller's transaction."""
    sealed = seal(key, canonical_json(custodians.data()), _BOUND, randomness)
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('custodians', ?)", (sealed,))


def read_custodians(connection: sqlite3.Connection, key: bytes) -> Custodians:
    """The list; WrappedKeyInvalid when it was edited or taken away."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'custodians'").fetchone()
    if row is None:
        raise WrappedKeyInvalid
    return Custodians.parse(json.loads(unseal(key, row[0], _BOUND)))


class Quorum:
    """Custodians and what they approve."""

    def __init__(
        self, store: Store, sessions: Sessions, audit: AuditLog, clock: Clock, randomness: Randomness, serial: str
    ) -> None:
        self._store, self._sessions, self._audit = store, sessions, audit
        self._clock, self._randomness, self._serial = clock, randomness, serial

    def custodians(self, connection: sqlite3.Connection | None = None) -> Custodians:
        """Who they are; WrappedKeyInvalid for a list that was edited or taken away."""
        return read_custodians(connection or self._store.read(), self._sessions.master_key())

    def told(self) -> str | None:
        """``3of5``, say; None where there are none; ``sealed`` while nobody is logged in who could open the list."""
        try:
            custodians = self.custodians()
        except NotLoggedIn:
            return "sealed"
        return str(custodians) if custodians.people else None

    def require_none(self) -> None:
        """QuorumRequired where there are custodians: the caller was asked for the act directly."""
        if self.custodians().people:
            raise QuorumRequired

    def ask(self, session: Session, operation: str, arguments: Mapping[str, Any]) -> bytes:
        """A request for custodians to sign, good for a week, once. RequestInvalid when too many wait."""
        expires = (self._clock.now() + LIFETIME).replace(microsecond=0)
        request = Request(operation, arguments, self._serial, self._randomness.bytes(16).hex(), expires)

        def work(connection: sqlite3.Connection) -> None:
            now = int(self._clock.now().timestamp())
            connection.execute("DELETE FROM quorum_requests WHERE expires <= ?", (now,))
            (waiting,) = connection.execute("SELECT COUNT(*) FROM quorum_requests").fetchone()
            if waiting >= _MOST_WAITING:
                raise RequestInvalid
            connection.execute(
                "INSERT INTO quorum_requests (nonce, digest, expires) VALUES (?, ?, ?)",
                (request.nonce, request.digest, int(expires.timestamp())),
            )
            details = {"operation": operation, "request": request.digest}
            self._audit.append(connection, session.actor, "quorum-ask", request.nonce, "done", details)

        self._store.write(work)
        return request.canonical

    def redeem(self, session: Session, octets: bytes, approvals: Sequence[bytes]) -> Request:
        """The request, if it is one of this token's that waits, and enough custodians signed it; its nonce is used up.

        RequestInvalid (another token's, used, over, changed), ApprovalInvalid, QuorumTooFew.
        """
        request = Request.parse(octets)
        if request.token != self._serial or request.expires <= self._clock.now():
            raise RequestInvalid

        def work(connection: sqlite3.Connection) -> None:
            who = approvers(request, self.custodians(connection), approvals)
            used = connection.execute(
                "DELETE FROM quorum_requests WHERE nonce = ? AND digest = ?", (request.nonce, request.digest)
            )
            if used.rowcount != 1:
                raise RequestInvalid
            details = {
                "operation": request.operation,
                "request": request.digest,
                "custodians": [one.key_id for one in who],
            }
            self._audit.append(connection, session.actor, "quorum-approved", request.nonce, "intent", details)

        self._store.write(work)
        return request

    def replace(self, session: Session, custodians: Custodians) -> None:
        """Set the custodians; whoever calls this has asked those before, if any. Requests that wait are void."""

        def work(connection: sqlite3.Connection) -> None:
            write_custodians(connection, custodians, self._sessions.master_key(), self._randomness)
            connection.execute("DELETE FROM quorum_requests")
            changed(connection)
            details = {"quorum": str(custodians), "custodians": [one.key_id for one in custodians.people]}
            self._audit.append(connection, session.actor, "set-custodians", "token", "done", details)

        self._store.write(work)
