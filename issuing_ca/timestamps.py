"""The timestamping authority (RFC 3161, RFC 5816, EN 319 422).

Serial numbers are 127 random bits: unique for ever without a counter that a restored backup could turn back. The time
comes from the service's clock; when that goes back by more than the accuracy, no timestamp is given until it has
caught up.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.clock import Clock
from foundation.errors import CamTrustError
from foundation.keys.errors import KeyDisabled, KeyHandleInvalid
from foundation.randomness import Randomness, serial_number
from foundation.x509 import der
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import ClockUntrusted, DerInvalid, TimestampRefused
from issuing_ca.model import TSA_UNIT
from issuing_ca.timestamp_message import (
    Failure,
    TokenWriter,
    granted,
    message_imprint,
    read_request,
    refusal,
    rejected,
)
from issuing_ca.units import Units

_log = logging.getLogger(__name__)


class TimestampService:
    """Gives timestamps. One for the process; safe to call from many threads. ``authority``: the TSA CA's name."""

    def __init__(
        self,
        authorities: Authorities,
        units: Units,
        clock: Clock,
        randomness: Randomness,
        settings: IssuingCaSettings,
        authority: str = "tsa",
    ) -> None:
        self._authorities = authorities
        self._units = units
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._authority = authority
        self._policy = der.oid(settings.tsa_policy)
        self._writers: dict[bytes, TokenWriter] = {}
        self._latest: datetime | None = None
        self._lock = Lock()

    def timestamp(self, data: bytes) -> bytes:
        """A TimeStampReq in, a TimeStampResp out; never raises for what a request contains.

        Refusals carry a PKIFailureInfo: badDataFormat, badAlg, badRequest, unacceptedPolicy, unacceptedExtension,
        timeNotAvailable, systemFailure.
        """
        try:
            request = read_request(data)
            if request.policy is not None and request.policy != self._policy:
                raise refusal(Failure.UNACCEPTED_POLICY)
            return granted(self._token(request.imprint, request.nonce, request.certificates))
        except TimestampRefused as refused:
            return rejected(refused.failure)
        except DerInvalid:
            return rejected(Failure.BAD_DATA_FORMAT)
        except ClockUntrusted:
            return rejected(Failure.TIME_NOT_AVAILABLE)
        except CamTrustError as error:
            _log.error("no timestamp: %s", error.code)
            return rejected(Failure.SYSTEM_FAILURE)

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        """A TimeStampToken with its certificates over a digest (sha256, sha384 or sha512), for our own signing.

        Raises TimestampRefused (unknown hash, wrong length), ClockUntrusted, AuthorityNotInstalled, key store errors.
        """
        return self._token(message_imprint(imprint, hash_name), None, True)

    def certificate(self) -> x509.Certificate:
        """The working unit's certificate."""
        return self._units.timestamp_unit(self._authorities.get(self._authority)).certificate

    def _token(self, imprint: bytes, nonce: bytes | None, certificates: bool) -> bytes:
        serial = serial_number(self._randomness)
        writer = self._writer()  # before the time is read: a unit made just now is valid from now on
        try:
            return writer.write(imprint, serial, self._time(), nonce, certificates)
        except (KeyDisabled, KeyHandleInvalid):
            # the unit's certificate was revoked: the next unit takes over
            self._units.forget(self._authorities.get(self._authority), TSA_UNIT)
            writer = self._writer()
            return writer.write(imprint, serial, self._time(), nonce, certificates)

    def _time(self) -> datetime:
        """Now, to the millisecond; ClockUntrusted when the clock went back."""
        now = self._clock.now()
        with self._lock:
            if self._latest is not None and now < self._latest - timedelta(seconds=self._settings.tsa_accuracy):
                raise ClockUntrusted
            self._latest = max(now, self._latest or now)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def _writer(self) -> TokenWriter:
        authority = self._authorities.get(self._authority)
        unit = self._units.timestamp_unit(authority)
        fingerprint = unit.certificate.fingerprint(hashes.SHA256())
        writer = self._writers.get(fingerprint)
        if writer is None:
            chain = (authority.certificate, *authority.chain)
            writer = TokenWriter(
                unit.certificate, chain, unit.signer, self._settings.tsa_policy, self._settings.tsa_accuracy
            )
            self._writers[fingerprint] = writer
        return writer
