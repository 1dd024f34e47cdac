"""Authorisations of the CSC API: the token permits exactly what was wanted, by PIN and code or by a passkey.

    getChallenge        the token asks the person's device for exactly these digests or documents (v2.0.0.2 §11.8)
    authorize           the proof; the SAD is what the token permits them with (§11.6, SCAL2: EN 419 241-1 §5.5)
    extendTransaction   a SAD for digests that it permits already and that were not signed yet, in their order (§11.9)

What is kept here is which digests a SAD stands for and which of them are signed, to answer for them; whether a
signature is made is decided in the token alone. An extension changes neither what the person permitted nor until when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from foundation.base64url import encoded
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp
from foundation.keys.activation import Proof as AnyProof
from foundation.keys.factors import PersonFactors
from foundation.keys.port import Activation
from foundation.randomness import Randomness
from foundation.use_record import Act
from foundation.x509.algorithms import signature_hash
from signing.approval import Asked
from signing.csc import prompt_store, store
from signing.csc.algorithms import DIGESTS, KeyDescription
from signing.csc.errors import CscRefused
from signing.csc.store import Authorisation
from signing.csc.wanted import TakenDocuments, Wanted
from signing.errors import DocumentNotFound
from signing.history import Door, Through
from signing.model import Credential, DocumentState
from signing.service import SigningService

AUDIENCE = "camtrust-csc"
PASSKEY = "PASSKEY"
_AT_ONCE = 200
_OIDS = {name: oid for oid, (name, _) in DIGESTS.items()}


@dataclass(frozen=True)
class Authorised:
    """``sad``: what is signed with it; ``expires``: until when."""

    sad: str
    expires: datetime


def through(actor: Actor) -> Through:
    """The door, and the client that the person let in by it."""
    return Through(Door.CSC, actor.delegation.client_id if actor.delegation else None)


class CscAuthorising:
    """Makes, extends and forgets authorisations."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        signing: SigningService,
        factors: PersonFactors,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._signing, self._factors = signing, factors

    def challenge(self, actor: Actor, credential_id: str, what: Wanted | TakenDocuments) -> str:
        """What the person's device is asked, as JSON for ``navigator.credentials.get()``; its challenge is bound to
        exactly what is wanted. FactorsNotEnrolled for a person without a passkey; as `SigningService.ask_passkey`."""
        credential = self._signing.person_credential(actor, credential_id)
        self._forget_question(actor, credential_id, what)
        if what.documents:
            asked, ids = self._ask(actor, credential, what, Method.PASSKEY)
            digests = tuple(asked.digests.values())
            self._keep(actor, credential, what, asked.approval_id, digests, asked.expires, documents=ids)
            return asked.options
        request = self._factors.prepare_activation(
            credential.signatory.key_id, list(what.digests), AUDIENCE, Method.PASSKEY
        )
        self._keep(actor, credential, what, request.nonce.hex(), what.digests, request.expires)
        return request.options or ""

    def authorise(
        self,
        actor: Actor,
        credential_id: str,
        what: Wanted | TakenDocuments,
        proof: AnyProof,
        via: Through | None = None,
    ) -> Authorised:
        """Have the token permit exactly this; ``via``: where it came in, for the history; None: this API.

        Raises CredentialNotFound, CredentialNotUsable, and what the token raises about the proof: then nothing is
        permitted.
        """
        credential = self._signing.person_credential(actor, credential_id)
        if isinstance(proof, PasskeyAssertion):
            activation, digests = self._by_passkey(actor, credential, what, proof, via)
        elif what.documents:
            activation, digests = self._by_code_for_documents(actor, credential, what, proof, via)
        else:
            activation, digests = self._by_code(actor, credential, what, proof)
        self._note(actor, "signing.csc_authorised", credential_id, digests)
        self._signing.history.record(credential, Act.AUTHORISATION, digests, via or through(actor))
        return Authorised(encoded(activation.token), activation.expires)

    def extend(self, actor: Actor, credential_id: str, sad: bytes, what: Wanted) -> Authorised:
        """The SAD for the digests that come next: of this person and credential, permitted, not signed, in their order.
        CscRefused. What the person permitted ends when they were told it ends."""
        self._signing.person_credential(actor, credential_id)
        known = self.behind(actor, credential_id, sad)
        if what.documents or known.documents is not None:
            raise CscRefused("invalid_request", "a transaction of digests alone is extended")
        left = iter(known.left())
        if not all(any(one == other for other in left) for one in what.digests):
            raise CscRefused("invalid_request", "the SAD does not permit these hashes, or not in this order any more")
        return Authorised(encoded(sad), known.expires)

    def behind(self, actor: Actor, credential_id: str, sad: bytes) -> Authorisation:
        """What a SAD of the actor's stands for. CscRefused."""
        with self._database.read() as connection:
            known = store.by_sad(connection, actor.id, credential_id, _digest(sad), self._clock.now())
        if known is None:
            raise CscRefused("invalid_request", "Invalid parameter SAD")
        return known

    def require_digests(self, sad: bytes) -> None:
        """CscRefused for a SAD that was given for documents: they come out whole, with their time, or not at all."""
        with self._database.read() as connection:
            if store.for_documents(connection, _digest(sad)):
                raise CscRefused("invalid_request", "the SAD was given for documents")

    def signed(self, sad: bytes, digests: list[bytes]) -> None:
        """These were signed with it."""
        with self._database.unit_of_work() as connection:
            store.add_signed(connection, _digest(sad), digests)

    def forget(self, actor: Actor, credential_id: str, sad: bytes) -> None:
        """Remove a SAD and the documents that it was given for, signed or not: whoever asked has what was made."""
        known = self.behind(actor, credential_id, sad)
        for document_id in known.documents or ():
            self._signing.delete(actor, document_id)
        with self._database.unit_of_work() as connection:
            store.remove(connection, known.authorisation_id)

    def take(self, actor: Actor, what: Wanted) -> tuple[str, ...]:
        """Take documents in, all or none; gives their ids. What an upload raises."""
        ids: list[str] = []
        try:
            for one in what.documents:
                named = self._signing.upload(actor, one.name, one.data, form=one.form, options=one.options)
                ids.append(named.document.document_id)
        except BaseException:
            self._discard(actor.id, ids)
            raise
        return tuple(ids)

    def discard(self, person: Actor, ids: Sequence[str]) -> None:
        """Drop documents that nothing came of, but for those that are signed or wait in a prompt."""
        self._discard(person.id, ids)

    def sweep(self) -> int:
        """Forget what ran out, with the documents that were not signed; gives how many."""
        with self._database.read() as connection:
            late = store.expired(connection, self._clock.now(), _AT_ONCE)
        for one in late:
            self._discard(one.owner, one.documents or ())
            with self._database.unit_of_work() as connection:
                store.remove(connection, one.authorisation_id)
        return len(late)

    def check_algorithm(self, key: KeyDescription, credential: Credential, sign_algorithm: str) -> None:
        """CscRefused unless a signAlgo is the one that documents are signed with by this key."""
        digest = signature_hash(credential.signatory.certificate.public_key())
        name = None if digest is None else digest.name
        if name is None or key.digest_of(sign_algorithm, _OIDS[name]) != name:
            raise CscRefused("invalid_request", "signAlgo is not the one that this key signs documents with")

    # ------------------------------------------------------------------------------------------------------------------

    def _forget_question(self, actor: Actor, credential_id: str, what: Wanted | TakenDocuments) -> None:
        """A new question about the same takes the place of the one before."""
        with self._database.read() as connection:
            before = store.unproved(connection, actor.id, credential_id, what.subject, self._clock.now())
        if before is not None:
            self._discard(actor.id, before.documents or ())
            with self._database.unit_of_work() as connection:
                store.remove(connection, before.authorisation_id)

    def _by_code(
        self, actor: Actor, credential: Credential, what: Wanted | TakenDocuments, proof: PinTotp
    ) -> tuple[Activation, tuple[bytes, ...]]:
        digests = what.digests
        try:
            activation = self._factors.activate(
                credential.signatory.key_id, list(digests), proof.pin, proof.totp, AUDIENCE
            )
        except CamTrustError as error:
            self._refused(actor, credential, digests, error)
            raise
        identifier = self._randomness.bytes(16).hex()
        self._keep(actor, credential, what, identifier, digests, activation.expires, sad=activation.token)
        return activation, digests

    def _by_code_for_documents(
        self,
        actor: Actor,
        credential: Credential,
        what: Wanted | TakenDocuments,
        proof: PinTotp,
        via: Through | None,
    ) -> tuple[Activation, tuple[bytes, ...]]:
        asked, ids = self._ask(actor, credential, what, Method.PIN_TOTP)
        try:
            activation = self._signing.approvals.prove(
                actor, credential, asked.approval_id, proof, via or through(actor)
            )
        except BaseException:
            self._discard(actor.id, ids)
            raise
        digests = tuple(asked.digests.values())
        self._keep(
            actor, credential, what, asked.approval_id, digests, activation.expires, documents=ids, sad=activation.token
        )
        return activation, digests

    def _by_passkey(
        self,
        actor: Actor,
        credential: Credential,
        what: Wanted | TakenDocuments,
        proof: PasskeyAssertion,
        via: Through | None,
    ) -> tuple[Activation, tuple[bytes, ...]]:
        now = self._clock.now()
        with self._database.read() as connection:
            asked = store.unproved(connection, actor.id, credential.credential_id, what.subject, now)
        if asked is None:
            raise CscRefused("invalid_request", "no challenge was given for exactly this")
        if asked.documents is not None:
            activation = self._signing.approvals.prove(
                actor, credential, asked.authorisation_id, proof, via or through(actor)
            )
        else:
            try:
                activation = self._factors.approve(bytes.fromhex(asked.authorisation_id), proof)
            except CamTrustError as error:
                self._refused(actor, credential, asked.digests, error)
                raise
        with self._database.unit_of_work() as connection:
            store.proved(connection, asked.authorisation_id, _digest(activation.token), activation.expires)
        return activation, asked.digests

    def _ask(
        self, actor: Actor, credential: Credential, what: Wanted | TakenDocuments, method: Method
    ) -> tuple[Asked, tuple[str, ...]]:
        """Take the documents in and have the token ask for exactly their digests; all of them or none."""
        ids = what.documents if isinstance(what, TakenDocuments) else self.take(actor, what)
        try:
            level = self._signing.level(what.level)
            asked = self._signing.approvals.ask(actor, credential, ids, level, method=method)
            if asked.refused:
                raise asked.refused[0].error or DocumentNotFound()
        except BaseException:
            self._discard(actor.id, ids)
            raise
        return asked, ids

    def _discard(self, owner: str, ids: Sequence[str]) -> None:
        """Drop what was not signed, but for documents that a prompt still waits with."""
        actor = Actor(ActorKind.PERSON, owner)
        with self._database.read() as connection:
            waiting = prompt_store.documents_waiting(connection, owner, self._clock.now())
        for document_id in ids:
            if document_id in waiting:
                continue
            with suppress(CamTrustError):
                if self._signing.document(actor, document_id).document.state is not DocumentState.SIGNED:
                    self._signing.delete(actor, document_id)

    def _keep(
        self,
        actor: Actor,
        credential: Credential,
        what: Wanted | TakenDocuments,
        identifier: str,
        digests: tuple[bytes, ...],
        expires: datetime,
        *,
        documents: tuple[str, ...] | None = None,
        sad: bytes | None = None,
    ) -> None:
        one = Authorisation(
            identifier, actor.id, credential.credential_id, what.subject, digests, (), documents, expires
        )
        with self._database.unit_of_work() as connection:
            store.insert_authorisation(connection, one, None if sad is None else _digest(sad))

    def _refused(self, actor: Actor, credential: Credential, digests: tuple[bytes, ...], error: CamTrustError) -> None:
        self._note(actor, "signing.csc_refused", credential.credential_id, digests, code=error.code)
        if error.kind is not Kind.UNAVAILABLE:
            self._signing.history.record(credential, Act.REFUSAL, digests, through(actor), code=error.code)

    def _note(
        self, actor: Actor, action: str, credential_id: str, digests: tuple[bytes, ...], code: str | None = None
    ) -> None:
        details: dict[str, object] = {"digests": [one.hex() for one in digests]}
        if code is not None:
            details["code"] = code
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(actor), action, credential_id, details)


def _digest(sad: bytes) -> str:
    return hashlib.sha256(sad).hexdigest()
