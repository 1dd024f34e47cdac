"""What clients send, read leniently where the API says so and strictly where a signature depends on it.

Version 1 and version 2 name the same things differently, and clients mix them: both are understood on both addresses.
What nobody knows is passed over, as the API asks (v1.0.4 §8.1).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from foundation.keys.activation import PasskeyAssertion, PinTotp, Proof
from signing.csc.algorithms import DIGESTS
from signing.csc.errors import CscRefused

MOST_HASHES = 1000
_LONGEST = 4096  # characters of any one value
_LONGEST_ASSERTION = 16 * 1024


def text(body: dict[str, Any], *names: str, required: bool = True, longest: int = _LONGEST) -> str:
    """The first of these that is there, as text. CscRefused where it is missing, empty or no text."""
    for name in names:
        if name in body:
            value = body[name]
            if not isinstance(value, str) or not value or len(value) > longest or not _is_text(value):
                raise CscRefused("invalid_request", f"{name} is not a text")
            return value
    if required:
        raise CscRefused("invalid_request", f"{names[0]} is missing")
    return ""


def _is_text(value: str) -> bool:
    """Whether it can be stored anywhere: no NUL, no half of a surrogate pair."""
    return "\x00" not in value and not any("\ud800" <= one <= "\udfff" for one in value)


def number(body: dict[str, Any], name: str, default: int | None, most: int) -> int:
    """A positive number; some clients send it as text."""
    value = body.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if type(value) is not int or not 1 <= value <= most:
        raise CscRefused("invalid_request", f"{name} is not a number from 1 to {most}")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise CscRefused("invalid_request", f"{name} is not true or false")
    return value


def hashes(body: dict[str, Any]) -> list[bytes]:
    """The digests: ``hash`` (v1) or ``hashes`` (v2); one by itself or a list, Base64."""
    value = body.get("hashes", body.get("hash"))
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_HASHES:
        raise CscRefused("invalid_request", f"hash is not a list of 1 to {MOST_HASHES} digests")
    return [octets(one, "hash") for one in value]


def octets(value: Any, name: str, longest: int | None = _LONGEST) -> bytes:
    """Base64, or Base64 for URLs, with or without padding; None: as long as the body may be."""
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise CscRefused("invalid_request", f"{name} is not Base64")
    standard = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise CscRefused("invalid_request", f"{name} is not Base64") from None


def digest_algorithm(body: dict[str, Any], required: bool) -> str | None:
    """The OID of the digest, where it is named. CscRefused for one that is not taken here."""
    name = text(body, "hashAlgorithmOID", "hashAlgo", required=required)
    if not name:
        return None
    if name not in DIGESTS:
        raise CscRefused("invalid_request", "hashAlgo is not one of SHA-256, SHA-384 and SHA-512")
    return name


def proof(body: dict[str, Any]) -> Proof:
    """PIN and OTP (v1), the same in authData (v2), or there the answer of a passkey."""
    given: dict[str, str] = {}
    data = body.get("authData", [])
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise CscRefused("invalid_request", "authData is not a list")
    for one in data[:10]:
        given[text(one, "id")] = text(one, "value", longest=_LONGEST_ASSERTION)
    if "PASSKEY" in given:
        return PasskeyAssertion(given["PASSKEY"])
    pin = given.get("PIN") or text(body, "PIN", required=False)
    otp = given.get("OTP") or text(body, "OTP", required=False)
    if not pin:
        raise CscRefused("invalid_request", "PIN is missing")
    if not otp:
        raise CscRefused("invalid_request", "OTP is missing")
    return PinTotp(pin, otp)
