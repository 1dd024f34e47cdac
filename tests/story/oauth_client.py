"""A client of the authorisation server that shares no code with ours: Authlib, with requests."""

from __future__ import annotations

import time
from typing import Any

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from tests.story.installation import Installation, Staff


def session(assembled: Installation, client: Staff, **arguments: Any) -> OAuth2Session:
    """Authlib's session of a registered client, which proves itself by private_key_jwt to the issuer."""
    made = OAuth2Session(
        client.id, ECKey.import_key(client._key), token_endpoint_auth_method="private_key_jwt", **arguments
    )
    issuer = assembled.services.settings.public_url
    now = int(time.time())
    made.register_client_auth_method(PrivateKeyJWT(issuer, alg="ES256", claims={"exp": now + 120, "iat": now}))
    made.trust_env = False
    return made


def machine_token(assembled: Installation, client: Staff, scope: str) -> str:
    """An access token of a machine, asked for by Authlib over HTTP."""
    with session(assembled, client, scope=scope) as one:
        told = one.fetch_token(f"{assembled.url}/oauth2/token", grant_type="client_credentials")
        return str(told["access_token"])
