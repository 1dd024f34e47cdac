"""The head of the audit trail, published each hour: its statement is an entry of the issuance log.

The trail is a chain, so whoever owns the database can cut its end off and write the head anew, or write all of it anew,
and the chain is whole. What was published cannot be taken back in the same way: the log's checkpoint signs it, and
witnesses and monitors keep that. So the trail is held against every head that the log has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.canonical import canonical_json
from foundation.clock import Clock, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.log_proof import EntryKind
from issuing_ca import log_store
from issuing_ca.errors import AuditHeadMissing
from issuing_ca.log import IssuanceLog

FORM = "camtrust.audit-head/v1"
EVERY = timedelta(hours=1)
_ACTOR, _ACTION, _SUBJECT = "service:issuing_ca", "issuing_ca.audit_head_published", "audit-trail"


def statement(events: int, last: bytes) -> bytes:
    """What the log has the SHA-256 of. ``last``: the hash of the last of so many events."""
    return canonical_json({"form": FORM, "events": events, "hash": last.hex()})


@dataclass(frozen=True)
class AuditedTrail:
    """A trail that was walked: how many events, how many published heads it has, and when the newest was published."""

    events: int
    heads: int
    published_at: datetime | None


class AuditHeads:
    """Publishes heads, and holds the trail against them."""

    def __init__(self, database: Database, trail: AuditTrail, clock: Clock, log: IssuanceLog) -> None:
        self._database = database
        self._trail = trail
        self._clock = clock
        self._log = log

    def publish(self) -> bool:
        """Record the head as it is now, where the last one is an hour old; whether it was due.

        The log signs it when it is integrated. Beside another process that does the same, one of the two records it.
        """
        with self._database.read() as connection:
            last = self._trail.last_of(connection, _ACTION)
        if not self._due(last):
            return False
        with self._database.unit_of_work() as connection:
            events, value = self._trail.held(connection)
            if not self._due(self._trail.last_of(connection, _ACTION)):
                return False
            digest = hashlib.sha256(statement(events, value)).digest()
            self._log.record(connection, EntryKind.AUDIT, digest, _SUBJECT)
            self._trail.append(connection, _ACTOR, _ACTION, str(events), {"digest": digest.hex()})
        return True

    def verify(self) -> AuditedTrail:
        """Walk the trail; every head that the log has must be met on the way.

        What came after the newest head is held by the chain alone. That the log itself is whole is
        :meth:`IssuanceLog.verify`'s to say. Raises AuditChainBroken, AuditHeadMissing.
        """
        with self._database.read() as connection:
            openings = log_store.openings_of(connection, EntryKind.AUDIT)
        missing = {one.digest: one.at for one in openings}

        def seen(events: int, value: bytes) -> None:
            if missing:
                missing.pop(hashlib.sha256(statement(events, value)).digest(), None)

        events = self._trail.verify(self._database, seen)
        if missing:
            raise AuditHeadMissing(at=rfc3339(min(missing.values())))
        return AuditedTrail(events, len(openings), max((one.at for one in openings), default=None))

    def _due(self, last: datetime | None) -> bool:
        return last is None or last + EVERY <= self._clock.now()
