"""What the base registry tells of persons, and what follows: a death revokes their certificates, a lost card suspends.

The registry knows documents and not our persons: the roof says whose a document number is. An event has the registry's
own id. It is written down before anything is changed, with a digest of what was told, so that the same event again
changes nothing, a crash in between goes on where it was, and another event under the same id is refused. Of the
document a blind index goes into that digest: numbers can be tried out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select, update

from foundation.canonical import digest
from foundation.clock import Clock, rfc3339
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.db.once import insert_once
from foundation.http.actor import Actor
from issuing_ca.errors import EventContradicted, RequestRefused, TransitionRefused
from issuing_ca.model import CertificateRecord, CertificateState, Reason
from issuing_ca.service import CertificateAuthority
from issuing_ca.tables import registry_events

_OPEN, _DONE = "open", "done"
_MOST = 200


class EventKind(StrEnum):
    """What happened."""

    DEATH = "death"
    CARD_LOST = "card-lost"


@dataclass(frozen=True)
class RegistryEvent:
    """``id``: the registry's; ``document_number`` as it stands on the card; ``occurred_at``: when, as it says."""

    id: str
    kind: EventKind
    document_number: str
    date_of_birth: date
    occurred_at: datetime


@dataclass(frozen=True)
class EventOutcome:
    """How many persons of ours it concerned, and the serial numbers whose status is now as it should be."""

    persons: int
    serials: tuple[str, ...]
    state: CertificateState


class RegistrySubjects(Protocol):
    """Who of the enrolled is meant by a document."""

    def find(self, document_number: str, date_of_birth: date) -> tuple[bytes, tuple[str, ...]]:
        """A blind index that stands for the document, and the opaque ids of who is enrolled with it, if anybody."""
        ...

    def follow(self, actor: Actor, event_id: str, kind: str, document_number: str, persons: tuple[str, ...]) -> None:
        """Have the enrolments of these persons as they should be after an event. Once more changes nothing."""
        ...


class RegistryEvents:
    """Takes events."""

    def __init__(
        self,
        ca: CertificateAuthority,
        database: Database,
        clock: Clock,
        audit: AuditTrail,
        subjects: RegistrySubjects,
    ) -> None:
        self._ca = ca
        self._database = database
        self._clock = clock
        self._audit = audit
        self._subjects = subjects

    def take(self, actor: Actor, event: RegistryEvent) -> EventOutcome:
        """Revoke or suspend every certificate of the person; the same event again gives the same outcome.

        Raises RequestRefused (an event from the future), EventContradicted (another event has this id), and what
        revoking raises: then the registry sends it again.
        """
        now = self._clock.now()
        if event.occurred_at > now:
            raise RequestRefused(field="occurred_at")
        reference, persons = self._subjects.find(event.document_number, event.date_of_birth)
        told = digest([event.kind.value, rfc3339(event.occurred_at), reference.hex()]).hex()
        with self._database.unit_of_work() as connection:
            values = {"id": event.id, "kind": event.kind.value, "told": told, "state": _OPEN, "actor": str(actor)}
            if insert_once(connection, registry_events, {**values, "at": now, "serials": 0}):
                details = {"kind": event.kind.value, "occurred_at": rfc3339(event.occurred_at), "persons": len(persons)}
                self._audit.append(connection, str(actor), "issuing_ca.registry_event", _name(event), details)
            elif _row(connection, event.id).told != told:
                raise EventContradicted
            done = _row(connection, event.id).state == _DONE
        if not done:
            self._subjects.follow(actor, event.id, event.kind.value, event.document_number, persons)
        serials = [serial for person in persons for serial in self._follow(event, person, change=not done)]
        with self._database.unit_of_work() as connection:
            same = registry_events.c.id == event.id
            connection.execute(update(registry_events).where(same).values(state=_DONE, serials=len(serials)))
        state = CertificateState.REVOKED if event.kind is EventKind.DEATH else CertificateState.HELD
        return EventOutcome(len(persons), tuple(serials), state)

    def _follow(self, event: RegistryEvent, person: str, *, change: bool) -> list[str]:
        """Have a person's certificates as they should be after this; gives those that are."""
        actor, serials = f"registry:{_name(event)}", []
        for record in self._all(person):
            wanted, reason = CertificateState.REVOKED, Reason.CESSATION_OF_OPERATION
            if event.kind is EventKind.CARD_LOST:
                wanted, reason = CertificateState.HELD, Reason.CERTIFICATE_HOLD
            standing = record.state in (CertificateState.ISSUED, CertificateState.HELD)
            if change and standing and record.state is not wanted:
                invalid = event.occurred_at if event.kind is EventKind.DEATH else None
                try:
                    record = self._ca.revoke(record.serial, reason, actor, invalid)
                except TransitionRefused:  # revoked meanwhile, for another reason
                    continue
            if record.state is wanted:
                serials.append(record.serial)
        return serials

    def _all(self, person: str) -> Iterator[CertificateRecord]:
        after, page = None, self._ca.certificates(limit=_MOST, owner=person)
        while page:
            yield from page
            after = page[-1].serial
            page = self._ca.certificates(after, _MOST, owner=person)


def _row(connection: Connection, event_id: str) -> Row[Any]:
    return connection.execute(select(registry_events).where(registry_events.c.id == event_id)).one()


def _name(event: RegistryEvent) -> str:
    """How the audit trail names an event: the registry's id may say more than it should."""
    return hashlib.sha256(event.id.encode()).hexdigest()[:16]
