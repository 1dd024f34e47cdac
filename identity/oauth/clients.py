"""Clients of the authorisation server: their registration, and how they prove who they are.

A client is a registered actor of kind client; its registered P-256 key proves it, in one of two ways and never in both:

    private_key_jwt               a signed assertion (RFC 7523 §2.2, OpenID Connect Core §9)
        header   {"alg": "ES256"}, and ``typ`` "JWT" or "client-authentication+jwt" where it has one; ``kid`` is ignored
        claims   iss, sub  the client's id      aud  the issuer, alone and exactly      jti  used once
                 iat, exp  seconds, at most 300 apart
    self_signed_tls_client_auth   a certificate over the same key, shown in TLS (RFC 8705 §2.2)

``aud`` is the issuer and not an endpoint's address, so that no other server can be used to collect an assertion for
this one (draft-ietf-oauth-rfc7523bis). An assertion for a request (`identity.assertion`) names its own type and has
other claims: neither passes for the other. Checks:

    OA-01  well formed: size, header and claims as above
    OA-02  iss is a registered, active client of the authorisation server
    OA-03  the signature verifies with the registered key
    OA-04  aud
    OA-05  iat and exp, within 30 s of skew
    OA-06  jti was not used before
    OA-07  the certificate has the registered key, and is current
    OA-08  one proof and no other: no secret, no Authorization header, not both
    OA-09  the client shows a certificate where its registration asks for one
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.http.client_certificate import thumbprint
from identity.errors import ActorUnknown, ClientInvalid
from identity.model import ActorStatus, RegisteredActor
from identity.oauth import store
from identity.oauth.errors import invalid_client
from identity.oauth.model import OAuthClient, checked_client
from identity.store import ActorStore, AssertionStore

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS = ("private_key_jwt", "self_signed_tls_client_auth")
ALGORITHM = "ES256"
MAX_LIFETIME = timedelta(seconds=300)
MAX_SKEW = timedelta(seconds=30)

_TYPES = frozenset({"JWT", "client-authentication+jwt"})
_MAX_SIZE = 4096
_JTI = re.compile(r"^[\x21-\x7e]{16,128}$")


@dataclass(frozen=True)
class Proven:
    """A client that has proved who it is, and the SHA-256 of the certificate that it showed in TLS, if any."""

    client: OAuthClient
    actor: RegisteredActor
    certificate: bytes | None


class Clients:
    """Registers clients and lets them in."""

    def __init__(self, database: Database, clock: Clock, trail: AuditTrail, issuer: str) -> None:
        self._database, self._clock, self._trail = database, clock, trail
        self._issuer = issuer
        self._actors, self._used = ActorStore(), AssertionStore()

    def register(
        self,
        by: Actor | None,
        client_id: str,
        grants: Iterable[str],
        redirect_uris: Iterable[str] = (),
        scopes: Iterable[str] = (),
        certificate_bound: bool = False,
    ) -> OAuthClient:
        """Let a registered actor of kind client use the authorisation server, in place of what it could before.

        ``by``: the operator; None on the machine itself. Raises ActorUnknown, ClientInvalid.
        """
        client = checked_client(client_id, grants, redirect_uris, scopes, certificate_bound)
        who = "installation" if by is None else str(by)
        with self._database.unit_of_work() as connection:
            actor = self._actors.get(connection, client_id)
            if actor is None:
                raise ActorUnknown
            if actor.kind is not ActorKind.CLIENT:
                raise ClientInvalid(field="kind")
            store.keep_client(connection, client, who, self._clock.now())
            details = {
                "grants": sorted(client.grants),
                "redirect_uris": list(client.redirect_uris),
                "scopes": sorted(client.scopes),
                "certificate_bound": certificate_bound,
            }
            self._trail.append(connection, who, "identity.oauth_client_registered", client_id, details)
        return client

    def find(self, client_id: str) -> tuple[OAuthClient, RegisteredActor] | None:
        """An active client; None where there is none of this id."""
        with self._database.read() as connection:
            client = store.client(connection, client_id)
            actor = None if client is None else self._actors.get(connection, client_id)
        if client is None or actor is None or actor.status is not ActorStatus.ACTIVE:
            return None
        return client, actor

    def authenticate(
        self, parameters: Mapping[str, str], certificate: x509.Certificate | None, other_proof: bool
    ) -> Proven:
        """The client behind a request of its own. ``certificate``: shown in TLS; ``other_proof``: there is an
        Authorization header. Raises OAuthRefused: invalid_client."""
        if other_proof or "client_secret" in parameters:
            raise invalid_client("OA-08")
        if "client_assertion" in parameters or "client_assertion_type" in parameters:
            if parameters.get("client_assertion_type") != ASSERTION_TYPE:
                raise invalid_client("OA-01")
            client, actor = self._by_assertion(parameters.get("client_assertion", ""))
            if parameters.get("client_id", client.client_id) != client.client_id:
                raise invalid_client("OA-02")
        elif certificate is not None:
            client, actor = self._by_certificate(parameters.get("client_id", ""), certificate)
        else:
            raise invalid_client("OA-08")
        if client.certificate_bound and certificate is None:
            raise invalid_client("OA-09")
        return Proven(client, actor, None if certificate is None else thumbprint(certificate))

    def _by_certificate(self, client_id: str, certificate: x509.Certificate) -> tuple[OAuthClient, RegisteredActor]:
        found = self.find(client_id)
        if found is None:
            raise invalid_client("OA-02")
        try:
            key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except Exception:  # cryptography raises several for keys that it does not know
            raise invalid_client("OA-07") from None
        current = certificate.not_valid_before_utc <= self._clock.now() <= certificate.not_valid_after_utc
        if key != found[1].public_key or not current:
            raise invalid_client("OA-07")
        return found

    def _by_assertion(self, compact: str) -> tuple[OAuthClient, RegisteredActor]:
        now, claims = self._clock.now(), _claims(compact)
        found = self.find(claims["iss"])
        if found is None:
            raise invalid_client("OA-02")
        client, actor = found
        key = load_der_public_key(actor.public_key)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - no other kind is registered
        try:
            jws.deserialize_compact(compact, ECKey.import_key(key), [ALGORITHM])
        except (JoseError, ValueError):
            raise invalid_client("OA-03") from None
        issued, expires = _time(claims["iat"]), _time(claims["exp"])
        if claims["aud"] != self._issuer:
            raise invalid_client("OA-04")
        current = issued <= now + MAX_SKEW and now < expires + MAX_SKEW
        if not timedelta(0) < expires - issued <= MAX_LIFETIME or not current:
            raise invalid_client("OA-05")
        digest = hashlib.sha256(f"oauth\x00{client.client_id}\x00{claims['jti']}".encode()).digest()
        with self._database.unit_of_work() as connection:
            self._used.prune(connection, now)
            if not self._used.use(connection, digest, expires + MAX_SKEW):
                raise invalid_client("OA-06")
        return client, actor


def _claims(compact: str) -> dict[str, Any]:
    """OA-01: the claims, of the right types and not believed yet."""
    if len(compact) > _MAX_SIZE:
        raise invalid_client("OA-01")
    try:
        unverified = jws.extract_compact(compact.encode("ascii"))
        header, claims = unverified.headers(), json.loads(unverified.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise invalid_client("OA-01") from None
    if not isinstance(claims, dict) or header.get("alg") != ALGORITHM or header.get("typ", "JWT") not in _TYPES:
        raise invalid_client("OA-01")
    if not set(header) <= {"alg", "typ", "kid"}:
        raise invalid_client("OA-01")
    texts = all(isinstance(claims.get(name), str) and claims[name] for name in ("iss", "sub", "aud", "jti"))
    times = all(type(claims.get(name)) is int and 0 < claims[name] < 1 << 33 for name in ("iat", "exp"))
    if not texts or not times or claims["iss"] != claims["sub"] or not _JTI.match(claims["jti"]):
        raise invalid_client("OA-01")
    return claims


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
