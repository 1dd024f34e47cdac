"""What representatives see of their organisation: its clients' policies, credentials, batches and messages.

Only of an organisation that the person represents now; what is another's is as absent as what never was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyUse
from signing.agencies.errors import AgencyClientNotFound
from signing.agencies.model import Agency, AgencyClient
from signing.agencies.service import Agencies
from signing.batches.model import Batch, Item, Progress
from signing.batches.service import BatchService
from signing.errors import CredentialNotFound, CredentialNotUsable
from signing.model import Credential
from signing.seal_policy import SealPolicy
from signing.service import SigningService
from signing.webhooks.model import Delivery, Endpoint
from signing.webhooks.service import Webhooks

_BATCHES, _DELIVERIES, _ITEMS = 20, 10, 100


@dataclass(frozen=True)
class ClientSeen:
    """A client. ``credential`` None: it has none that can seal now; ``webhooks``: each address with its last messages,
    the newest first."""

    agency: Agency
    client: AgencyClient
    policy: SealPolicy
    credential: Credential | None
    batches: tuple[tuple[Batch, Progress], ...]
    webhooks: tuple[tuple[Endpoint, tuple[Delivery, ...]], ...]


@dataclass(frozen=True)
class BatchSeen:
    """A batch with a page of its documents; ``following``: the cursor of the next page."""

    agency: Agency
    client: AgencyClient
    batch: Batch
    progress: Progress
    items: Sequence[Item]
    following: str | None


class AgencyOverview:
    """Reads for representatives."""

    def __init__(self, agencies: Agencies, signing: SigningService, batches: BatchService, webhooks: Webhooks) -> None:
        self._agencies, self._signing, self._batches, self._webhooks = agencies, signing, batches, webhooks

    def client(self, person: Actor, agency_id: str, client_id: str) -> ClientSeen:
        """Raises AgencyNotFound, AgencyClientNotFound."""
        agency, client, acting = self._of(person, agency_id, client_id)
        batches = self._batches.batches(acting, limit=_BATCHES)[0]
        return ClientSeen(
            agency,
            client,
            self._signing.seal_policies.of(client_id),
            self._credential(acting, client),
            tuple(self._batches.batch(acting, one.batch_id) for one in batches),
            tuple(
                (one, self._webhooks.deliveries(acting, one.endpoint_id, limit=_DELIVERIES)[0])
                for one in self._webhooks.endpoints(acting)
            ),
        )

    def batch(self, person: Actor, agency_id: str, client_id: str, batch_id: str, cursor: str | None) -> BatchSeen:
        """Raises AgencyNotFound, AgencyClientNotFound, BatchNotFound, CursorInvalid."""
        agency, client, acting = self._of(person, agency_id, client_id)
        batch, progress = self._batches.batch(acting, batch_id)
        items, following = self._batches.documents(acting, batch_id, cursor, _ITEMS)
        return BatchSeen(agency, client, batch, progress, items, following)

    def _of(self, person: Actor, agency_id: str, client_id: str) -> tuple[Agency, AgencyClient, Actor]:
        """With the client as an actor: what it may read, its organisation's representatives may."""
        agency = self._agencies.show(person, agency_id)
        client = agency.client(client_id)
        if client is None:
            raise AgencyClientNotFound
        return agency, client, Actor(ActorKind.CLIENT, client_id)

    def _credential(self, acting: Actor, client: AgencyClient) -> Credential | None:
        if client.credential_id is None:
            return None
        try:
            return self._signing.credential(acting, client.credential_id, KeyUse.ORGANISATION_SEAL)
        except (CredentialNotFound, CredentialNotUsable):
            return None
