"""What the offline root needs of others, and the roof gives it. Each is optional except the key store itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class TokenModule:
    """The program that holds the keys: its name and version, and the SHA-256 of its code, in hex."""

    name: str
    version: str
    sha256: str
    emulated: bool


class CosigningKey(Protocol):
    """The key that a custodian or witness brings to sign a transcript with."""

    @property
    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A signature over the whole message, by the key's own algorithm (`foundation.x509.algorithms`)."""
        ...


class OutsideLint(Protocol):
    """A linter that others wrote. Its findings are reported in the transcript; they stop nothing."""

    @property
    def program(self) -> str:
        """Name and version."""
        ...

    def findings(self, der: bytes, crl: bool) -> tuple[str, ...]:
        """What it finds in a DER certificate, or CRL: notices and above, each as ``SEVERITY code``."""
        ...


@dataclass(frozen=True)
class TimestampFound:
    """An RFC 3161 token that is correct: its time, and the name of the unit that made it. Trust in it is not judged."""

    at: datetime
    unit: str


class TimestampChecker(Protocol):
    """Checks RFC 3161 tokens."""

    def check(self, token: bytes, data: bytes) -> TimestampFound | None:
        """The token (DER ContentInfo) over ``data``; None when it is not correct, or about other data."""
        ...
