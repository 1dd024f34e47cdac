"""The use cases of requests for seal credentials: asking, looking, approving, refusing.

CR-TERMS    an officer approves exactly the terms that they name by SHA-256; the credential is made while what would be
            certified is still that, octet for octet, and the certificate's record names the same SHA-256
CR-OFFICER  officers as many as the settings say, two different persons, none of them of the organisation

What happens after the last approval is in `signing.credential_requests.making`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.printable import is_line
from foundation.vault import Vault
from signing.agencies import store as agency_store
from signing.agencies.errors import AgencyClientNotFound, AgencyStateConflict
from signing.agencies.model import AgencyState
from signing.agencies.service import Agencies
from signing.credential_requests import store
from signing.credential_requests.errors import (
    CredentialOfficersNotAsked,
    CredentialRequestClosed,
    CredentialRequestInvalid,
    CredentialRequestNotFound,
    CredentialRequestOther,
    CredentialSecondOfficer,
    CredentialStands,
)
from signing.credential_requests.making import CredentialMaking
from signing.credential_requests.model import ActKind, CredentialRequest, RequestAct, RequestState
from signing.ports import AgencyClients
from signing.webhooks.model import EventKind
from signing.webhooks.service import Webhooks

MAX_PAGE = 100
MAX_REASON = 300
_VAULT_OWNER = "service:credential-requests"


class CredentialRequests:
    """Requests for seal credentials of organisations in production. ``officers``: how many approve one; 0: none, and
    nothing is asked here."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        vault: Vault,
        agencies: Agencies,
        clients: AgencyClients,
        making: CredentialMaking,
        webhooks: Webhooks,
        officers: int,
    ) -> None:
        self._database, self._clock, self._vault = database, clock, vault
        self._agencies, self._clients, self.making = agencies, clients, making
        self._webhooks, self.officers = webhooks, officers

    # --- asking ---------------------------------------------------------------------------------------------------

    def ask(self, actor: Actor, agency_id: str, client_id: str, reason: str) -> CredentialRequest:
        """Ask for a client's credential in production, as a representative with a good certificate or as that client.

        Raises AgencyNotFound, AgencyClientNotFound, RepresentativeWithoutCertificate, AgencyStateConflict,
        CredentialRequestInvalid, CredentialOfficersNotAsked, CredentialStands, CredentialRequestWaits.
        """
        person = actor.kind is ActorKind.PERSON
        agency = self._agencies.represented(actor, agency_id) if person else self._agencies.visible(actor, agency_id)
        client = agency.client(client_id)
        if client is None or (not person and actor.id != client_id):
            raise AgencyClientNotFound
        if agency.state is not AgencyState.PRODUCTION or client.withdrawn_at is not None:
            raise AgencyStateConflict
        if not self.officers:
            raise CredentialOfficersNotAsked
        if self.making.good(agency, client_id):
            raise CredentialStands
        one = self.making.new(agency, client_id, str(actor))
        sealed = self._sealed(one, reason)
        with self._database.unit_of_work() as connection:
            agency_store.hold(connection, agency_id, agency.state)
            store.insert(connection, one)
            self.making.tell(connection, one, ActKind.ASKED, str(actor), sealed)
        return self._shown(one.request_id)

    def show(self, actor: Actor, request_id: str) -> CredentialRequest:
        """One of the actor's organisation; a client's own; any for an officer. Raises CredentialRequestNotFound."""
        one = self._shown(request_id)
        try:
            self._agencies.visible(actor, one.agency_id)
        except CamTrustError:
            raise CredentialRequestNotFound from None
        if actor.kind is ActorKind.CLIENT and actor.id != one.client_id:
            raise CredentialRequestNotFound
        return one

    def list(
        self,
        actor: Actor,
        state: RequestState | None = None,
        agency_id: str | None = None,
        limit: int = 50,
        client_id: str | None = None,
    ) -> tuple[CredentialRequest, ...]:
        """An officer's: all; a person's: of the organisations that they represent; a client's: its own. The newest
        first, without what was done."""
        limit = max(1, min(limit, MAX_PAGE))
        agencies = None if agency_id is None else [agency_id]
        with self._database.read() as connection:
            if actor.kind is ActorKind.PERSON:
                theirs = [one.agency_id for one in agency_store.of_person(connection, actor.id, MAX_PAGE)]
                agencies = [one for one in theirs if agency_id in (None, one)]
            client_id = actor.id if actor.kind is ActorKind.CLIENT else client_id
            states = () if state is None else (state,)
            return tuple(store.page(connection, limit, states=states, agency_ids=agencies, client_id=client_id))

    def withdraw(self, actor: Actor, request_id: str, reason: str) -> CredentialRequest:
        """Take one back that waits: the organisation itself. Raises CredentialRequestNotFound, CredentialRequestClosed,
        CredentialRequestInvalid."""
        return self._end(actor, self.show(actor, request_id), RequestState.WITHDRAWN, ActKind.WITHDRAWN, reason)

    # --- deciding -------------------------------------------------------------------------------------------------

    def approve(self, officer: Actor, request_id: str, digest: str, reason: str) -> CredentialRequest:
        """One officer's approval of exactly these terms; with the last one the credential is made. Asked again after
        that by one of them, what a failure of ours left unmade is made.

        Raises CredentialRequestNotFound, AgencyOfficerInvolved, CredentialRequestClosed, CredentialRequestOther,
        CredentialSecondOfficer, CredentialRequestInvalid, and what making it raises where that can be tried again.
        """
        one = self._shown(request_id)
        sealed, agency = self._sealed(one, reason), self._agencies.show(officer, one.agency_id)
        self._agencies.require_uninvolved(officer, agency)
        if digest != one.digest:
            raise CredentialRequestOther
        if one.state is RequestState.APPROVED and str(officer) in one.approvers:
            self.making.make(one)
            return self._shown(request_id)
        self._require_waiting(one)
        self.making.require_same(one, agency)
        self._require_other(officer, one)
        last = len(one.approvers) + 1 >= max(self.officers, 1)
        with self._database.unit_of_work() as connection:
            values: dict[str, Any] = {"state": RequestState.APPROVED} if last else {}
            store.change(connection, one, approvals=len(one.approvers) + 1, **values)
            self.making.tell(connection, one, ActKind.APPROVED, str(officer), sealed)
        if last:
            self.making.make(self._shown(request_id))
        return self._shown(request_id)

    def refuse(self, officer: Actor, request_id: str, reason: str) -> CredentialRequest:
        """Say no; the organisation may ask anew. Raises CredentialRequestNotFound, AgencyOfficerInvolved,
        CredentialRequestClosed, CredentialRequestInvalid."""
        one = self._shown(request_id)
        self._agencies.require_uninvolved(officer, self._agencies.show(officer, one.agency_id))
        return self._end(officer, one, RequestState.REFUSED, ActKind.REFUSED, reason)

    # --------------------------------------------------------------------------------------------------------------

    def _end(
        self, actor: Actor, one: CredentialRequest, state: RequestState, kind: ActKind, reason: str
    ) -> CredentialRequest:
        self._require_waiting(one)
        sealed = self._sealed(one, reason)
        with self._database.unit_of_work() as connection:
            store.change(connection, one, state=state)
            self.making.tell(connection, one, kind, str(actor), sealed)
            if state is RequestState.REFUSED:
                told = {"request": one.request_id}
                self._webhooks.emit(connection, one.client_id, EventKind.CREDENTIAL_REFUSED, told)
        return self._shown(one.request_id)

    def _require_waiting(self, one: CredentialRequest) -> None:
        if one.state is not RequestState.WAITING or one.expires_at <= self._clock.now():
            raise CredentialRequestClosed

    def _require_other(self, officer: Actor, one: CredentialRequest) -> None:
        """Raises CredentialSecondOfficer for an officer, or the person they are, who approved already."""
        person = self._clients.person_of(officer.id)
        for given in (each.partition(":")[2] for each in one.approvers):
            if given == officer.id or self._clients.person_of(given) == person:
                raise CredentialSecondOfficer

    def _shown(self, request_id: str) -> CredentialRequest:
        with self._database.read() as connection:
            one = store.find(connection, request_id)
            rows = store.acts_of(connection, request_id)
        if one is None:
            raise CredentialRequestNotFound
        purpose = _purpose(one)
        acts = tuple(
            RequestAct(
                ActKind(row.kind),
                row.actor,
                row.at,
                None if row.reason is None else self._vault.open(_VAULT_OWNER, purpose, bytes(row.reason)).decode(),
            )
            for row in rows
        )
        return replace(one, acts=acts)

    def _sealed(self, one: CredentialRequest, reason: str) -> bytes:
        if not is_line(reason, MAX_REASON):
            raise CredentialRequestInvalid
        return self._vault.seal(_VAULT_OWNER, _purpose(one), reason.encode())


def _purpose(one: CredentialRequest) -> str:
    return f"credential-request:{one.request_id}"
