"""Signing with a passkey: two requests, since the person's device answers in between.

ask      claim and prepare the documents, put them aside, and have the token ask for exactly their digests
answer   the device's assertion goes to the token, which checks it; then sign and complete as with PIN and code

Documents that wait stay PREPARED: another request may take one over, and then this one finds it busy. What was put
aside goes with the answer, with the document, or when the person asks again after it ran out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from foundation.keys.activation import Method, PasskeyAssertion, Proof
from foundation.keys.factors import PersonFactors
from foundation.keys.port import Activation
from signing import store
from signing.authorisation import Authorisations, Claim
from signing.custody import Custody
from signing.errors import ApprovalNotFound, DocumentBusy
from signing.history import Through
from signing.model import Approval, ApprovalPart, Credential, DocumentState, Level, Outcome
from signing.sign.documents import AnyPrepared, DocumentSigner


@dataclass(frozen=True)
class Asked:
    """A question to the person's device. ``data`` is what its answer will stand for; ``options`` what the browser is
    given; ``digests`` by document; ``refused`` the documents that it is not about, with the reasons."""

    approval_id: str
    expires: datetime
    data: bytes
    options: str
    digests: dict[str, bytes]
    refused: tuple[Outcome, ...]


class Approvals:
    """Questions to persons' devices, and their answers."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        audience: str,
        work: Authorisations,
        custody: Custody,
        factors: PersonFactors,
        signer: DocumentSigner,
    ) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._audience = audience
        self._signer = signer
        self._work, self._custody, self._factors = work, custody, factors

    def ask(
        self,
        actor: Actor,
        credential: Credential,
        document_ids: Sequence[str],
        level: Level | None,
        of_request: str | None = None,
        method: Method = Method.PASSKEY,
    ) -> Asked:
        """Prepare the documents and ask. Raises what `Authorisations.authorise` raises before it activates, the reason
        of the first document when none can be signed, and FactorsNotEnrolled for a person without a passkey.
        """
        self._forget_expired(actor.id)
        ids = self._work.distinct(document_ids)
        outcomes: dict[str, Outcome] = {}
        claims = self._work.claim(actor, ids, outcomes, of_request)
        try:
            prepared = self._work.prepare(actor, credential, level, claims, outcomes)
            if not prepared:
                raise outcomes[ids[0]].error or DocumentBusy()
            digests = {document_id: one.digest for document_id, one in prepared.items()}
            request = self._factors.prepare_activation(
                credential.signatory.key_id, list(digests.values()), self._audience, method
            )
            parts = [ApprovalPart(document_id, claims[document_id].document.version) for document_id in prepared]
            for document_id, one in prepared.items():
                self._custody.put_prepared(claims[document_id].document, self._signer.put_aside(one))
            approval = Approval(request.nonce.hex(), actor.id, credential.credential_id, request.expires, tuple(parts))
            told = {one.level.value for one in prepared.values()}
            details = {"level": " ".join(sorted(told)), "documents": _told(digests)}
            with self._database.unit_of_work() as connection:
                store.insert_approval(connection, approval)
                self._audit.append(connection, str(actor), "signing.approval_asked", credential.credential_id, details)
        except BaseException:
            for claim in claims.values():
                self._custody.discard_prepared(claim.document.document_id, claim.document.version)
                self._work.release(claim.document)
            raise
        refused = tuple(outcomes[document_id] for document_id in ids if document_id in outcomes)
        return Asked(approval.approval_id, request.expires, request.data, request.options or "", digests, refused)

    def credential_of(self, actor: Actor, approval_id: str) -> str:
        """The credential that a question of the actor's is about; ApprovalNotFound."""
        return self._approval(actor, approval_id).credential_id

    def answer(
        self, actor: Actor, credential: Credential, approval_id: str, assertion: str, through: Through
    ) -> tuple[Outcome, ...]:
        """Sign what the assertion approves; one outcome a document. ApprovalNotFound; PasskeyInvalid, PasskeyCloned,
        ActivationInvalid: then nothing was signed, and until it runs out the question can be answered again.
        """
        activation = self.prove(actor, credential, approval_id, PasskeyAssertion(assertion), through)
        return self.sign(actor, credential, approval_id, activation.token, through)

    def prove(
        self, actor: Actor, credential: Credential, approval_id: str, proof: Proof, through: Through
    ) -> Activation:
        """Have the token check the proof and permit what was asked for, to be signed by :meth:`sign` later."""
        prepared = self._take_up(actor, credential, self._approval(actor, approval_id), {})[1]
        details = {"documents": _told({document_id: one.digest for document_id, one in prepared.items()})}
        try:
            activation = self._factors.approve(bytes.fromhex(approval_id), proof)
        except CamTrustError as error:
            self._work.refused(actor, credential, error, details, through, [one.digest for one in prepared.values()])
            raise
        self._work.authorised(actor, credential, details)
        return activation

    def sign(
        self, actor: Actor, credential: Credential, approval_id: str, token: bytes, through: Through
    ) -> tuple[Outcome, ...]:
        """Sign what the token permits; one outcome a document. ApprovalNotFound."""
        approval = self._approval(actor, approval_id)
        outcomes: dict[str, Outcome] = {}
        claims, prepared = self._take_up(actor, credential, approval, outcomes)
        try:
            if prepared:
                self._work.finish(actor, credential, claims, prepared, token, outcomes, through)
        finally:
            for claim in claims.values():
                self._work.release(claim.document)
            self._forget(approval)
        return tuple(outcomes[part.document_id] for part in approval.parts)

    def _take_up(
        self, actor: Actor, credential: Credential, approval: Approval, outcomes: dict[str, Outcome]
    ) -> tuple[dict[str, Claim], dict[str, AnyPrepared]]:
        claims: dict[str, Claim] = {}
        prepared: dict[str, AnyPrepared] = {}
        for part in approval.parts:
            with self._database.read() as connection:
                found = store.document_of_owner(connection, actor.id, part.document_id)
            document, sealed = found if found else (None, None)
            waits = document is not None and document.state is DocumentState.PREPARED
            if document is None or sealed is None or not waits or document.version != part.version:
                outcomes[part.document_id] = Outcome(part.document_id, DocumentBusy())
                continue
            claims[part.document_id] = Claim(document, sealed)
            prepared[part.document_id] = self._signer.take_up(
                self._custody.prepared(document),
                form=document.form,
                name=self._custody.name(document, sealed),
                original=self._custody.original(document),
                password=self._custody.password(document, sealed),
                signatory=credential.signatory,
            )
        return claims, prepared

    def _approval(self, actor: Actor, approval_id: str) -> Approval:
        with self._database.read() as connection:
            approval = store.approval_of_owner(connection, actor.id, approval_id)
        if approval is None:
            raise ApprovalNotFound
        return approval

    def _forget_expired(self, owner: str) -> None:
        with self._database.read() as connection:
            expired = store.expired_approvals(connection, owner, self._clock.now())
        for approval in expired:
            self._forget(approval)

    def _forget(self, approval: Approval) -> None:
        for part in approval.parts:
            self._custody.discard_prepared(part.document_id, part.version)
        with self._database.unit_of_work() as connection:
            store.remove_approval(connection, approval.approval_id)


def _told(digests: dict[str, bytes]) -> list[dict[str, str]]:
    return [{"id": document_id, "digest": digest.hex()} for document_id, digest in digests.items()]
