"""Revocation, suspension and release (RFC 5280 §5.3.1), and the key's switch in the token that follows them.

A status change is committed first; then the key is switched off (or on) in the token. Where the token does not answer,
the wish stays in the row and :meth:`Revocation.reconcile` fulfils it: a key is never left on because of a failure.
"""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import Connection, select

from foundation.clock import Clock
from foundation.db.audit import AuditTrail, events
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.keys.errors import KeyHandleInvalid
from issuing_ca import ocsp_store, status_journal, store
from issuing_ca.errors import RequestRefused, TransitionRefused
from issuing_ca.model import CertificateRecord, CertificateState, Reason
from issuing_ca.ports import KeyControl

_log = logging.getLogger(__name__)

_STANDING = (CertificateState.ISSUED, CertificateState.HELD)
DISABLED, ENABLED = "disabled", "enabled"
_CHANGED = "issuing_ca.status_changed"


class Revocation:
    """Changes the status of certificates."""

    def __init__(self, database: Database, keys: KeyControl, clock: Clock, audit: AuditTrail) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._audit = audit

    def revoke(self, serial: str, reason: Reason, actor: str, invalidity: datetime | None = None) -> CertificateRecord:
        """Revoke for good, hold (``certificateHold``) or release (``removeFromCRL``).

        The same again changes nothing and gives the same record. A revoked certificate stays revoked; its reason may
        still become keyCompromise. ``invalidity``: since when the key is suspected (RFC 5280 §5.3.2), never later than
        now. A held certificate that is then revoked keeps the date on which it was held.
        Raises CertificateUnknown, TransitionRefused, RequestRefused.
        """
        now = self._clock.now().replace(microsecond=0)
        if invalidity is not None:
            invalidity = invalidity.replace(microsecond=0)
            if invalidity > now:
                raise RequestRefused(field="invalidity_date")
        with self._database.unit_of_work() as connection:
            record = store.certificate(connection, serial, lock=True)
            if reason is Reason.REMOVE_FROM_CRL:
                changed = self._release(connection, record)
            elif reason is Reason.CERTIFICATE_HOLD:
                changed = self._hold(connection, record, now)
            else:
                changed = self._revoke(connection, record, reason, now, invalidity)
            if changed:
                after = store.certificate(connection, serial)
                status_journal.record(connection, record.authority, serial, after.state, after.reason, now)
                ocsp_store.forget(connection, record.authority, serial, record.profile)
                details = {"reason": reason.value, "before": record.state.value}
                self._audit.append(connection, actor, _CHANGED, serial, details)
        self._switch(serial)
        with self._database.read() as connection:
            return store.certificate(connection, serial)

    def changed_by(self, serial: str) -> str:
        """Who changed the status last, as the audit trail has it; empty where nobody did."""
        query = (
            select(events.c.actor)
            .where((events.c.action == _CHANGED) & (events.c.subject == serial))
            .order_by(events.c.sequence.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def reconcile(self) -> tuple[str, ...]:
        """Tell the token what it has not been told; gives the serial numbers whose keys still wait."""
        with self._database.read() as connection:
            waiting = [record.serial for record in store.keys_wanted(connection)]
        return tuple(serial for serial in waiting if not self._switch(serial))

    def _revoke(
        self,
        connection: Connection,
        record: CertificateRecord,
        reason: Reason,
        now: datetime,
        invalidity: datetime | None,
    ) -> bool:
        compromise = reason is Reason.KEY_COMPROMISE
        if record.state is CertificateState.REVOKED:
            if record.reason is reason:
                return False
            if not compromise:
                raise TransitionRefused(state=record.state.value, wanted=reason.value)
        elif record.state not in _STANDING:
            raise TransitionRefused(state=record.state.value, wanted=reason.value)
        store.move(
            connection,
            record.serial,
            record.state,
            CertificateState.REVOKED,
            revoked_at=record.revoked_at or now,
            reason=reason.value,
            invalidity_at=invalidity or record.invalidity_at,
            key_wanted=DISABLED if record.key_id else None,
        )
        if compromise:
            store.mark_compromised(connection, record.serial)
        return True

    def _hold(self, connection: Connection, record: CertificateRecord, now: datetime) -> bool:
        if record.state is CertificateState.HELD:
            return False
        if record.state is not CertificateState.ISSUED:
            raise TransitionRefused(state=record.state.value, wanted=CertificateState.HELD.value)
        store.move(
            connection,
            record.serial,
            record.state,
            CertificateState.HELD,
            revoked_at=now,
            reason=Reason.CERTIFICATE_HOLD.value,
            key_wanted=DISABLED if record.key_id else None,
        )
        return True

    def _release(self, connection: Connection, record: CertificateRecord) -> bool:
        if record.state is not CertificateState.HELD:
            raise TransitionRefused(state=record.state.value, wanted=CertificateState.ISSUED.value)
        # another certificate of the same key that is held or revoked keeps the key off
        blocked = bool(record.key_id) and store.key_blocked_elsewhere(connection, str(record.key_id), record.serial)
        store.move(
            connection,
            record.serial,
            record.state,
            CertificateState.ISSUED,
            revoked_at=None,
            reason=None,
            key_wanted=ENABLED if record.key_id and not blocked else None,
        )
        return True

    def _switch(self, serial: str) -> bool:
        """Do in the token what the row wants, if anything; whether nothing is left to do."""
        with self._database.read() as connection:
            record = store.certificate(connection, serial)
        if record.key_wanted is None or record.key_id is None:
            return True
        try:
            self._keys.set_enabled(record.key_id, record.key_wanted == ENABLED)
        except KeyHandleInvalid:
            pass  # destroyed: it can sign nothing any more
        except CamTrustError as error:
            _log.error("key of certificate %s not switched to %s: %s", serial, record.key_wanted, error.code)
            return False
        with self._database.unit_of_work() as connection:
            store.key_switched(connection, serial, record.key_wanted)
            self._audit.append(
                connection, "service:issuing_ca", "issuing_ca.key_switched", serial, {"to": record.key_wanted}
            )
        return True


def replay(connection: Connection, serial: str, state: CertificateState, reason: Reason | None, at: datetime) -> None:
    """Do again what a restored database has forgotten: the status, with its date, and the switch of the key.

    Raises CertificateUnknown where the certificate itself was forgotten.
    """
    record = store.certificate(connection, serial, lock=True)
    standing = state is CertificateState.ISSUED
    store.move(
        connection,
        serial,
        record.state,
        state,
        revoked_at=None if standing else at,
        reason=reason.value if reason and not standing else None,
        key_wanted=(ENABLED if standing else DISABLED) if record.key_id else None,
    )
    if reason is Reason.KEY_COMPROMISE:
        store.mark_compromised(connection, serial)
    status_journal.record(connection, record.authority, serial, state, reason, at)
    ocsp_store.forget(connection, record.authority, serial, record.profile)
