"""What organisations need of identity and of the issuing CA: `signing.ports.AgencyClients` and `AgencySeals`."""

from __future__ import annotations

from dataclasses import dataclass

from camtrust.organisations import make_seal_credential, revoke_seals
from foundation.clock import Clock
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyStore
from identity.errors import ActorDisabled
from identity.service import IdentityService
from issuing_ca.service import CertificateAuthority
from signing.seal_policy import ROLE
from signing.service import SigningService


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

    def make(self, by: str, client_id: str, organisation: str, number: str, *, sandbox: bool) -> str:
        made = make_seal_credential(self, by, client_id, organisation, number, organisation, sandbox=sandbox)
        return made.credential_id

    def revoke(self, by: str, client_id: str) -> None:
        revoke_seals(self.ca, by, client_id)
