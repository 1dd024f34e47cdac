"""Dual control of seals: what one client asks for, another releases, or a person who represents the organisation.

SP-RELEASE   a client whose policy names releasers seals nothing by itself: each seal waits (`signing.seal_policy`)
HS-OTHER     nobody releases what they asked for, whatever the policy says; nor does the person who registered the
             client that asked, since its key came from them
HS-NAMED     whoever releases is named by the client's policy as it is now: who left it releases nothing more. Persons
             are named by their ids, or all representatives together as ``representatives``
HS-ACTING    the client that asked, and whoever releases, are not disabled; a person speaks for the organisation now,
             has signed its mandate, and holds a good certificate
HS-DIGEST    the document is named by its SHA-256, in a request that the releasing client signed; a person signs a
             statement that names it, with their own key, by passkey or PIN and code (`signing.held.statement`)
HS-TIME      it runs out; hours, level, format and size are judged again, by the policy as it is now
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyUse
from foundation.randomness import Randomness
from signing import seal_store
from signing.agencies.representing import Representing
from signing.custody import Custody
from signing.errors import (
    CredentialNotFound,
    CredentialNotUsable,
    DocumentNotFound,
    DocumentRefused,
    TooManyDocuments,
)
from signing.file_name import plain_name
from signing.forms import PADES, Form
from signing.held import store
from signing.held.errors import (
    HeldSealClosed,
    HeldSealNotFound,
    HeldSealNotMade,
    HeldSealOther,
    ReleaseNotAllowed,
    ReleaseNotAsked,
    ReleaseNotSigned,
)
from signing.held.model import HeldSeal, HeldState, NamedHeldSeal, RefusalReason
from signing.held.statement import FORM, release_of
from signing.model import Document, DocumentState, Level
from signing.pdf_options import PdfOptions
from signing.ports import Acting
from signing.seal_policy import REPRESENTATIVES, read_policy
from signing.service import SigningService
from signing.store import Sealed

WAITS = timedelta(hours=72)
"""How long a seal waits to be released."""
KEPT = timedelta(days=30)
"""How long what became of it is kept, from when it was asked for."""
MAX_PAGE = 100
MAX_WAITING = 100
"""Held seals that a client may have waiting at a time."""
_PLAIN = PdfOptions()


class HeldSeals:
    """Seals that wait: asking, looking, releasing, refusing, fetching."""

    def __init__(
        self,
        signing: SigningService,
        custody: Custody,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        acting: Acting,
        mandates: Representing | None = None,
    ) -> None:
        self._signing, self._custody = signing, custody
        self._database, self._audit, self._clock = database, audit, clock
        self._randomness, self._acting, self._mandates = randomness, acting, mandates

    def ask(
        self,
        actor: Actor,
        credential_id: str,
        data: bytes,
        *,
        name: str = "document",
        form: Form = PADES,
        level: Level | None = None,
        password: str | None = None,
        options: PdfOptions = _PLAIN,
    ) -> NamedHeldSeal:
        """Ask for a seal that somebody else releases; the document is kept, sealed, until then.

        Raises ReleaseNotAsked for a client without releasers, SealNotAllowed, CredentialNotFound, CredentialNotUsable,
        DocumentRefused, LevelNotAllowed, TooManyDocuments: then nothing is kept.
        """
        now = self._clock.now()
        client = self._signing.seal_policies.of_actor(actor)
        if not client.policy.releasers:
            raise ReleaseNotAsked
        self._signing.credential(actor, credential_id, KeyUse.ORGANISATION_SEAL)
        name, level = plain_name(name), form.level(level, self._signing.config.default_level)
        self._signing.appearance(actor, level, form, options)
        inspection = self._signing.taking.inspect(data, name, form, password, options.field)
        client.take(level, form, len(data), now, held=True)
        held = HeldSeal(
            held_id=self._randomness.bytes(16).hex(),
            client=actor.id,
            credential_id=credential_id,
            sha256=inspection.sha256,
            size=inspection.size,
            pages=inspection.pages,
            encrypted=inspection.encrypted,
            form=form,
            level=level,
            state=HeldState.WAITING,
            version=0,
            asked_at=now,
            expires=now + WAITS,
        )
        sealed = self._custody.seal(actor.id, held.held_id, name, password if held.encrypted else None, options)
        self._custody.put_original(actor.id, held.held_id, data)
        try:
            with self._database.unit_of_work() as connection:
                if store.waiting(connection, actor.id) >= MAX_WAITING:
                    raise TooManyDocuments(limit=MAX_WAITING)
                store.insert(connection, held, sealed)
                details = {"sha256": held.sha256.hex(), "form": str(form), "level": level.value}
                self._audit.append(connection, str(actor), "signing.held_seal_asked", held.held_id, details)
        except BaseException:
            self._custody.discard_original(held.held_id)
            raise
        return NamedHeldSeal(held, name)

    def list(self, actor: Actor, state: HeldState | None = None, limit: int = 50) -> tuple[NamedHeldSeal, ...]:
        """What the actor asked for or may release, the newest first; to a person, what their organisations' clients
        asked for."""
        limit = max(1, min(limit, MAX_PAGE))
        with self._database.read() as connection:
            if actor.kind is ActorKind.PERSON:
                theirs = self._mandates.clients_of(actor.id) if self._mandates else ()
            else:
                every = seal_store.policies_of_all(connection)
                theirs = (actor.id, *(client for client, policy in every if _names(policy, actor.id)))
            rows = store.of_clients(connection, theirs, state, limit)
        return tuple(self._named(held, sealed) for held, sealed in rows)

    def show(self, actor: Actor, held_id: str) -> NamedHeldSeal:
        """One that the actor asked for or may release, or of their organisation. Raises HeldSealNotFound."""
        return self._named(*self._visible(actor, held_id))

    def document(self, actor: Actor, held_id: str) -> tuple[str, bytes]:
        """Name and octets of the document that is to be sealed. Raises HeldSealNotFound."""
        held, sealed = self._visible(actor, held_id)
        return self._custody.name(held.document(), sealed), self._custody.original(held.document())

    def sealed(self, actor: Actor, held_id: str) -> tuple[str, Form, bytes]:
        """Name, form and octets of the sealed document. Raises HeldSealNotFound, HeldSealNotMade."""
        held, sealed = self._visible(actor, held_id)
        if held.state is not HeldState.SEALED:
            raise HeldSealNotMade
        return self._custody.name(held.document(), sealed), held.form, self._custody.signed(held.document())

    def release(self, actor: Actor, held_id: str, sha256: bytes) -> NamedHeldSeal:
        """Let the seal be made, and make it. ``sha256``: of the document that the actor has looked at.

        Raises HeldSealNotFound, ReleaseNotAllowed, HeldSealOther, HeldSealClosed. Where the seal cannot be made for
        good the state says FAILED with the code; what can be tried again (no timestamp to be had) is raised, and the
        release stands: releasing again goes on.
        """
        held, sealed = self._decidable(actor, held_id, HeldState.WAITING, HeldState.RELEASED)
        if held.sha256 != sha256:
            raise HeldSealOther
        return self._release(actor, held, sealed, {"sha256": sha256.hex()})

    def statement(self, actor: Actor, held_id: str) -> bytes:
        """What a person signs to release it. Raises HeldSealNotFound."""
        return release_of(self._visible(actor, held_id)[0])

    def release_by_statement(self, person: Actor, held_id: str, document_id: str) -> NamedHeldSeal:
        """The same by a person. ``document_id``: their document that is the statement, signed with their own key as a
        detached CAdES signature. The signature is kept, sealed for them.

        Raises HeldSealNotFound, ReleaseNotAllowed, ReleaseNotSigned, HeldSealClosed; else as :meth:`release`.
        """
        held, sealed = self._decidable(person, held_id, HeldState.WAITING, HeldState.RELEASED)
        try:
            signed = self._signing.document(person, document_id).document
        except DocumentNotFound:
            raise ReleaseNotSigned(held=held_id) from None
        same = signed.sha256 == hashlib.sha256(release_of(held)).digest() and signed.form == FORM
        if signed.state is not DocumentState.SIGNED or not same:
            raise ReleaseNotSigned(held=held_id)
        signature = self._signing.signed(person, document_id)[1]
        self._custody.put_release(person.id, held_id, signature)
        details = {"sha256": held.sha256.hex(), "signature": hashlib.sha256(signature).hexdigest()}
        return self._release(person, held, sealed, details)

    def release_signature(self, actor: Actor, held_id: str) -> bytes:
        """The signature over the statement by which a person released it. Raises HeldSealNotFound, ReleaseNotSigned."""
        held, _ = self._visible(actor, held_id)
        kind, _, person = (held.decided_by or "").partition(":")
        if kind != ActorKind.PERSON or held.state not in (HeldState.RELEASED, HeldState.SEALED, HeldState.FAILED):
            raise ReleaseNotSigned(held=held_id)
        return self._custody.release(person, held_id)

    def refuse(self, actor: Actor, held_id: str, reason: RefusalReason) -> NamedHeldSeal:
        """Say no, for good; whoever asked may take it back so too.

        Raises HeldSealNotFound, ReleaseNotAllowed, HeldSealClosed.
        """
        held, _ = self._visible(actor, held_id)
        if (
            held.client != actor.id and actor.kind is not ActorKind.PERSON
        ):  # stopping must be easy for who speaks for it
            self._decidable(actor, held_id, HeldState.WAITING)
        elif held.state is not HeldState.WAITING:
            raise HeldSealClosed
        with self._database.unit_of_work() as connection:
            values = {"decided_by": str(actor), "decided_at": self._clock.now(), "reason": reason.value}
            store.change(connection, held, HeldState.REFUSED, **values)
            self._audit.append(connection, str(actor), "signing.held_seal_refused", held_id, {"reason": reason.value})
        self._custody.discard_original(held_id)
        return self._named(*self._found(held_id))

    def stop(self, by: str, client_id: str) -> int:
        """Refuse all that a client asked for and nobody released, or whose release was not finished: its rights ended.
        ``by``: who does this. Gives how many."""
        stopped = 0
        for state in (HeldState.WAITING, HeldState.RELEASED):
            while True:
                with self._database.read() as connection:
                    page = store.of_clients(connection, [client_id], state, MAX_PAGE)
                for held, _ in page:
                    values: dict[str, str | datetime] = {"decided_by": by, "decided_at": self._clock.now()}
                    values["reason"] = RefusalReason.NOT_AUTHORISED.value
                    try:
                        with self._database.unit_of_work() as connection:
                            store.change(connection, held, HeldState.REFUSED, **values)
                            details = {"reason": RefusalReason.NOT_AUTHORISED.value}
                            self._audit.append(connection, by, "signing.held_seal_refused", held.held_id, details)
                    except HeldSealClosed:  # somebody else ended it meanwhile, or releases it just now
                        continue
                    self._custody.discard_original(held.held_id)
                    stopped += 1
                if len(page) < MAX_PAGE:
                    break
        return stopped

    def sweep(self) -> int:
        """Forget what ran out, and results that were kept for long enough; gives how many."""
        now = self._clock.now()
        with self._database.read() as connection:
            old = store.older(connection, now, now - KEPT)
        gone = 0
        for held in old:
            with self._database.unit_of_work() as connection:
                if not store.remove(connection, held):
                    continue
                self._audit.append(connection, "system:upkeep", "signing.held_seal_forgotten", held.held_id)
                # Before the commit: whatever fails here leaves the row, and it is tried again.
                self._custody.discard(held.held_id, held.version)
            gone += 1
        return gone

    # --------------------------------------------------------------------------------------------------------------

    def _release(self, actor: Actor, held: HeldSeal, sealed: Sealed, details: dict[str, str]) -> NamedHeldSeal:
        if held.state is HeldState.WAITING:
            with self._database.unit_of_work() as connection:
                values = {"decided_by": str(actor), "decided_at": self._clock.now()}
                store.change(connection, held, HeldState.RELEASED, **values)
                self._audit.append(connection, str(actor), "signing.held_seal_released", held.held_id, details)
        else:  # a crash, or a failure that passes, left it so: this release goes on, and no other beside it
            with self._database.unit_of_work() as connection:
                store.change(connection, held, HeldState.RELEASED)
        held = replace(held, state=HeldState.RELEASED, version=held.version + 1)
        return self._named(*self._make(actor, held, sealed))

    def _make(self, releaser: Actor, held: HeldSeal, sealed: Sealed) -> tuple[HeldSeal, Sealed]:
        document = held.document()
        values: dict[str, str] = {}
        try:
            result = self._signing.seal(
                Actor(ActorKind.CLIENT, held.client),
                held.credential_id,
                self._custody.original(document),
                name=self._custody.name(document, sealed),
                form=held.form,
                level=held.level,
                password=self._custody.password(document, sealed),
                options=self._custody.options(document, sealed),
                released_by=str(releaser),
            )
        except (
            DocumentRefused,
            CredentialNotFound,
            CredentialNotUsable,
        ) as error:  # nothing of this changes by waiting
            state, values = HeldState.FAILED, {"problem": error.code}
        else:
            self._custody.put_signed(document, held.version, result)
            state = HeldState.SEALED
        try:
            with self._database.unit_of_work() as connection:
                store.change(connection, held, state, **values)
                if state is HeldState.FAILED:
                    self._audit.append(connection, str(releaser), "signing.held_seal_failed", held.held_id, values)
        except HeldSealClosed:
            self._custody.discard_signed(held.held_id, held.version)  # another release took over meanwhile
            raise
        self._custody.discard_original(held.held_id)
        return self._found(held.held_id)

    def _decidable(self, actor: Actor, held_id: str, *states: HeldState) -> tuple[HeldSeal, Sealed]:
        held, sealed = self._visible(actor, held_id)
        if not self.may_release(actor, held):
            with self._database.unit_of_work() as connection:
                self._audit.append(connection, str(actor), "signing.release_not_allowed", held_id)
            raise ReleaseNotAllowed
        if held.state not in states or (held.state is HeldState.WAITING and held.expires <= self._clock.now()):
            raise HeldSealClosed
        return held, sealed

    def may_release(self, actor: Actor, held: HeldSeal) -> bool:
        """Whether they may release it, if it waits."""
        asking = self._acting.key_of(held.client)
        releasers = self._signing.seal_policies.of(held.client).releasers
        if actor.kind is ActorKind.PERSON:
            client = self._mandates.represents(actor.id, held.client) if self._mandates else None
            if client is None or self._mandates is None or client.added_by == str(actor):
                return False
            named = actor.id in releasers or REPRESENTATIVES in releasers
            return named and asking is not None and self._mandates.good(actor.id)
        releasing = self._acting.key_of(actor.id)
        named = actor.id in releasers
        return named and actor.id != held.client and None not in (asking, releasing) and asking != releasing

    def _visible(self, actor: Actor, held_id: str) -> tuple[HeldSeal, Sealed]:
        held, sealed = self._found(held_id)
        if actor.kind is ActorKind.PERSON:
            if self._mandates is None or self._mandates.represents(actor.id, held.client) is None:
                raise HeldSealNotFound
        elif held.client != actor.id and actor.id not in self._signing.seal_policies.of(held.client).releasers:
            raise HeldSealNotFound
        return held, sealed

    def parts(self, actor: Actor, held_id: str) -> tuple[Document, Sealed]:
        """The document for whoever draws its pages. Raises HeldSealNotFound."""
        held, sealed = self._visible(actor, held_id)
        return held.document(), sealed

    def _found(self, held_id: str) -> tuple[HeldSeal, Sealed]:
        with self._database.read() as connection:
            found = store.find(connection, held_id)
        if found is None:
            raise HeldSealNotFound
        return found

    def _named(self, held: HeldSeal, sealed: Sealed) -> NamedHeldSeal:
        return NamedHeldSeal(held, self._custody.name(held.document(), sealed))


def _names(policy: dict[str, object], actor_id: str) -> bool:
    return actor_id in read_policy(policy).releasers
