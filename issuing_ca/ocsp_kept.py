"""OCSP responses made before they are asked for (RFC 5019 §2.2.1): kept in the database, and in this process's memory.

They answer requests without a nonce. Upkeep makes them anew when half their validity is over, and for certificates
about which there is none yet; what is asked for and not there is made at once, and kept. A status change drops what is
kept about the certificate in the same unit of work. Other processes learn of it from the journal of status changes, at
which each looks once a second while it answers; where it cannot be read, memory is not answered from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from issuing_ca import ocsp_store, status_journal, store
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import DerInvalid
from issuing_ca.model import OCSP_RESPONDER, serial_text
from issuing_ca.ocsp import OcspAnswer, OcspResponder, Told
from issuing_ca.ocsp_message import ResponseStatus, cert_id, plain_request, read_request
from issuing_ca.ocsp_store import KeptResponse

_log = logging.getLogger(__name__)

_LOOK = timedelta(seconds=1)  # between two looks at the journal
_MOST = 20_000  # responses in memory, of about 1 KiB
_CHUNK = 50  # responses made and stored together


@dataclass(slots=True)
class Remembered:
    """A response in memory; it may be given out before ``until``. ``lines``: a door's own, made once."""

    answer: OcspAnswer
    until: datetime
    authority: str
    serial: str
    lines: bytes | None = None


class KeptResponses:
    """Answers from what is kept, and keeps what was made. One for the process; safe to call from many threads."""

    def __init__(self, responder: OcspResponder, database: Database, clock: Clock, settings: IssuingCaSettings) -> None:
        self._responder = responder
        self._database = database
        self._clock = clock
        self._settings = settings
        self._memory: dict[bytes, Remembered] = {}
        self._seen: dict[str, int] = {}
        self._looked: datetime | None = None
        self._lock = Lock()

    @property
    def cache(self) -> timedelta:
        """How long others may keep a response (RFC 5019 §6): never so long that it runs out with them."""
        return min(self._settings.ocsp_cache, self._settings.ocsp_validity / 4)

    def remembered(self, request: bytes) -> Remembered | None:
        """What is in memory, without waiting for anything; None where :meth:`answer_many` has to be asked."""
        found = self._memory.get(request)
        if found is None:
            return None
        now = self._clock.now()
        return found if now < found.until and self._has_looked(now) else None

    def answer(self, request: bytes) -> OcspAnswer:
        """One answer. See :meth:`answer_many`."""
        return self.answer_many([request])[0]

    def answer_many(self, requests: Sequence[bytes]) -> list[OcspAnswer]:
        """Answers from what is kept where there is no nonce, signed live where there is; never raises for a request."""
        try:
            self.look(now=False)
            found = self._find(requests)
        except CamTrustError as error:
            _log.error("no kept OCSP response: %s", error.code)
            found = {}
        late = self._clock.now()
        live = [one for one in requests if one not in found or not self._lasts(found[one], late)]
        made = dict(zip(live, self._responder.answer_many(live), strict=True)) if live else {}
        self._keep(made)
        answers = []
        for request in requests:
            kept, fresh = found.get(request), made.get(request)
            # the token is away: what was signed before is as true as it says, until it runs out
            if fresh is None or (fresh.status is ResponseStatus.TRY_LATER and kept is not None):
                assert kept is not None  # noqa: S101 - what is not kept was made
                answers.append(_answer(kept))
            else:
                answers.append(fresh)
        return answers

    def look(self, *, now: bool = True) -> None:
        """Drop from memory what the journal says has changed. ``now``: even if somebody has just looked."""
        began = self._clock.now()
        if not now and self._has_looked(began):
            return
        with self._database.read() as connection:
            sizes = status_journal.sizes(connection)
            changed: dict[str, set[str]] = {}
            for authority, size in sizes.items():
                seen = self._seen.get(authority)
                if seen is not None and seen < size:
                    serials = {one.serial for one in status_journal.since(connection, authority, seen)}
                    whole = status_journal.of_profile(connection, serials, OCSP_RESPONDER)
                    changed[authority] = set() if whole else serials
        with self._lock:
            for authority, serials in changed.items():
                for request, one in list(self._memory.items()):
                    if one.authority == authority and (not serials or one.serial in serials):
                        del self._memory[request]
            self._seen = {name: max(size, self._seen.get(name, 0)) for name, size in sizes.items()}
            self._looked = began

    def _has_looked(self, now: datetime) -> bool:
        """Whether the last look is recent; it is not where the clock has gone back."""
        return self._looked is not None and timedelta(0) <= now - self._looked <= _LOOK

    def produce(self) -> int:
        """Make what is due and what is missing, as many as the settings say; gives how many were made.

        Raises DatabaseUnavailable. Where the token does not answer it ends early: what is kept lasts until it runs out.
        """
        limit, made = self._settings.ocsp_produced_at_once, 0
        now = self._clock.now()
        with self._database.unit_of_work() as connection:
            ocsp_store.drop_expired(connection, now)
        for issuer in self._responder.issuers.all():
            if issuer.is_root or made >= limit:
                continue
            half = now + self._settings.ocsp_validity / 2
            with self._database.read() as connection:
                due = ocsp_store.due(connection, issuer.name, half, limit - made)
                missing = ocsp_store.without(connection, issuer.name, now, limit - made - len(due))
            asked = [one.asked for one in due]
            asked += [cert_id(issuer.sha1_name, issuer.sha1_key, int(serial, 16)) for serial in missing]
            for start in range(0, len(asked), _CHUNK):
                requests = [plain_request(one) for one in asked[start : start + _CHUNK]]
                answers = dict(zip(requests, self._responder.answer_many(requests), strict=True))
                self._keep(answers)
                good = [one for one in answers.values() if one.status is ResponseStatus.SUCCESSFUL]
                made += len(good)
                if len(good) < len(answers):
                    return made
        return made

    def _find(self, requests: Sequence[bytes]) -> dict[bytes, KeptResponse]:
        plain = {one: asked for one in requests if (asked := _plain(one)) is not None}
        if not plain:
            return {}
        now, found = self._clock.now(), {}
        seen = dict(self._seen)
        with self._database.read() as connection:
            for request, asked in plain.items():
                kept = ocsp_store.find(connection, asked, now)
                if kept is not None:
                    found[request] = kept
        for request, kept in found.items():
            self._remember(request, kept, seen)
        return found

    def _keep(self, made: dict[bytes, OcspAnswer]) -> None:
        """Store what may be kept, unless the status has changed since it was signed."""
        worth = {request: answer for request, answer in made.items() if _may_be_kept(request, answer)}
        if not worth:
            return
        seen = dict(self._seen)
        kept: dict[bytes, KeptResponse] = {}
        try:
            with self._database.unit_of_work() as connection:
                held = store.statuses(connection, {_serial(one.told[0]) for one in worth.values()}, lock=True)
                for request, answer in worth.items():
                    told = answer.told[0]
                    found = held.get(_serial(told))
                    if found is not None and self._responder.status_of(found[1]) == told.status:
                        kept[request] = _kept(told, answer)
                ocsp_store.keep(connection, tuple(kept.values()))
        except CamTrustError as error:
            _log.error("OCSP responses not kept: %s", error.code)
            return
        for request, one in kept.items():
            self._remember(request, one, seen)
        if len(kept) < len(worth):
            self.look()

    def _remember(self, request: bytes, kept: KeptResponse, seen: Mapping[str, int]) -> None:
        with self._lock:
            if kept.authority not in seen or self._seen.get(kept.authority) != seen[kept.authority]:
                return  # something changed meanwhile: the next request finds out what
            if len(self._memory) >= _MOST:
                self._memory.clear()
            until = kept.next_update - self.cache
            self._memory[request] = Remembered(_answer(kept), until, kept.authority, kept.serial)

    def _lasts(self, kept: KeptResponse, now: datetime) -> bool:
        return now < kept.next_update - self.cache


