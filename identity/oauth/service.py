"""The authorisation server's use cases for clients: tokens, who a token's person is, and revocation.

    client_credentials   a bearer token with some of the roles that the client was registered with: those it names as
                         scopes, and no others (RFC 6749 §4.4)
    authorization_code   a token for what a person allowed; with an ID token for scope openid. That of scope credential
                         lasts as long as the key store's activation, and is the SAD of the CSC API

Tokens are bound to the certificate that the client showed, if it showed one (RFC 8705 §3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.http.actor import Actor, ActorKind, Forbidden
from foundation.randomness import Randomness
from identity.oauth import store
from identity.oauth.authorization import Authorizations, Redeemed
from identity.oauth.clients import Clients, Proven
from identity.oauth.errors import OAuthRefused, invalid_grant, invalid_request
from identity.oauth.id_token import IdTokenSigner
from identity.oauth.model import CREDENTIAL, OPENID, PROFILE, SERVICE, AccessGrant, GrantType
from identity.oauth.tokens import AccessTokens, secret
from identity.ports import PersonNames, ReportedClients, SigningApprovals
from identity.service import IdentityService

MACHINE_LIFETIME = timedelta(minutes=10)
SERVICE_LIFETIME = timedelta(minutes=30)
LOGIN_LIFETIME = timedelta(minutes=10)


class AuthorizationServer:
    """What ``/oauth2`` does. Without ``signer`` there is no OpenID Connect, without ``approvals`` no signing."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        trail: AuditTrail,
        randomness: Randomness,
        issuer: str,
        identity: IdentityService,
        *,
        approvals: SigningApprovals | None = None,
        signer: IdTokenSigner | None = None,
        names: PersonNames | None = None,
        reported: ReportedClients | None = None,
    ) -> None:
        self.issuer = issuer.rstrip("/")
        self._database, self._clock, self._trail, self._randomness = database, clock, trail, randomness
        self._names = names
        self.signer = signer
        self.clients: Clients = identity.clients
        self.tokens: AccessTokens = identity.tokens
        self.authorizations = Authorizations(
            database, clock, trail, randomness, self.issuer, identity.clients, identity.proofs, approvals, reported
        )

    def push(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The answer of the pushed authorisation request endpoint (RFC 9126 §2.2). Raises OAuthRefused."""
        if GrantType.AUTHORIZATION_CODE not in proven.client.grants:
            raise OAuthRefused("unauthorized_client", "this client was not registered for this grant")
        if self.signer is None and OPENID in parameters.get("scope", "").split(" "):
            raise OAuthRefused("invalid_scope", "there is no OpenID Connect here")
        return self.authorizations.push(proven, parameters)

    def token(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The answer of the token endpoint (RFC 6749 §5.1). Raises OAuthRefused."""
        grant = parameters.get("grant_type")
        if grant is None:
            raise invalid_request("grant_type is missing")
        if grant not in set(GrantType):
            raise OAuthRefused("unsupported_grant_type", "only client_credentials and authorization_code")
        if grant not in proven.client.grants:
            raise OAuthRefused("unauthorized_client", "this client was not registered for this grant")
        if grant == GrantType.CLIENT_CREDENTIALS:
            return self._own_token(proven, parameters)
        return self._person_token(proven, self.authorizations.redeem(proven, parameters))

    def _own_token(self, proven: Proven, parameters: Mapping[str, str]) -> dict[str, Any]:
        asked = frozenset(parameters.get("scope", "").split(" ")) - {""}
        if not asked or not asked <= proven.actor.roles:
            raise OAuthRefused("invalid_scope", "name one or more of the roles that this client was registered with")
        now = self._clock.now()
        grant = AccessGrant(proven.client.client_id, None, asked, now + MACHINE_LIFETIME, proven.certificate)
        return self._issued(grant)

    def _person_token(self, proven: Proven, redeemed: Redeemed) -> dict[str, Any]:
        now, signing, permitted = self._clock.now(), redeemed.request.signing, redeemed.activation
        lifetime = SERVICE_LIFETIME if SERVICE in redeemed.scopes else LOGIN_LIFETIME
        expires = now + lifetime if permitted is None else permitted.expires
        grant = AccessGrant(
            proven.client.client_id,
            redeemed.person_id,
            redeemed.scopes,
            expires,
            proven.certificate,
            None if signing is None else signing.credential_id,
            () if signing is None else signing.digests,
        )
        answer = self._issued(grant, None if permitted is None else permitted.token, redeemed.code)
        if signing is not None:  # CSC API v2 §8.4.4; RFC 9396 §7
            answer["credentialID"] = signing.credential_id
            answer["authorization_details"] = [
                {
                    "type": CREDENTIAL,
                    "credentialID": signing.credential_id,
                    "hashAlgorithmOID": signing.digest_algorithm,
                }
            ]
        if OPENID in redeemed.scopes and self.signer is not None:
            answer["id_token"] = self.signer.sign(
                self.issuer,
                grant.client_id,
                self.subject(grant.client_id, redeemed.person_id),
                now,
                redeemed.authenticated_at,
                redeemed.methods,
                answer["access_token"],
                redeemed.request.nonce,
            )
        return answer

    def _issued(self, grant: AccessGrant, activation: bytes | None = None, code: bytes | None = None) -> dict[str, Any]:
        now, scopes = self._clock.now(), sorted(grant.scopes)
        with self._database.unit_of_work() as connection:
            store.prune(connection, now)
            if code is not None:
                try:
                    store.stand_by_code(connection, code)
                except StaleWrite:
                    raise invalid_grant("OC-03") from None
            token = self.tokens.issue(connection, grant, activation=activation, code=code)
            who = f"{ActorKind.CLIENT}:{grant.client_id}"
            details = {"scopes": scopes, "bound": grant.certificate is not None}
            subject = grant.person_id or grant.client_id
            self._trail.append(connection, who, "identity.oauth_token_issued", subject, details)
        left = int((grant.expires_at - now).total_seconds())
        return {"access_token": token, "token_type": "Bearer", "expires_in": left, "scope": " ".join(scopes)}

    def subject(self, client_id: str, person_id: str) -> str:
        """The name that this client, and no other, knows the person by: random, and the same each time."""
        new = "sub_" + secret(self._randomness)
        with self._database.unit_of_work() as connection:
            return store.subject(connection, client_id, person_id, new)

    def userinfo(self, actor: Actor) -> dict[str, str]:
        """What the client may know of the person (OpenID Connect Core §5.3): its name for them, and their name where
        they allowed that. Raises Forbidden for a person who comes themselves."""
        if actor.delegation is None:
            raise Forbidden(rule="AT-04")
        told = {"sub": self.subject(actor.delegation.client_id, actor.id)}
        if PROFILE in actor.delegation.scopes and self._names is not None:
            known = self._names.name_of(actor.id)
            if known is not None:
                parts = {"name": known.name, "given_name": known.given_name, "family_name": known.family_name}
                told |= {claim: value for claim, value in parts.items() if value}
        return told

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
