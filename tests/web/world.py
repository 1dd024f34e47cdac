"""A small world for tests at the edge: an application with the identity room, and actors with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

import foundation.db.audit
import foundation.http.idempotency
import identity.store
from camtrust.web.app import WebSettings, create_app
from camtrust.web.raw import Raw
from foundation.clock import SetClock
from foundation.db.audit import AuditTrail, create_head
from foundation.db.engine import Database
from foundation.http.actor import ActorKind
from foundation.http.guard import Guard
from foundation.http.idempotency_store import IdempotencyStore
from foundation.http.problems import audit_refusals
from foundation.vault import Vault
from identity.api import create_router
from identity.assertion import make_assertion
from identity.model import RegisteredActor
from identity.service import IdentityService
from tests.web.keys_in_memory import MemoryFactors, MemoryPersonKeys

ORIGIN = "https://trust.example"
_numbers = count()


def new_jti() -> str:
    """A jti that no other test of this run has."""
    return f"test-assertion-{next(_numbers):08d}"


@dataclass
class Officer:
    """A registered actor (of any registrable kind) with its private key."""

    actor: RegisteredActor
    key: ec.EllipticCurvePrivateKey

    def sign(self, world: World, method: str, path: str, body: bytes = b"", **changes: Any) -> str:
        """An Authorization header; ``changes`` replace arguments of make_assertion."""
        arguments: dict[str, Any] = {
            "key": self.key,
            "actor_id": self.actor.id,
            "audience": ORIGIN,
            "method": method,
            "url": ORIGIN + path,
            "body": body,
            "now": world.clock.now(),
            "jti": new_jti(),
        }
        return make_assertion(**(arguments | changes))


@dataclass
class World:
    """Everything that a test at the edge needs; :meth:`app` puts routers of the test beside the identity room's."""

    database: Database
    clock: SetClock
    keys: MemoryPersonKeys = field(default_factory=MemoryPersonKeys)
    factors: MemoryFactors = field(default_factory=MemoryFactors)

    def __post_init__(self) -> None:
        for metadata in (
            foundation.db.audit.metadata,
            foundation.http.idempotency.metadata,
            identity.store.metadata,
        ):
            metadata.create_all(self.database.engine)
        with self.database.unit_of_work() as connection:
            create_head(connection)
        self.trail = AuditTrail(self.clock)
        self.identity = IdentityService(self.database, self.clock, self.trail, self.factors, ORIGIN)
        self.guard = Guard(self.identity, ORIGIN)
        self.store = IdempotencyStore(self.database, Vault(self.keys), self.clock)

    def app(self, routers: Sequence[APIRouter] = (), raw: Sequence[Raw] = (), **settings: Any) -> FastAPI:
        return create_app(
            WebSettings(public_url=ORIGIN, version="0.1.0", **settings),
            routers=[create_router(self.identity, self.guard), *routers],
            raw=raw,
            on_refusal=audit_refusals(self.database, self.trail),
            idempotency=self.store,
        )

    def client(self, routers: Sequence[APIRouter] = (), raw: Sequence[Raw] = (), **settings: Any) -> TestClient:
        return TestClient(self.app(routers, raw, **settings), base_url=ORIGIN, raise_server_exceptions=False)

    def register(self, kind: ActorKind, *roles: str) -> Officer:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return Officer(self.identity.register_actor(None, kind, f"SPECIMEN {kind}", roles, pem), key)

    def credential(self, kind: ActorKind, method: str, path: str, body: bytes) -> str:
        """The header of a fresh actor of ``kind`` without roles (a person: with a session)."""
        if kind is ActorKind.PERSON:
            return f"Bearer {self.identity.open('person-of-the-test')}"
        return self.register(kind).sign(self, method, path, body)

    def refusals(self) -> list[dict[str, Any]]:
        """The refusals in the audit trail, oldest first."""
        import json

        from sqlalchemy import select

        events = foundation.db.audit.events
        with self.database.read() as connection:
            rows = connection.execute(
                select(events).where(events.c.action == "http.refused").order_by(events.c.sequence)
            ).all()
        return [{"actor": row.actor, "subject": row.subject, **json.loads(row.details)} for row in rows]
