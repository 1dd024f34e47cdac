"""The authorisation server's use cases for clients: tokens for themselves, and revocation.

client_credentials   a bearer token with some of the roles that the client was registered with: those it names as
                     scopes, and no others (RFC 6749 §4.4); bound to its certificate where it showed one
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import ActorKind
from foundation.randomness import Randomness
from identity.oauth import store
from identity.oauth.clients import Clients, Proven
from identity.oauth.errors import OAuthRefused, invalid_request
from identity.oauth.model import AccessGrant, GrantType
from identity.oauth.tokens import AccessTokens

MACHINE_LIFETIME = timedelta(minutes=10)


class AuthorizationServer:
    """What ``/oauth2`` does."""

    def __init__(
        self, database: Database, clock: Clock, trail: AuditTrail, randomness: Randomness, issuer: str,
        tokens: AccessTokens,
    ) -> None:  # fmt: skip
        self.issuer = issuer.rstrip("/")
        self._database, self._clock, self._trail, self._randomness = database, clock, trail, randomness
        self.clients = Clients(database, clock, trail, self.issuer)
        self.tokens = tokens

    def token(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The answer of the token endpoint (RFC 6749 §5.1). Raises OAuthRefused."""
        grant = parameters.get("grant_type")
        if grant is None:
            raise invalid_request("grant_type is missing")
        if grant not in set(GrantType):
            raise OAuthRefused("unsupported_grant_type", "only client_credentials and authorization_code")
        if grant not in proven.client.grants:
            raise OAuthRefused("unauthorized_client", "this client was not registered for this grant")
        return self._own_token(proven, parameters)

    def _own_token(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        asked = frozenset(parameters.get("scope", "").split(" ")) - {""}
        if not asked or not asked <= proven.actor.roles:
            raise OAuthRefused("invalid_scope", "name one or more of the roles that this client was registered with")
        now = self._clock.now()
        grant = AccessGrant(proven.client.client_id, None, asked, now + MACHINE_LIFETIME, proven.certificate)
        with self._database.unit_of_work() as connection:
            store.prune(connection, now)
            token = self.tokens.issue(connection, grant)
            who = f"{ActorKind.CLIENT}:{grant.client_id}"
            details = {"scopes": sorted(asked), "bound": grant.certificate is not None}
            self._trail.append(connection, who, "identity.oauth_token_issued", grant.client_id, details)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(MACHINE_LIFETIME.total_seconds()),
            "scope": " ".join(sorted(asked)),
        }

    def revoke(self, proven: Proven, parameters: Mapping[str, str]) -> None:
        """RFC 7009: end a token of this client's. What is not one of its tokens is answered alike (§2.2)."""
        token = parameters.get("token")
        if token is None:
            raise invalid_request("token is missing")
        client_id = proven.client.client_id
        if self.tokens.revoke(token, client_id):
            with self._database.unit_of_work() as connection:
                who = f"{ActorKind.CLIENT}:{client_id}"
                self._trail.append(connection, who, "identity.oauth_token_revoked", client_id)
