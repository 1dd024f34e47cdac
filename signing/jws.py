"""JSON Web Signatures (RFC 7515) as JAdES uses them: names, algorithms, and JSON that says one thing alone."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from foundation.base64url import encoded
from foundation.log_proof import PROOF_ATTRIBUTE, PROOF_ATTRIBUTES
from foundation.x509.signature_check import Scheme

LOG_PROOF = f"urn:oid:{PROOF_ATTRIBUTE}"
"""The member of etsiU that holds a proof of the issuance log."""
LOG_PROOFS = tuple(f"urn:oid:{one}" for one in PROOF_ATTRIBUTES)
"""The members that one is read from."""
# RFC 7518 §3.1, RFC 9964 §4: a scheme, a hash, and for ECDSA the one curve. Neither "none" nor HMAC.
ALGORITHMS: dict[str, tuple[Scheme, str, str | None]] = {
    "ES256": (Scheme.ECDSA, "sha256", "secp256r1"),
    "ES384": (Scheme.ECDSA, "sha384", "secp384r1"),
    "ES512": (Scheme.ECDSA, "sha512", "secp521r1"),
    "RS256": (Scheme.RSA_PKCS1, "sha256", None),
    "RS384": (Scheme.RSA_PKCS1, "sha384", None),
    "RS512": (Scheme.RSA_PKCS1, "sha512", None),
    "PS256": (Scheme.RSA_PSS, "sha256", None),
    "PS384": (Scheme.RSA_PSS, "sha384", None),
    "PS512": (Scheme.RSA_PSS, "sha512", None),
    "ML-DSA-44": (Scheme.ML_DSA, "", None),
    "ML-DSA-65": (Scheme.ML_DSA, "", None),
    "ML-DSA-87": (Scheme.ML_DSA, "", None),
}
_ML_DSA = {
    mldsa.MLDSA44PublicKey: "ML-DSA-44",
    mldsa.MLDSA65PublicKey: "ML-DSA-65",
    mldsa.MLDSA87PublicKey: "ML-DSA-87",
}
MAX_SIZE = 64 * 1024 * 1024
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


class JsonRefused(ValueError):
    """JSON that can be read in two ways, or is none."""


def algorithm_of(public_key: object, hash_name: str, *, pss: bool = False) -> str:
    """The name of the algorithm that a key signs with. ValueError for a kind that has none here."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return next(name for name, one in ALGORITHMS.items() if one[2] == public_key.curve.name)
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"{'PS' if pss else 'RS'}{hash_name.removeprefix('sha')}"
    name = ml_dsa_name(public_key)
    if name is None:
        raise ValueError("a key of no JSON Web Signature")
    return name


def ml_dsa_name(public_key: object) -> str | None:
    """The name of the algorithm of an ML-DSA key; None for a key of another kind."""
    return next((name for kind, name in _ML_DSA.items() if isinstance(public_key, kind)), None)


def thumbprint(certificate: x509.Certificate) -> str:
    """x5t#S256 of a certificate (RFC 7515 §4.1.8)."""
    return encoded(certificate.fingerprint(hashes.SHA256()))


def decode(text: object) -> bytes:
    """The inverse, where there is one: no padding, no white space, no spare bits. JsonRefused."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise JsonRefused
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise JsonRefused from error
    if encoded(octets) != text:
        raise JsonRefused
    return octets


def decode_base64(text: object) -> bytes:
    """Plain base64, as x5c and timestamp tokens have it. JsonRefused."""
    if not isinstance(text, str):
        raise JsonRefused
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise JsonRefused from error


def read(octets: bytes) -> dict[str, Any]:
    """A JSON object (RFC 8259) in UTF-8 in which no name stands twice. JsonRefused."""
    try:
        value = json.loads(octets.decode("utf-8"), object_pairs_hook=_once, parse_constant=_never)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise JsonRefused from error
    if not isinstance(value, dict):
        raise JsonRefused
    return value


def member(value: object) -> dict[str, Any]:
    """A member of etsiU: an object, in the clear or as base64url (TS 119 182-1 §5.3.1). JsonRefused."""
    found = read(decode(value)) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise JsonRefused
    return found


def archived_text(payload: str, protected: str, signature: str, members: Iterable[str]) -> bytes:
    """What an archive timestamp is over (TS 119 182-1 §5.3.6.2.3): payload, protected header and signature value, then
    the members of etsiU that stand before it, all as base64url."""
    return ".".join((payload, protected, signature, "".join(members))).encode()


def write(value: dict[str, Any]) -> bytes:
    """JSON without spaces, names in order."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefused
    return found


def _never(_: str) -> None:
    raise JsonRefused
