"""The outbox: the embedded default for notices. Nothing is sent anywhere; what would be is kept, sealed, to be shown.

A message is sealed for the person it is about, so that erasing them destroys it. Only an operator may read, and who
read is in the audit trail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from ekyc.store import outbox
from foundation.canonical import canonical_json
from foundation.catalogue import Language, text
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind, Forbidden
from foundation.keys.errors import OwnerDestroyed
from foundation.vault import Vault

ROLE = "ekyc-outbox"
_PURPOSE = "outbox"


@dataclass(frozen=True)
class Message:
    """A notice as the person would have received it."""

    person_id: str
    channel: str
    address: str
    text: str
    params: Mapping[str, str]
    at: datetime


class Outbox:
    """A Notifier that keeps, and the operators' way to read it."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._clock = clock

    def send(
        self, channel: str, address: str, template: str, params: Mapping[str, str], *, person: str, language: str
    ) -> None:
        """Keep a message (see `ekyc.ports.Notifier`)."""
        written = text(f"ekyc.{template}", Language(language), **params)
        content = canonical_json({"address": address, "text": written, "params": dict(params)})
        sealed = self._vault.seal(person, _PURPOSE, content)
        with self._database.unit_of_work() as connection:
            connection.execute(
                outbox.insert().values(
                    person_id=person, channel=channel, template=template, sealed=sealed, at=self._clock.now()
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
            try:
                content = json.loads(self._vault.open(row.person_id, _PURPOSE, bytes(row.sealed)))
            except OwnerDestroyed:
                continue  # erased, and nobody can read it any more
            messages.append(
                Message(row.person_id, row.channel, content["address"], content["text"], content["params"], row.at)
            )
        return tuple(messages)
