"""What a person can ask about their own data: all of it, and who looked at it.

Check: EKYC-OWN-DATA. Whoever asks gets their own and nobody else's; asking is itself written down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.contacts.outbox import opened, without_secret
from foundation.clock import rfc3339
from foundation.db.audit import events
from foundation.http.actor import Actor

LOOKS = ("ekyc.evidence_viewed", "ekyc.outbox_read", "ekyc.data_exported", "ekyc.images_viewed", "ekyc.image_viewed")
_EVERYBODY = "all"  # an operator who read the outbox of everybody
_MOST = 1000


@dataclass(frozen=True)
class Access:
    """Somebody looked: when, who (kind and opaque id), and at what."""

    at: datetime
    who: str
    what: str


class PersonalDataDesk:
    """A person's own data."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def export(self, actor: Actor, enrolment_id: str) -> Mapping[str, Any]:
        """Everything that is kept about the caller, opened: enrolment, evidence with its content, decisions, messages,
        accesses, and the terms in force. Raises EnrolmentUnknown, OwnerDestroyed.
        """
        files = self._files
        enrolment = files.of_person(actor, enrolment_id)
        with files.database.unit_of_work() as connection:
            files.audit.append(connection, str(actor), "ekyc.data_exported", enrolment.id, {})
        with files.database.read() as connection:
            ledger = store.ledger(connection, enrolment.id)
            evidence = [
                {
                    "kind": record.kind.value,
                    "outcome": record.outcome,
                    "control": record.control,
                    "control_version": record.control_version,
                    "facts": dict(record.facts),
                    "by": record.actor,
                    "at": rfc3339(record.at),
                    "content": dict(files.open_record(connection, enrolment, record)),
                }
                for record in ledger
            ]
            decisions = [json.loads(document) for _, document, _ in store.kept_decisions(connection, enrolment.id)]
            rows = connection.execute(
                select(store.outbox).where(store.outbox.c.person_id == enrolment.person_id).order_by("sequence")
            ).all()
        messages = [
            # A code is shown where it was sent, and nowhere else: otherwise a session could prove any contact.
            without_secret(opened(files.vault, row)) | {"at": rfc3339(row.at), "standing": row.standing}
            for row in rows
        ]
        terms = files.terms
        return {
            "enrolment": {
                "id": enrolment.id,
                "person_id": enrolment.person_id,
                "level": enrolment.level,
                "language": enrolment.language,
                "state": enrolment.state.value,
                "created_at": rfc3339(enrolment.created_at),
                "certificate_serial": enrolment.certificate_serial,
            },
            "purpose": terms.purpose,
            "evidence": evidence,
            "decisions": decisions,
            "messages": messages,
            "accesses": [asdict(one) | {"at": rfc3339(one.at)} for one in self._accesses(enrolment)],
        }

    def accesses(self, actor: Actor, enrolment_id: str) -> tuple[Access, ...]:
        """Who looked at the caller's data, newest first. Raises EnrolmentUnknown."""
        return self._accesses(self._files.of_person(actor, enrolment_id))

    def _accesses(self, enrolment: Any) -> tuple[Access, ...]:
        query = (
            select(events.c.at, events.c.actor, events.c.action)
            .where(events.c.action.in_(LOOKS))
            .where(events.c.subject.in_((enrolment.id, enrolment.person_id, _EVERYBODY)))
            .where(events.c.at >= enrolment.created_at)
            .order_by(events.c.sequence.desc())
            .limit(_MOST)
        )
        with self._files.database.read() as connection:
            return tuple(Access(row.at, row.actor, row.action) for row in connection.execute(query))
