"""Making what was approved, and the successors of credentials that end: what happens unattended.

CR-ONCE     the last approval and the making are two steps: killed in between, the upkeep makes it, one process at a
            time and from the same key and certificate, so that there is never a second one
CR-STANDS   nothing is made for an organisation or client that left, nor in place of a credential that was revoked
CR-FOLLOWS  a credential that ends soon gets one successor, under a new key, by the approval that it had itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from cryptography import x509
from sqlalchemy import Connection

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.errors import CamTrustError, Kind
from foundation.http.actor import Actor, ActorKind
from foundation.randomness import Randomness
from foundation.x509.names import name_pairs
from signing.agencies import store as agency_store
from signing.agencies.errors import AgencyStateConflict
from signing.agencies.model import Agency, AgencyState
from signing.agencies.service import Agencies
from signing.credential_requests import store
from signing.credential_requests.errors import CredentialRequestOther, CredentialRequestWaits
from signing.credential_requests.model import ActKind, CredentialRequest, RequestState
from signing.credential_requests.terms import terms_of
from signing.errors import CredentialNotUsable
from signing.model import Credential, CredentialStatus
from signing.ports import AgencyClients, AgencySeals, SealOrder, SealTerms
from signing.service import SigningService
from signing.webhooks.model import EventKind
from signing.webhooks.service import Webhooks

_One = TypeVar("_One")
_LIFETIME = timedelta(days=30)
_MAKING = timedelta(minutes=5)  # a process that has one for itself and was killed: another takes it over then
_SERVICE = "service:seal-credentials"
_WORTH = timedelta(days=1)  # a successor that lasts no longer than this beyond is none
_AT_ONCE = 100


class CredentialMaking:
    """Makes seal credentials of organisations by what was approved for them."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        agencies: Agencies,
        signing: SigningService,
        clients: AgencyClients,
        seals: AgencySeals,
        webhooks: Webhooks,
        renewed_ahead: timedelta,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._agencies, self._signing, self._clients = agencies, signing, clients
        self._seals, self._webhooks, self._ahead = seals, webhooks, renewed_ahead

    # --- unattended -----------------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """End those that nobody can decide any more; gives how many."""
        with self._database.read() as connection:
            found = store.run_out(connection, self._clock.now())
        for one in found:
            with self._database.unit_of_work() as connection:
                store.change(connection, one, state=RequestState.EXPIRED)
                self.tell(connection, one, ActKind.EXPIRED, _SERVICE)
        return len(found)

    def resume(self) -> int:
        """Make what was approved and is not made; gives how many were tried. Raises what the last one raised."""
        with self._database.read() as connection:
            found = store.page(connection, _AT_ONCE, states=(RequestState.APPROVED,))
        return _each(found, self.make)

    def renew(self) -> int:
        """Give each credential that ends soon its successor; gives how many. Raises what the last one raised."""
        return _each(list(self._ending()), self._follow)

    def _ending(self) -> Iterator[tuple[Agency, Credential]]:
        """Good credentials that end soon, of what stands, and for which one can be had that lasts longer."""
        now = self._clock.now()
        with self._database.read() as connection:
            rows = store.to_follow(connection)
        for row in rows:
            certificate = x509.load_der_x509_certificate(row.certificate)
            ends = certificate.not_valid_after_utc
            if not now < ends <= now + self._ahead or not self._clients.acts(row.client_id):
                continue
            agency = self._agency(row.agency_id)
            terms = self._terms(agency)
            if name_pairs(certificate.subject) != terms.subject or terms.until <= ends + _WORTH:
                continue
            credential = self._signing.holdings.own(Actor(ActorKind.CLIENT, row.client_id), row.credential_id)
            if credential.status is CredentialStatus.ACTIVE:
                yield agency, credential

    def _follow(self, ending: tuple[Agency, Credential]) -> None:
        agency, credential = ending
        one = self.new(agency, credential.owner, _SERVICE, credential.credential_id)
        try:
            with self._database.unit_of_work() as connection:
                before = store.made_by(connection, credential.credential_id)
                one = replace(one, state=RequestState.APPROVED, approvals=before.approvals if before else 0)
                store.insert(connection, one)
                self.tell(connection, one, ActKind.ASKED, _SERVICE)
        except CredentialRequestWaits:  # another process was first
            return
        self.make(one)

    # --- making ---------------------------------------------------------------------------------------------------

    def make(self, one: CredentialRequest) -> None:
        """Make what was approved, or write down why it cannot be. Nothing happens where another process does it.

        Raises what making raises where that can be tried again.
        """
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            if not store.claim(connection, one, now, now + _MAKING):
                return
        one = replace(one, version=one.version + 1)
        try:
            agency = self._agency(one.agency_id)
            before = self._before(one)
            if before is not None and before.status is CredentialStatus.SUSPENDED:
                self._release(one)  # until it is good again, or revoked
                return
            self._require_standing(one, agency, before)
            made = self._seals.make(
                one.asked_by,
                one.client_id,
                agency.name_latin,
                agency.number,
                sandbox=agency.state is not AgencyState.PRODUCTION,
                order=SealOrder(one.digest, one.approvals > 1, before),
            )
        except CamTrustError as error:
            final = isinstance(error, (AgencyStateConflict, CredentialNotUsable, CredentialRequestOther))
            if not final and (one.replaces or error.kind not in (Kind.INVALID, Kind.CONFLICT, Kind.FORBIDDEN)):
                self._release(one)
                raise
            self._failed(one, error.code)
            return
        self._made(one, agency, made)

    def _made(self, one: CredentialRequest, agency: Agency, made: str) -> None:
        try:
            with self._database.unit_of_work() as connection:
                agency_store.hold(connection, agency.agency_id, agency.state)  # still approved for this stage
                agency_store.require_acting(connection, one.client_id)
                client = agency.client(one.client_id)
                if one.replaces is None or (client is not None and client.credential_id == one.replaces):
                    values = {"credential_id": made, "stage": agency.state.value}
                    agency_store.change_client(connection, one.client_id, **values)
                store.change(connection, one, state=RequestState.ISSUED, credential_id=made, working_until=None)
                self.tell(connection, one, ActKind.ISSUED, _SERVICE, what=made)
                kind = EventKind.CREDENTIAL_RENEWED if one.replaces else EventKind.CREDENTIAL_ISSUED
                told = {"request": one.request_id, "credential": made}
                told |= {"replaces": one.replaces} if one.replaces else {}
                self._webhooks.emit(connection, one.client_id, kind, told)
        except AgencyStateConflict as error:  # it left meanwhile
            self._agencies.end_seals(one.asked_by, one.client_id)
            self._failed(one, error.code)

    def _failed(self, one: CredentialRequest, code: str) -> None:
        with self._database.unit_of_work() as connection:
            store.change(connection, one, state=RequestState.FAILED, problem=code, working_until=None)
            self.tell(connection, one, ActKind.FAILED, _SERVICE, what=code)

    def _release(self, one: CredentialRequest) -> None:
        with self._database.unit_of_work() as connection:
            store.change(connection, one, working_until=None)

    def _before(self, one: CredentialRequest) -> Credential | None:
        if one.replaces is None:
            return None
        return self._signing.holdings.own(Actor(ActorKind.CLIENT, one.client_id), one.replaces)

    def _require_standing(self, one: CredentialRequest, agency: Agency, before: Credential | None) -> None:
        """Raises AgencyStateConflict, CredentialNotUsable, CredentialRequestOther: for good."""
        client = agency.client(one.client_id)
        if not agency.state.approved or client is None or client.withdrawn_at is not None:
            raise AgencyStateConflict
        if before is not None and before.status is not CredentialStatus.ACTIVE:
            raise CredentialNotUsable
        self.require_same(one, agency)

    # --- what is asked for ----------------------------------------------------------------------------------------

    def new(self, agency: Agency, client_id: str, by: str, replaces: str | None = None) -> CredentialRequest:
        """A request that waits, with the terms of this moment; it is not stored."""
        request_id, now = self._randomness.bytes(16).hex(), self._clock.now().replace(microsecond=0)
        terms = terms_of(request_id, agency, client_id, self._terms(agency), now, replaces)
        return CredentialRequest(
            request_id,
            agency.agency_id,
            client_id,
            terms,
            RequestState.WAITING,
            0,
            by,
            now,
            now + _LIFETIME,
            replaces,
        )

    def require_same(self, one: CredentialRequest, agency: Agency) -> None:
        """What would be certified now is what was asked for. Raises CredentialRequestOther."""
        again = terms_of(one.request_id, agency, one.client_id, self._terms(agency), one.asked_at, one.replaces)
        if again != one.terms:
            raise CredentialRequestOther

    def good(self, agency: Agency, client_id: str) -> bool:
        """Whether the client holds a credential for the organisation's stage that it can seal with, or is on hold."""
        subject, now = self._terms(agency).subject, self._clock.now()
        return any(
            one.status in (CredentialStatus.ACTIVE, CredentialStatus.SUSPENDED)
            and one.signatory.certificate.not_valid_after_utc > now
            and name_pairs(one.signatory.certificate.subject) == subject
            for one in self._signing.credentials(Actor(ActorKind.CLIENT, client_id))
        )

    def tell(
        self,
        connection: Connection,
        one: CredentialRequest,
        kind: ActKind,
        actor: str,
        reason: bytes | None = None,
        what: str | None = None,
    ) -> None:
        """Write down what was done, for whoever may see the request, and in the audit trail."""
        store.tell(connection, one.request_id, kind, actor, self._clock.now(), reason)
        details = {"agency": one.agency_id, "client": one.client_id, "terms": one.digest}
        details |= {"what": what} if what else {}
        details |= {"replaces": one.replaces} if one.replaces else {}
        self._audit.append(connection, actor, f"signing.credential_request_{kind.value}", one.request_id, details)

    def _terms(self, agency: Agency) -> SealTerms:
        sandbox = agency.state is not AgencyState.PRODUCTION
        return self._seals.terms(agency.name_latin, agency.number, sandbox=sandbox)

    def _agency(self, agency_id: str) -> Agency:
        with self._database.read() as connection:
            agency = agency_store.find(connection, agency_id)
        if agency is None:
            raise AgencyStateConflict
        return agency


def _each(found: Iterable[_One], act: Callable[[_One], None]) -> int:
    """One's failure keeps no other from its turn."""
    problem: CamTrustError | None = None
    count = 0
    for one in found:
        count += 1
        try:
            act(one)
        except CamTrustError as error:
            problem = error
    if problem is not None:
        raise problem
    return count
