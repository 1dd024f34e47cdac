"""The use cases of signing requests.

A client asks; the person sees what is asked, by whom and what for, and signs, refuses, or says that they did not expect
it. Signing goes through `signing.service` as for any document: the token checks that the approval is of exactly these
digests. What belongs to somebody is looked up together with them: what is another's is as absent as what never was.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import OwnerDestroyed
from foundation.randomness import Randomness
from foundation.use_record import Act
from foundation.vault import Vault
from signing import store as documents
from signing.approval import Asked
from signing.cursor import read_cursor, write_cursor
from signing.custody import Custody
from signing.errors import ApprovalNotFound, DocumentNotFound, DocumentNotSigned
from signing.history import Door, Through
from signing.model import DocumentState, Level, NamedDocument, Outcome
from signing.ports import Clients, RequestNotices
from signing.requests import store
from signing.requests.delivery import Delivery, SentDocument
from signing.requests.details import asked_of, place_of, read, written
from signing.requests.errors import RequestClosed, RequesterStopped, RequestNeedsPasskey, RequestNotFound
from signing.requests.model import (
    Details,
    ReportKind,
    Requester,
    RequestLimits,
    RequestPage,
    RequestState,
    ShownRequest,
    SigningRequest,
)
from signing.requests.reports import Reports
from signing.service import MAX_PAGE, SigningService
from signing.webhooks.model import EventKind
from signing.webhooks.service import Webhooks

_log = logging.getLogger(__name__)

_AT_ONCE = 200
_PERSON, _CLIENT = "person", "client_id"
_NONE = Details("", None, ())


class RequestDesk:
    """Signing requests of clients to persons."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
        custody: Custody,
        signing: SigningService,
        clients: Clients,
        notices: RequestNotices,
        limits: RequestLimits | None = None,
        webhooks: Webhooks | None = None,
        reports: Reports | None = None,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._vault, self._custody, self._signing, self._clients = vault, custody, signing, clients
        self._notices = notices
        self._webhooks = webhooks
        self.limits = limits or RequestLimits()
        self._reports = reports or Reports(database, audit, clock, self.limits.reports_that_stop)
        self._delivery = Delivery(database, signing, self.limits)

    # --- the client ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        client: Actor,
        person: str,
        purpose: str,
        sent: Sequence[SentDocument],
        *,
        level: Level | None = None,
        lasts: timedelta | None = None,
        reference: str | None = None,
        passkey_only: bool = False,
    ) -> ShownRequest:
        """Ask a person to sign documents, all or none of them. ``lasts``: how long there is time to answer.

        Raises RequesterStopped, RequestInvalid, RequestNotDeliverable, RequestsTooMany, LevelNotAllowed,
        TooManyDocuments, and a DocumentRefused with the cause: nothing is kept, and the person sees nothing.
        """
        lasts = lasts or self.limits.usual
        self._delivery.check(purpose, reference, sent, level, lasts)
        self._delivery.deliverable(client, person)
        now, requester = self._clock.now(), self._requester(client.id)
        taken: list[tuple[NamedDocument, documents.Sealed]] = []
        try:
            for one in sent:  # one by one: what was taken is discarded when a later one is refused
                kept = self._signing.taking.take(person, one.name, one.data, one.form, None, one.options)
                taken.append(kept)
            request = SigningRequest(
                sequence=0,
                request_id=self._randomness.bytes(16).hex(),
                person=person,
                client_id=client.id,
                state=RequestState.WAITING,
                version=0,
                level=level,
                passkey_only=passkey_only,
                created_at=now,
                expires_at=now + lasts,
            )
            named = tuple(document for document, _ in taken)
            details = Details(purpose, reference, tuple(asked_of(document) for document in named))
            sealed = self._vault.seal(person, place_of(request.request_id), written(details))
            with self._database.unit_of_work() as connection:
                self._delivery.count(connection, client.id, person, now)
                for document, parts in taken:
                    documents.insert_document(connection, document.document, parts)
                store.insert_request(connection, request, sealed, [one.document.document_id for one in named])
                self._notify(connection, person, requester)
                told = {"person": person, "documents": [one.document.sha256.hex() for one in named]}
                self._audit.append(connection, str(client), "signing.requested", request.request_id, told)
        except BaseException:
            for document, _ in taken:
                self._signing.taking.discard(document.document.document_id)
            raise
        return ShownRequest(request, requester, details, named)

    def withdraw(self, client: Actor, request_id: str) -> ShownRequest:
        """Take a request back. Raises RequestNotFound, RequestClosed."""
        request, _ = self._found(client, request_id)
        self._end(request, RequestState.WITHDRAWN, str(client), "signing.request_withdrawn")
        return self.show(client, request_id)

    def signed(self, client: Actor, request_id: str, document_id: str) -> tuple[NamedDocument, bytes]:
        """A signed document, once all of the request are. RequestNotFound, DocumentNotFound, DocumentNotSigned."""
        shown = self.show(client, request_id)
        if shown.request.state is not RequestState.SIGNED:
            raise DocumentNotSigned
        for named in shown.documents:
            if named.document.document_id == document_id:
                return named, self._custody.signed(named.document)
        raise DocumentNotFound

    # --- both sides ---------------------------------------------------------------------------------------------------

    def show(self, actor: Actor, request_id: str) -> ShownRequest:
        """A request to the person who asks, or of the client that asks. RequestNotFound."""
        request, sealed = self._found(actor, request_id)
        with self._database.read() as connection:
            return self._shown(connection, request, sealed)

    def page(
        self, actor: Actor, state: RequestState | None = None, cursor: str | None = None, limit: int = 50
    ) -> RequestPage:
        """The requests to a person, or of a client; the newest first. CursorInvalid."""
        limit, before = max(1, min(limit, MAX_PAGE)), read_cursor(cursor)
        self.sweep()
        with self._database.read() as connection:
            rows = store.requests_of(connection, _side(actor), actor.id, state, before, limit + 1)
            shown = tuple(self._shown(connection, request, sealed) for request, sealed in rows[:limit])
        return RequestPage(shown, write_cursor(rows[limit - 1][0].sequence) if len(rows) > limit else None)

    def holder(self, person: Actor, document_id: str) -> str | None:
        """The id of the person's request that waits and holds a document; None: none does."""
        self.sweep()
        with self._database.read() as connection:
            held_by = store.holding(connection, [document_id]).get(document_id)
            return held_by if held_by and store.request_of(connection, _PERSON, person.id, held_by) else None

    # --- the person ---------------------------------------------------------------------------------------------------

    def approve(
        self, person: Actor, request_id: str, credential_id: str, *, pin: str, totp: str
    ) -> tuple[ShownRequest, tuple[Outcome, ...]]:
        """Sign what is asked with PIN and code, where the client and the policy take that. One outcome a document; what
        failed for now can be approved again. Raises RequestClosed, RequesterStopped, RequestNeedsPasskey, and what
        `SigningService.authorise` raises."""
        request = self._answerable(person, request_id)
        if request.passkey_only or not self.limits.pin_and_code:
            raise RequestNeedsPasskey
        outcomes = self._signing.authorise(
            person,
            credential_id,
            self._unsigned(request),
            pin=pin,
            totp=totp,
            level=request.level,
            request=request_id,
            through=Through(Door.REQUEST, request.client_id),
        )
        return self.show(person, request_id), outcomes

    def ask_passkey(self, person: Actor, request_id: str, credential_id: str) -> Asked:
        """Have the person's device asked to approve exactly the documents of a request; :meth:`answer_passkey` signs.

        Raises RequestClosed, RequesterStopped, and what `SigningService.ask_passkey` raises.
        """
        request = self._answerable(person, request_id)
        ids = self._unsigned(request)
        return self._signing.ask_passkey(person, credential_id, ids, level=request.level, request=request_id)

    def answer_passkey(
        self, person: Actor, request_id: str, approval_id: str, assertion: str
    ) -> tuple[ShownRequest, tuple[Outcome, ...]]:
        """Sign what the device approved. Raises ApprovalNotFound for a question about anything else, and what
        `SigningService.answer_passkey` raises."""
        request = self._answerable(person, request_id)
        with self._database.read() as connection:
            approval = documents.approval_of_owner(connection, person.id, approval_id)
            ids = store.documents_of(connection, request.request_id)
        if approval is None or not {part.document_id for part in approval.parts} <= set(ids):
            raise ApprovalNotFound
        outcomes = self._signing.answer_passkey(
            person, approval_id, assertion, Through(Door.REQUEST, request.client_id)
        )
        return self.show(person, request_id), outcomes

    def refuse(self, person: Actor, request_id: str, *, unexpected: bool = False) -> ShownRequest:
        """Refuse a request; ``unexpected``: the person did not start this, and operators shall see it. RequestClosed.

        A client that too many people report is stopped: it can ask nobody until an operator releases it.
        """
        request, _ = self._found(person, request_id)
        state = RequestState.REPORTED if unexpected else RequestState.REFUSED
        action = "signing.request_reported" if unexpected else "signing.request_refused"
        self._end(request, state, str(person), action)
        if unexpected:
            self._reports.judge(request.client_id)
            for credential in self._signing.credentials(person)[-1:]:  # the newest: its label is the person's
                self._signing.history.record(credential, Act.REPORT, (), Through(Door.REQUEST, request.client_id))
        return self.show(person, request_id)

    def block(self, person: Actor, client_id: str) -> None:
        """Take no more requests of a client. RequestNotFound for a client that never asked this person."""
        with self._database.unit_of_work() as connection:
            if not any(one.client_id == client_id for one in self._of_person(connection, person.id)):
                raise RequestNotFound
            store.block(connection, person.id, client_id, self._clock.now())
            self._audit.append(connection, str(person), "signing.requester_blocked", client_id)

    def unblock(self, person: Actor, client_id: str) -> None:
        """Take its requests again. RequestNotFound where it was not blocked."""
        with self._database.unit_of_work() as connection:
            if not store.unblock(connection, person.id, client_id):
                raise RequestNotFound
            self._audit.append(connection, str(person), "signing.requester_unblocked", client_id)

    def blocked(self, person: Actor) -> tuple[Requester, ...]:
        """The clients that the person takes no requests of."""
        with self._database.read() as connection:
            found = store.blocked_by(connection, person.id)
        return tuple(self._requester(client_id) for client_id in found)

    # --- upkeep -------------------------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """End what was not answered in time, and forget who asked whom on days before; gives how many ended."""
        now = self._clock.now()
        self._delivery.forget(now)
        with self._database.read() as connection:
            late = store.expired(connection, now, _AT_ONCE)
        for request in late:
            self._settle(request)
        return len(late)

    # ------------------------------------------------------------------------------------------------------------------

    def _found(self, actor: Actor, request_id: str) -> tuple[SigningRequest, bytes]:
        found = self._read(actor, request_id)
        return self._read(actor, request_id) if self._settle(found[0]) else found

    def _read(self, actor: Actor, request_id: str) -> tuple[SigningRequest, bytes]:
        with self._database.read() as connection:
            found = store.request_of(connection, _side(actor), actor.id, request_id)
        if found is None:
            raise RequestNotFound
        return found

    def _settle(self, request: SigningRequest) -> bool:
        """Write down what has become of a request meanwhile: all signed, or too late. Whether anything has."""
        if request.state is not RequestState.WAITING:
            return False
        try:
            if not self._unsigned(request):
                with self._database.unit_of_work() as connection:
                    store.change(connection, request, RequestState.SIGNED, self._clock.now())
                    who = f"{ActorKind.PERSON}:{request.person}"
                    self._audit.append(connection, who, "signing.request_signed", request.request_id)
                    self._tell(connection, request, EventKind.REQUEST_SIGNED)
                return True
            if request.expires_at <= self._clock.now():
                self._end(request, RequestState.EXPIRED, "signing", "signing.request_expired")
                return True
        except RequestClosed:  # by somebody else, just now
            return True
        return False

    def _unsigned(self, request: SigningRequest) -> tuple[str, ...]:
        """The documents of a request that are not signed; one that is gone is among them."""
        with self._database.read() as connection:
            ids = store.documents_of(connection, request.request_id)
            found = [documents.document_of_owner(connection, request.person, one) for one in ids]
        return tuple(
            document_id
            for document_id, row in zip(ids, found, strict=True)
            if row is None or row[0].state is not DocumentState.SIGNED
        )

    def _answerable(self, person: Actor, request_id: str) -> SigningRequest:
        request, _ = self._found(person, request_id)
        if request.state is not RequestState.WAITING:
            raise RequestClosed
        with self._database.read() as connection:
            stopped = store.stop_of(connection, request.client_id)[0] is not None
        if stopped or not self._requester(request.client_id).active:
            raise RequesterStopped
        return request

    def _end(self, request: SigningRequest, state: RequestState, by: str, action: str) -> None:
        """End a request without signing, and its documents with it. RequestClosed where all are signed already."""
        with self._database.unit_of_work() as connection:
            store.change(connection, request, state, self._clock.now())
            ids = store.documents_of(connection, request.request_id)
            gone = {one: documents.remove_unsigned(connection, request.person, one) for one in ids}
            if all(documents.document_of_owner(connection, request.person, one) for one in ids):
                raise RequestClosed
            self._audit.append(connection, by, action, request.request_id, {"client": request.client_id})
            if state is RequestState.REPORTED:
                kind, asked_at = ReportKind.REQUEST, request.created_at
                self._reports.add(connection, kind, request.request_id, request.client_id, request.person, asked_at)
            if state in (RequestState.REFUSED, RequestState.REPORTED):
                self._tell(connection, request, EventKind.REQUEST_REFUSED)
            for document_id, version in gone.items():  # before the commit: what fails here leaves everything
                if version is not None:
                    self._custody.discard(document_id, version)

    def _tell(self, connection: Connection, request: SigningRequest, kind: EventKind) -> None:
        if self._webhooks is not None:
            self._webhooks.emit(connection, request.client_id, kind, {"request": request.request_id})

    def _notify(self, connection: Connection, person: str, requester: Requester) -> None:
        """Tell the person by their contact. Who cannot be told finds the request in the portal all the same."""
        try:
            self._notices.asked(connection, person, requester.label)
        except CamTrustError as error:
            _log.warning("the person asked by client %s was not told: %s", requester.client_id, error.code)

    def _of_person(self, connection: Connection, person: str) -> list[SigningRequest]:
        rows = store.requests_of(connection, _PERSON, person, None, None, _AT_ONCE)
        return [request for request, _ in rows]

    def _requester(self, client_id: str) -> Requester:
        label, active = self._clients.known(client_id)
        return Requester(client_id, label, active)

    def _shown(self, connection: Connection, request: SigningRequest, sealed: bytes) -> ShownRequest:
        try:
            details = read(self._vault.open(request.person, place_of(request.request_id), sealed))
        except OwnerDestroyed:  # the person was erased: what was personal in it is gone
            return ShownRequest(request, self._requester(request.client_id), _NONE, ())
        names = {one.document_id: one.name for one in details.documents}
        named = []
        for document_id, name in names.items():
            found = documents.document_of_owner(connection, request.person, document_id)
            if found is not None:
                named.append(NamedDocument(found[0], name))
        return ShownRequest(request, self._requester(request.client_id), details, tuple(named))


def _side(actor: Actor) -> str:
    return _CLIENT if actor.kind is ActorKind.CLIENT else _PERSON
