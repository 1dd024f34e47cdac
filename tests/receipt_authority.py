"""An authority over receipts that is none: a key in memory, for tests of enrolment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from ekyc.receipts import receipt
from foundation.clock import SetClock
from signing.errors import TimestampUnavailable


class SoftwareReceipts:
    """Signs receipts with a key in memory; time and log are as good as none. The real ones: tests/story."""

    issuer = "https://specimen.invalid"

    def __init__(self, clock: SetClock) -> None:
        self._clock, self._key = clock, ec.generate_private_key(ec.SECP256R1())
        self.recorded: list[tuple[bytes, str]] = []
        self.stands = True

    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: Mapping[str, Any]) -> str:
        return receipt.sign(
            lambda message: self._key.sign(message, ec.ECDSA(hashes.SHA256())), self.public_key(), claims
        )

    def timestamp(self, digest: bytes) -> bytes:
        if not self.stands:
            raise TimestampUnavailable
        return b"TOKEN" + digest

    def record(self, connection: Connection, digest: bytes, subject: str) -> None:  # noqa: ARG002
        self.recorded.append((digest, subject))

    def proof(self, digest: bytes) -> bytes:
        return b"PROOF" + digest

    def log_key(self) -> str:
        return "specimen"
