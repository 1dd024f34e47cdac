"""Authorisations that persons give in their own session: PIN and code never pass the client (v2.0.0.2 §11.6, §11.7).

    authorize        without proof: the prompt is kept, the client gets a handle (202)
    the person       sees who asks, in their session; approves with PIN and code or a passkey, refuses, or reports it
    authorizeCheck   202 while it waits; then the SAD, once; or that it was refused

A prompt that the person did not expect is reported: in their history, in the audit trail, and to them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from foundation.clock import Clock, parse_rfc3339, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, Delegation
from foundation.keys.activation import Proof
from foundation.printable import is_printable
from foundation.randomness import Randomness
from foundation.use_record import Act
from foundation.vault import Vault
from signing.csc import prompt_store as store
from signing.csc.authorising import Authorised, CscAuthorising, through
from signing.csc.errors import CscRefused
from signing.csc.prompt_store import Prompt, PromptState
from signing.csc.wanted import Wanted
from signing.errors import PromptClosed, PromptNotFound
from signing.ports import Clients
from signing.service import SigningService

LIFETIME = timedelta(minutes=10)
MOST_WAITING = 5  # for one person: a client cannot bury them in prompts
LONGEST_DESCRIPTION = 500  # §11.6
_PURPOSE = "csc-prompt:"


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt for the person's eyes. ``requester``: the label that the client was registered with; ``description``:
    the client's own words, which nobody checked."""

    prompt: Prompt
    requester: str
    description: str


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
    ) -> None:
        self._database, self._audit, self._vault = database, audit, vault
        self._clock, self._randomness, self._clients = clock, randomness, clients
        self._signing, self._authorising = signing, authorising

    # --- the client ---------------------------------------------------------------------------------------------------

    def ask(self, actor: Actor, credential_id: str, what: Wanted, description: str) -> str:
        """Ask the person in their own session; gives the handle. CscRefused; as `SigningService.person_credential`."""
        self._signing.person_credential(actor, credential_id)
        if what.documents:
            raise CscRefused("invalid_request", "documents are authorised with authData; hashes can be without")
        if len(description) > LONGEST_DESCRIPTION or not is_printable(description):
            raise CscRefused("invalid_request", "Invalid parameter description")
        handle, now = self._randomness.bytes(16).hex(), self._clock.now()
        sealed = self._vault.seal(actor.id, _PURPOSE + handle, description.encode())
        client = through(actor).client
        one = Prompt(
            handle,
            actor.id,
            credential_id,
            client,
            PromptState.WAITING,
            what.digests,
            sealed,
            None,
            None,
            now,
            now + LIFETIME,
        )
        with self._database.unit_of_work() as connection:
            store.drop(connection, now)
            if store.count_waiting(connection, actor.id, now) >= MOST_WAITING:
                raise CscRefused("temporarily_unavailable", "too many authorisations wait for this person", 429)
            store.insert(connection, one)
            details = {"client": client, "digests": [digest.hex() for digest in what.digests]}
            self._audit.append(connection, str(actor), "signing.csc_prompted", handle, details)
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
        return tuple(self._shown(one) for one in found)

    def question(self, person: Actor, handle: str) -> str:
        """What the person's device is asked, JSON for the browser. PromptNotFound, PromptClosed, FactorsNotEnrolled."""
        one = self._open(person, handle)
        return self._authorising.challenge(_as_asked(person, one), one.credential_id, Wanted(digests=one.digests))

    def grant(self, person: Actor, handle: str, proof: Proof) -> None:
        """Have the token permit it. PromptNotFound, PromptClosed; as `CscAuthorising.authorise`: then it waits on."""
        one = self._open(person, handle)
        made = self._authorising.authorise(
            _as_asked(person, one), one.credential_id, Wanted(digests=one.digests), proof
        )
        content = json.dumps({"sad": made.sad, "expires": rfc3339(made.expires)}).encode()
        sealed = self._vault.seal(person.id, _PURPOSE + handle, content)
        self._close(person, one, PromptState.GRANTED, "signing.csc_prompt_granted", sealed, made.expires)

    def refuse(self, person: Actor, handle: str, *, unexpected: bool) -> None:
        """Refuse; ``unexpected``: the person did not start this. PromptNotFound, PromptClosed."""
        one = self._open(person, handle)
        if not unexpected:
            self._close(person, one, PromptState.REFUSED, "signing.csc_prompt_refused")
            return
        self._close(person, one, PromptState.REPORTED, "signing.csc_prompt_reported")
        credential = self._signing.holdings.own(person, one.credential_id)
        self._signing.history.record(credential, Act.REPORT, one.digests, through(_as_asked(person, one)))

    # ------------------------------------------------------------------------------------------------------------------

    def _open(self, person: Actor, handle: str) -> Prompt:
        with self._database.read() as connection:
            one = store.prompt_of(connection, person.id, handle, self._clock.now())
        if one is None:
            raise PromptNotFound
        if one.state is not PromptState.WAITING:
            raise PromptClosed
        return one

    def _close(
        self,
        person: Actor,
        one: Prompt,
        state: PromptState,
        action: str,
        sad: bytes | None = None,
        sad_expires: datetime | None = None,
    ) -> None:
        with self._database.unit_of_work() as connection:
            if not store.move(connection, one.handle, PromptState.WAITING, state, sad=sad, sad_expires=sad_expires):
                raise PromptClosed
            self._audit.append(connection, str(person), action, one.handle, {"client": one.client})

    def _shown(self, one: Prompt) -> ShownPrompt:
        description = self._vault.open(one.owner, _PURPOSE + one.handle, one.description).decode()
        return ShownPrompt(one, "" if one.client is None else self._clients.known(one.client)[0], description)


def _as_asked(person: Actor, one: Prompt) -> Actor:
    """The person, with the client that asked: as the history tells it."""
    if one.client is None:
        return person
    return replace(person, delegation=Delegation(one.client, frozenset({"service"})))
