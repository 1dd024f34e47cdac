"""What the registration authority says before a citizen's certificate is issued, signed with its own key. Pure.

A statement permits one certificate: for this person, with this subject and this key, by this authority, profile and
level, on this evidence, until it expires. Its canonical form is RFC 8785 JSON; the document around it is
``{"approval": {...}, "key": "<hex>", "signature": "<hex>"}``: the signer's SubjectPublicKeyInfo, and ECDSA over P-256
with SHA-256 over the canonical statement. The key in the document proves nothing: who checks knows the SHA-256 of the
key from elsewhere, and not from a database.

    APPROVAL-MISSING     no document where one is asked for
    APPROVAL-FORM        not this document, field for field, in its canonical form
    APPROVAL-SIGNER      not the registration authority's key that was pinned
    APPROVAL-SIGNATURE   the signature is not of this statement under that key
    APPROVAL-TIME        expired, for longer than an hour, or from the future
    APPROVAL-BOUND       a field says otherwise than the certificate; ``field`` names it
    APPROVAL-USED        a certificate was issued for it, or was about to be
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339, rfc3339
from foundation.errors import CamTrustError, Kind

FORMAT = "camtrust-approval-1"
LIFETIME = timedelta(minutes=10)
_LONGEST = timedelta(hours=1)
_SKEW = timedelta(minutes=1)
_MOST_OCTETS = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[!-~]{1,200}")
_DIGESTS = frozenset({"subject", "public_key", "evidence"})


class ApprovalRefused(CamTrustError):
    """``rule``: which check; ``field``: what is not as it was approved (``-`` where the rule says it all)."""

    code = "foundation.approval_refused"
    kind = Kind.FORBIDDEN

    def __init__(self, *, rule: str, field: str = "-") -> None:
        super().__init__(rule=rule, field=field)


@dataclass(frozen=True)
class Approval:
    """One certificate that may be issued, once.

    ``person``: opaque id; ``subject``, ``public_key``, ``evidence``: SHA-256 in hexadecimal of the DER subject, of the
    DER SubjectPublicKeyInfo and of the decision. ``key_id``: the key in the token whose attestation named the person as
    its owner; None for a key on the person's own device. ``not_after``: until when the evidence carries, None: as long
    as the profile does.
    """

    authority: str
    profile: str
    person: str
    subject: str
    public_key: str
    key_id: str | None
    level: str
    evidence: str
    not_after: datetime | None
    at: datetime
    expires: datetime
    nonce: str

    @property
    def canonical(self) -> bytes:
        """The octets that are signed."""
        return canonical_json(self._data())

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {"format": FORMAT}
        for field in fields(self):
            value = getattr(self, field.name)
            data[field.name] = rfc3339(value) if isinstance(value, datetime) else value
        return data


def parse(statement: bytes) -> Approval:
    """The inverse of :attr:`Approval.canonical`; ApprovalRefused (APPROVAL-FORM) for any other octets."""
    try:
        if len(statement) > _MOST_OCTETS:
            raise ApprovalRefused(rule="APPROVAL-FORM")
        data = json.loads(statement)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ApprovalRefused(rule="APPROVAL-FORM")
        if set(data) != {field.name for field in fields(Approval)}:
            raise ApprovalRefused(rule="APPROVAL-FORM")
        for name, value in data.items():
            if name in ("key_id", "not_after") and value is None:
                continue
            if not (_DIGEST if name in _DIGESTS else _TEXT).fullmatch(value):
                raise ApprovalRefused(rule="APPROVAL-FORM", field=name)
        for name in ("not_after", "at", "expires"):
            if data[name] is not None:
                data[name] = parse_rfc3339(data[name])
        approval = Approval(**data)
    except (ValueError, TypeError, RecursionError):
        raise ApprovalRefused(rule="APPROVAL-FORM") from None
    if approval.canonical != statement:
        raise ApprovalRefused(rule="APPROVAL-FORM")
    return approval


def document(approval: Approval, key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The signed statement. ``key``: the signer's DER SubjectPublicKeyInfo; ``sign`` gives the DER ECDSA signature."""
    parse(approval.canonical)
    signature = sign(approval.canonical).hex()
    return canonical_json({"approval": approval._data(), "key": key.hex(), "signature": signature})


def verify(signed: bytes, pins: Collection[str]) -> Approval:
    """The statement of a document signed by a pinned key: ``pins`` are SHA-256 of SubjectPublicKeyInfos, hexadecimal.

    Says nothing about time or what it is used for. Raises ApprovalRefused (FORM, SIGNER, SIGNATURE).
    """
    try:
        if len(signed) > _MOST_OCTETS:
            raise ApprovalRefused(rule="APPROVAL-FORM")
        outer = json.loads(signed)
        if not isinstance(outer, dict) or set(outer) != {"approval", "key", "signature"}:
            raise ApprovalRefused(rule="APPROVAL-FORM")
        key, signature = bytes.fromhex(outer["key"]), bytes.fromhex(outer["signature"])
        statement = canonical_json(outer["approval"])
        # one form alone: "0A" and "0 a" would be the same octets (bytes.fromhex)
        if canonical_json(outer) != signed or (key.hex(), signature.hex()) != (outer["key"], outer["signature"]):
            raise ApprovalRefused(rule="APPROVAL-FORM")
        if hashlib.sha256(key).hexdigest() not in pins:
            raise ApprovalRefused(rule="APPROVAL-SIGNER")
        public = load_der_public_key(key)
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise ApprovalRefused(rule="APPROVAL-SIGNER")
        public.verify(signature, statement, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm):
        raise ApprovalRefused(rule="APPROVAL-SIGNATURE") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ApprovalRefused(rule="APPROVAL-FORM") from None
    return parse(statement)


def check_time(approval: Approval, now: datetime) -> None:
    """Raises ApprovalRefused (APPROVAL-TIME) unless it is in force."""
    if not approval.at - _SKEW <= now < approval.expires or approval.expires - approval.at > _LONGEST:
        raise ApprovalRefused(rule="APPROVAL-TIME")


def check_bound(approval: Approval, **said: object) -> None:
    """Raises ApprovalRefused (APPROVAL-BOUND) unless every field that is named has this value."""
    for name, value in said.items():
        if getattr(approval, name) != value:
            raise ApprovalRefused(rule="APPROVAL-BOUND", field=name)
