"""What the authorisation server says of itself (RFC 8414; OpenID Connect Discovery 1.0). It lists what works."""

from __future__ import annotations

from typing import Any

from identity.oauth.clients import ALGORITHM, METHODS
from identity.oauth.model import CREDENTIAL, PERSON_SCOPES, GrantType


def metadata(issuer: str) -> dict[str, Any]:
    """The document at ``/.well-known/oauth-authorization-server``."""
    at = f"{issuer}/oauth2"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{at}/authorize",
        "pushed_authorization_request_endpoint": f"{at}/par",
        "require_pushed_authorization_requests": True,
        "token_endpoint": f"{at}/token",
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        "revocation_endpoint": f"{at}/revoke",
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        "grant_types_supported": sorted(GrantType),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": sorted(PERSON_SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": [CREDENTIAL],
        "tls_client_certificate_bound_access_tokens": True,
        "ui_locales_supported": ["km", "en"],
    }


def openid_metadata(issuer: str) -> dict[str, Any]:
    """The document at ``/.well-known/openid-configuration``: the same, and what OpenID Connect adds."""
    at = f"{issuer}/oauth2"
    return metadata(issuer) | {
        "jwks_uri": f"{at}/jwks",
        "userinfo_endpoint": f"{at}/userinfo",
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "amr",
            "name",
            "given_name",
            "family_name",
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
