"""ID tokens (OpenID Connect Core §2): who logged in at whose request, signed by a key of the key store, ES256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey

from foundation.base64url import encoded

LIFETIME = timedelta(minutes=5)
ALGORITHM = "ES256"


class _HeldKey(ECKey):
    """An EC key behind a handle. `joserfc` reads a key's use out of its JWK, and would ask a private key for its
    numbers to make one: here it reads the public key's."""

    @property
    def dict_value(self) -> Any:
        return ECKey.import_key(self.public_key).as_dict(private=False)


class IdTokenSigner:
    """Signs ID tokens. ``key`` is on P-256 and a handle: the key itself stays in the key store."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = _HeldKey.import_key(key)
        public = ECKey.import_key(key.public_key())
        self.key_id = str(public.thumbprint())  # RFC 7638
        self.jwks: dict[str, Any] = {
            "keys": [{**public.as_dict(private=False), "kid": self.key_id, "use": "sig", "alg": ALGORITHM}]
        }

    def sign(
        self,
        issuer: str,
        client_id: str,
        subject: str,
        now: datetime,
        authenticated_at: datetime,
        methods: tuple[str, ...],
        access_token: str,
        nonce: str | None,
    ) -> str:
        """The token in compact form. ``methods``: names of RFC 8176."""
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": subject,
            "aud": client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "auth_time": int(authenticated_at.timestamp()),
            "amr": list(methods),
            "at_hash": half_hash(access_token),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return self._compact(claims)

    def _compact(self, claims: Mapping[str, Any]) -> str:
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self.key_id}
        return jws.serialize_compact(header, json.dumps(claims), self._key, [ALGORITHM])


def half_hash(token: str) -> str:
    """``at_hash``: the left half of the SHA-256 (OpenID Connect Core §3.1.3.6)."""
    return encoded(hashlib.sha256(token.encode("ascii")).digest()[:16])
