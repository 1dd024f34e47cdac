"""CRLs: full, delta and partitioned, numbered without repeats (RFC 5280 §5).

A CRL says how many of its authority's status changes it covers. One that covers fewer than there are, or that is older
than the settings allow, is replaced when it is asked for; the authority's row is locked meanwhile, so that a CRL with
a higher number always knows at least as much. All scopes of an authority take their numbers from one counter. Every
revoked certificate stays listed after it has expired: signatures that it made are verified for longer than it lives.

- **full**: everything. Once it is long it is made anew only when it is due, and at once after a key compromise.
- **delta**: what changed since the oldest full CRL that has not run out, so that it fits whichever one somebody holds.
  It tells every change at once. Where the newest full CRL tells the same, both have one number (§5.2.3).
- **partition** ``COUNT-INDEX``: certificates whose serial number leaves INDEX when it is divided by COUNT. They
  point to it; its issuing distribution point, which is critical, says the same URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from threading import Lock
from typing import Any

from cryptography import x509
from sqlalchemy import Connection, Row

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.keys.handles import private_key
from foundation.keys.port import KeyStore
from foundation.x509.crl import CrlScope, RevokedEntry, crl_tbs, encode_entries, signed_crl
from issuing_ca import status_journal, store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.crl_scopes import DELTA, FULL, crl_url, ending, partition_of
from issuing_ca.errors import AuthorityNotInstalled, CrlUnknown, StatusStale
from issuing_ca.log import IssuanceLog
from issuing_ca.model import ROOT, Authority, AuthorityKind, CertificateState, Reason
from issuing_ca.store import CrlFacts, StoredCrl
from issuing_ca.tables import status_changes

_COMPROMISE = (Reason.KEY_COMPROMISE.value, Reason.CA_COMPROMISE.value)
_MOST_READ = 1024  # CRLs in memory: every scope of an authority with 256 partitions, and more
_FLAGS = {reason.value: reason.flag for reason in Reason}


class RevocationLists:
    """Makes CRLs and gives the current ones."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        authorities: Authorities,
        clock: Clock,
        audit: AuditTrail,
        settings: IssuingCaSettings,
        log: IssuanceLog | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._authorities = authorities
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._log = log
        self._read: dict[tuple[str, str], StoredCrl] = {}
        self._lock = Lock()

    def current_crl(self, name: str) -> bytes:
        """The current full CRL (DER) of an authority, or of the root (``root``). Raises StatusStale for the root's."""
        return self.current(name).crl

    def current(self, name: str, scope: str = FULL) -> StoredCrl:
        """A current CRL with its number and dates.

        Raises AuthorityUnknown, AuthorityNotInstalled, StatusStale (the root's has run out), CrlUnknown (a scope that
        this authority has none for), and the key store's errors.
        """
        if name == ROOT:
            if scope != FULL:
                raise CrlUnknown
            return self._root_crl()
        with self._database.read() as connection:
            row = store.authority_row(connection, name)
            latest = store.latest_crl_facts(connection, name, scope)
            if latest is None and scope not in (FULL, DELTA) and scope not in self._partitions():
                raise CrlUnknown
            if latest is not None and self._serves(connection, row, latest):
                return self._whole(connection, name, latest)
        return self.renew(name, scope)

    def renew(self, name: str, scope: str = FULL, *, force: bool = False) -> StoredCrl:
        """Make the next CRL, unless somebody just did; ``force`` makes one anyway."""
        authority = self._authorities.get(name)
        if authority.kind is AuthorityKind.ROOT_OCSP:
            raise AuthorityNotInstalled(name=name)
        if scope == DELTA:
            self.current(name)  # there is a full CRL to be a delta to
        with self._database.unit_of_work() as connection:
            row = store.authority_row(connection, name, lock=True)
            latest = store.latest_crl_facts(connection, name, scope)
            if latest is not None and not force and self._serves(connection, row, latest):
                return self._whole(connection, name, latest)
            return self._make(connection, authority, row, scope)

    def upkeep(self, name: str) -> None:
        """Make whatever is due: full, delta, and every partition that certificates point to now."""
        for scope in (FULL, DELTA, *self._partitions()):
            self.current(name, scope)

    def _whole(self, connection: Connection, name: str, facts: CrlFacts) -> StoredCrl:
        """The CRL with its octets, out of memory where it is the one that was read last: a CRL never changes."""
        known = self._read.get((name, facts.scope))
        if known is None or known.number != facts.number:
            found = store.latest_crl(connection, name, facts.scope)
            assert found is not None  # noqa: S101 - CRLs are never removed
            known = found
            with self._lock:
                if len(self._read) >= _MOST_READ:
                    self._read.clear()
                self._read[name, facts.scope] = known
        return known

    def _partitions(self) -> tuple[str, ...]:
        count = self._settings.crl_partitions
        return tuple(partition_of(index, count) for index in range(count))

    def _serves(self, connection: Connection, row: Row[Any], crl: CrlFacts) -> bool:
        if self._clock.now() >= crl.this_update + self._settings.crl_renew_after:
            return False
        if crl.scope == DELTA:
            full = store.latest_crl_facts(connection, row.name)
            return crl.covers >= row.status_changes and full is not None and crl.number >= full.number
        if crl.covers >= row.status_changes:
            return True
        if crl.scope not in (FULL, DELTA):
            within = store.ends_with(ending(crl.scope))
            return not status_journal.any_since(connection, row.name, crl.covers, within)
        if crl.scope == FULL and crl.entries > self._settings.crl_full_at_once_up_to:
            compromised = status_changes.c.reason.in_(_COMPROMISE)
            return not status_journal.any_since(connection, row.name, crl.covers, compromised)
        return False

    def _make(self, connection: Connection, authority: Authority, row: Row[Any], scope: str) -> StoredCrl:
        now = self._clock.now().replace(microsecond=0)
        number, this_update, next_update = row.crl_number + 1, now, now + self._settings.crl_validity
        form = CrlScope()
        entries: Iterable[RevokedEntry]
        if scope == FULL:
            # A list that tells everything names no delta: validators that find it in a signed document would ask for
            # one (RFC 5280 §5.2.6 leaves it open). A long one waits, so it says where what is newer stands.
            last = store.latest_crl_facts(connection, row.name)
            if last is not None and last.entries > self._settings.crl_full_at_once_up_to:
                form = CrlScope(freshest=self._url(row.name, DELTA))
            entries = _entries(store.revoked(connection, row.name))
        elif scope == DELTA:
            full = store.latest_crl_facts(connection, row.name)
            base = store.oldest_current_crl(connection, row.name, now)
            assert full is not None and base is not None  # noqa: S101, PT018 - the full one was made just before
            form = CrlScope(base=base[0])
            entries = _changed(connection, row.name, base[1])
            newest = store.latest_crl_facts(connection, row.name, DELTA)
            same = newest is None or newest.number < full.number
            if same and full.covers == row.status_changes:  # it tells the same, so it is of the same number and moment
                number, this_update, next_update = full.number, full.this_update, full.next_update
        else:
            form = CrlScope(distribution_point=self._url(row.name, scope))
            entries = _entries(store.revoked(connection, row.name, ending(scope)))
        counted = _Counted(entries)
        tbs = crl_tbs(authority.certificate, number, this_update, next_update, encode_entries(counted), scope=form)
        key = private_key(self._keys, self._keys.get(authority.key_id))
        data = signed_crl(authority.certificate, key, tbs)
        stored = StoredCrl(number, this_update, next_update, row.status_changes, scope, counted.count, data)
        if number == row.crl_number + 1:
            store.next_crl_number(connection, row.name, row.crl_number)
        store.add_crl(connection, row.name, stored)
        if self._log is not None:
            self._log.record_crl(connection, stored.crl, authority.certificate.subject)
        details = {"number": number, "entries": counted.count, "scope": scope}
        self._audit.append(connection, "service:issuing_ca", "issuing_ca.crl_made", row.name, details)
        return stored

    def _url(self, name: str, scope: str) -> str:
        return crl_url(self._settings.public_url, name, scope)

    def _root_crl(self) -> StoredCrl:
        crl = self._authorities.root_crl()
        if crl is None:
            raise AuthorityNotInstalled(name=ROOT)
        if self._clock.now() >= crl.next_update:
            raise StatusStale
        return crl


class _Counted:
    """Entries that are counted as they go by, so that a long list is never held."""

    def __init__(self, entries: Iterable[RevokedEntry]) -> None:
        self._entries = entries
        self.count = 0

    def __iter__(self) -> Iterator[RevokedEntry]:
        for entry in self._entries:
            self.count += 1
            yield entry


def _entries(rows: Iterable[tuple[int, datetime, str, datetime | None]]) -> Iterator[RevokedEntry]:
    for serial, revoked_at, reason, invalidity_at in rows:
        yield RevokedEntry(serial, revoked_at, _FLAGS[reason], invalidity_at)


def _changed(connection: Connection, authority: str, covered: int) -> Iterator[RevokedEntry]:
    """What a delta lists: what is revoked or held now, and what was released (removeFromCRL), of all that changed."""
    changes = {change.serial: change for change in status_journal.since(connection, authority, covered)}
    yield from _entries(store.revoked_among(connection, authority, changes))
    for serial, change in sorted(changes.items()):
        if change.state is CertificateState.ISSUED:
            yield RevokedEntry(int(serial, 16), change.at, x509.ReasonFlags.remove_from_crl)
