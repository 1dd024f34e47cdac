"""The job that seals a batch: chunk after chunk, so that a run that is killed anywhere is taken up where it was.

    1  documents that a killed run left TAKEN come first, then the next that wait: each is held against the client's
       policy and takes one of its quota, in the transaction that makes it TAKEN
    2  the seal that a killed run made and stored is found; the others are made, in one call to the key store
    3  the sealed document is stored, then its entry says SEALED, with its event in the audit trail

A seal that was made and not stored before the kill was handed to nobody; the document gets one seal and one entry.
What ails a document is written into its entry and the batch goes on; what ails the service (key store, timestamps,
status) fails the run, which is repeated later.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.db.audit import Act, AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, InternalError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyUse
from signing.batches import store
from signing.batches.custody import BatchCustody
from signing.batches.model import Batch, BatchState, Item, ItemState
from signing.errors import CredentialNotUsable, SealNotAllowed
from signing.model import Credential, Signatory
from signing.pdf_options import PdfOptions
from signing.ports import Clients
from signing.seal_policy import ROLE
from signing.service import SigningService
from signing.sign.documents import AnyPrepared
from signing.templates.appearance import Appearance
from signing.webhooks.model import EventKind
from signing.webhooks.service import Webhooks

_log = logging.getLogger(__name__)

_TURN = timedelta(seconds=10)  # then other jobs have theirs
_LATER = (Kind.UNAVAILABLE, Kind.THROTTLED)
_ACTIVE = (ItemState.TAKEN, ItemState.WAITING)


@dataclass(frozen=True)
class _Terms:
    """How each document of a chunk is sealed, and by whom."""

    signatory: Signatory
    beside: Signatory | None
    pss: bool
    options: PdfOptions
    appearance: Appearance | None


class BatchWork:
    """Works on batches; one run a batch at a time."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        signing: SigningService,
        custody: BatchCustody,
        clients: Clients,
        webhooks: Webhooks,
    ) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._signing, self._custody, self._clients, self._webhooks = signing, custody, clients, webhooks

    def run(self, batch_id: str, ending: Callable[[], bool]) -> datetime | None:
        """Work for a while; gives when to go on, None when the batch is over. Raises what ails the service."""
        until = self._clock.now() + _TURN
        while True:
            with self._database.read() as connection:
                batch = store.batch(connection, batch_id)
            if batch is None or batch.state is not BatchState.RUNNING:
                return None
            chunk, more = self._take(batch)
            if not more:
                self._finish(batch)
                return None
            self._seal(batch, chunk)
            if ending() or self._clock.now() >= until:
                return self._clock.now()

    def _take(self, batch: Batch) -> tuple[list[Item], bool]:
        """The next documents, each TAKEN; and whether there was any at all."""
        actor, now = _actor(batch), self._clock.now()
        policy = self._signing.seal_policies.of(batch.owner)
        taken, acts, octets, refused = list[Item](), list[Act](), 0, dict[str, str]()
        with self._database.unit_of_work() as connection:
            found = store.items_of(connection, batch.batch_id, -1, self._signing.config.batch_chunk_documents, _ACTIVE)
            for item in found:
                octets += item.size
                if taken and octets > self._signing.config.batch_chunk_bytes:
                    break
                if item.state is ItemState.TAKEN:
                    taken.append(item)
                    continue
                rule = self._signing.seal_policies.take_within(
                    connection, policy, batch.owner, batch.level, batch.form, item.size, now
                )
                if rule is None and store.settle(connection, item, ItemState.TAKEN):
                    taken.append(replace(item, state=ItemState.TAKEN))
                elif rule is not None:
                    _refuse(connection, item, SealNotAllowed(rule=rule), now)
                    refused[item.document_id] = SealNotAllowed.code
                    details = {"rule": rule, "level": batch.level.value, "form": str(batch.form)}
                    acts.append(Act(str(actor), "signing.seal_refused", actor.id, details))
            self._audit.append_many(connection, acts)
            self._tell(connection, batch, refused)
        return taken, bool(found)

    def _tell(self, connection: Connection, batch: Batch, refused: dict[str, str]) -> None:
        """One message for all that were refused together."""
        if refused:
            listed = [{"id": document_id, "code": code} for document_id, code in refused.items()]
            told = {"batch": batch.batch_id, "documents": listed}
            self._webhooks.emit(connection, batch.owner, EventKind.DOCUMENT_REFUSED, told)

    def _seal(self, batch: Batch, chunk: Sequence[Item]) -> None:
        try:
            prepare = partial(self._prepare, batch, self._terms(batch))
        except CamTrustError as error:
            if error.kind in _LATER:
                raise
            self._settle(batch, {}, dict.fromkeys(chunk, error))
            return
        sealed: dict[Item, bytes] = {}
        refused: dict[Item, CamTrustError] = {}
        prepared: dict[Item, AnyPrepared] = {}
        try:
            for item in chunk:
                before = self._custody.sealed_before(batch, item)
                if before is not None:
                    sealed[item] = hashlib.sha256(before).digest()
                    continue
                self._or_refused(item, refused, lambda one=item: prepared.update({one: prepare(one)}))  # type: ignore[misc]
            if prepared:
                made = self._signing.signer.signatures(list(prepared.values()))
                for (item, one), signature in zip(prepared.items(), made, strict=True):
                    self._or_refused(
                        item,
                        refused,
                        lambda item=item, one=one, signature=signature: self._complete(  # type: ignore[misc]
                            batch, item, one, signature, sealed
                        ),
                    )
        finally:
            self._settle(batch, sealed, refused)

    def _prepare(self, batch: Batch, terms: _Terms, item: Item) -> AnyPrepared:
        return self._signing.signer.prepare(
            self._custody.original(batch, item),
            form=batch.form,
            name=item.document_id,
            signatory=terms.signatory,
            level=batch.level,
            options=terms.options,
            parallel=terms.beside,
            pss=terms.pss,
            appearance=terms.appearance,
        )

    def _complete(
        self, batch: Batch, item: Item, prepared: AnyPrepared, signature: bytes, into: dict[Item, bytes]
    ) -> None:
        data = self._signing.signer.complete(prepared, signature, self._signing.signer.beside(prepared))
        self._custody.put_sealed(batch, item, data)
        into[item] = hashlib.sha256(data).digest()

    def _or_refused(self, item: Item, refused: dict[Item, CamTrustError], act: Callable[[], None]) -> None:
        try:
            act()
        except CamTrustError as error:
            if error.kind in _LATER:
                raise
            refused[item] = error
        except Exception as error:  # a defect of ours must not hold up the other documents; its text may quote data
            _log.error("batch: document cannot be sealed: %s", type(error).__qualname__)
            refused[item] = InternalError()

    def _terms(self, batch: Batch) -> _Terms:
        """How a chunk is sealed, by the client's policy as it is now."""
        if not self._clients.known(batch.owner)[1]:
            raise CredentialNotUsable
        actor, options = _actor(batch), self._custody.options(batch)

        def find(credential_id: str) -> Credential:
            return self._signing.credential(actor, credential_id, KeyUse.ORGANISATION_SEAL)

        credential, client = find(batch.credential_id), self._signing.seal_policies.of_actor(actor)
        beside = client.beside(credential, batch.level, batch.form, find)
        appearance = self._signing.appearance(actor, batch.level, batch.form, options)
        return _Terms(credential.signatory, beside, client.policy.rsa_pss, options, appearance)

    def _settle(self, batch: Batch, sealed: dict[Item, bytes], refused: dict[Item, CamTrustError]) -> None:
        now, acts, gone = self._clock.now(), list[Act](), list[Item]()
        with self._database.unit_of_work() as connection:
            for item, digest in sealed.items():
                if store.settle(connection, item, ItemState.SEALED, sealed_sha256=digest, settled_at=now):
                    details = {"form": str(batch.form), "level": batch.level.value, "batch": batch.batch_id}
                    details["sha256"] = digest.hex()
                    acts.append(Act(f"client:{batch.owner}", "signing.sealed", batch.credential_id, details))
                else:  # the batch was removed meanwhile
                    gone.append(item)
            for item, error in refused.items():
                _refuse(connection, item, error, now)
            self._tell(connection, batch, {item.document_id: error.code for item, error in refused.items()})
            self._audit.append_many(connection, acts)
        for item in gone:
            self._custody.discard(batch.batch_id, item.blob)

    def _finish(self, batch: Batch) -> None:
        now = self._clock.now()
        kept = now + timedelta(days=self._signing.config.batch_kept_days)
        with self._database.unit_of_work() as connection:
            if not store.move(connection, batch, BatchState.FINISHED, finished_at=now, kept_until=kept):
                return
            counted = store.counted(connection, batch.batch_id)
            details = {state.value: number for state, (number, _) in counted.items()}
            self._audit.append(connection, "service:signing", "signing.batch_finished", batch.batch_id, details)
            told = {"batch": batch.batch_id, **details}
            self._webhooks.emit(connection, batch.owner, EventKind.BATCH_FINISHED, told)


def _refuse(connection: Connection, item: Item, error: CamTrustError, now: datetime) -> None:
    told = json.dumps({name: str(value)[:200] for name, value in error.params.items()})
    store.settle(connection, item, ItemState.REFUSED, refusal=error.code, told=told, settled_at=now)


def _actor(batch: Batch) -> Actor:
    return Actor(ActorKind.CLIENT, batch.owner, frozenset({ROLE}))
