"""Delivering what waits in the outbox: each notice at least once, with pauses between tries, and an end to them.

A try is claimed first (compare-and-set on the number of tries, the next one put off), so that of several processes one
sends; a process that dies between sending and writing it down leaves the notice to be sent again, under the same
message id, by which servers and readers can tell it is the same. A code that has run out is dropped unsent. Check:
EKYC-NOTICES.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, select

from ekyc.contacts.outbox import PURPOSE, Standing, opened, without_secret
from ekyc.ports import Outgoing, Sender, SenderFailed, SenderRefused
from ekyc.store import outbox
from foundation.canonical import canonical_json
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite, compare_and_set
from foundation.keys.errors import OwnerDestroyed
from foundation.vault import Vault

_log = logging.getLogger(__name__)
_ACTOR = "service:ekyc"
_FIRST = timedelta(seconds=10)
_LONGEST = timedelta(hours=6)
_AT_ONCE = 100


def pause_after(tries: int) -> timedelta:
    """How long until the next try after this many: 10 s, then three times as long each time, up to 6 hours."""
    return min(_FIRST * int(3 ** min(tries - 1, 10)), _LONGEST)


class Delivery:
    """Delivers by a sender for each channel. ``most``: tries before a notice is given up."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditTrail,
        clock: Clock,
        senders: Mapping[str, Sender],
        *,
        most: int = 10,
    ) -> None:
        self._database, self._vault, self._audit, self._clock = database, vault, audit, clock
        self._senders, self._most = senders, most

    @property
    def channels(self) -> frozenset[str]:
        """What is delivered."""
        return frozenset(self._senders)

    def run(self) -> int:
        """Try everything that is due once, up to a hundred notices; gives how many were sent."""
        if not self._senders:
            return 0
        due = (
            select(outbox)
            .where((outbox.c.standing == Standing.WAITING.value) & (outbox.c.next_at <= self._clock.now()))
            .order_by(outbox.c.next_at)
            .limit(_AT_ONCE)
        )
        with self._database.read() as connection:
            rows = connection.execute(due).all()
        return sum(self._try(row) for row in rows)

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()

    def _try(self, row: Row[Any]) -> bool:
        now = self._clock.now()
        if row.expires_at is not None and now >= row.expires_at:
            self._drop(row, "ekyc.notice_expired")
            return False
        tries = row.tries + 1
        try:
            self._claim(row, tries, now + pause_after(tries))
        except StaleWrite:
            return False  # another process has it
        try:
            content = opened(self._vault, row)
        except OwnerDestroyed:
            self._drop(row, "ekyc.notice_dropped")
            return False
        notice = Outgoing(row.message_id, content["address"], content["subject"], content["text"], content["language"])
        sender = self._senders.get(row.channel)
        try:
            if sender is None:  # of before it was configured otherwise
                raise SenderRefused("no-sender")
            sender.deliver(notice, now)
        except SenderRefused as refused:
            self._end(row, tries, content, Standing.REFUSED, refused.rule)
        except SenderFailed as failed:
            _log.warning("notice %s was not taken (%s), try %d", row.message_id, failed.rule, tries)
            if tries >= self._most:
                self._end(row, tries, content, Standing.GIVEN_UP, failed.rule)
        else:
            self._end(row, tries, content, Standing.SENT, None)
            return True
        return False

    def _end(self, row: Row[Any], tries: int, content: Mapping[str, Any], standing: Standing, rule: str | None) -> None:
        """Nothing more is done with it; a code in it is not kept."""
        sealed = self._vault.seal(row.person_id, PURPOSE, canonical_json(without_secret(content)))
        details = {"channel": row.channel, "tries": tries, **({"rule": rule} if rule else {})}
        with self._database.unit_of_work() as connection:
            columns = outbox.c
            compare_and_set(
                connection,
                outbox,
                (columns.sequence == row.sequence) & (columns.standing == Standing.WAITING.value),
                {"standing": standing.value, "sealed": sealed, "ended_at": self._clock.now()},
            )
            action = f"ekyc.notice_{standing.name.lower()}"
            self._audit.append(connection, _ACTOR, action, row.message_id, details)

    def _drop(self, row: Row[Any], action: str) -> None:
        with self._database.unit_of_work() as connection:
            gone = connection.execute(delete(outbox).where(outbox.c.sequence == row.sequence))
            if gone.rowcount:
                self._audit.append(connection, _ACTOR, action, row.message_id, {"channel": row.channel})

    def _claim(self, row: Row[Any], tries: int, next_at: datetime) -> None:
        """Raises StaleWrite where somebody else tried meanwhile."""
        columns = outbox.c
        as_read = (columns.sequence == row.sequence) & (columns.tries == row.tries)
        with self._database.unit_of_work() as connection:
            compare_and_set(
                connection,
                outbox,
                as_read & (columns.standing == Standing.WAITING.value),
                {"tries": tries, "next_at": next_at},
            )
