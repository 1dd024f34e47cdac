"""An officer's own signature over a verdict and the digest of the evidence that it is on.

A compact JWS (RFC 7515), ES256 with the officer's registered key, header ``{"alg": "ES256", "typ":
"camtrust-review+json"}``; the payload is the canonical JSON of the statement, so that it can be made again from the
ledger and checked by anybody who has the officer's public key. Check: EKYC-REVIEW-SIGNATURE.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ekyc.errors import ReviewSignatureInvalid
from foundation.canonical import canonical_json

TYPE = "camtrust-review+json"
_ALGORITHM = "ES256"
_HEADER = {"alg": _ALGORITHM, "typ": TYPE}
_MOST = 2000  # characters


def statement(enrolment_id: str, evidence_digest: str, decision: str, method: str, reason: str) -> bytes:
    """What is signed."""
    return canonical_json(
        {
            "decision": decision,
            "enrolment": enrolment_id,
            "evidence": evidence_digest,
            "method": method,
            "reason": reason,
            "type": TYPE,
        }
    )


def sign(key: ec.EllipticCurvePrivateKey, said: bytes) -> str:
    """The signature, as ``signature`` of a review carries it. ``key`` is on P-256 and may be a handle."""
    return jws.serialize_compact(dict(_HEADER), said, ECKey.import_key(key), [_ALGORITHM])


def check(public_key: bytes | None, said: bytes, signature: str) -> None:
    """Raises ReviewSignatureInvalid unless the holder of this key (SubjectPublicKeyInfo, DER) signed exactly this."""
    if public_key is None or len(signature) > _MOST:
        raise ReviewSignatureInvalid
    key = load_der_public_key(public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ReviewSignatureInvalid
    try:
        given = jws.deserialize_compact(signature.encode("ascii"), ECKey.import_key(key), [_ALGORITHM])
    except (JoseError, ValueError):
        raise ReviewSignatureInvalid from None
    if given.headers() != _HEADER or not hmac.compare_digest(given.payload, said):
        raise ReviewSignatureInvalid
