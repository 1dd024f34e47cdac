"""What the authorisation server says of itself (RFC 8414; OpenID Connect Discovery 1.0). It lists what works."""

from __future__ import annotations

from typing import Any

from identity.oauth.clients import ALGORITHM, METHODS
from identity.oauth.model import GrantType


def metadata(issuer: str) -> dict[str, Any]:
    """The document at ``/.well-known/oauth-authorization-server``."""
    at = f"{issuer}/oauth2"
    return {
        "issuer": issuer,
        "token_endpoint": f"{at}/token",
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        "revocation_endpoint": f"{at}/revoke",
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        "grant_types_supported": [GrantType.CLIENT_CREDENTIALS.value],
        "response_types_supported": [],
        "tls_client_certificate_bound_access_tokens": True,
    }
