"""Signed assertions: how officers, API clients and operators prove who they are, once per request.

    Authorization: Assertion <JWS, RFC 7515 compact, ES256>
    header   {"alg": "ES256", "typ": "camtrust-assertion+jwt"}
    claims   iss  the actor's id          aud  the service's public URL
             iat, exp  seconds, at most 120 apart       jti  used once
             htm  the method              htu  scheme, authority and path as asked, without the query
             bd   base64url(SHA-256(body)), of the empty string where there is none

The names htm and htu are those of DPoP (RFC 9449 §4.2); the type is explicit so that no other token passes for an
assertion (RFC 8725 §3.11). The algorithm is that of the registered key, never what the header asks for. Checks:

    AS-01  well formed: size, header exactly as above, claims of the right types
    AS-02  iss is a registered, active actor                       (in the service)
    AS-03  the signature verifies with that actor's registered key
    AS-04  aud is this service
    AS-05  iat and exp: at most 120 s apart, current within 30 s of skew
    AS-06  htm is the request's method
    AS-07  htu is the request's address
    AS-08  bd is the digest of the request's body
    AS-09  jti was not used before                                 (in the service)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from foundation.base64url import encoded
from foundation.http.actor import Credential, Unauthenticated
from identity.errors import ActorKeyInvalid

SCHEME = "Assertion"
TYPE = "camtrust-assertion+jwt"
ALGORITHM = "ES256"
MAX_LIFETIME = timedelta(seconds=120)
MAX_SKEW = timedelta(seconds=30)

_MAX_SIZE = 4096
_JTI = re.compile(r"^[\x21-\x7e]{16,64}$")


@dataclass(frozen=True)
class Assertion:
    """The claims of an assertion whose signature is not checked yet: ``issuer`` says whose key to check it with."""

    compact: str
    issuer: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    jti: str
    method: str
    url: str
    body_digest: str


def make_assertion(
    key: ec.EllipticCurvePrivateKey,
    actor_id: str,
    audience: str,
    method: str,
    url: str,
    body: bytes,
    now: datetime,
    jti: str,
    lifetime: timedelta = timedelta(seconds=60),
) -> str:
    """The value of an ``Authorization`` header for one request. ``url`` may have a query, which is not signed.

    ``jti`` is 16 to 64 visible characters that are new each time; ``key`` is on P-256.
    """
    issued = int(now.timestamp())
    claims = {
        "iss": actor_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
        "jti": jti,
        "htm": method.upper(),
        "htu": url.split("?", 1)[0].split("#", 1)[0],
        "bd": body_claim(hashlib.sha256(body).digest()),
    }
    header = {"alg": ALGORITHM, "typ": TYPE}
    return f"{SCHEME} {jws.serialize_compact(header, json.dumps(claims), ECKey.import_key(key), [ALGORITHM])}"


def read_assertion(compact: str) -> Assertion:
    """AS-01. Raises Unauthenticated. Nothing of what it gives may be believed before :func:`check_signature`."""
    if len(compact) > _MAX_SIZE:
        raise Unauthenticated(rule="AS-01")
    try:
        unverified = jws.extract_compact(compact.encode("ascii"))
        header, claims = unverified.headers(), json.loads(unverified.payload)
        if header != {"alg": ALGORITHM, "typ": TYPE}:
            raise Unauthenticated(rule="AS-01")
        assertion = Assertion(
            compact=compact,
            issuer=_text(claims, "iss"),
            audience=_text(claims, "aud"),
            issued_at=_time(claims, "iat"),
            expires_at=_time(claims, "exp"),
            jti=_text(claims, "jti"),
            method=_text(claims, "htm"),
            url=_text(claims, "htu"),
            body_digest=_text(claims, "bd"),
        )
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise Unauthenticated(rule="AS-01") from None
    if not _JTI.match(assertion.jti):
        raise Unauthenticated(rule="AS-01")
    return assertion


def check_signature(assertion: Assertion, public_key: bytes) -> None:
    """AS-03, with a DER SubjectPublicKeyInfo. Raises Unauthenticated."""
    key = load_der_public_key(public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - read_public_key lets no other kind in
    try:
        jws.deserialize_compact(assertion.compact, ECKey.import_key(key), [ALGORITHM])
    except (JoseError, ValueError):
        raise Unauthenticated(rule="AS-03") from None


def check_binding(assertion: Assertion, credential: Credential, audience: str, now: datetime) -> None:
    """AS-04 to AS-08: made for this service, now, and for this very request. Raises Unauthenticated."""
    lifetime = assertion.expires_at - assertion.issued_at
    current = assertion.issued_at <= now + MAX_SKEW and now < assertion.expires_at + MAX_SKEW
    body = hmac.compare_digest(assertion.body_digest.encode(), body_claim(credential.body_digest).encode())
    for rule, holds in (
        ("AS-04", assertion.audience == audience),
        ("AS-05", timedelta(0) < lifetime <= MAX_LIFETIME and current),
        ("AS-06", assertion.method == credential.method),
        ("AS-07", assertion.url == credential.url),
        ("AS-08", body),
    ):
        if not holds:
            raise Unauthenticated(rule=rule)


def read_public_key(data: bytes) -> bytes:
    """A public key, PEM or DER, as the DER SubjectPublicKeyInfo of a P-256 key. Raises ActorKeyInvalid."""
    try:
        loaded = load_pem_public_key(data) if data.lstrip().startswith(b"-----") else load_der_public_key(data)
    except Exception:  # cryptography raises ValueError, UnsupportedAlgorithm and, for odd curves, others
        raise ActorKeyInvalid from None
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise ActorKeyInvalid
    return loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def body_claim(sha256: bytes) -> str:
    """How a body's digest stands in an assertion: base64url without padding."""
    return encoded(sha256)


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    return value


def _time(claims: dict[str, Any], name: str) -> datetime:
    value = claims[name]
    if type(value) is not int or not 0 < value < 1 << 33:
        raise ValueError(name)
    return datetime.fromtimestamp(value, UTC)
