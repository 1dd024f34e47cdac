"""Base64url without padding (RFC 7515 §2), and names at random in it that people and commands can be given."""

from __future__ import annotations

import base64

from foundation.randomness import Randomness


def encoded(octets: bytes) -> str:
    """The octets as text, without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def typable(randomness: Randomness, count: int) -> str:
    """``count`` random octets (1 or more) as text that does not begin with "-": a command would take such a word for
    an option of its own (``certbot --eab-kid -x1…``).
    """
    for _ in range(64):  # one in 64 begins so: 64 times in turn is a source that is broken
        text = encoded(randomness.bytes(count))
        if not text.startswith("-"):
            return text
    raise ValueError("the source of randomness repeats itself")
