"""What organisations need of identity and of the issuing CA: `signing.ports.AgencyClients` and `AgencySeals`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from camtrust.organisations import make_seal_credential, revoke_seals, seal_terms
from camtrust.settings import AgencySettings
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyStore
from foundation.randomness import Randomness
from foundation.vault import Vault
from identity.errors import ActorDisabled, ActorUnknown
from identity.model import ActorStatus
from identity.service import IdentityService
from issuing_ca.service import CertificateAuthority
from signing.agencies.service import Agencies
from signing.batches.service import BatchService
from signing.credential_requests.making import CredentialMaking
from signing.credential_requests.service import CredentialRequests
from signing.held.service import HeldSeals
from signing.ports import SealOrder, SealTerms
from signing.seal_policy import ROLE
from signing.service import SigningService
from signing.webhooks.service import Webhooks


class RegisteredAgencyClients:
    """`signing.ports.AgencyClients` over the registered actors of this process."""

    def __init__(self, identity: IdentityService) -> None:
        self._identity = identity

    def register(self, by: Actor, label: str, public_key: bytes) -> str:
        return self._identity.register_actor(by, ActorKind.CLIENT, label, {ROLE}, public_key).id

    def disable(self, by: Actor, client_id: str) -> None:
        try:
            self._identity.disable_actor(by, client_id)
        except ActorDisabled:
            return

    def acts(self, client_id: str) -> bool:
        try:
            return self._identity.actor(client_id).status is ActorStatus.ACTIVE
        except ActorUnknown:
            return False

    def person_of(self, officer_id: str) -> str | None:
        return self._identity.person_of(officer_id)


@dataclass(frozen=True)
class SealsOfAgencies:
    """`signing.ports.AgencySeals` over the services of this process."""

    identity: IdentityService
    ca: CertificateAuthority
    signing: SigningService
    keys: KeyStore
    clock: Clock

    def terms(self, organisation: str, number: str, *, sandbox: bool) -> SealTerms:
        return seal_terms(self.ca, organisation, number, organisation, self.clock.now(), sandbox=sandbox)

    def make(
        self,
        by: str,
        client_id: str,
        organisation: str,
        number: str,
        *,
        sandbox: bool,
        order: SealOrder | None = None,
    ) -> str:
        made = make_seal_credential(
            self, by, client_id, organisation, number, organisation, sandbox=sandbox, order=order
        )
        return made.credential_id

    def revoke(self, by: str, client_id: str) -> None:
        revoke_seals(self.ca, by, client_id)


def organisations(
    database: Database,
    trail: AuditTrail,
    clock: Clock,
    randomness: Randomness,
    vault: Vault,
    seals: SealsOfAgencies,
    held: HeldSeals,
    batches: BatchService,
    webhooks: Webhooks,
    settings: AgencySettings,
) -> tuple[Agencies, CredentialRequests]:
    """Organisations, and the requests for their seal credentials."""
    base, signing, clients = (
        (database, trail, clock, randomness),
        seals.signing,
        RegisteredAgencyClients(seals.identity),
    )
    officers, ahead = settings.credential_officers, timedelta(days=settings.renewal_days)
    agencies = Agencies(*base, vault, signing, held, batches, clients, seals, settings.officers, officers)
    making = CredentialMaking(*base, agencies, signing, clients, seals, webhooks, ahead)
    return agencies, CredentialRequests(database, clock, vault, agencies, clients, making, webhooks, officers)
