"""What a token says, signed with its own key, and how anybody checks it without a token, a database or a network.

A statement is canonical JSON (RFC 8785); the document around it is ``{"statement": {...}, "signature": "<hex>"}``, the
signature ECDSA over P-256 with SHA-256 over the canonical statement. Who checks must know the token's public key from
elsewhere: it is shown when the token is made, and by ``camtrust hsm attest``.

    key          this key pair was made in this token and cannot leave it readable
    destruction  this person's keys were destroyed, and nothing that was sealed for them opens any more
    checkpoint   so far the audit log went, in this epoch of the store
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339, rfc3339
from foundation.keys.errors import AttestationInvalid

FORMAT = "camtrust-token-statement-1"
TOKEN_KEY_HASH = hashes.SHA256()


@dataclass(frozen=True)
class KeyAttestation:
    """About a key. ``public_key`` and ``policy`` are SHA-256 in hexadecimal, of the DER SubjectPublicKeyInfo and of the
    canonical policy. ``kept``: ``token``, or ``wrapped`` when the private half is kept outside, sealed. ``version`` of
    the wrapping. ``emulated``: the token is a program, not a certified device.
    """

    kind: ClassVar[str] = "key"

    token: str
    key_id: str
    owner: str | None
    algorithm: str
    use: str
    public_key: str
    policy: str
    kept: str
    version: int
    at: datetime
    origin: str = "generated"
    exportable: bool = False
    emulated: bool = True


@dataclass(frozen=True)
class DestructionCertificate:
    """About a person (an opaque id): their random key, which existed in the token alone, was deleted at ``at``.

    ``keys`` are the ids of the signing keys that went with it.
    """

    kind: ClassVar[str] = "destruction"

    token: str
    owner: str
    keys: tuple[str, ...]
    at: datetime
    emulated: bool = True


@dataclass(frozen=True)
class Checkpoint:
    """About the store: its epoch, and the last row of the audit log by number and hash (hexadecimal)."""

    kind: ClassVar[str] = "checkpoint"

    token: str
    epoch: int
    sequence: int
    hash: str
    at: datetime


Statement = KeyAttestation | DestructionCertificate | Checkpoint
S = TypeVar("S", KeyAttestation, DestructionCertificate, Checkpoint)
_KINDS: Mapping[str, type[Statement]] = {one.kind: one for one in (KeyAttestation, DestructionCertificate, Checkpoint)}


def document(statement: Statement, sign: Callable[[bytes], bytes]) -> bytes:
    """The statement with its signature; ``sign`` gives the DER ECDSA signature of the octets it gets."""
    value = _value(statement)
    return canonical_json({"statement": value, "signature": sign(canonical_json(value)).hex()})


def verify(document: bytes, token_key: bytes, kind: type[S]) -> S:
    """The statement of a document that the token with this public key (DER SubjectPublicKeyInfo) signed. Pure.

    AttestationInvalid for anything else: another token, another kind, any change, any field more or less.
    """
    try:
        outer = json.loads(document)
        value, signature = outer["statement"], bytes.fromhex(outer["signature"])
        if set(outer) != {"statement", "signature"} or signature.hex() != outer["signature"]:
            raise AttestationInvalid
        key = load_der_public_key(token_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise AttestationInvalid
        key.verify(signature, canonical_json(value), ec.ECDSA(TOKEN_KEY_HASH))
        statement = _statement(value, kind)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature, UnsupportedAlgorithm):
        raise AttestationInvalid from None
    if _value(statement) != value:
        raise AttestationInvalid
    return statement


def verify_any(document: bytes, token_key: bytes) -> Statement:
    """:func:`verify` for a statement of whatever kind it says it is."""
    try:
        kind = json.loads(document)["statement"]["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AttestationInvalid from None
    if kind == KeyAttestation.kind:
        return verify(document, token_key, KeyAttestation)
    if kind == DestructionCertificate.kind:
        return verify(document, token_key, DestructionCertificate)
    return verify(document, token_key, Checkpoint)


def _value(statement: Statement) -> dict[str, Any]:
    value: dict[str, Any] = {"format": FORMAT, "kind": statement.kind}
    for field in fields(statement):
        one = getattr(statement, field.name)
        value[field.name] = rfc3339(one) if isinstance(one, datetime) else list(one) if isinstance(one, tuple) else one
    return value


def _statement(value: dict[str, Any], kind: type[S]) -> S:
    if value["format"] != FORMAT or _KINDS[value["kind"]] is not kind:
        raise AttestationInvalid
    rest = {name: one for name, one in value.items() if name not in ("format", "kind")}
    if set(rest) != {field.name for field in fields(kind)}:
        raise AttestationInvalid
    rest["at"] = parse_rfc3339(rest["at"])
    if "keys" in rest:
        rest["keys"] = tuple(rest["keys"])
    return kind(**rest)
