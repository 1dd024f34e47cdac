"""Randomness, as an argument."""

from __future__ import annotations

import secrets
from typing import Protocol


class Randomness(Protocol):
    """Whoever needs unpredictable bytes takes a Randomness."""

    def bytes(self, count: int) -> bytes:
        """``count`` bytes that nobody can predict."""
        ...


class SystemRandomness:
    """The operating system's CSPRNG."""

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def serial_number(randomness: Randomness) -> int:
    """A certificate serial number: positive, 127 random bits, at most 16 octets (RFC 5280 §4.1.2.2, BR §7.1)."""
    return int.from_bytes(randomness.bytes(16), "big") >> 1 | 1 << 126
