"""Canonical JSON: one value, one byte string, so that a digest of it means something.

Follows RFC 8785 for the values we allow: objects with string keys, arrays, strings, integers, booleans and null.
Floating-point numbers are refused rather than normalised.
"""

from __future__ import annotations

import hashlib
from json.encoder import encode_basestring
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8, sorted keys (by UTF-16 code units, RFC 8785 §3.2.3), no white space; TypeError for a float."""
    return _written(value).encode()


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical form."""
    return hashlib.sha256(canonical_json(value)).digest()


def _written(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("canonical JSON has string keys only")
        keys = sorted(value, key=_utf16) if len(value) > 1 else value
        return "{" + ",".join([f"{encode_basestring(key)}:{_written(value[key])}" for key in keys]) + "}"
    if isinstance(value, list | tuple):
        return (
            "[" + ",".join([encode_basestring(item) if type(item) is str else _written(item) for item in value]) + "]"
        )
    raise TypeError(f"canonical JSON has no place for a {type(value).__name__}")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")
