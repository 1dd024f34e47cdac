"""CRLs: full, numbered without gaps or repeats, never behind the store (RFC 5280 §5).

A CRL says how many of its authority's status changes it covers. One that covers fewer than there are, or that is older
than the settings allow, is replaced when it is asked for; the authority's row is locked meanwhile, so that a CRL with
a higher number always knows at least as much. Every revoked certificate stays listed after it has expired: signatures
that it made are verified for longer than it lives.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.keys.handles import private_key
from foundation.keys.port import KeyStore
from foundation.x509.crl import RevokedEntry, build_crl
from issuing_ca import store
from issuing_ca.authorities import Authorities
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import AuthorityNotInstalled, StatusStale
from issuing_ca.log import IssuanceLog
from issuing_ca.model import ROOT, AuthorityKind
from issuing_ca.store import StoredCrl


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

    def current_crl(self, name: str) -> bytes:
        """The CRL of an authority, or of the root (name ``root``), as DER; a new one where the last no longer serves.

        Raises AuthorityUnknown, AuthorityNotInstalled, StatusStale (root), and the key store's errors.
        """
        return self.current(name).crl

    def current(self, name: str) -> StoredCrl:
        """The same with its number and dates."""
        if name == ROOT:
            return self._root_crl()
        with self._database.read() as connection:
            latest = store.latest_crl(connection, name)
            changes = store.authority_row(connection, name).status_changes
        if latest is not None and self._serves(latest, changes):
            return latest
        return self.renew(name)

    def renew(self, name: str, *, force: bool = False) -> StoredCrl:
        """Make the next CRL, unless somebody just did; ``force`` makes one anyway."""
        authority = self._authorities.get(name)
        if authority.kind is AuthorityKind.ROOT_OCSP:
            raise AuthorityNotInstalled(name=name)
        key = private_key(self._keys, self._keys.get(authority.key_id))
        with self._database.unit_of_work() as connection:
            row = store.authority_row(connection, name, lock=True)
            latest = store.latest_crl(connection, name)
            if latest is not None and not force and self._serves(latest, row.status_changes):
                return latest
            now = self._clock.now().replace(microsecond=0)
            number, next_update = row.crl_number + 1, now + self._settings.crl_validity
            entries = [
                RevokedEntry(serial, revoked_at, reason.flag, invalidity_at)
                for serial, revoked_at, reason, invalidity_at in store.revoked(connection, name)
            ]
            crl = build_crl(authority.certificate, key, number, now, next_update, entries)
            stored = StoredCrl(number, now, next_update, row.status_changes, crl.public_bytes(Encoding.DER))
            store.next_crl_number(connection, name, row.crl_number)
            store.add_crl(connection, name, stored)
            if self._log is not None:
                self._log.record_crl(connection, stored.crl, authority.certificate.subject)
            details = {"number": number, "entries": len(entries)}
            self._audit.append(connection, "service:issuing_ca", "issuing_ca.crl_made", name, details)
        return stored

    def _serves(self, crl: StoredCrl, changes: int) -> bool:
        return crl.covers >= changes and self._clock.now() < crl.this_update + self._settings.crl_renew_after

    def _root_crl(self) -> StoredCrl:
        crl = self._authorities.root_crl()
        if crl is None:
            raise AuthorityNotInstalled(name=ROOT)
        if self._clock.now() >= crl.next_update:
            raise StatusStale
        return crl
