"""Signature activation data (EN 419 241-1, SAD): what a person approves, as one byte string. Pure.

The token gives the nonce and keeps the data; a proof is over exactly it. A passkey signs its SHA-256 as the WebAuthn
challenge, so whoever has the assertion, the public key and the digests can check later what was approved:

    {"act": "sign", "audience": ..., "count": N, "expires": RFC 3339, "format": "camtrust-activation-1",
     "key_id": ..., "method": "pin-totp" | "passkey", "nonce": hex, "owner": ..., "root": hex}

``root`` is the Merkle root (RFC 6962 §2.1) over the digests in their order, so that one of them can be shown to have
been approved without the others. Changing a factor is approved in the same way (:class:`ChangeData`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from foundation import merkle
from foundation.canonical import canonical_json
from foundation.clock import rfc3339

FORMAT = "camtrust-activation-1"
LIFETIME = timedelta(minutes=5)
MOST_DIGESTS = 1000


class Method(StrEnum):
    """How a person proves themselves. Only a passkey shows on the person's own device that it is for this data."""

    PIN_TOTP = "pin-totp"
    PASSKEY = "passkey"


@dataclass(frozen=True)
class PinTotp:
    """A proof by signing PIN and one-time code. It says nothing about what it is for: whoever takes it decides."""

    pin: str = field(repr=False)
    totp: str = field(repr=False)

    method = Method.PIN_TOTP


@dataclass(frozen=True)
class PasskeyAssertion:
    """A proof by passkey: the JSON of the PublicKeyCredential that ``navigator.credentials.get()`` gave."""

    response: str = field(repr=False)

    method = Method.PASSKEY


Proof = PinTotp | PasskeyAssertion


def digests_root(digests: Sequence[bytes]) -> bytes:
    """The Merkle root over digests in their order; of one digest, its leaf's hash."""
    tiles = merkle.appended(lambda *_: b"", 0, [merkle.leaf_hash(digest) for digest in digests])
    return merkle.root(lambda *at: tiles[at], len(digests))


@dataclass(frozen=True)
class ActivationData:
    """What is approved: these digests, once each, with this key, for this audience, until ``expires`` (UTC, whole
    seconds), by this method. ``nonce``: 32 octets of the token's."""

    key_id: str
    owner: str
    root: bytes
    count: int
    audience: str
    nonce: bytes
    expires: datetime
    method: Method

    def canonical(self) -> bytes:
        """The byte string that stands for it (canonical JSON)."""
        return canonical_json(
            {
                "format": FORMAT,
                "act": "sign",
                "key_id": self.key_id,
                "owner": self.owner,
                "root": self.root.hex(),
                "count": self.count,
                "audience": self.audience,
                "nonce": self.nonce.hex(),
                "expires": rfc3339(self.expires),
                "method": self.method.value,
            }
        )

    def challenge(self) -> bytes:
        """SHA-256 of the canonical form: what a passkey signs (WebAuthn §13.4.3)."""
        return hashlib.sha256(self.canonical()).digest()

    def names(self, digests: Sequence[bytes]) -> bool:
        """Whether these, in this order, are the digests that it is about."""
        return len(digests) == self.count and digests_root(digests) == self.root


@dataclass(frozen=True)
class PresenceData:
    """That a person is there now, for ``audience`` (a login). It permits nothing to be signed and changes nothing."""

    owner: str
    audience: str
    nonce: bytes
    expires: datetime
    method: Method

    def canonical(self) -> bytes:
        """The byte string that stands for it (canonical JSON)."""
        return canonical_json(
            {
                "format": FORMAT,
                "act": "be-present",
                "owner": self.owner,
                "audience": self.audience,
                "nonce": self.nonce.hex(),
                "expires": rfc3339(self.expires),
                "method": self.method.value,
            }
        )

    def challenge(self) -> bytes:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).digest()


@dataclass(frozen=True)
class ChangeData:
    """A change of a person's factors, to be approved by one that they have. ``change`` names it without a secret:
    its ``kind``, and what identifies the new factor (a public key, or the hash of a salted PIN verifier or seed)."""

    owner: str
    change: Mapping[str, str]
    nonce: bytes
    expires: datetime
    method: Method

    def canonical(self) -> bytes:
        """The byte string that stands for it (canonical JSON)."""
        return canonical_json(
            {
                "format": FORMAT,
                "act": "change-factor",
                "owner": self.owner,
                "change": dict(self.change),
                "nonce": self.nonce.hex(),
                "expires": rfc3339(self.expires),
                "method": self.method.value,
            }
        )

    def challenge(self) -> bytes:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).digest()
