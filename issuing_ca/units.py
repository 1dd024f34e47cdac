"""Units: keys of the service's own under an authority, with short-lived certificates that roll over by themselves.

One is the delegated OCSP responder of each CA (RFC 6960 §4.2.2.2), the other the timestamping unit of the TSA CA. Those
who rely on timestamps may have pinned the unit's certificate: its successor is made, and published, long before it
begins to work.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from cryptography import x509

from foundation.clock import Clock
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.errors import LabelExists
from foundation.keys.handles import public_key
from foundation.keys.port import KeyInfo, KeyStore, KeyUse
from issuing_ca import store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.issuance import Issuance
from issuing_ca.model import CMP_SIGNER, OCSP_RESPONDER, TSA_UNIT, Authority, CertificateRequest, CertificateState
from issuing_ca.signer import Signer
from issuing_ca.store import StoredUnit

_log = logging.getLogger(__name__)

_ACTOR = "service:issuing_ca"
_LOOK = timedelta(minutes=10)  # how often the store is asked whether the unit is still good
_RETRY = timedelta(minutes=1)


@dataclass(frozen=True)
class Unit:
    """A working unit: its certificate and its key."""

    certificate: x509.Certificate
    signer: Signer


@dataclass(frozen=True)
class _Loaded:
    unit: Unit
    look_again: datetime


class Units:
    """Gives the working unit of an authority; makes the next one in time."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        authorities: Authorities,
        issuance: Issuance,
        clock: Clock,
        settings: IssuingCaSettings,
    ) -> None:
        self._database = database
        self._keys = keys
        self._authorities = authorities
        self._issuance = issuance
        self._clock = clock
        self._settings = settings
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        self._lock = Lock()

    def ocsp_responder(self, authority: Authority) -> Unit:
        """The delegated responder of a CA."""
        return self._current(
            authority, OCSP_RESPONDER, KeyUse.OCSP_RESPONDER, "OCSP Responder", self._settings.responder_renew_before
        )

    def timestamp_unit(self, authority: Authority) -> Unit:
        """The timestamping unit of the TSA CA."""
        return self._current(authority, TSA_UNIT, KeyUse.TSA, "Timestamping Unit", self._settings.tsa_renew_before)

    def announced(self, authority: Authority, profile: str) -> tuple[x509.Certificate, ...]:
        """The certificates of the unit that works and of those that will, oldest first; made ready where due."""
        if profile == TSA_UNIT:
            self.timestamp_unit(authority)
        else:
            self.ocsp_responder(authority)
        good = self._good(authority, profile)
        in_use = self._in_use(good, self._announce(profile), self._clock.now())
        coming = [certificate for unit, certificate in good if in_use is None or unit.generation >= in_use.generation]
        return tuple(reversed(coming))

    def cmp_signer(self, authority: Authority) -> Unit:
        """The signer of a CA's CMP answers: a CA's own key signs certificates and CRLs alone."""
        return self._current(
            authority,
            CMP_SIGNER,
            KeyUse.REGISTRATION_AUTHORITY,
            "CMP Signer",
            self._settings.responder_renew_before,
        )

    def forget(self, authority: Authority, profile: str) -> None:
        """Look again next time: the unit's key was refused, because its certificate was revoked or held."""
        with self._lock:
            self._loaded.pop((authority.name, profile), None)

    def _current(self, authority: Authority, profile: str, use: KeyUse, title: str, renew_before: timedelta) -> Unit:
        now = self._clock.now()
        place = (authority.name, profile)
        known = self._loaded.get(place)
        if known is not None and now < known.look_again:
            return known.unit
        with self._lock:
            known = self._loaded.get(place)
            if known is not None and now < known.look_again:
                return known.unit
            stored = self._working(authority, profile)
            if stored is None or now >= stored.not_after - renew_before:
                stored = self._renewed(authority, profile, use, title, stored)
            # a unit that is due and could not be renewed is kept for as long as it lives, and tried again soon
            look_again = max(min(stored.not_after - renew_before, now + _LOOK), now + _RETRY)
            announce = self._announce(profile)
            if announce:  # the newest was announced, and works once everybody may know it
                stored = self._in_use(self._good(authority, profile), announce, now) or stored
            look_again = min(look_again, stored.not_after)
            known = _Loaded(self._load(stored), look_again)
            self._loaded[place] = known
            return known.unit

    def _announce(self, profile: str) -> timedelta:
        return self._settings.tsa_announce if profile == TSA_UNIT else timedelta(0)

    def _good(self, authority: Authority, profile: str) -> list[tuple[StoredUnit, x509.Certificate]]:
        """Units whose certificates are good and have not expired, the newest first."""
        now, good = self._clock.now(), []
        with self._database.read() as connection:
            for stored in store.newest_units(connection, authority.name, profile):
                record = store.certificate(connection, stored.serial)
                if record.state is CertificateState.ISSUED and stored.not_after > now and record.certificate:
                    good.append((stored, x509.load_der_x509_certificate(record.certificate)))
        return good

    @staticmethod
    def _in_use(
        good: Sequence[tuple[StoredUnit, x509.Certificate]], announce: timedelta, now: datetime
    ) -> StoredUnit | None:
        """The newest that was announced for long enough; where none was, the oldest: there is no other."""
        ready = [unit for unit, certificate in good if certificate.not_valid_before_utc + announce <= now]
        return ready[0] if ready else good[-1][0] if good else None

    def _working(self, authority: Authority, profile: str) -> StoredUnit | None:
        """The newest unit, if its certificate is good and has not expired."""
        with self._database.read() as connection:
            stored = store.latest_unit(connection, authority.name, profile)
            if stored is None or stored.not_after <= self._clock.now():
                return None
            record = store.certificate(connection, stored.serial)
        return stored if record.state is CertificateState.ISSUED else None

    def _renewed(
        self, authority: Authority, profile: str, use: KeyUse, title: str, present: StoredUnit | None
    ) -> StoredUnit:
        if present is not None and present.not_after >= authority.certificate.not_valid_after_utc:
            return present  # it lives as long as its authority: a new one would not live longer
        try:
            return self._make(authority, profile, use, title)
        except CamTrustError as error:
            if present is None:
                raise
            _log.error("unit %s of %s not renewed: %s", profile, authority.name, error.code)
            return present

    def _make(self, authority: Authority, profile: str, use: KeyUse, title: str) -> StoredUnit:
        with self._database.read() as connection:
            latest = store.latest_unit(connection, authority.name, profile)
        generation = latest.generation + 1 if latest is not None else 1
        info = self._key(f"{profile}-{authority.name}-{generation}", use)
        issued = self._issuance.issue_now(
            CertificateRequest(
                authority=authority.name,
                profile=profile,
                subject=(
                    ("C", self._settings.country),
                    ("O", self._settings.organisation),
                    ("CN", f"{title} {authority.name} {generation}"),
                ),
                public_key=public_key(info),
                owner=f"authority:{authority.name}",
                requested_by=_ACTOR,
                key_id=info.key_id,
            )
        )
        unit = StoredUnit(generation, info.key_id, issued.serial, issued.certificate.not_valid_after_utc)
        with self._database.unit_of_work() as connection:
            made = store.add_unit(connection, authority.name, profile, unit)
        if made:
            return unit
        with self._database.read() as connection:  # another process was first; its unit serves
            other = store.latest_unit(connection, authority.name, profile)
        assert other is not None  # noqa: S101 - its row is why ours was refused
        return other

    def _key(self, label: str, use: KeyUse) -> KeyInfo:
        """The key of this label: a new one, or the one that was made before a crash (or by another process)."""
        found = self._keys.find(label=label, use=use)
        if found:
            return found[0]
        try:
            return self._keys.generate(label, self._settings.unit_algorithm, use)
        except LabelExists:
            return self._keys.find(label=label, use=use)[0]

    def _load(self, stored: StoredUnit) -> Unit:
        with self._database.read() as connection:
            record = store.certificate(connection, stored.serial)
        certificate = x509.load_der_x509_certificate(record.certificate or b"")
        return Unit(certificate, Signer.of(self._keys, self._keys.get(stored.key_id)))
