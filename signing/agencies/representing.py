"""Who speaks for the organisation of a client: representatives who signed its mandate and hold a good certificate."""

from __future__ import annotations

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from signing.agencies import store
from signing.agencies.model import Agency, AgencyClient
from signing.model import Credential, CredentialStatus
from signing.service import SigningService

_MOST = 100


def good_credentials(signing: SigningService, clock: Clock, person_id: str) -> tuple[Credential, ...]:
    """Those of a person's that are good now, by the books of the CA too."""
    now = clock.now()
    return tuple(
        one
        for one in signing.credentials(Actor(ActorKind.PERSON, person_id))
        if one.status is CredentialStatus.ACTIVE
        and one.signatory.certificate.not_valid_before_utc <= now <= one.signatory.certificate.not_valid_after_utc
    )


class Representing:
    """Answers for whom a person may act."""

    def __init__(self, database: Database, clock: Clock, signing: SigningService) -> None:
        self._database, self._clock, self._signing = database, clock, signing

    def clients_of(self, person_id: str) -> tuple[str, ...]:
        """The clients of the approved organisations that a person represents."""
        with self._database.read() as connection:
            found = store.of_person(connection, person_id, _MOST)
        return tuple(
            client.client_id
            for agency in found
            if agency.state.approved and _speaks(agency, person_id)
            for client in agency.clients
        )

    def represents(self, person_id: str, client_id: str) -> AgencyClient | None:
        """The client, where the person speaks for its organisation, which is approved; else None."""
        with self._database.read() as connection:
            agency = store.of_client(connection, client_id)
        if agency is None or not agency.state.approved or not _speaks(agency, person_id):
            return None
        return agency.client(client_id)

    def good(self, person_id: str) -> bool:
        """Whether they hold a certificate that is good now."""
        return bool(good_credentials(self._signing, self._clock, person_id))


def _speaks(agency: Agency, person_id: str) -> bool:
    one = agency.representative(person_id)
    return one is not None and one.signature is not None