def _plain(request: bytes) -> bytes | None:
    """The CertID of a request that is about one certificate and says nothing else; None for every other."""
    size = len(request)
    if not 8 < size < 130 or any(request[at] != size - at - 1 for at in (1, 3, 5, 7)):
        return None  # four lengths, each to the end: nothing stands beside the CertID
    try:
        asked = read_request(request).asked
    except DerInvalid:
        return None
    return asked[0].whole if plain_request(asked[0].whole) == request else None


def _may_be_kept(request: bytes, answer: OcspAnswer) -> bool:
    """Not what was made for a nonce; not *unknown*, which may be another thing any moment; not what says nothing."""
    if answer.status is not ResponseStatus.SUCCESSFUL or answer.nonce or len(answer.told) != 1:
        return False
    told = answer.told[0]
    return not told.status.unknown and plain_request(told.cert_id.whole) == request


def _kept(told: Told, answer: OcspAnswer) -> KeptResponse:
    assert answer.this_update is not None and answer.next_update is not None  # noqa: S101, PT018 - it is successful
    dates = answer.this_update, answer.next_update
    return KeptResponse(told.authority, _serial(told), told.cert_id.whole, *dates, answer.response)


def _serial(told: Told) -> str:
    return serial_text(told.cert_id.serial)


def _answer(kept: KeptResponse) -> OcspAnswer:
    return OcspAnswer(kept.response, ResponseStatus.SUCCESSFUL, kept.this_update, kept.next_update)
