"""The use cases of webhooks: addresses, events, and each message until it arrives or is given up."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from foundation.clock import Clock, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.job_requests import request_job
from foundation.http.actor import Actor
from foundation.keys.errors import LabelExists
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.randomness import Randomness
from foundation.vault import Vault
from signing.cursor import read_cursor, write_cursor
from signing.ports import Clients, MessageSender
from signing.webhooks import message, store
from signing.webhooks.errors import TooManyWebhooks, WebhookNotFound, WebhookUnreachable
from signing.webhooks.model import TRIES, Delivery, DeliveryState, Endpoint, EventKind, pause

JOB = "signing.webhook"
"""The kind of job that sends a message; its subject is the id of the message."""

MAX_ENDPOINTS = 10
_LABEL = "webhooks"
_KEPT = timedelta(days=30)


class Webhooks:
    """Addresses of agencies' clients, and the messages to them."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
        keys: KeyStore,
        clients: Clients,
        sender: MessageSender,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._vault, self._keys, self._clients, self._sender = vault, keys, clients, sender
        self._key: KeyInfo | None = None

    # --- addresses ------------------------------------------------------------------------------------------------

    def register(self, actor: Actor, url: str, events: Collection[EventKind]) -> Endpoint:
        """An address that is told of these events from now on. Raises WebhookUrlInvalid, TooManyWebhooks."""
        self._sender.check(url)
        endpoint_id, now = self._randomness.bytes(16).hex(), self._clock.now()
        wanted = frozenset(events) | {EventKind.TEST}
        sealed = self._vault.seal(actor.id, _purpose(endpoint_id), url.encode())
        with self._database.unit_of_work() as connection:
            if len(store.endpoints_of_owner(connection, actor.id)) >= MAX_ENDPOINTS:
                raise TooManyWebhooks(limit=MAX_ENDPOINTS)
            store.insert_endpoint(connection, endpoint_id, actor.id, sealed, wanted, now)
            self._audit.append(connection, str(actor), "signing.webhook_registered", endpoint_id)
        return Endpoint(endpoint_id, actor.id, url, wanted, now)

    def endpoints(self, actor: Actor) -> tuple[Endpoint, ...]:
        """The client's own, the oldest first."""
        with self._database.read() as connection:
            rows = store.endpoints_of_owner(connection, actor.id)
        return tuple(self._endpoint(row) for row in rows)

    def remove(self, actor: Actor, endpoint_id: str) -> None:
        """Send nothing more there, and forget it with its messages. WebhookNotFound."""
        with self._database.unit_of_work() as connection:
            if not store.remove_endpoint(connection, actor.id, endpoint_id):
                raise WebhookNotFound
            self._audit.append(connection, str(actor), "signing.webhook_removed", endpoint_id)

    def deliveries(
        self, actor: Actor, endpoint_id: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[tuple[Delivery, ...], str | None]:
        """The messages to an address, the newest first, and the cursor of the following page. WebhookNotFound."""
        self._owned(actor, endpoint_id)
        limit = max(1, min(limit, 200))
        with self._database.read() as connection:
            found = store.deliveries_of(connection, endpoint_id, read_cursor(cursor), limit + 1)
        page = found[:limit]
        return page, write_cursor(page[-1].sequence) if len(found) > limit else None

    def key(self) -> Mapping[str, str]:
        """The key that messages are verified with, as a JWK. Raises what the key store raises."""
        return message.jwk(self._signing_key().public_key)

    # --- events ---------------------------------------------------------------------------------------------------

    def emit(self, connection: Connection, owner: str, kind: EventKind, data: Mapping[str, Any]) -> int:
        """Tell a client's addresses that want to know, in the transaction of what happened; gives how many messages.

        ``data``: ids, states and counts; never anything personal.
        """
        wanted = [row for row in store.endpoints_of_owner(connection, owner) if kind.value in json.loads(row.events)]
        for row in wanted:
            self._add(connection, row.endpoint_id, owner, kind, data)
        return len(wanted)

    def test(self, actor: Actor, endpoint_id: str) -> Delivery:
        """Send a message that says nothing but that it is a test. WebhookNotFound."""
        self._owned(actor, endpoint_id)
        with self._database.unit_of_work() as connection:
            return self._add(connection, endpoint_id, actor.id, EventKind.TEST, {})

    def deliver(self, delivery_id: str, _ending: Callable[[], bool]) -> datetime | None:
        """The job: one try. Gives when to try again; None when it arrived, was given up, or is not wanted any more."""
        with self._database.read() as connection:
            one = store.delivery(connection, delivery_id)
            row = None if one is None else store.endpoint(connection, one.endpoint_id)
        if one is None or row is None or one.state is not DeliveryState.WAITING:
            return None
        if not self._clients.known(one.owner)[1]:
            self._settle(one, DeliveryState.GIVEN_UP, None, "signing.webhook_not_found")
            return None
        endpoint = self._endpoint(row)
        body, answer, problem = one.body.encode(), None, None
        key = self._signing_key()
        headers = message.signed(
            endpoint.url,
            one.delivery_id,
            body,
            public_key=key.public_key,
            sign=lambda octets: self._keys.sign(key.key_id, Mechanism.ECDSA_SHA256, octets),
            now=self._clock.now(),
            nonce=self._randomness.bytes(16).hex(),
        )
        try:
            answer = self._sender.send(endpoint.url, headers, body)
        except WebhookUnreachable as error:
            problem = f"{error.code}:{error.params.get('rule', '')}"
        if answer is not None and 200 <= answer < 300:
            self._settle(one, DeliveryState.DELIVERED, answer, None)
            return None
        if one.tries + 1 >= TRIES:
            self._settle(one, DeliveryState.GIVEN_UP, answer, problem)
            return None
        self._settle(one, DeliveryState.WAITING, answer, problem)
        return self._clock.now() + pause(one.tries + 1)

    def sweep(self) -> int:
        """Forget messages that were settled a month ago; gives how many."""
        with self._database.unit_of_work() as connection:
            return store.forget(connection, self._clock.now() - _KEPT)

    # --------------------------------------------------------------------------------------------------------------

    def _add(
        self, connection: Connection, endpoint_id: str, owner: str, kind: EventKind, data: Mapping[str, Any]
    ) -> Delivery:
        delivery_id, now = self._randomness.bytes(16).hex(), self._clock.now()
        said = {"id": delivery_id, "type": kind.value, "created_at": rfc3339(now), "data": dict(data)}
        body = json.dumps(said, separators=(",", ":"), sort_keys=True)
        one = Delivery(0, delivery_id, endpoint_id, owner, kind, body, DeliveryState.WAITING, 0, now)
        store.insert_delivery(connection, one)
        request_job(connection, JOB, delivery_id, now)
        return one

    def _settle(self, one: Delivery, state: DeliveryState, answer: int | None, problem: str | None) -> None:
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            store.settle(connection, one, state, tried_at=now, answer=answer, problem=problem)

    def _owned(self, actor: Actor, endpoint_id: str) -> None:
        with self._database.read() as connection:
            row = store.endpoint(connection, endpoint_id)
        if row is None or row.owner != actor.id:
            raise WebhookNotFound

    def _endpoint(self, row: Any) -> Endpoint:
        url = self._vault.open(row.owner, _purpose(row.endpoint_id), row.url).decode()
        events = frozenset(EventKind(one) for one in json.loads(row.events))
        return Endpoint(row.endpoint_id, row.owner, url, events, row.created_at)

    def _signing_key(self) -> KeyInfo:
        """Made the first time that it is asked for."""
        if self._key is None:
            found = self._keys.find(label=_LABEL, use=KeyUse.WEBHOOKS)
            try:
                self._key = found[0] if found else self._keys.generate(_LABEL, KeyAlgorithm.EC_P256, KeyUse.WEBHOOKS)
            except LabelExists:  # another process was first
                self._key = self._keys.find(label=_LABEL, use=KeyUse.WEBHOOKS)[0]
        return self._key


def _purpose(endpoint_id: str) -> str:
    return f"webhook:{endpoint_id}"
