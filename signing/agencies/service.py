"""The use cases of organisations: proposing, signing the mandate, approving, clients, leaving.

AG-MANDATE   every representative signs the mandate with their own key; the signature is verified as anybody would, it
             is over exactly these octets, and its certificate is the actor's own and good now
AG-OFFICER   an officer approves what they name by its SHA-256, and never an organisation that they represent: an
             officer of whom it is not known who they are as a person approves none
AG-ACTING    a representative whose certificate is not good does nothing, whatever session they have
AG-STAGE     seals are of the stage that an officer approved: in the sandbox none is a real one
AG-LEFT      who is withdrawn has no rights from then on: client disabled, credentials withdrawn, certificates revoked,
             seals that wait refused, batches ended. Asked again it is all done again, so a crash leaves nothing behind
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.printable import is_line
from foundation.randomness import Randomness
from foundation.vault import Vault
from signing.agencies import store
from signing.agencies.errors import (
    AgencyClientNotFound,
    AgencyInvalid,
    AgencyNotFound,
    AgencyOfficerInvolved,
    AgencySealOtherwise,
    AgencySecondOfficer,
    AgencyStateConflict,
    MandateNotSigned,
    MandateOther,
    RepresentativeWithoutCertificate,
)
from signing.agencies.mandate import mandate_of
from signing.agencies.mandate_signature import signer_of
from signing.agencies.model import Agency, AgencyClient, AgencyState, Representative
from signing.agencies.representing import good_credentials
from signing.credential_requests.errors import CredentialOfficersNeeded
from signing.model import Credential
from signing.ports import AgencyClients, AgencySeals

if TYPE_CHECKING:
    from signing.batches.service import BatchService
    from signing.held.service import HeldSeals
    from signing.service import SigningService

MAX_REPRESENTATIVES = 10
MAX_CLIENTS = 50
MAX_NAME = 40  # with what is put before it in the sandbox, a certificate's field still holds it (64)
MAX_PAGE = 100
_NUMBER = re.compile(r"(?:NTR|VAT|LEI|[A-Z]{2}:)KH-[A-Za-z0-9][A-Za-z0-9./-]{0,40}")
_PERSON = re.compile(r"[!-~]{1,200}")
_PURPOSE = "agency-mandate"


class Agencies:
    """Organisations, their representatives and clients."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
        signing: SigningService,
        held: HeldSeals,
        batches: BatchService,
        clients: AgencyClients,
        seals: AgencySeals,
        officers: int = 1,
        credential_officers: int = 0,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._vault, self._signing, self._held, self._batches = vault, signing, held, batches
        self._clients, self._seals, self._officers = clients, seals, officers
        self._credential_officers = credential_officers

    # --- proposing ------------------------------------------------------------------------------------------------

    def propose(
        self, actor: Actor, name_km: str, name_latin: str, number: str, representatives: Sequence[str]
    ) -> Agency:
        """Propose an organisation; the actor is one of its representatives, the others are named by their person ids.

        Raises RepresentativeWithoutCertificate, AgencyInvalid.
        """
        self._require_certificate(actor.id)
        persons = dict.fromkeys((actor.id, *representatives))
        for field, sound in {
            "name_km": _is_name(name_km) and any("\u1780" <= one <= "\u17ff" for one in name_km),
            "name": _is_name(name_latin) and not any("\u1780" <= one <= "\u17ff" for one in name_latin),
            "number": bool(_NUMBER.fullmatch(number)),
            "representatives": len(persons) <= MAX_REPRESENTATIVES and all(map(_PERSON.fullmatch, persons)),
        }.items():
            if not sound:
                raise AgencyInvalid(field=field)
        agency = Agency(
            agency_id=self._randomness.bytes(16).hex(),
            name_km=name_km,
            name_latin=name_latin,
            number=number,
            state=AgencyState.PROPOSED,
            version=0,
            proposed_by=str(actor),
            proposed_at=self._clock.now().replace(microsecond=0),
            representatives=tuple(Representative(one) for one in persons),
        )
        with self._database.unit_of_work() as connection:
            store.insert(connection, agency)
            self._audit.append(connection, str(actor), "signing.agency_proposed", agency.agency_id, {"number": number})
        return self._found(agency.agency_id)

    def show(self, actor: Actor, agency_id: str) -> Agency:
        """One that the actor represents; any for an officer. Raises AgencyNotFound."""
        return self.visible(actor, agency_id)

    def list(self, actor: Actor, state: AgencyState, limit: int = 50) -> tuple[Agency, ...]:
        """Those that a person represents, whatever their state; for an officer those in this one. The newest first."""
        limit = max(1, min(limit, MAX_PAGE))
        with self._database.read() as connection:
            if actor.kind is ActorKind.PERSON:
                return tuple(store.of_person(connection, actor.id, limit))
            return tuple(store.of_state(connection, state, limit))

    def mandate(self, actor: Actor, agency_id: str) -> bytes:
        """What representatives sign. Raises AgencyNotFound."""
        return mandate_of(self.visible(actor, agency_id))

    def sign_mandate(self, actor: Actor, agency_id: str, signature: bytes) -> Agency:
        """Take a representative's detached signature (CAdES) over the mandate.

        Raises AgencyNotFound, RepresentativeWithoutCertificate, MandateNotHeld, AgencyStateConflict.
        """
        agency = self.visible(actor, agency_id)
        own = self._credentials(actor.id)
        if not own:
            raise RepresentativeWithoutCertificate
        certificate = signer_of(own, mandate_of(agency), signature, self._clock.now())
        if agency.state is not AgencyState.PROPOSED:
            raise AgencyStateConflict
        sealed = self._vault.seal(actor.id, _PURPOSE, signature)
        with self._database.unit_of_work() as connection:
            store.change(connection, agency)
            values = {"signature": sealed, "certificate": certificate, "signed_at": self._clock.now()}
            store.change_representative(connection, agency_id, actor.id, **values)
            details = {"mandate": _digest(agency), "certificate": certificate}
            self._audit.append(connection, str(actor), "signing.agency_mandate_signed", agency_id, details)
        return self._found(agency_id)

    # --- deciding -------------------------------------------------------------------------------------------------

    def approve(self, officer: Actor, agency_id: str, stage: AgencyState, sha256: str) -> Agency:
        """Let an organisation into the sandbox, or into production. ``sha256``: of the mandate that they looked at.

        In production its clients have no credential until a representative asks for one: those of the sandbox end.
        Raises AgencyNotFound, AgencyOfficerInvolved, MandateOther, MandateNotSigned, AgencyStateConflict,
        AgencyNumberTaken. Where two officers have to, the first changes nothing but that they did, and they are not
        the second: AgencySecondOfficer.
        """
        agency = self._found(agency_id)
        self.require_uninvolved(officer, agency)
        before = {AgencyState.SANDBOX: (AgencyState.PROPOSED,)}
        if agency.state not in before.get(stage, (AgencyState.PROPOSED, AgencyState.SANDBOX)) or not stage.approved:
            raise AgencyStateConflict
        if sha256 != _digest(agency):
            raise MandateOther
        if not agency.acting or not all(one.signature and self._good(one.person_id) for one in agency.acting):
            raise MandateNotSigned
        if self._officers > 1 and not self._seconded(officer, agency, stage):
            with self._database.unit_of_work() as connection:
                store.change(connection, agency, first_officer=str(officer), first_stage=stage.value)
                details = {"state": stage.value, "mandate": sha256}
                self._audit.append(connection, str(officer), "signing.agency_approved_first", agency_id, details)
            return self._found(agency_id)
        self._decide(officer, agency, stage, "signing.agency_approved", approved_number=agency.number)
        for client in agency.clients:
            self.end_seals(str(officer), client.client_id)
        return self._found(agency_id)

    def refuse(self, officer: Actor, agency_id: str) -> Agency:
        """Say no, for good. Raises AgencyNotFound, AgencyOfficerInvolved, AgencyStateConflict."""
        self.require_uninvolved(officer, agency := self._found(agency_id))
        if agency.state is not AgencyState.PROPOSED:
            raise AgencyStateConflict
        self._decide(officer, agency, AgencyState.REFUSED, "signing.agency_refused")
        return self._found(agency_id)

    # --- clients --------------------------------------------------------------------------------------------------

    def add_client(self, actor: Actor, agency_id: str, label: str, public_key: bytes) -> AgencyClient:
        """Register a client with its public key (PEM or DER, P-256) and make its seal credential.

        Where officers approve credentials first it has none in production yet. Raises AgencyNotFound, AgencyInvalid,
        RepresentativeWithoutCertificate, AgencyStateConflict, and what registering and issuing raise.
        """
        agency = self.represented(actor, agency_id)
        if len([one for one in agency.clients if one.withdrawn_at is None]) >= MAX_CLIENTS:
            raise AgencyInvalid(field="clients")
        client_id = self._clients.register(actor, f"{agency.name_latin}: {label}", public_key)
        client = AgencyClient(client_id, label, str(actor), self._clock.now())
        try:
            with self._database.unit_of_work() as connection:
                store.change(connection, agency)
                store.add_client(connection, agency_id, client)
                self._audit.append(connection, str(actor), "signing.agency_client_added", client_id, _of(agency))
        except BaseException:
            self._clients.disable(actor, client_id)
            raise
        if self._credential_officers and agency.state is AgencyState.PRODUCTION:
            return self._client(agency_id, client_id)
        return self.renew_credential(actor, agency_id, client_id)

    def renew_credential(self, actor: Actor, agency_id: str, client_id: str) -> AgencyClient:
        """The client's seal credential for the stage of its organisation; the same one while it is good.

        Raises AgencyNotFound, AgencyClientNotFound, RepresentativeWithoutCertificate, AgencyStateConflict,
        CredentialOfficersNeeded, and what issuing raises.
        """
        agency = self.represented(actor, agency_id)
        client = agency.client(client_id)
        if client is None:
            raise AgencyClientNotFound
        if client.withdrawn_at is not None:
            raise AgencyStateConflict
        if self._credential_officers and agency.state is AgencyState.PRODUCTION:
            raise CredentialOfficersNeeded
        if client.stage not in (None, agency.state):
            self.end_seals(str(actor), client_id)
        sandbox = agency.state is not AgencyState.PRODUCTION
        made = self._seals.make(str(actor), client_id, agency.name_latin, agency.number, sandbox=sandbox)
        try:
            with self._database.unit_of_work() as connection:
                store.hold(connection, agency_id, agency.state)  # still approved for this stage
                store.change_client(connection, client_id, credential_id=made, stage=agency.state.value)
                details = _of(agency) | {"credential": made, "stage": agency.state.value}
                self._audit.append(connection, str(actor), "signing.agency_credential_made", client_id, details)
        except AgencyStateConflict:
            self.end_seals(str(actor), client_id)
            raise
        return self._client(agency_id, client_id)

    def require_seal(self, client_id: str, name: str, number: str, common_name: str) -> None:
        """Before a seal credential is made past the representatives, at the console: a client of an organisation here
        gets a real one in the approved names alone, in production; none where officers approve it first.
        Raises AgencySealOtherwise, CredentialOfficersNeeded."""
        with self._database.read() as connection:
            agency = store.of_client(connection, client_id)
        if agency is None:
            return
        approved = (agency.name_latin, agency.number, agency.name_latin)
        if agency.state is not AgencyState.PRODUCTION or (name, number, common_name) != approved:
            raise AgencySealOtherwise
        if self._credential_officers:
            raise CredentialOfficersNeeded

    # --- leaving --------------------------------------------------------------------------------------------------

    def withdraw_client(self, actor: Actor, agency_id: str, client_id: str) -> AgencyClient:
        """End a client's rights, at once and for good. Raises AgencyNotFound, AgencyClientNotFound."""
        agency = self.visible(actor, agency_id)
        if agency.client(client_id) is None:
            raise AgencyClientNotFound
        self._withdraw(actor, agency, client_id)
        return self._client(agency_id, client_id)

    def withdraw_representative(self, actor: Actor, agency_id: str, person_id: str) -> Agency:
        """End what a person may do for an approved organisation. Raises AgencyNotFound, AgencyStateConflict."""
        agency = self.visible(actor, agency_id)
        if not agency.state.approved or agency.representative(person_id) is None:
            raise AgencyStateConflict
        with self._database.unit_of_work() as connection:
            store.change(connection, agency)
            store.change_representative(connection, agency_id, person_id, withdrawn_at=self._clock.now())
            details = {"person": person_id}
            self._audit.append(connection, str(actor), "signing.agency_representative_withdrawn", agency_id, details)
        return self._found(agency_id)

    def withdraw(self, actor: Actor, agency_id: str) -> Agency:
        """End an organisation's rights and those of its clients, at once and for good. Raises AgencyNotFound,
        AgencyStateConflict."""
        agency = self.visible(actor, agency_id)
        if agency.state is not AgencyState.WITHDRAWN:
            if not agency.state.approved:
                raise AgencyStateConflict
            self._decide(actor, agency, AgencyState.WITHDRAWN, "signing.agency_withdrawn", approved_number=None)
        for client in self._found(agency_id).clients:
            self._withdraw(actor, agency, client.client_id)
        return self._found(agency_id)

    # --------------------------------------------------------------------------------------------------------------

    def _withdraw(self, actor: Actor, agency: Agency, client_id: str) -> None:
        self._clients.disable(actor, client_id)  # first: from here on it is nobody
        client = agency.client(client_id)
        if client is None or client.withdrawn_at is None:
            with self._database.unit_of_work() as connection:
                store.change_client(connection, client_id, withdrawn_at=self._clock.now())
                self._audit.append(connection, str(actor), "signing.agency_client_withdrawn", client_id, _of(agency))
        self.end_seals(str(actor), client_id)

    def end_seals(self, by: str, client_id: str) -> None:
        """Withdraw a client's credentials, end what waits or is under way, revoke its certificates."""
        self._signing.holdings.withdraw(by, "owner", client_id)
        self._held.stop(by, client_id)
        self._batches.stop(by, client_id)
        self._seals.revoke(by, client_id)

    def _decide(self, by: Actor, agency: Agency, state: AgencyState, action: str, **values: str | None) -> None:
        with self._database.unit_of_work() as connection:
            decided = {
                "decided_by": str(by),
                "decided_at": self._clock.now(),
                "first_officer": None,
                "first_stage": None,
            }
            store.change(connection, agency, state=state.value, **decided, **values)
            details = {"state": state.value, "mandate": _digest(agency)}
            self._audit.append(connection, str(by), action, agency.agency_id, details)

    def _seconded(self, officer: Actor, agency: Agency, stage: AgencyState) -> bool:
        """Whether another officer approved the same before. AgencySecondOfficer: this one did, or the same person."""
        if agency.first_officer is None or agency.first_stage is not stage:
            return False
        first = agency.first_officer.partition(":")[2]
        if first == officer.id or self._clients.person_of(first) == self._clients.person_of(officer.id):
            raise AgencySecondOfficer
        return True

    def _credentials(self, person_id: str) -> tuple[Credential, ...]:
        return good_credentials(self._signing, self._clock, person_id)

    def _good(self, person_id: str) -> bool:
        return bool(self._credentials(person_id))

    def _require_certificate(self, person_id: str) -> None:
        if not self._good(person_id):
            raise RepresentativeWithoutCertificate

    def require_uninvolved(self, officer: Actor, agency: Agency) -> None:
        """Raises AgencyOfficerInvolved."""
        person = self._clients.person_of(officer.id)
        if person is None or person in {one.person_id for one in agency.representatives}:
            with self._database.unit_of_work() as connection:
                self._audit.append(connection, str(officer), "signing.agency_officer_involved", agency.agency_id)
            raise AgencyOfficerInvolved

    def represented(self, actor: Actor, agency_id: str) -> Agency:
        """An approved organisation that the actor represents, with a good certificate.

        Raises AgencyNotFound, RepresentativeWithoutCertificate, AgencyStateConflict.
        """
        agency = self.visible(actor, agency_id)
        self._require_certificate(actor.id)
        if not agency.state.approved:
            raise AgencyStateConflict
        return agency

    def visible(self, actor: Actor, agency_id: str) -> Agency:
        """For an officer, a representative, or a client. To end rights no more is asked: stopping must be easy.

        Raises AgencyNotFound.
        """
        agency = self._found(agency_id)
        client = agency.client(actor.id) if actor.kind is ActorKind.CLIENT else None
        acts = client is not None and client.withdrawn_at is None
        if actor.kind is not ActorKind.OFFICER and not acts and agency.representative(actor.id) is None:
            raise AgencyNotFound
        return agency

    def _found(self, agency_id: str) -> Agency:
        with self._database.read() as connection:
            agency = store.find(connection, agency_id)
        if agency is None:
            raise AgencyNotFound
        return agency

    def _client(self, agency_id: str, client_id: str) -> AgencyClient:
        client = self._found(agency_id).client(client_id)
        if client is None:
            raise AgencyClientNotFound
        return client


def _digest(agency: Agency) -> str:
    return hashlib.sha256(mandate_of(agency)).hexdigest()


def _of(agency: Agency) -> dict[str, str]:
    return {"agency": agency.agency_id}


def _is_name(text: str) -> bool:
    return text.strip() == text and is_line(text, MAX_NAME)
