"""Who acts here: registers actors, turns credentials into actors, and logs persons in."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from foundation.clock import Clock
from foundation.cursor import read_cursor, write_cursor
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated
from foundation.keys.factors import ApprovalRequest, PasskeyPresence
from foundation.keys.port import Factors
from foundation.randomness import Randomness, SystemRandomness
from identity import assertion as assertions
from identity.config import SessionSettings
from identity.errors import (
    ActorDisabled,
    ActorInvalid,
    ActorIsYourself,
    ActorKeyRegistered,
    ActorPersonRegistered,
    ActorUnknown,
    CursorInvalid,
)
from identity.model import (
    REGISTRABLE,
    ActorPage,
    ActorStatus,
    OpenedSession,
    RegisteredActor,
    checked_label,
    checked_roles,
)
from identity.oauth.clients import Clients
from identity.oauth.tokens import PREFIX as ACCESS_TOKEN
from identity.oauth.tokens import AccessTokens
from identity.proofs import PersonProofs
from identity.sessions import SCHEME as SESSION_SCHEME
from identity.sessions import PersonSessions
from identity.store import ActorStore, AssertionStore

INSTALLATION = "installation"
"""Who registers the first operator: whoever can run commands on the machine itself."""


class IdentityService:
    """The use cases of the room. Implements `foundation.http.actor.Authenticator`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        trail: AuditTrail,
        factors: Factors,
        public_url: str,
        *,
        randomness: Randomness | None = None,
        settings: SessionSettings | None = None,
        passkeys: PasskeyPresence | None = None,
    ) -> None:
        randomness = randomness or SystemRandomness()
        self._database = database
        self._clock = clock
        self._trail = trail
        self._audience = public_url.rstrip("/")
        self._randomness = randomness
        self._actors = ActorStore()
        self._used = AssertionStore()
        self._pruned: datetime | None = None
        self._pruning = threading.Lock()
        self.sessions = PersonSessions(database, clock, randomness, trail, settings or SessionSettings())
        self.tokens = AccessTokens(database, clock, randomness)
        self.clients = Clients(database, clock, trail, self._audience)
        self.proofs = PersonProofs(factors, passkeys, self._audience)

    # --- authentication -------------------------------------------------------------------------------------------

    def authenticate(self, credential: Credential) -> Actor:
        """The actor behind an Authorization header. Raises Unauthenticated for anything but a valid one."""
        scheme, _, value = credential.authorization.partition(" ")
        if scheme.lower() == assertions.SCHEME.lower():
            return self._by_assertion(value.strip(), credential)
        if scheme.lower() == SESSION_SCHEME.lower() and value.strip().startswith(ACCESS_TOKEN):
            return self.tokens.authenticate(value.strip(), credential.certificate)
        if scheme.lower() == SESSION_SCHEME.lower():
            return self.sessions.authenticate(value.strip())
        raise Unauthenticated(rule="AS-01")

    def _by_assertion(self, compact: str, credential: Credential) -> Actor:
        now = self._clock.now()
        given = assertions.read_assertion(compact)
        with self._database.read() as connection:
            actor = self._actors.get(connection, given.issuer)
        if actor is None or actor.status is not ActorStatus.ACTIVE:
            raise Unauthenticated(rule="AS-02")
        assertions.check_signature(given, actor.public_key)
        assertions.check_binding(given, credential, self._audience, now)
        self._prune_now_and_then(now)
        digest = hashlib.sha256(f"{actor.id}\x00{given.jti}".encode()).digest()
        with self._database.unit_of_work() as connection:
            if not self._used.use(connection, digest, given.expires_at + assertions.MAX_SKEW):
                raise Unauthenticated(rule="AS-09")
        return actor.acting()

    def log_in(self, person_id: str, pin: str, totp: str) -> OpenedSession:
        """A session for a person whose PIN and code the token accepts. Raises LoginRefused, or PinLocked.

        The token counts the tries and locks; an unknown person is refused with the same words as a wrong PIN.
        """
        self.proofs.check(person_id, pin, totp)
        return self.sessions.open(person_id)

    def ask_passkey(self, person_id: str) -> ApprovalRequest:
        """What to ask the device of a person who wants to log in. LoginRefused for whoever has no passkey here."""
        return self.proofs.ask_passkey(person_id)

    def log_in_by_passkey(self, person_id: str, login_id: str, assertion: str) -> OpenedSession:
        """A session for a person whose device answered; once. Raises LoginRefused, whatever was wrong.

        ``login_id``: the request's nonce in hex; ``assertion``: the JSON of the PublicKeyCredential.
        """
        self.proofs.check_passkey(person_id, login_id, assertion)
        return self.sessions.open(person_id)

    def open(self, person_id: str) -> str:
        """The token of a new session, for a room that has just authenticated the person itself (an enrolment)."""
        return self.sessions.open(person_id).token

    def close_all(self, person_id: str) -> None:
        """End every session of a person, and every access token that stands for them."""
        self.sessions.close_all(person_id)
        self.tokens.revoke_person(person_id)

    # --- registration ---------------------------------------------------------------------------------------------

    def register_actor(
        self,
        by: Actor | None,
        kind: ActorKind,
        label: str,
        roles: Iterable[str],
        public_key: bytes,
        person_id: str | None = None,
    ) -> RegisteredActor:
        """Register an officer, client or operator with a P-256 public key (PEM or DER).

        ``by`` is the operator who does it; None at the installation, on the machine itself. ``person_id``: under which
        an officer is enrolled as a citizen, so that nobody reviews their own enrolment, and no two officers are one
        person. Raises ActorInvalid, ActorKeyInvalid, ActorKeyRegistered, ActorPersonRegistered.
        """
        if kind not in REGISTRABLE:
            raise ActorInvalid(field="kind")
        actor = RegisteredActor(
            id="act_" + base64.b32encode(self._randomness.bytes(15)).decode().lower(),
            kind=kind,
            label=checked_label(label),
            roles=checked_roles(roles),
            public_key=assertions.read_public_key(public_key),
            status=ActorStatus.ACTIVE,
            registered_by=INSTALLATION if by is None else str(by),
            registered_at=self._clock.now(),
            person_id=person_id,
        )
        with self._database.unit_of_work() as connection:
            if kind is ActorKind.OFFICER and person_id is not None and self._actors.is_officer(connection, person_id):
                raise ActorPersonRegistered
            if not self._actors.add(connection, actor):
                raise ActorKeyRegistered
            details = {
                "kind": kind.value,
                "roles": sorted(actor.roles),
                "key": hashlib.sha256(actor.public_key).hexdigest(),
            }
            self._trail.append(connection, actor.registered_by, "identity.actor_registered", actor.id, details)
        return actor

    def disable_actor(self, by: Actor | None, actor_id: str) -> None:
        """End what an actor may do, at once and for good. Raises ActorUnknown, ActorDisabled, ActorIsYourself."""
        if by is not None and by.id == actor_id:
            raise ActorIsYourself
        with self._database.unit_of_work() as connection:
            if self._actors.get(connection, actor_id) is None:
                raise ActorUnknown
            try:
                self._actors.disable(connection, actor_id)
            except StaleWrite:
                raise ActorDisabled from None
            who = INSTALLATION if by is None else str(by)
            self._trail.append(connection, who, "identity.actor_disabled", actor_id)

    def person_of(self, actor_id: str) -> str | None:
        """The person id under which an actor is enrolled; None where that is not known. Never raises for a stranger."""
        with self._database.read() as connection:
            found = self._actors.get(connection, actor_id)
        return None if found is None else found.person_id

    def actor(self, actor_id: str) -> RegisteredActor:
        """One actor. Raises ActorUnknown."""
        with self._database.read() as connection:
            found = self._actors.get(connection, actor_id)
        if found is None:
            raise ActorUnknown
        return found

    def list_actors(self, cursor: str | None = None, limit: int = 50) -> ActorPage:
        """A page of actors, disabled ones too. Raises CursorInvalid."""
        try:
            after = "" if cursor is None else read_cursor(cursor)
        except ValueError:
            raise CursorInvalid from None
        with self._database.read() as connection:
            found = tuple(self._actors.page(connection, after, limit + 1))
        more = len(found) > limit
        return ActorPage(found[:limit], write_cursor(found[limit - 1].id) if more else None)

    def _prune_now_and_then(self, now: datetime) -> None:
        with self._pruning:
            if self._pruned is not None and now - self._pruned < timedelta(minutes=10):
                return
            self._pruned = now
        with self._database.unit_of_work() as connection:
            self._used.prune(connection, now)
