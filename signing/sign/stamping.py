"""Timestamp tokens for signatures: asked for, and checked before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography import x509

from foundation.clock import Clock
from foundation.errors import CamTrustError
from signing.errors import TimestampUnavailable
from signing.ports import TimestampAuthority
from signing.sign.envelope import HASH
from signing.sign.signed_message import TimestampToken, read_token


class Stamping:
    """Tokens of one authority."""

    def __init__(self, authority: TimestampAuthority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock

    def over(self, octets: bytes) -> TimestampToken:
        """A token over the hash of these octets (EN 319 122-1 §5.3). TimestampUnavailable."""
        return self.imprint(hashlib.new(HASH, octets).digest())

    def imprint(self, imprint: bytes) -> TimestampToken:
        """A token over a digest by `HASH`. TimestampUnavailable."""
        try:
            der = self._authority.token(imprint, HASH)
        except CamTrustError as error:
            raise TimestampUnavailable from error
        return read_token(der, imprint, HASH, self._clock.now())

    def above(self) -> Sequence[x509.Certificate]:
        """The certificates above the unit's."""
        return self._authority.certificates()
