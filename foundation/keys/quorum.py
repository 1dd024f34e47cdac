"""Acts that a token does only when enough of its custodians have signed that very act. Pure; needs no token.

A request names one operation with its arguments, the token, a nonce that the token gave and when it ends; its canonical
form is RFC 8785 JSON. A custodian signs ``camtrust-quorum-1``, a zero octet and that form, with a key of their own that
the token was told of. An approval is the custodian's public key (SHA-256) and the signature, in a file of its own.

    request.json    {"format", "operation", "arguments", "token", "nonce", "expires"}
    approval.json   {"format", "request": SHA-256, "custodian": SHA-256, "signature"}
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from foundation.canonical import canonical_json
from foundation.clock import parse_rfc3339, rfc3339
from foundation.keys.errors import ApprovalInvalid, CustodiansInvalid, QuorumTooFew, RequestInvalid
from foundation.x509.algorithms import key_algorithm, verify
from foundation.x509.errors import X509Error

FORMAT = "camtrust-quorum-1"
MOST_CUSTODIANS = 16
_SIGNED = f"{FORMAT}\0".encode()


@dataclass(frozen=True)
class Custodian:
    """Somebody who approves. ``public_key``: DER SubjectPublicKeyInfo."""

    name: str
    public_key: bytes

    @cached_property
    def key_id(self) -> str:
        """SHA-256 of the public key, in hexadecimal."""
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True)
class Custodians:
    """``threshold`` of ``people`` decide; nobody at all: no operation needs approval.

    CustodiansInvalid for a threshold out of range, a key twice, or a key of a kind that signs nothing.
    """

    threshold: int = 0
    people: tuple[Custodian, ...] = ()

    def __post_init__(self) -> None:
        if len(self.people) > MOST_CUSTODIANS or len({one.key_id for one in self.people}) != len(self.people):
            raise CustodiansInvalid
        if not (1 <= self.threshold <= len(self.people) or (self.threshold, self.people) == (0, ())):
            raise CustodiansInvalid
        for one in self.people:
            if not 0 < len(one.name) <= 200 or not one.name.isprintable():
                raise CustodiansInvalid
            try:
                key_algorithm(load_der_public_key(one.public_key))
            except (ValueError, UnsupportedAlgorithm, X509Error):
                raise CustodiansInvalid from None

    def __str__(self) -> str:
        return f"{self.threshold}of{len(self.people)}"

    def data(self) -> dict[str, Any]:
        people = [{"name": one.name, "public_key": base64.b64encode(one.public_key).decode()} for one in self.people]
        return {"threshold": self.threshold, "people": people}

    @classmethod
    def parse(cls, value: Any) -> Custodians:
        """The inverse of :meth:`data`, strictly; CustodiansInvalid."""
        try:
            if set(value) != {"threshold", "people"} or not isinstance(value["threshold"], int):
                raise CustodiansInvalid
            people = []
            for one in value["people"]:
                if set(one) != {"name", "public_key"} or not isinstance(one["name"], str):
                    raise CustodiansInvalid
                people.append(Custodian(one["name"], base64.b64decode(one["public_key"], validate=True)))
        except (TypeError, ValueError, KeyError):
            raise CustodiansInvalid from None
        return cls(value["threshold"], tuple(people))


@dataclass(frozen=True)
class Request:
    """One act that is asked for. ``arguments``: JSON values; ``nonce``: hexadecimal, from the token, good once."""

    operation: str
    arguments: Mapping[str, Any]
    token: str
    nonce: str
    expires: datetime

    @cached_property
    def canonical(self) -> bytes:
        """The one octet string that is this request."""
        return canonical_json(
            {
                "format": FORMAT,
                "operation": self.operation,
                "arguments": dict(self.arguments),
                "token": self.token,
                "nonce": self.nonce,
                "expires": rfc3339(self.expires),
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`canonical`, in hexadecimal: what custodians compare."""
        return hashlib.sha256(self.canonical).hexdigest()

    @classmethod
    def parse(cls, octets: bytes) -> Request:
        """From its canonical form, and no other; RequestInvalid."""
        try:
            value = json.loads(octets)
            names = {"format", "operation", "arguments", "token", "nonce", "expires"}
            if not isinstance(value, dict) or set(value) != names or value.pop("format") != FORMAT:
                raise RequestInvalid
            request = cls(**{**value, "expires": parse_rfc3339(value["expires"])})
            if request.canonical != octets:
                raise RequestInvalid
        except (TypeError, ValueError, AttributeError):
            raise RequestInvalid from None
        return request


def approve(request: Request, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """A custodian's approval: ``sign`` signs a whole message with the key of ``public_key``."""
    signature = sign(_SIGNED + request.canonical)
    return canonical_json(
        {
            "format": FORMAT,
            "request": request.digest,
            "custodian": hashlib.sha256(public_key).hexdigest(),
            "signature": base64.b64encode(signature).decode(),
        }
    )


def approvers(request: Request, custodians: Custodians, approvals: Sequence[bytes]) -> tuple[Custodian, ...]:
    """Who approved, each once. Raises ApprovalInvalid for one that is not of a custodian, of another request, or does
    not verify (an approval that is no good is never just left out), and QuorumTooFew.
    """
    known = {one.key_id: one for one in custodians.people}
    found: dict[str, Custodian] = {}
    for octets in approvals:
        custodian = _approver(request, known, octets)
        found[custodian.key_id] = custodian
    if len(found) < custodians.threshold:
        raise QuorumTooFew(given=len(found), needed=custodians.threshold)
    return tuple(found.values())


def _approver(request: Request, known: Mapping[str, Custodian], octets: bytes) -> Custodian:
    try:
        value = json.loads(octets)
        if set(value) != {"format", "request", "custodian", "signature"} or value["format"] != FORMAT:
            raise ApprovalInvalid
        signature = base64.b64decode(value["signature"], validate=True)
        custodian = known[value["custodian"]]
        if value["request"] != request.digest:
            raise ApprovalInvalid
        public: Any = load_der_public_key(custodian.public_key)
        verify(public, signature, _SIGNED + request.canonical)
    except (TypeError, ValueError, KeyError, X509Error):
        raise ApprovalInvalid from None
    return custodian
