"""The room's tables and their repository. Personal data stands here sealed, or as a keyed index, and no other way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)

from ekyc.errors import EnrolmentUnknown
from ekyc.evidence.record import Evidence, EvidenceKind
from ekyc.model import Enrolment, State
from foundation.canonical import canonical_json
from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime

metadata = MetaData()

enrolments = Table(
    "ekyc_enrolments",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("person_id", String(40), nullable=False, unique=True),
    Column("level", String(20), nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", String(30), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("reason", String(100), nullable=True),
    Column("retry_at", UtcDateTime, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("subject_index", LargeBinary(32), nullable=True, index=True),
    # Set while the enrolment is approved: one person, one approved enrolment, whatever races.
    Column("claimed_index", LargeBinary(32), nullable=True, unique=True),
    # What two documents of one person have in common (`ekyc.documents.kinds`): for an officer to look at.
    Column("namesake_index", LargeBinary(32), nullable=True, index=True),
    Column("review_due_at", UtcDateTime, nullable=True),
    Column("key_id", String(100), nullable=True),
    Column("certificate_serial", String(64), nullable=True),
    Column("credential_id", String(100), nullable=True),
    Column("certificate_ends_at", UtcDateTime, nullable=True, index=True),
    Column("reminded_days", Integer, nullable=True),  # the last reminder was that many days before the end
    Column("superseded_serial", String(64), nullable=True, index=True),
    Column("erased_at", UtcDateTime, nullable=True),
    Column("destruction", LargeBinary, nullable=True),  # the token's certificate that the person's key is gone
)

evidence = Table(
    "ekyc_evidence",
    metadata,
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("control", String(40), nullable=False),
    Column("control_version", Integer, nullable=False, index=True),
    Column("outcome", String(30), nullable=False),
    Column("facts", Text, nullable=False),
    Column("content", LargeBinary(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    PrimaryKeyConstraint("enrolment_id", "sequence"),
)

decisions = Table(
    "ekyc_decisions",
    metadata,
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False),
    Column("evidence_count", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("policy_digest", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("enrolment_id", "evidence_count"),
)

policies = Table(
    "ekyc_policies",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("document", Text, nullable=False),
)

challenges = Table(
    "ekyc_contact_challenges",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=False, index=True),
    Column("channel", String(10), nullable=False),
    Column("address_index", LargeBinary(32), nullable=False, index=True),
    Column("address_sealed", LargeBinary, nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("code_hash", LargeBinary(32), nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
)

service_keys = Table(
    "ekyc_service_keys",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

outbox = Table(
    "ekyc_outbox",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("person_id", String(40), nullable=False, index=True),
    Column("channel", String(10), nullable=False),
    Column("template", String(60), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("message_id", String(40), nullable=True),
    Column("standing", String(12), nullable=False, server_default="kept"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", UtcDateTime, nullable=True),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Index("ix_ekyc_outbox_waiting", "standing", "next_at"),
)


def insert_enrolment(connection: Connection, enrolment: Enrolment) -> None:
    """A new enrolment."""
    connection.execute(enrolments.insert().values(**{**vars(enrolment), "state": enrolment.state.value}))


def load(connection: Connection, enrolment_id: str) -> Enrolment:
    """Raises EnrolmentUnknown."""
    return enrolment_of(connection.execute(selected().where(enrolments.c.id == enrolment_id)).first())


def load_of_person(connection: Connection, person_id: str) -> Enrolment:
    """Raises EnrolmentUnknown."""
    return enrolment_of(connection.execute(selected().where(enrolments.c.person_id == person_id)).first())


def in_states(connection: Connection, states: Sequence[State], after: str | None, limit: int) -> tuple[Enrolment, ...]:
    """Enrolments in these states, by id (which is random), from behind the id ``after``."""
    query = selected().where(enrolments.c.state.in_([state.value for state in states]))
    if after is not None:
        query = query.where(enrolments.c.id > after)
    return tuple(enrolment_of(row) for row in connection.execute(query.order_by(enrolments.c.id).limit(limit)))


def due(connection: Connection, states: Sequence[State], now: datetime, limit: int) -> tuple[Enrolment, ...]:
    """Enrolments in these states whose time ran out."""
    query = selected().where(
        enrolments.c.state.in_([state.value for state in states]) & (enrolments.c.expires_at <= now)
    )
    return tuple(enrolment_of(row) for row in connection.execute(query.order_by(enrolments.c.expires_at).limit(limit)))


def to_erase(connection: Connection, limit: int) -> tuple[Enrolment, ...]:
    """Withdrawn or expired, and their sealed data not yet destroyed."""
    query = selected().where(
        enrolments.c.state.in_([State.WITHDRAWN.value, State.EXPIRED.value]) & enrolments.c.erased_at.is_(None)
    )
    return tuple(enrolment_of(row) for row in connection.execute(query.limit(limit)))


def hold(connection: Connection, enrolment: Enrolment) -> None:
    """Lock the row until the unit of work ends. Raises StaleWrite unless it is still in the version that was read."""
    query = select(enrolments.c.version).where(enrolments.c.id == enrolment.id).with_for_update()
    if connection.execute(query).scalar() != enrolment.version:
        raise StaleWrite


def change(connection: Connection, enrolment: Enrolment, values: Mapping[str, Any], **columns: Any) -> Enrolment:
    """Compare-and-set on the version; gives the enrolment as it is now. Raises StaleWrite.

    ``values`` are fields of the enrolment, ``columns`` further columns of the table.
    """
    changed = replace(enrolment, **{**values, "version": enrolment.version + 1})
    compare_and_set(
        connection,
        enrolments,
        (enrolments.c.id == enrolment.id)
        & (enrolments.c.version == enrolment.version)
        & (enrolments.c.state == enrolment.state.value),
        {**values, **columns, "state": changed.state.value, "version": changed.version},
    )
    return changed


def claimed_by(connection: Connection, index: bytes) -> str | None:
    """The id of the approved enrolment of the person with this index."""
    found = connection.execute(select(enrolments.c.id).where(enrolments.c.claimed_index == index)).scalar()
    return None if found is None else str(found)


def namesake_facts(connection: Connection, enrolment: Enrolment) -> Mapping[str, str]:
    """A fact where somebody of the same name and birth is approved under another document; none where nobody is."""
    own = select(enrolments.c.namesake_index).where(enrolments.c.id == enrolment.id).scalar_subquery()
    others = (enrolments.c.namesake_index == own) & enrolments.c.claimed_index.is_not(None)
    found = connection.execute(select(enrolments.c.id).where(others & (enrolments.c.id != enrolment.id)).limit(1))
    return {} if found.first() is None else {"namesake": "true"}


def has_namesake(connection: Connection, enrolment_id: str, namesake: bytes) -> bool:
    """Whether somebody else with this index of name and birth is approved."""
    others = (enrolments.c.namesake_index == namesake) & enrolments.c.claimed_index.is_not(None)
    query = select(enrolments.c.id).where(others & (enrolments.c.id != enrolment_id))
    return connection.execute(query.limit(1)).first() is not None


def index_of_person(connection: Connection, person_id: str) -> bytes | None:
    """The index of a person who has an enrolment here."""
    query = select(enrolments.c.subject_index).where(enrolments.c.person_id == person_id)
    found = connection.execute(query).scalar()
    return None if found is None else bytes(found)


def append_evidence(connection: Connection, record: Evidence, sealed: bytes) -> None:
    """One more record of the ledger; its content sealed."""
    values = {**vars(record), "kind": record.kind.value, "facts": canonical_json(dict(record.facts)).decode()}
    connection.execute(evidence.insert().values(**values, sealed=sealed))


def ledger(connection: Connection, enrolment_id: str) -> tuple[Evidence, ...]:
    """All records of an enrolment, oldest first."""
    query = select(*(column for column in evidence.c if column.name != "sealed"))
    rows = connection.execute(query.where(evidence.c.enrolment_id == enrolment_id).order_by(evidence.c.sequence))
    return tuple(_evidence(row) for row in rows)


def sealed_content(connection: Connection, record: Evidence) -> bytes:
    """The sealed content of one record."""
    query = select(evidence.c.sealed).where(
        (evidence.c.enrolment_id == record.enrolment_id) & (evidence.c.sequence == record.sequence)
    )
    return bytes(connection.execute(query).scalar_one())


def keep_decision(
    connection: Connection, enrolment_id: str, count: int, document: bytes, policy: tuple[str, bytes], at: datetime
) -> None:
    """A decision, and the policy (digest, canonical form) that it was made by, once."""
    insert_once(connection, policies, {"digest": policy[0], "document": policy[1].decode()})
    connection.execute(
        decisions.insert().values(
            enrolment_id=enrolment_id,
            evidence_count=count,
            document=document.decode(),
            policy_digest=policy[0],
            at=at,
        )
    )


def kept_decisions(connection: Connection, enrolment_id: str) -> tuple[tuple[int, bytes, bytes], ...]:
    """The decisions on an enrolment: how many records it saw, its document, the policy's canonical form."""
    query = (
        select(decisions.c.evidence_count, decisions.c.document, policies.c.document.label("policy"))
        .join(policies, policies.c.digest == decisions.c.policy_digest)
        .where(decisions.c.enrolment_id == enrolment_id)
        .order_by(decisions.c.evidence_count)
    )
    return tuple((row.evidence_count, row.document.encode(), row.policy.encode()) for row in connection.execute(query))


