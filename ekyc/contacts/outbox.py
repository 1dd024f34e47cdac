"""The outbox: a notice is written in the transaction that it belongs to, and waits there until it is delivered.

With no sender configured (the embedded default) nothing is delivered: notices are kept, sealed, to be shown to
operators. With senders (`ekyc.contacts.delivery`) they wait, and operators see how far they are, never what they say.
A message is sealed for the person it is about, so that erasing them destroys it. Who read is in the audit trail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, select

from ekyc.errors import NotifierUnavailable
from ekyc.ports import Notice
from ekyc.store import outbox
from foundation.canonical import canonical_json
from foundation.catalogue import Language, text
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind, Forbidden
from foundation.keys.errors import OwnerDestroyed
from foundation.randomness import Randomness, SystemRandomness
from foundation.vault import Vault

ROLE = "ekyc-outbox"
PURPOSE = "outbox"


class Standing(StrEnum):
    """How far a notice is."""

    KEPT = "kept"  # nothing delivers: it is shown to operators
    WAITING = "waiting"
    SENT = "sent"  # a server has taken it over, at least once
    REFUSED = "refused"  # a server will not take it
    GIVEN_UP = "given-up"  # no server took it, however often it was tried


@dataclass(frozen=True)
class Message:
    """A notice as the person would have received it; what is delivered has neither address, text nor params here."""

    person_id: str
    channel: str
    address: str
    text: str
    params: Mapping[str, str]
    at: datetime
    standing: Standing = Standing.KEPT
    tries: int = 0


class Outbox:
    """A Notifier, and the operators' way to look at it. ``channels``: those that are delivered; none: all are kept.
    ``specimen``: every message says that it is one."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditTrail,
        clock: Clock,
        *,
        channels: frozenset[str] = frozenset(),
        randomness: Randomness | None = None,
        specimen: bool = True,
    ) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._channels = channels
        self._service = "ekyc.service_specimen" if specimen else "ekyc.service_real"
        self._randomness = randomness or SystemRandomness()

    def compose(
        self,
        channel: str,
        address: str,
        template: str,
        params: Mapping[str, str],
        *,
        person: str,
        language: str,
        expires_at: datetime | None = None,
    ) -> Notice:
        """Write and seal a message (see `ekyc.ports.Notifier`). Raises NotifierUnavailable for a channel that nothing
        delivers, when others are delivered.
        """
        if self._channels and channel not in self._channels:
            raise NotifierUnavailable
        spoken = Language(language)
        service = text(self._service, spoken)
        content = {
            "address": address,
            "subject": text("ekyc.notice_subject", spoken, service=service),
            "text": text(f"ekyc.{template}", spoken, service=service, **params),
            "language": spoken.value,
            "params": dict(params),
            "secret": expires_at is not None,
        }
        return Notice(
            id=self._randomness.bytes(16).hex(),
            person_id=person,
            channel=channel,
            template=template,
            sealed=self._vault.seal(person, PURPOSE, canonical_json(content)),
            expires_at=expires_at,
        )

    def post(self, connection: Connection, notice: Notice) -> None:
        """Put a message into the outbox, in the caller's transaction."""
        now = self._clock.now()
        connection.execute(
            outbox.insert().values(
                message_id=notice.id,
                person_id=notice.person_id,
                channel=notice.channel,
                template=notice.template,
                sealed=notice.sealed,
                at=now,
                standing=(Standing.WAITING if self._channels else Standing.KEPT).value,
                tries=0,
                next_at=now,
                expires_at=notice.expires_at,
            )
        )

    def read(self, reader: Actor, person_id: str | None = None, limit: int = 50) -> tuple[Message, ...]:
        """The newest messages (of one person), newest first. Raises Forbidden unless an operator with the role asks."""
        if reader.kind is not ActorKind.OPERATOR or ROLE not in reader.roles:
            raise Forbidden
        query = select(outbox).order_by(outbox.c.sequence.desc()).limit(limit)
        if person_id is not None:
            query = query.where(outbox.c.person_id == person_id)
        with self._database.unit_of_work() as connection:
            self._audit.append(connection, str(reader), "ekyc.outbox_read", person_id or "all", {"limit": limit})
            rows = connection.execute(query).all()
        messages = []
        for row in rows:
            standing = Standing(row.standing)
            if standing is not Standing.KEPT:  # it goes to the person: nobody else is shown it
                messages.append(Message(row.person_id, row.channel, "", "", {}, row.at, standing, row.tries))
                continue
            try:
                content = opened(self._vault, row)
            except OwnerDestroyed:
                continue  # erased, and nobody can read it any more
            messages.append(
                Message(row.person_id, row.channel, content["address"], content["text"], content["params"], row.at)
            )
        return tuple(messages)

    def counted(self, standing: Standing) -> int:
        """How many notices stand there."""
        query = select(func.count()).select_from(outbox).where(outbox.c.standing == standing.value)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def opened(vault: Vault, row: Row[Any]) -> dict[str, Any]:
    """What a row of the outbox holds: ``address``, ``subject``, ``text``, ``language``, ``params``, and ``secret``, for
    what only the person may see where it is delivered. Raises OwnerDestroyed.
    """
    content: dict[str, Any] = json.loads(vault.open(row.person_id, PURPOSE, bytes(row.sealed)))
    return {"subject": "", "language": Language.EN.value, "secret": "code" in content["params"], **content}


def without_secret(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what was secret in it."""
    return {**content, "text": "", "params": {}} if content["secret"] else dict(content)
