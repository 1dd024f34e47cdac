"""A message as it goes over the wire: signed by a key of ours (RFC 9421), its content named by its hash (RFC 9530).

WM-SIGNED   covered are @method, @target-uri, content-digest, content-type and webhook-id: what is sent, where, which
WM-TIME     created, and expires five minutes later: a message that was caught is of no use afterwards
WM-ONCE     webhook-id is the same for each try of a message, nonce is not: whoever keeps the ids takes each one once
WM-KEY      keyid is the RFC 7638 thumbprint of the key; alg is ecdsa-p256-sha256
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from http_message_signatures import HTTPMessageSigner, algorithms

from foundation.base64url import encoded

VALID_FOR = timedelta(minutes=5)
TAG = "camtrust-webhook"
LABEL = "camtrust"
COVERED = ("@method", "@target-uri", "content-digest", "content-type", "webhook-id")
_OCTETS = 32


@dataclass
class _Request:
    """What the library looks at."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def signed(
    url: str,
    message_id: str,
    body: bytes,
    *,
    public_key: bytes,
    sign: Callable[[bytes], bytes],
    now: datetime,
    nonce: str,
) -> Mapping[str, str]:
    """The headers of a POST of ``body`` to ``url``. ``sign``: ECDSA over SHA-256 of a message, in DER."""
    headers = {"Content-Type": "application/json", "Webhook-Id": message_id}
    request = _Request("POST", url, headers)
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256)
    prepared = signer.prepare(
        request,
        key_id=thumbprint(public_key),
        created=now,
        expires=now + VALID_FOR,
        nonce=nonce,
        label=LABEL,
        tag=TAG,
        covered_component_ids=COVERED,
        body=body,
    )
    r, s = decode_dss_signature(sign(prepared.signature_base))
    signer.apply(request, prepared, r.to_bytes(_OCTETS, "big") + s.to_bytes(_OCTETS, "big"))
    return request.headers


def jwk(public_key: bytes) -> dict[str, str]:
    """The key as a JWK (RFC 7517), with its thumbprint as ``kid``. ``public_key``: DER, on P-256."""
    key = load_der_public_key(public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("webhooks are signed with P-256")
    numbers = key.public_numbers()
    plain = {
        "crv": "P-256",
        "kty": "EC",
        "x": encoded(numbers.x.to_bytes(_OCTETS, "big")),
        "y": encoded(numbers.y.to_bytes(_OCTETS, "big")),
    }
    canonical = json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
    return {**plain, "kid": encoded(hashlib.sha256(canonical).digest()), "alg": "ES256", "use": "sig"}


def thumbprint(public_key: bytes) -> str:
    """RFC 7638."""
    return jwk(public_key)["kid"]
