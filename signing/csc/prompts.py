"""Authorisations that persons give in their own session: PIN and code never pass the client (v2.0.0.2 §11.6, §11.7).

    authorize        without proof: the prompt is kept, with the documents where some were sent; a handle (202)
    the person       sees who asks, in their session; approves with PIN and code or a passkey, refuses, or reports it
    authorizeCheck   202 while it waits; then the SAD, once; or that it was refused

A prompt that the person did not expect is reported: in their history, in the audit trail, to them, and to operators. A
client that too many people report is stopped (`signing.requests.reports`), as is one that an operator stopped: it asks
nobody, and what waits of it is not granted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from foundation.clock import Clock, parse_rfc3339, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind, Delegation
from foundation.keys.activation import Proof
from foundation.printable import is_printable
from foundation.randomness import Randomness
from foundation.use_record import Act
from foundation.vault import Vault
from signing.csc import prompt_store as store
from signing.csc.authorising import Authorised, CscAuthorising, through
from signing.csc.errors import CscRefused
from signing.csc.prompt_store import Prompt, PromptState
from signing.csc.wanted import TakenDocuments, Wanted
from signing.errors import DocumentNotFound, PromptClosed, PromptNotFound
from signing.forms import DIGESTS as DIGEST_FORMS
from signing.model import NamedDocument
from signing.ports import Clients
from signing.requests import store as request_store
from signing.requests.errors import RequesterStopped
from signing.requests.model import ReportKind, Requester
from signing.requests.reports import Reports
from signing.service import SigningService

LIFETIME = timedelta(minutes=10)
MOST_WAITING = 5  # for one person: nobody is buried in prompts
MOST_OF_ONE = 3  # … of one client: it cannot keep others from asking
LONGEST_DESCRIPTION = 500  # §11.6
_PURPOSE = "csc-prompt:"
_AT_ONCE = 200


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt for the person's eyes. ``requester``: the client as it is registered, None: another session of the
    person's own; ``description``: the client's own words, which nobody checked; ``documents``: those that are there."""

    prompt: Prompt
    requester: Requester | None
    description: str
    documents: tuple[NamedDocument, ...] = ()


