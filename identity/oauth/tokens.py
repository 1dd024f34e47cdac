"""Access tokens: 256 random bits, of which only the SHA-256 is stored; revocable at once (decision 0022).

**For rooms that take them.** The guard turns a token into an Actor: a client with the roles that its scopes name, or a
person whose ``delegation`` says which client acts for them and with which scopes; an endpoint takes the latter only
where it asks for a scope, ``guard.person("service")``. :meth:`AccessTokens.grant` gives the :class:`AccessGrant` behind
a token: which person and client it stands for, which scopes, which credential and approved digests.
:meth:`AccessTokens.activation` gives what the key store wants to see before it signs these digests; a token of scope
``credential`` is thus the signature activation data (SAD) of the CSC API. Checks:

    AT-01  the token is one of ours, current and not revoked
    AT-02  its client is active
    AT-03  bound to a certificate, it comes with that certificate (RFC 8705 §3)
    AT-04  it has the scope that the endpoint asks for                            (in the guard)
    AT-05  the activation is asked for by the client, for the person and credential that it was given for
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection

from foundation.base64url import typable
from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.http.actor import Actor, Unauthenticated
from foundation.randomness import Randomness
from identity.model import ActorStatus
from identity.oauth import store
from identity.oauth.model import AccessGrant

PREFIX = "cta_"  # so that a token that leaks into a file can be recognised by scanners
_TOKEN = re.compile(r"^cta_[A-Za-z0-9_-]{43}$")
_NONCE = 12


class AccessTokens:
    """Makes, checks and revokes access tokens."""

    def __init__(self, database: Database, clock: Clock, randomness: Randomness) -> None:
        self._database, self._clock, self._randomness = database, clock, randomness

    def issue(
        self,
        connection: Connection,
        grant: AccessGrant,
        *,
        activation: bytes | None = None,
        code: bytes | None = None,
    ) -> str:
        """A new token, in the caller's unit of work; told once. ``activation`` is kept sealed under the token itself:
        who has the database alone cannot use it. ``code``: the digest of the code that it came from."""
        token = PREFIX + secret(self._randomness)
        sealed = None if activation is None else seal(token, activation, self._randomness)
        store.add_token(connection, digest_of(token), grant, self._clock.now(), activation=sealed, code=code)
        return token

    def authenticate(self, token: str, certificate: bytes | None) -> Actor:
        """Whom a token stands for. ``certificate``: SHA-256 of the one shown. Raises Unauthenticated."""
        grant, roles, _ = self._current(token)
        if grant.certificate is not None and not hmac.compare_digest(grant.certificate, certificate or b""):
            raise Unauthenticated(rule="AT-03")
        return grant.acting(roles)

    def grant(self, token: str) -> AccessGrant:
        """What a token stands for. Raises Unauthenticated. Whoever shows it is not looked at."""
        return self._current(token)[0]

    def is_token(self, text: str) -> bool:
        """Whether this is meant to be a token of ours, good or not."""
        return text.startswith(PREFIX)

    def activation(self, token: str, client_id: str, person_id: str, credential_id: str) -> bytes:
        """The key store's activation behind a token of scope ``credential``: for the client that it was given to, for
        this person and credential. Raises Unauthenticated."""
        grant, _, sealed = self._current(token)
        if sealed is None or (client_id, person_id, credential_id) != (
            grant.client_id,
            grant.person_id,
            grant.credential_id,
        ):
            raise Unauthenticated(rule="AT-05")
        return unseal(token, sealed)

    def revoke(self, token: str, client_id: str) -> bool:
        """End a token of this client's (RFC 7009 §2.1); False where there is none."""
        if not _TOKEN.match(token):
            return False
        with self._database.unit_of_work() as connection:
            return store.revoke_token(connection, digest_of(token), client_id, self._clock.now())

    def revoke_person(self, person_id: str) -> int:
        """End every token that stands for a person; gives how many there were."""
        with self._database.unit_of_work() as connection:
            return store.revoke_person(connection, person_id, self._clock.now())

    def _current(self, token: str) -> tuple[AccessGrant, frozenset[str], bytes | None]:
        if not _TOKEN.match(token):
            raise Unauthenticated(rule="AT-01")
        with self._database.read() as connection:
            row = store.token(connection, digest_of(token), self._clock.now())
        if row is None:
            raise Unauthenticated(rule="AT-01")
        if row.status != ActorStatus.ACTIVE.value:
            raise Unauthenticated(rule="AT-02")
        return store.grant_of(row), frozenset(json.loads(row.roles)), row.activation


def secret(randomness: Randomness) -> str:
    """256 random bits as text for addresses and headers."""
    return typable(randomness, 32)


def digest_of(text: str) -> bytes:
    """SHA-256: enough for 256 random bits."""
    return hashlib.sha256(text.encode()).digest()


def seal(under: str, data: bytes, randomness: Randomness) -> bytes:
    """``data`` for whoever has the secret text ``under`` (AES-256-GCM, key by HKDF)."""
    nonce = randomness.bytes(_NONCE)
    return nonce + AESGCM(_key(under)).encrypt(nonce, data, None)


def unseal(under: str, sealed: bytes) -> bytes:
    """What :func:`seal` was given."""
    return AESGCM(_key(under)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)


def _key(under: str) -> bytes:
    return HKDF(SHA256(), 32, None, b"camtrust-oauth-activation-1").derive(under.encode())
