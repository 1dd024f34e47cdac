"""Canonical JSON: one value, one byte string, so that a digest of it means something.

Follows RFC 8785 for the values we allow: objects with string keys, arrays, strings, integers, booleans and null.
Floating-point numbers are refused rather than normalised.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """UTF-8, sorted keys (by UTF-16 code units, RFC 8785 §3.2.3), no white space; TypeError for a float."""
    return _ENCODER.encode(_checked(value)).encode()


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical form."""
    return hashlib.sha256(canonical_json(value)).digest()


def _checked(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("canonical JSON has string keys only")
        return {key: _checked(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_checked(item) for item in value]
    raise TypeError(f"canonical JSON has no place for a {type(value).__name__}")