def last_challenge(connection: Connection, enrolment_id: str) -> Row[Any] | None:
    """The newest contact challenge of an enrolment."""
    query = select(challenges).where(challenges.c.enrolment_id == enrolment_id)
    return connection.execute(query.order_by(challenges.c.sent_at.desc(), challenges.c.id).limit(1)).first()


def challenges_since(connection: Connection, since: datetime, enrolment_id: str, address_index: bytes) -> int:
    """The larger of two counts since a time: challenges of the enrolment, and challenges to the address."""
    counts = [
        connection.execute(
            select(func.count()).select_from(challenges).where(condition & (challenges.c.sent_at > since))
        ).scalar_one()
        for condition in (challenges.c.enrolment_id == enrolment_id, challenges.c.address_index == address_index)
    ]
    return max(counts)


def forget_messages(connection: Connection, person_id: str, enrolment_id: str) -> None:
    """Remove a person's messages and challenges."""
    connection.execute(delete(outbox).where(outbox.c.person_id == person_id))
    connection.execute(delete(challenges).where(challenges.c.enrolment_id == enrolment_id))


_FIELDS = tuple(Enrolment.__dataclass_fields__)


def selected() -> Select[Any]:
    """The columns that make an enrolment."""
    return select(*(enrolments.c[name] for name in _FIELDS))


def enrolment_of(row: Row[Any] | None) -> Enrolment:
    """One row of :func:`selected`. Raises EnrolmentUnknown for none."""
    if row is None:
        raise EnrolmentUnknown
    return Enrolment(**{**row._asdict(), "state": State(row.state)})


def _evidence(row: Row[Any]) -> Evidence:
    return Evidence(**{**row._asdict(), "kind": EvidenceKind(row.kind), "facts": json.loads(row.facts)})
