"""The use cases of batches. What belongs to a client is looked up together with it, the authenticated actor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.job_requests import request_job
from foundation.http.actor import Actor
from foundation.keys.port import KeyUse
from foundation.randomness import Randomness
from signing.batches import archive, store
from signing.batches.custody import BatchCustody
from signing.batches.errors import (
    BatchDocumentNotFound,
    BatchEmpty,
    BatchFull,
    BatchNotFound,
    BatchNotOpen,
    BatchOver,
    DocumentDiffers,
    DocumentIdInvalid,
    DocumentNotSealed,
    TooManyBatches,
)
from signing.batches.model import Batch, BatchState, Item, ItemState, Progress
from signing.config import MIB
from signing.cursor import read_cursor, write_cursor
from signing.errors import DocumentEmpty, DocumentTooLarge
from signing.forms import Form
from signing.model import Level
from signing.pdf_options import PdfOptions
from signing.service import SigningService
from signing.webhooks.model import EventKind
from signing.webhooks.service import Webhooks

JOB = "signing.batch"
"""The kind of job that works on a batch; its subject is the id of the batch."""

MAX_PAGE = 1000
_AT_ONCE = 100  # documents of an archive that are added in one transaction
_RATE_OVER = timedelta(minutes=5)
_SWEPT_AT_ONCE = 20


class BatchService:
    """Batches of agencies' clients."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        signing: SigningService,
        custody: BatchCustody,
        webhooks: Webhooks,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._signing, self._custody, self._webhooks = signing, custody, webhooks
        self.config = signing.config

    def create(
        self, actor: Actor, credential_id: str, *, form: Form, level: Level | None, options: PdfOptions
    ) -> Batch:
        """An open batch. Raises CredentialNotFound, CredentialNotUsable, LevelNotAllowed, SealNotAllowed,
        TemplateUnknown, TooManyBatches."""
        self._signing.credential(actor, credential_id, KeyUse.ORGANISATION_SEAL)
        level = form.level(level, self.config.default_level)
        self._signing.appearance(actor, level, form, options)
        batch_id, now = self._randomness.bytes(16).hex(), self._clock.now()
        batch = Batch(
            sequence=0,
            batch_id=batch_id,
            owner=actor.id,
            credential_id=credential_id,
            form=form,
            level=level,
            options=self._custody.seal_options(actor.id, batch_id, options),
            state=BatchState.OPEN,
            created_at=now,
            kept_until=now + timedelta(days=self.config.batch_kept_days),
        )
        with self._database.unit_of_work() as connection:
            if store.count_under_way(connection, actor.id) >= self.config.batches_under_way:
                raise TooManyBatches(limit=self.config.batches_under_way)
            store.insert_batch(connection, batch)
            details = {"form": str(form), "level": batch.level.value, "credential": credential_id}
            self._audit.append(connection, str(actor), "signing.batch_created", batch_id, details)
        return batch

    def batch(self, actor: Actor, batch_id: str) -> tuple[Batch, Progress]:
        """One of the client's batches and how far it is; BatchNotFound."""
        batch, now = self._batch(actor, batch_id), self._clock.now()
        with self._database.read() as connection:
            counted = store.counted(connection, batch_id)
            since = max(batch.started_at or now, now - _RATE_OVER)
            lately = store.settled_since(connection, batch_id, since) if batch.state is BatchState.RUNNING else 0
        return batch, _progress(counted, lately, now, since)

    def batches(self, actor: Actor, cursor: str | None = None, limit: int = 50) -> tuple[tuple[Batch, ...], str | None]:
        """The client's batches, the newest first, and the cursor of the following page. CursorInvalid."""
        limit = max(1, min(limit, 100))
        with self._database.read() as connection:
            found = store.batches_of_owner(connection, actor.id, read_cursor(cursor), limit + 1)
        page = found[:limit]
        return page, write_cursor(page[-1].sequence) if len(found) > limit else None

    # --- documents ------------------------------------------------------------------------------------------------

    def add(self, actor: Actor, batch_id: str, document_id: str, data: bytes) -> tuple[Item, bool]:
        """Add a document under the client's own id; False for the same document again, which changes nothing.

        Whether it can be sealed is found out when it is its turn. Raises DocumentIdInvalid, DocumentEmpty,
        DocumentTooLarge, DocumentDiffers, BatchNotOpen, BatchFull.
        """
        if not archive.DOCUMENT_ID.fullmatch(document_id):
            raise DocumentIdInvalid
        new = self._add(self._batch(actor, batch_id), [(document_id, data)])
        return self.document(actor, batch_id, document_id), new == 1

    def add_archive(self, actor: Actor, batch_id: str, data: bytes) -> int:
        """Add every file of a ZIP under its name; gives how many are new. An archive that is sent again, after it was
        cut off, goes on where it was. Raises ArchiveInvalid before anything is added, and what :meth:`add` raises."""
        batch = self._batch(actor, batch_id)
        limits = (
            self.config.batch_documents,
            self.config.maximum_document_bytes,
            self.config.batch_bytes,
        )
        for _ in archive.entries(data, *limits):  # all of it is sound before any of it is kept
            pass
        added, some = 0, list[tuple[str, bytes]]()
        for one in archive.entries(data, *limits):
            some.append(one)
            if len(some) == _AT_ONCE or sum(len(content) for _, content in some) > self.config.batch_chunk_bytes:
                added += self._add(batch, some)
                some = []
        return added + self._add(batch, some)

    def document(self, actor: Actor, batch_id: str, document_id: str) -> Item:
        """One document of one of the client's batches; BatchNotFound, BatchDocumentNotFound."""
        self._batch(actor, batch_id)
        with self._database.read() as connection:
            item = store.item(connection, batch_id, document_id)
        if item is None:
            raise BatchDocumentNotFound
        return item

    def documents(
        self, actor: Actor, batch_id: str, cursor: str | None = None, limit: int = 100, state: ItemState | None = None
    ) -> tuple[tuple[Item, ...], str | None]:
        """The documents in the order they came, and the cursor of the following page. CursorInvalid."""
        self._batch(actor, batch_id)
        limit = max(1, min(limit, MAX_PAGE))
        after = read_cursor(cursor)
        states = tuple(ItemState) if state is None else (state,)
        with self._database.read() as connection:
            found = store.items_of(connection, batch_id, -1 if after is None else after, limit + 1, states)
        page = found[:limit]
        return page, write_cursor(page[-1].number) if len(found) > limit else None

    def sealed(self, actor: Actor, batch_id: str, document_id: str) -> tuple[Batch, bytes]:
        """A sealed document, with its batch. DocumentNotSealed when there is none (yet)."""
        item = self.document(actor, batch_id, document_id)
        if item.state is not ItemState.SEALED:
            raise DocumentNotSealed
        batch = self._batch(actor, batch_id)
        return batch, self._custody.sealed(batch, item)

    def all_sealed(self, actor: Actor, batch_id: str) -> Iterator[bytes]:
        """A ZIP file of what is sealed by now, in pieces."""
        batch = self._batch(actor, batch_id)
        return archive.packed(self._sealed(batch))

    # --- what happens to it ---------------------------------------------------------------------------------------

    def start(self, actor: Actor, batch_id: str) -> None:
        """Have it worked on; a batch that was started already goes on as it does. Raises BatchEmpty, BatchOver."""
        batch, now = self._batch(actor, batch_id), self._clock.now()
        if batch.state is BatchState.RUNNING:
            return
        if batch.state.over:
            raise BatchOver
        with self._database.unit_of_work() as connection:
            store.hold(connection, batch_id)
            if not store.items_of(connection, batch_id, -1, 1):
                raise BatchEmpty
            if not store.move(connection, batch, BatchState.RUNNING, started_at=now):
                return  # another request did it meanwhile
            request_job(connection, JOB, batch_id, now)
            self._audit.append(connection, str(actor), "signing.batch_started", batch_id)

    def cancel(self, actor: Actor, batch_id: str) -> None:
        """End it: what is sealed stays, nothing more is sealed but what is being sealed. BatchOver."""
        self._cancel(str(actor), self._batch(actor, batch_id))

    def stop(self, by: str, client_id: str) -> int:
        """End every batch of a client's that is not over, as :meth:`cancel` does: its rights ended. ``by``: who does
        this. Gives how many."""
        stopped = 0
        with self._database.read() as connection:
            alive = store.under_way(connection, client_id)
        for batch in alive:
            try:
                self._cancel(by, batch)
            except BatchOver:  # it ended by itself, or another state was reached: then nothing of it is sealed either
                continue
            stopped += 1
        return stopped

    def _cancel(self, by: str, batch: Batch) -> None:
        if batch.state.over:
            raise BatchOver
        now = self._clock.now()
        kept = now + timedelta(days=self.config.batch_kept_days)
        with self._database.unit_of_work() as connection:
            if not store.move(connection, batch, BatchState.CANCELLED, finished_at=now, kept_until=kept):
                raise BatchOver
            self._audit.append(connection, by, "signing.batch_cancelled", batch.batch_id)
            self._webhooks.emit(connection, batch.owner, EventKind.BATCH_CANCELLED, {"batch": batch.batch_id})

    def remove(self, actor: Actor, batch_id: str) -> None:
        """Remove a batch and all of its documents for good. BatchNotOpen for one that is worked on."""
        batch = self._batch(actor, batch_id)
        if batch.state is BatchState.RUNNING:
            raise BatchNotOpen
        self._remove(batch, str(actor))

    def sweep(self) -> int:
        """Remove what is kept no longer; gives how many batches."""
        with self._database.read() as connection:
            old = store.kept_no_longer(connection, self._clock.now(), _SWEPT_AT_ONCE)
        for batch in old:
            self._remove(batch, "service:signing")
        return len(old)

    # --------------------------------------------------------------------------------------------------------------

    def _batch(self, actor: Actor, batch_id: str) -> Batch:
        with self._database.read() as connection:
            batch = store.batch_of_owner(connection, actor.id, batch_id)
        if batch is None:
            raise BatchNotFound
        return batch

    def _add(self, batch: Batch, documents: Sequence[tuple[str, bytes]]) -> int:
        """Several documents in one transaction; those that are there already are left as they are."""
        if batch.state is not BatchState.OPEN:
            raise BatchNotOpen
        for _, data in documents:
            if not data:
                raise DocumentEmpty
            if len(data) > self.config.maximum_document_bytes:
                raise DocumentTooLarge(limit=self.config.maximum_document_bytes // MIB)
        hashes = {name: hashlib.sha256(data).digest() for name, data in documents}
        with self._database.read() as connection:
            new = self._new(store.known(connection, batch.batch_id, list(hashes)), hashes)
        items = [
            Item(batch.batch_id, name, 0, self._randomness.bytes(16).hex(), len(data), hashes[name], ItemState.WAITING)
            for name, data in documents
            if name in new
        ]
        contents = dict(documents)
        try:
            for one in items:
                self._custody.put_original(batch.owner, batch.batch_id, one.blob, contents[one.document_id])
            with self._database.unit_of_work() as connection:
                store.hold(connection, batch.batch_id)
                current = store.batch(connection, batch.batch_id)
                if current is None or current.state is not BatchState.OPEN:
                    raise BatchNotOpen
                still = self._new(store.known(connection, batch.batch_id, list(hashes)), hashes)
                number, octets = store.next_number_and_octets(connection, batch.batch_id)
                added = [one for one in items if one.document_id in still]
                self._check_room(number + len(added), octets + sum(one.size for one in added))
                numbered = [replace(one, number=number + place) for place, one in enumerate(added)]
                store.add_items(connection, numbered)
        except BaseException:
            self._discard(batch.batch_id, items)
            raise
        self._discard(batch.batch_id, [one for one in items if one.document_id not in still])
        return len(added)

    @staticmethod
    def _new(known: dict[str, bytes], hashes: dict[str, bytes]) -> set[str]:
        if any(known.get(name, digest) != digest for name, digest in hashes.items()):
            raise DocumentDiffers
        return set(hashes) - set(known)

    def _check_room(self, documents: int, octets: int) -> None:
        if documents > self.config.batch_documents or octets > self.config.batch_bytes:
            raise BatchFull(documents=self.config.batch_documents, mebibytes=self.config.batch_bytes // MIB)

    def _sealed(self, batch: Batch) -> Iterator[tuple[str, bytes]]:
        for one in self._each(batch.batch_id, (ItemState.SEALED,)):
            yield batch.form.file_name(one.document_id), self._custody.sealed(batch, one)

    def _each(self, batch_id: str, states: Sequence[ItemState] = tuple(ItemState)) -> Iterator[Item]:
        after = -1
        while True:
            with self._database.read() as connection:
                page = store.items_of(connection, batch_id, after, MAX_PAGE, states)
            yield from page
            if len(page) < MAX_PAGE:
                return
            after = page[-1].number

    def _remove(self, batch: Batch, by: str) -> None:
        self._discard(batch.batch_id, self._each(batch.batch_id))  # what fails here leaves the rows: it is done again
        with self._database.unit_of_work() as connection:
            store.remove_batch(connection, batch.batch_id)
            self._audit.append(connection, by, "signing.batch_removed", batch.batch_id)

    def _discard(self, batch_id: str, items: Iterable[Item]) -> None:
        for one in items:
            self._custody.discard(batch_id, one.blob)


def _progress(counted: dict[ItemState, tuple[int, int]], lately: int, now: datetime, since: datetime) -> Progress:
    def number(*states: ItemState) -> int:
        return sum(counted.get(state, (0, 0))[0] for state in states)

    waiting = number(ItemState.WAITING, ItemState.TAKEN)
    seconds = (now - since).total_seconds()
    rate = lately / seconds if lately and seconds > 0 else None
    return Progress(
        total=number(*ItemState),
        waiting=waiting,
        sealed=number(ItemState.SEALED),
        refused=number(ItemState.REFUSED),
        octets=sum(octets for _, octets in counted.values()),
        per_second=rate,
        ends_at=now + timedelta(seconds=waiting / rate) if rate and waiting else None,
    )
