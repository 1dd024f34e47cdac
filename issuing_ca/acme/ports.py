"""What the ACME door needs from the network, so that tests and installations can say where it may look."""

from __future__ import annotations

from typing import Protocol


class TextRecords(Protocol):
    """Looks up TXT records."""

    def txt(self, name: str) -> tuple[str, ...]:
        """Every TXT record of a name, each joined; none where the name has none. Raises DnsFailed."""
        ...


class ChallengeFetcher(Protocol):
    """Fetches what a web server has at a path, for http-01 (RFC 8555 §8.3)."""

    def fetch(self, host: str, path: str) -> bytes:
        """The first octets of the body of a 200. Raises DnsFailed, ConnectionFailed, IncorrectResponse."""
        ...
