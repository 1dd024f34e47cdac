"""The timestamping authority (RFC 3161, RFC 5816, EN 319 422).

Serial numbers are 127 random bits: unique for ever, in every process, without a counter that a restored backup could
turn back. The time comes from the service's clock. No timestamp is given while the time source says that the clock is
not synchronised or may be off by more than the accuracy that is promised, nor when it goes back by more than that until
it has caught up. What was measured stands in the token as its accuracy; each token is written down before it is given.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

from cryptography import x509

from foundation.clock import Clock
from foundation.errors import CamTrustError
from foundation.keys.errors import KeyDisabled, KeyHandleInvalid
from foundation.randomness import Randomness, serial_number
from foundation.time_source import AssumedTime, TimeSource
from foundation.x509 import der
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import ClockUntrusted, DerInvalid, TimestampRefused
from issuing_ca.model import TSA_UNIT
from issuing_ca.timestamp_journal import TimestampJournal
from issuing_ca.timestamp_message import (
    Failure,
    TimestampRequest,
    TokenDraft,
    TokenWriter,
    encoded_accuracy,
    granted,
    message_imprint,
    read_request,
    refusal,
    rejected,
)
from issuing_ca.units import Units

_MEASURE = timedelta(seconds=1)  # between two questions to the time source

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
        source: TimeSource | None = None,
        journal: TimestampJournal | None = None,
        authority: str = "tsa",
    ) -> None:
        self._source = source or AssumedTime()
        self.journal = journal
        self._authorities = authorities
        self._units = units
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._authority = authority
        self._policy = der.oid(settings.tsa_policy)
        self._writers: dict[str, tuple[x509.Certificate, TokenWriter]] = {}
        self._latest: datetime | None = None
        self._promised = timedelta(seconds=settings.tsa_accuracy)
        self._measured: tuple[datetime, bytes] | None = None
        self._lock = Lock()

    def timestamp(self, data: bytes) -> bytes:
        """A TimeStampReq in, a TimeStampResp out; never raises for what a request contains.

        Refusals carry a PKIFailureInfo: badDataFormat, badAlg, badRequest, unacceptedPolicy, unacceptedExtension,
        timeNotAvailable, systemFailure.
        """
        return self.timestamp_many([data])[0]

    def timestamp_many(self, requests: Sequence[bytes]) -> list[bytes]:
        """The same for several requests, which share one round trip to the token."""
        read = [self._read(data) for data in requests]
        wanted = [one for one in read if isinstance(one, TimestampRequest)]
        try:
            tokens = iter(self._tokens(wanted))
        except CamTrustError as error:
            _log.error("no timestamp: %s", error.code)
            clock = isinstance(error, ClockUntrusted)
            failed = rejected(Failure.TIME_NOT_AVAILABLE if clock else Failure.SYSTEM_FAILURE)
        except OSError as error:
            _log.error("no timestamp: the journal cannot be written: %s", type(error).__name__)
            failed = rejected(Failure.SYSTEM_FAILURE)
        else:
            return [granted(next(tokens)) if isinstance(one, TimestampRequest) else one for one in read]
        return [failed if isinstance(one, TimestampRequest) else one for one in read]

    def _read(self, data: bytes) -> TimestampRequest | bytes:
        """The request, or the response that refuses it."""
        try:
            request = read_request(data)
            if request.policy is not None and request.policy != self._policy:
                raise refusal(Failure.UNACCEPTED_POLICY)
        except TimestampRefused as refused:
            return rejected(refused.failure)
        except DerInvalid:
            return rejected(Failure.BAD_DATA_FORMAT)
        return request

    def token(self, imprint: bytes, hash_name: str) -> bytes:
        """A TimeStampToken with its certificates over a digest (sha256, sha384 or sha512), for our own signing.

        Raises TimestampRefused (unknown hash, wrong length), ClockUntrusted, AuthorityNotInstalled, key store errors.
        """
        return self._tokens([TimestampRequest(message_imprint(imprint, hash_name), None, None, True)])[0]

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The working unit's certificate and, before a switch, its successor's; then the chain without the root."""
        authority = self._authorities.get(self._authority)
        return (*self._units.announced(authority, TSA_UNIT), authority.certificate, *authority.chain)

    def close_hours(self) -> None:
        """Put the roots of hours that are over into the log."""
        if self.journal is not None:
            self.journal.close_hours(self._clock.now(), self._authority)

    def certificate(self) -> x509.Certificate:
        """The working unit's certificate."""
        return self._units.timestamp_unit(self._authorities.get(self._authority)).certificate

    def _tokens(self, requests: Sequence[TimestampRequest]) -> list[bytes]:
        if not requests:
            return []
        try:
            tokens, drafts = self._written(requests)
        except (KeyDisabled, KeyHandleInvalid):
            # the unit's certificate was revoked: the next unit takes over
            self._units.forget(self._authorities.get(self._authority), TSA_UNIT)
            tokens, drafts = self._written(requests)
        if self.journal is not None:
            for token, draft in zip(tokens, drafts, strict=True):
                self.journal.add(token, draft.at)
        return tokens

    def _written(self, requests: Sequence[TimestampRequest]) -> tuple[list[bytes], list[TokenDraft]]:
        writer = self._writer()  # before the time is read: a unit made just now is valid from now on
        drafts = []
        for one in requests:
            at, accuracy = self._time()
            serial = serial_number(self._randomness)
            drafts.append(TokenDraft(one.imprint, serial, at, one.nonce, one.certificates, accuracy))
        return writer.write(drafts), drafts

    def _time(self) -> tuple[datetime, bytes]:
        """Now, to the millisecond, and the accuracy for the token; ClockUntrusted where it cannot be told."""
        now = self._clock.now()
        with self._lock:
            if self._latest is not None and now < self._latest - self._promised:
                raise ClockUntrusted
            self._latest = max(now, self._latest or now)
            measured = self._measured
            if measured is None or not timedelta(0) <= now - measured[0] < _MEASURE:
                measured = self._measured = now, self._accuracy()
        return now.replace(microsecond=now.microsecond // 1000 * 1000), measured[1]

    def _accuracy(self) -> bytes:
        health = self._source.health()
        if not health.synchronised or (health.error is not None and health.error > self._promised):
            raise ClockUntrusted
        return encoded_accuracy(health.error if health.error is not None else self._promised)

    def _writer(self) -> TokenWriter:
        authority = self._authorities.get(self._authority)
        unit = self._units.timestamp_unit(authority)
        known = self._writers.get(unit.signer.key_id)
        if known is not None and known[0] is unit.certificate:
            writer = known[1]
        else:
            chain = (authority.certificate, *authority.chain)
            writer = TokenWriter(unit.certificate, chain, unit.signer, self._settings.tsa_policy)
            self._writers[unit.signer.key_id] = unit.certificate, writer
        return writer
