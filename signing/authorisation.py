"""One authorisation of one or several documents: claim, prepare, check both factors, sign, store.

1. claim     UPLOADED (or left PREPARED by a crash) → PREPARED, by compare-and-set
2. prepare   the digests; a document that turns out unfit becomes REFUSED and the others go on
3. activate  the token checks PIN and code once and permits exactly these digests, once each
4. sign      written down in the person's history first; then every digest in one call, then document by document;
             what was made is stored before the row says SIGNED
Whatever goes wrong between 1 and 4, the documents that are not signed go back to UPLOADED.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor
from foundation.keys.port import Factors, WrappedKeys
from foundation.use_record import Act, UsedFor
from signing import store
from signing.config import MIB, SigningConfig
from signing.custody import Custody
from signing.errors import (
    DocumentAlreadySigned,
    DocumentBusy,
    DocumentNotFound,
    DocumentOfRequest,
    DocumentRefused,
    DocumentTooLarge,
    LevelNotAllowed,
    TooManyDocuments,
)
from signing.history import History, Through
from signing.model import Credential, Document, DocumentState, Level, Outcome
from signing.requests.store import holding
from signing.sign.documents import AnyPrepared, DocumentSigner

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """A document that this request works on."""

    document: Document
    sealed: store.Sealed


class Authorisations:
    """Signs documents of a person who proves both factors for exactly these."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        config: SigningConfig,
        signer: DocumentSigner,
        custody: Custody,
        factors: Factors,
        keys: WrappedKeys,
        history: History,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._config = config
        self._signer = signer
        self._custody = custody
        self._factors = factors
        self._keys = keys
        self._history = history

    def authorise(
        self,
        actor: Actor,
        credential: Credential,
        document_ids: Sequence[str],
        *,
        pin: str,
        totp: str,
        level: Level | None,
        through: Through,
        request: str | None = None,
    ) -> tuple[Outcome, ...]:
        """One outcome a document, in the order asked. ``credential`` is the actor's own, checked by the caller.

        Raises TooManyDocuments, DocumentTooLarge, and what `Factors.activate` raises: then nothing was signed. The PIN
        and the code are not used when no document can be signed.
        """
        ids = self.distinct(document_ids)
        outcomes: dict[str, Outcome] = {}
        claims = self.claim(actor, ids, outcomes, request)
        try:
            prepared = self.prepare(actor, credential, level, claims, outcomes)
            if prepared:
                token = self._activate(actor, credential, level, prepared, pin, totp, through)
                self.finish(actor, credential, claims, prepared, token, outcomes, through)
        finally:
            for claim in claims.values():
                self.release(claim.document)
        return tuple(outcomes[document_id] for document_id in ids)

    def distinct(self, document_ids: Sequence[str]) -> list[str]:
        """Each id once; TooManyDocuments."""
        ids = list(dict.fromkeys(document_ids))
        if len(ids) > self._config.maximum_batch_documents:
            raise TooManyDocuments(limit=self._config.maximum_batch_documents)
        return ids

    def finish(
        self,
        actor: Actor,
        credential: Credential,
        claims: dict[str, Claim],
        prepared: dict[str, AnyPrepared],
        token: bytes,
        outcomes: dict[str, Outcome],
        through: Through,
    ) -> None:
        """Sign and complete what was activated. What is signed is no claim any more; every document has its outcome."""
        documents = [
            UsedFor(
                one.digest, document_id, self._custody.name(claims[document_id].document, claims[document_id].sealed)
            )
            for document_id, one in prepared.items()
        ]
        digests = [one.digest for one in documents]
        # Before the key is used: what cannot be written down does not happen.
        record = self._history.record(credential, Act.SIGNATURE, digests, through, documents=documents)
        signatures = self._sign(actor, credential, prepared, token, outcomes)
        for document_id, signature in signatures.items():
            self._complete(actor, credential, claims, document_id, prepared[document_id], signature, outcomes)
        became = [outcomes[document_id] for document_id in prepared]
        self._history.complete(record, became, None if signatures else became[0].error)

    def claim(
        self, actor: Actor, ids: Sequence[str], outcomes: dict[str, Outcome], request: str | None = None
    ) -> dict[str, Claim]:
        """Take the documents over, from a request that was cut off too; who cannot be signed has an outcome.

        What a signing request holds is signed by answering it (``request``), and not beside it.
        """
        claims: dict[str, Claim] = {}
        abandoned: list[tuple[str, int]] = []
        with self._database.unit_of_work() as connection:
            held = holding(connection, ids)
            for document_id in ids:
                found = store.document_of_owner(connection, actor.id, document_id)
                error = _unfit(found[0] if found else None)
                if error is None and held.get(document_id, request) != request:
                    error = DocumentOfRequest()
                if error is not None or found is None:
                    outcomes[document_id] = Outcome(document_id, error)
                    continue
                document, sealed = found
                if document.state is DocumentState.PREPARED:
                    abandoned.append((document_id, document.version))
                version = store.change(connection, document, DocumentState.PREPARED)
                document = replace(document, state=DocumentState.PREPARED, version=version)
                claims[document_id] = Claim(document, sealed)
            if sum(claim.document.size for claim in claims.values()) > self._config.maximum_batch_bytes:
                raise DocumentTooLarge(limit=max(1, self._config.maximum_batch_bytes // MIB))
        for document_id, version in abandoned:
            self._custody.discard_signed(document_id, version)
            self._custody.discard_prepared(document_id, version)
        return claims

    def prepare(
        self,
        actor: Actor,
        credential: Credential,
        level: Level | None,
        claims: dict[str, Claim],
        outcomes: dict[str, Outcome],
    ) -> dict[str, AnyPrepared]:
        """Bring the claimed documents to their digests; one that turns out unfit is no claim any more."""
        prepared: dict[str, AnyPrepared] = {}
        for document_id, claim in list(claims.items()):
            document, sealed = claim.document, claim.sealed
            try:
                prepared[document_id] = self._signer.prepare(
                    self._custody.original(document),
                    form=document.form,
                    name=self._custody.name(document, sealed),
                    signatory=credential.signatory,
                    level=self._level(document, level),
                    password=self._custody.password(document, sealed),
                    options=self._custody.options(document, sealed),
                )
            except LevelNotAllowed as error:  # it can be asked for at another level
                outcomes[document_id] = Outcome(document_id, error)
            except DocumentRefused as error:
                outcomes[document_id] = Outcome(document_id, error)
                with self._database.unit_of_work() as connection:
                    store.change(connection, document, DocumentState.REFUSED, refusal=error.code, password=None)
                    details = {"code": error.code}
                    self._audit.append(connection, str(actor), "signing.document_refused", document_id, details)
                del claims[document_id]
        return prepared

    def _level(self, document: Document, asked: Level | None) -> Level:
        """The level for one document: LevelNotAllowed where its form has none that a person may sign at."""
        level = document.form.level(asked, self._config.default_level)
        if not level.includes(Level.B_T):
            raise LevelNotAllowed(level=level.value)
        return level

    def _activate(
        self,
        actor: Actor,
        credential: Credential,
        level: Level | None,
        prepared: dict[str, AnyPrepared],
        pin: str,
        totp: str,
        through: Through,
    ) -> bytes:
        digests = {document_id: one.digest for document_id, one in prepared.items()}
        details = {
            "level": (level or self._config.default_level).value,
            "documents": [{"id": document_id, "digest": digest.hex()} for document_id, digest in digests.items()],
        }
        key_id, audience = credential.signatory.key_id, self._config.audience
        try:
            activation = self._factors.activate(key_id, list(digests.values()), pin, totp, audience)
        except CamTrustError as error:
            self.refused(actor, credential, error, details, through, list(digests.values()))
            raise
        self.authorised(actor, credential, details)
        return activation.token

    def refused(
        self,
        actor: Actor,
        credential: Credential,
        error: CamTrustError,
        details: dict[str, Any],
        through: Through,
        digests: Sequence[bytes],
    ) -> None:
        """Write down that the token did not take the proof, for the person too."""
        told = {"code": error.code, **details}
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(actor), "signing.authorisation_refused", credential.credential_id, told)
        if error.kind is not Kind.UNAVAILABLE:
            self._history.record(credential, Act.REFUSAL, digests, through, code=error.code)

    def authorised(self, actor: Actor, credential: Credential, details: dict[str, Any]) -> None:
        """Write down that it did."""
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(actor), "signing.authorised", credential.credential_id, details)

    def _sign(
        self,
        actor: Actor,
        credential: Credential,
        prepared: dict[str, AnyPrepared],
        token: bytes,
        outcomes: dict[str, Outcome],
    ) -> dict[str, bytes]:
        """The signature of every document, or of none; the key moves to its owner's newest wrapping."""
        try:
            signatures = self._signer.signatures(list(prepared.values()), token)
        except CamTrustError as error:
            for document_id in prepared:
                self._not_signed(actor, credential, document_id, error, outcomes)
            return {}
        self._rewrap(credential)
        return dict(zip(prepared, signatures, strict=True))

    def _rewrap(self, credential: Credential) -> None:
        """Keep the newest wrapping of the key. What fails here fails nobody: the one that is kept is good still."""
        key_id, before = credential.signatory.key_id, credential.signatory.wrapped
        if before is None:
            return
        try:
            after = self._keys.rewrap(before)
            if after != before:
                with self._database.unit_of_work() as connection:
                    store.replace_wrapped_key(connection, key_id, before, after)
        except CamTrustError as error:
            _log.warning("key %s was not rewrapped: %s", key_id, error.code)

    def _complete(
        self,
        actor: Actor,
        credential: Credential,
        claims: dict[str, Claim],
        document_id: str,
        prepared: AnyPrepared,
        signature: bytes,
        outcomes: dict[str, Outcome],
    ) -> None:
        document = claims[document_id].document
        try:
            signed = self._signer.complete(prepared, signature)
            self._custody.put_signed(document, document.version, signed)
            self._store(actor, credential, document, prepared)
        except CamTrustError as error:
            self._not_signed(actor, credential, document_id, error, outcomes)
            return
        outcomes[document_id] = Outcome(document_id)
        del claims[document_id]

    def _not_signed(
        self,
        actor: Actor,
        credential: Credential,
        document_id: str,
        error: CamTrustError,
        outcomes: dict[str, Outcome],
    ) -> None:
        outcomes[document_id] = Outcome(document_id, error)
        with self._database.unit_of_work() as connection:
            details = {"code": error.code, "credential": credential.credential_id}
            self._audit.append(connection, str(actor), "signing.document_not_signed", document_id, details)

    def _store(self, actor: Actor, credential: Credential, document: Document, prepared: AnyPrepared) -> None:
        try:
            with self._database.unit_of_work() as connection:
                store.change(
                    connection,
                    document,
                    DocumentState.SIGNED,
                    level=prepared.level.value,
                    signed_at=self._clock.now(),
                    signed_version=document.version,
                    password=None,
                )
                details = {
                    "credential": credential.credential_id,
                    "level": prepared.level.value,
                    "digest": prepared.digest.hex(),
                }
                self._audit.append(connection, str(actor), "signing.document_signed", document.document_id, details)
        except DocumentBusy:
            self._custody.discard_signed(document.document_id, document.version)
            raise

    def release(self, document: Document) -> None:
        """Back to UPLOADED, unless another request has taken the document over since."""
        with suppress(DocumentBusy), self._database.unit_of_work() as connection:
            store.change(connection, document, DocumentState.UPLOADED)


def _unfit(document: Document | None) -> CamTrustError | None:
    """Why a document cannot be claimed; None when it can."""
    if document is None:
        return DocumentNotFound()
    if document.state is DocumentState.SIGNED:
        return DocumentAlreadySigned()
    return DocumentRefused() if document.state is DocumentState.REFUSED else None