class Prompts:
    """Keeps prompts and their answers."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        signing: SigningService,
        authorising: CscAuthorising,
        clients: Clients,
        reports: Reports,
    ) -> None:
        self._database, self._audit, self._vault = database, audit, vault
        self._clock, self._randomness, self._clients = clock, randomness, clients
        self._signing, self._authorising, self._reports = signing, authorising, reports

    # --- the client ---------------------------------------------------------------------------------------------------

    def ask(self, actor: Actor, credential_id: str, what: Wanted, description: str) -> str:
        """Ask the person in their own session; gives the handle. CscRefused; as `SigningService.person_credential`."""
        self._signing.person_credential(actor, credential_id)
        if len(description) > LONGEST_DESCRIPTION or not is_printable(description):
            raise CscRefused("invalid_request", "Invalid parameter description")
        client, now = through(actor).client, self._clock.now()
        self._require_welcome(client, actor.id)
        self.sweep()
        with self._database.read() as connection:
            self._require_room(connection, actor.id, client, now)
        taken = None
        if what.documents:
            self._signing.level(what.level)  # else it would be refused when the person answers
            taken = TakenDocuments(what.subject, self._authorising.take(actor, what), what.level)
        handle = self._randomness.bytes(16).hex()
        sealed = self._vault.seal(actor.id, _PURPOSE + handle, description.encode())
        one = Prompt(
            handle,
            actor.id,
            credential_id,
            client,
            PromptState.WAITING,
            what.shown,
            sealed,
            None,
            None,
            now,
            now + LIFETIME,
            taken,
        )
        try:
            with self._database.unit_of_work() as connection:
                details = {"client": client, "digests": [digest.hex() for digest in what.shown]}
                self._audit.append(connection, str(actor), "signing.csc_prompted", handle, details)
                self._require_room(connection, actor.id, client, now)  # the trail's head is held: one at a time
                store.insert(connection, one)
        except BaseException:
            self._authorising.discard(actor, one.documents)
            raise
        return handle

    def check(self, actor: Actor, handle: str) -> Authorised | None:
        """The SAD, once, for whoever asked; None while it waits. CscRefused, ``access_denied`` where it was refused."""
        with self._database.read() as connection:
            one = store.prompt_of(connection, actor.id, handle, self._clock.now())
        if one is None or one.client != through(actor).client or one.state is PromptState.TAKEN:
            raise CscRefused("invalid_request", "Invalid parameter handle")
        if one.state is PromptState.WAITING:
            return None
        if one.state is not PromptState.GRANTED or one.sad is None:
            raise CscRefused("access_denied", "the person refused")
        sad = json.loads(self._vault.open(actor.id, _PURPOSE + handle, one.sad))
        with self._database.unit_of_work() as connection:
            if not store.move(connection, handle, PromptState.GRANTED, PromptState.TAKEN, sad=None):
                raise CscRefused("invalid_request", "Invalid parameter handle")
        return Authorised(sad["sad"], parse_rfc3339(sad["expires"]))

    # --- the person ---------------------------------------------------------------------------------------------------

    def waiting(self, person: Actor) -> tuple[ShownPrompt, ...]:
        """What waits for the person, the newest first."""
        with self._database.read() as connection:
            found = store.waiting_of(connection, person.id, self._clock.now())
        return tuple(self._shown(person, one) for one in found)

    def show(self, person: Actor, handle: str) -> ShownPrompt:
        """One of the person's, answered or not. PromptNotFound."""
        return self._shown(person, self._found(person, handle))

    def question(self, person: Actor, handle: str) -> str:
        """What the person's device is asked, JSON for the browser. PromptNotFound, PromptClosed, RequesterStopped,
        FactorsNotEnrolled."""
        one = self._grantable(person, handle)
        return self._authorising.challenge(_as_asked(person, one), one.credential_id, _wanted(one))

    def grant(self, person: Actor, handle: str, proof: Proof) -> None:
        """Have the token permit it. PromptNotFound, PromptClosed, RequesterStopped; as `CscAuthorising.authorise`: then
        it waits on."""
        one = self._grantable(person, handle)
        made = self._authorising.authorise(_as_asked(person, one), one.credential_id, _wanted(one), proof)
        content = json.dumps({"sad": made.sad, "expires": rfc3339(made.expires)}).encode()
        sealed = self._vault.seal(person.id, _PURPOSE + handle, content)
        self._close(person, one, PromptState.GRANTED, "signing.csc_prompt_granted", sealed, made.expires)

    def refuse(self, person: Actor, handle: str, *, unexpected: bool, block: bool = False) -> None:
        """Refuse; ``unexpected``: the person did not start this; ``block``: they take no more of this client's.

        PromptNotFound, PromptClosed.
        """
        one = self._open(person, handle)
        state = PromptState.REPORTED if unexpected else PromptState.REFUSED
        action = "signing.csc_prompt_reported" if unexpected else "signing.csc_prompt_refused"
        self._close(person, one, state, action, block=block)
        self._authorising.discard(person, one.documents)
        if unexpected:
            credential = self._signing.holdings.own(person, one.credential_id)
            self._signing.history.record(credential, Act.REPORT, one.digests, through(_as_asked(person, one)))
            if one.client is not None:
                self._reports.judge(one.client)

    # --- upkeep -------------------------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """Forget what ran out, with its documents that were not signed; gives how many."""
        with self._database.read() as connection:
            late = store.expired(connection, self._clock.now(), _AT_ONCE)
        for one in late:
            if one.state is not PromptState.TAKEN and one.state is not PromptState.GRANTED:
                self._authorising.discard(Actor(ActorKind.PERSON, one.owner), one.documents)
            with self._database.unit_of_work() as connection:
                store.remove(connection, one.handle)
        return len(late)

    # ------------------------------------------------------------------------------------------------------------------

    def _found(self, person: Actor, handle: str) -> Prompt:
        with self._database.read() as connection:
            one = store.prompt_of(connection, person.id, handle, self._clock.now())
        if one is None:
            raise PromptNotFound
        return one

    def _open(self, person: Actor, handle: str) -> Prompt:
        one = self._found(person, handle)
        if one.state is not PromptState.WAITING:
            raise PromptClosed
        return one

    def _grantable(self, person: Actor, handle: str) -> Prompt:
        """One that waits, of a client that may ask still."""
        one = self._open(person, handle)
        if one.client is not None and (self._reports.stopped(one.client) or not self._clients.known(one.client)[1]):
            raise RequesterStopped
        return one

    def _require_welcome(self, client: str | None, person: str) -> None:
        """CscRefused for a client that is stopped, or that the person takes nothing of any more."""
        if client is None:
            return
        with self._database.read() as connection:
            blocked = client in request_store.blocked_by(connection, person)
        if blocked or self._reports.stopped(client):
            raise CscRefused("access_denied", "this person is asked nothing by this client", 403)

    @staticmethod
    def _require_room(connection: Connection, person: str, client: str | None, now: datetime) -> None:
        waiting, of_client = store.count_waiting(connection, person, client, now)
        if waiting >= MOST_WAITING or of_client >= MOST_OF_ONE:
            raise CscRefused("temporarily_unavailable", "too many authorisations wait for this person", 429)

    def _close(
        self,
        person: Actor,
        one: Prompt,
        state: PromptState,
        action: str,
        sad: bytes | None = None,
        sad_expires: datetime | None = None,
        *,
        block: bool = False,
    ) -> None:
        with self._database.unit_of_work() as connection:
            if not store.move(connection, one.handle, PromptState.WAITING, state, sad=sad, sad_expires=sad_expires):
                raise PromptClosed
            self._audit.append(connection, str(person), action, one.handle, {"client": one.client})
            if one.client is None:
                return
            if state is PromptState.REPORTED:
                kind, asked_at = ReportKind.PROMPT, one.asked_at
                self._reports.add(connection, kind, one.handle, one.client, person.id, asked_at)
            if block:
                request_store.block(connection, person.id, one.client, self._clock.now())
                self._audit.append(connection, str(person), "signing.requester_blocked", one.client)

    def _shown(self, person: Actor, one: Prompt) -> ShownPrompt:
        description = self._vault.open(one.owner, _PURPOSE + one.handle, one.description).decode()
        requester = None if one.client is None else Requester(one.client, *self._clients.known(one.client))
        return ShownPrompt(one, requester, description, tuple(self._there(person, one.documents)))

    def _there(self, person: Actor, ids: Sequence[str]) -> list[NamedDocument]:
        found: list[NamedDocument] = []
        for document_id in ids:
            with suppress(DocumentNotFound):  # gone with the prompt, or by the person
                found.append(self._signing.document(person, document_id))
        return [one for one in found if one.document.form not in DIGEST_FORMS]


def _wanted(one: Prompt) -> Wanted | TakenDocuments:
    return Wanted(digests=one.digests) if one.taken is None else one.taken


def _as_asked(person: Actor, one: Prompt) -> Actor:
    """The person, with the client that asked: as the history tells it."""
    if one.client is None:
        return person
    return replace(person, delegation=Delegation(one.client, frozenset({"service"})))
