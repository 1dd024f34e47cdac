"""The small world of tests/web/world.py with the authorisation server's doors, and clients with keys."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fastapi import APIRouter, Depends
from joserfc import jws
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from camtrust.web.authorize import create_router as create_page
from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.http.client_certificate import CERTIFICATE_HEADER, SECRET_HEADER
from foundation.http.guard import Guard
from foundation.http.problems import audit_refusals
from foundation.keys.errors import ActivationInvalid, FactorsNotEnrolled, KeyHandleInvalid
from foundation.keys.factors import ApprovalRequest
from foundation.keys.port import Activation
from foundation.randomness import SystemRandomness
from identity.oauth.api import create_router
from identity.oauth.clients import ASSERTION_TYPE
from identity.oauth.id_token import IdTokenSigner
from identity.oauth.service import AuthorizationServer
from identity.ports import VerifiedName
from tests.web.world import ORIGIN, Officer, World, new_jti

SECRET = b"S" * 43
PERSON, PIN, CREDENTIAL = "person-1", "481516", "cred-1"


def client_assertion(world: World, client: Officer, **changes: Any) -> str:
    """A client's assertion; ``changes`` replace claims (None: leave out), ``header`` adds to the header."""
    now = int(world.clock.now().timestamp())
    header = {"alg": "ES256"} | changes.pop("header", {})
    key = changes.pop("key", client.key)
    claims = {"iss": client.actor.id, "sub": client.actor.id, "aud": ORIGIN, "iat": now, "exp": now + 60}
    claims |= {"jti": new_jti()} | changes
    payload = json.dumps({name: value for name, value in claims.items() if value is not None})
    return jws.serialize_compact(header, payload, ECKey.import_key(key), ["ES256"])


def proof(world: World, client: Officer, **changes: Any) -> dict[str, str]:
    """The parameters by which a client proves itself."""
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": client_assertion(world, client, **changes),
    }


def certificate_over(key: ec.EllipticCurvePrivateKey, now: datetime, days: int = 1) -> x509.Certificate:
    """A self-signed certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN client")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
    return made.not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())


def shown(certificate: x509.Certificate, secret: bytes = SECRET) -> dict[str, str]:
    """What the TLS proxy sends along."""
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return {CERTIFICATE_HEADER: quote(pem), SECRET_HEADER: secret.decode()}


class Approvals:
    """`identity.ports.SigningApprovals` in memory: PERSON has one credential; what was permitted is kept."""

    def __init__(self, world: OAuthWorld) -> None:
        self._world = world
        self.permitted: dict[bytes, tuple[str, tuple[bytes, ...]]] = {}

    def permit(
        self, person_id: str, credential_id: str, digests: Sequence[bytes], pin: str, totp: str, client_id: str
    ) -> Activation:
        if (person_id, credential_id) != (PERSON, CREDENTIAL):
            raise KeyHandleInvalid
        self._world.factors.check(person_id, pin, totp)
        token = b"activation-" + os.urandom(8)
        self.permitted[token] = (client_id, tuple(digests))
        return Activation(token, self._world.clock.now() + timedelta(minutes=5))

    def ask(self, *_: Any) -> ApprovalRequest:
        raise FactorsNotEnrolled

    def answer(self, *_: Any) -> Activation:
        raise ActivationInvalid


class Names:
    """`identity.ports.PersonNames` in memory."""

    def name_of(self, person_id: str) -> VerifiedName | None:
        return VerifiedName("SPECIMEN Sok Dara", "Dara", "Sok") if person_id == PERSON else None


class OAuthWorld(World):
    """With ``/oauth2`` and three endpoints of the test: for a client with a role, a person, and a person's client."""

    def __init__(self, database: Database, clock: SetClock) -> None:
        super().__init__(database, clock)
        self.guard = Guard(self.identity, ORIGIN, SECRET)
        self.approvals = Approvals(self)
        self.factors.add(PERSON, PIN)
        self.oauth = AuthorizationServer(
            database,
            clock,
            self.trail,
            SystemRandomness(),
            ORIGIN,
            self.identity,
            approvals=self.approvals,
            signer=IdTokenSigner(ec.generate_private_key(ec.SECP256R1())),
            names=Names(),
        )

    def doors(self, *more: APIRouter) -> TestClient:
        refusals = audit_refusals(self.database, self.trail)
        page = create_page(self.oauth, True, True, refusals)
        routers = [create_router(self.oauth, self.guard, SECRET, refusals), page, _endpoints(self.guard), *more]
        return self.client(routers)

    def oauth_client(self, *roles: str, **registration: Any) -> Officer:
        """A client of the authorisation server; by default for itself."""
        client = self.register(ActorKind.CLIENT, *roles)
        registration.setdefault("grants", ["client_credentials"])
        self.identity.clients.register(None, client.actor.id, **registration)
        return client


def _endpoints(guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/test")

    def told(actor: Actor) -> dict[str, Any]:
        delegated = None if actor.delegation is None else actor.delegation.client_id
        return {"actor": str(actor), "roles": sorted(actor.roles), "client": delegated}

    machine, person, served = guard.client("may-read"), guard.person(), guard.person("service", "credential")

    def for_machines(actor: Annotated[Actor, Depends(machine)]) -> dict[str, Any]:
        return told(actor)

    def for_persons(actor: Annotated[Actor, Depends(person)]) -> dict[str, Any]:
        return told(actor)

    def for_delegates(actor: Annotated[Actor, Depends(served)]) -> dict[str, Any]:
        return told(actor)

    # postponed annotations do not see the guards, which are local names
    for endpoint, guarding in ((for_machines, machine), (for_persons, person), (for_delegates, served)):
        endpoint.__annotations__["actor"] = Annotated[Actor, Depends(guarding)]
    router.add_api_route("/machines", for_machines)
    router.add_api_route("/persons", for_persons)
    router.add_api_route("/delegates", for_delegates)
    return router
