"""ACME's signed requests (RFC 8555 §6.2): one flattened JWS with url, nonce and either the key or the account's id.

The algorithm must be one that goes with the key: what a header asks for never chooses how a signature is checked.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from foundation.base64url import encoded
from foundation.errors import CamTrustError
from issuing_ca.acme.errors import BadPublicKey, BadSignatureAlgorithm, Malformed, Unauthorized
from issuing_ca.key_checks import check_public_key

ALGORITHMS = ("ES256", "ES384", "RS256", "EdDSA")
MAX_REQUEST = 64 * 1024

_RSA_BITS = 2048
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384"}
_PARAMETERS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
_Key = ECKey | RSAKey | OKPKey


@dataclass(frozen=True)
class AccountKey:
    """A public key in its canonical form: what its holder shows, and nothing beside."""

    jwk: dict[str, Any]
    thumbprint: str  # RFC 7638
    algorithm: str


@dataclass(frozen=True)
class SignedRequest:
    """A request whose signature is not checked yet."""

    compact: str
    algorithm: str
    url: str | None
    nonce: str | None
    kid: str | None
    jwk: dict[str, Any] | None
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The payload as a JSON object. Raises Malformed."""
        return json_object(self.payload, "payload")


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object, strictly. Raises Malformed, naming ``what``."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(what=what) from None
    if not isinstance(value, dict):
        raise Malformed(what=what)
    return value


def read_signed(body: bytes | dict[str, Any]) -> SignedRequest:
    """The parts of a flattened JWS (RFC 7515 §7.2.2 without the unprotected header). Raises Malformed."""
    if isinstance(body, bytes) and len(body) > MAX_REQUEST:
        raise Malformed(what="body")
    document = json_object(body, "body") if isinstance(body, bytes) else body
    if set(document) != {"protected", "payload", "signature"}:
        raise Malformed(what="body")
    protected, payload, signature = (document[name] for name in ("protected", "payload", "signature"))
    if not all(isinstance(part, str) and part.isascii() for part in (protected, payload, signature)):
        raise Malformed(what="body")
    header = json_object(decoded(protected, "protected"), "protected")
    if "crit" in header or "b64" in header:
        raise Malformed(what="protected")
    decoded(signature, "signature")
    for name in ("alg", "url", "nonce", "kid"):
        if not isinstance(header.get(name, ""), str):
            raise Malformed(what=name)
    if "jwk" in header and not isinstance(header["jwk"], dict):
        raise Malformed(what="jwk")
    return SignedRequest(
        compact=f"{protected}.{payload}.{signature}",
        algorithm=header.get("alg", ""),
        url=header.get("url"),
        nonce=header.get("nonce"),
        kid=header.get("kid"),
        jwk=header.get("jwk"),
        payload=decoded(payload, "payload"),
    )


def read_key(jwk: dict[str, Any]) -> AccountKey:
    """A public key that an account may have. Raises BadPublicKey, for private and weak ones too."""
    names = _PARAMETERS.get(str(jwk.get("kty")))
    if names is None or "d" in jwk or not all(isinstance(jwk.get(name), str) for name in names):
        raise BadPublicKey
    if jwk["kty"] == "RSA" and len(jwk["n"]) * 6 < _RSA_BITS:
        raise BadPublicKey  # before the library sees it, which only warns
    public = {name: jwk[name] for name in names}
    try:
        key = _loaded(public)
        check_public_key(key.public_key)
        algorithm = _algorithm(key.public_key)
        thumbprint = key.thumbprint()
    except (JoseError, ValueError, TypeError, OverflowError, CamTrustError):
        raise BadPublicKey from None
    return AccountKey(public, thumbprint, algorithm)


def check_signature(request: SignedRequest, key: AccountKey) -> None:
    """Raises BadSignatureAlgorithm for an algorithm that is not the key's, Unauthorized for a wrong signature."""
    if request.algorithm not in ALGORITHMS or request.algorithm != key.algorithm:
        raise BadSignatureAlgorithm
    _verify(request.compact, _loaded(key.jwk), key.algorithm)


def check_mac(request: SignedRequest, secret: bytes) -> None:
    """The MAC of an external account binding, HS256 alone (RFC 8555 §7.3.4)."""
    if request.algorithm != "HS256":
        raise BadSignatureAlgorithm
    _verify(request.compact, OctKey.import_key(secret), "HS256")


def public_key_of(jwk: dict[str, Any]) -> PublicKeyTypes:
    """The key as `cryptography` has it; ``jwk`` came from :func:`read_key`."""
    return _loaded(jwk).public_key


def decoded(text: str, what: str) -> bytes:
    """Base64url, strictly: no padding, no other characters, one spelling. Raises Malformed."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(what=what) from None
    if encoded(data) != text:
        raise Malformed(what=what)
    return data


def _verify(compact: str, key: _Key | OctKey, algorithm: str) -> None:
    try:
        jws.deserialize_compact(compact, key, registry=_registry(algorithm))
    except (JoseError, ValueError):
        raise Unauthorized from None


class _Registry(JWSRegistry):
    """The library's limits are too small for a header with an RSA key; the whole request is bounded already."""

    max_header_length = MAX_REQUEST
    max_payload_length = MAX_REQUEST
    max_signature_length = MAX_REQUEST


def _registry(algorithm: str) -> JWSRegistry:
    return _Registry(algorithms=[algorithm], strict_check_header=False)


def _loaded(jwk: dict[str, Any]) -> _Key:
    if jwk["kty"] == "EC":
        return ECKey.import_key(jwk)
    return RSAKey.import_key(jwk) if jwk["kty"] == "RSA" else OKPKey.import_key(jwk)


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    raise BadPublicKey
