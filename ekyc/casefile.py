"""The case file: what every step of an enrolment shares. Who may touch it, how it moves, what is written down.

A step reads the enrolment (:meth:`CaseFiles.begin`), does its slow work without holding the database, and then writes
everything in one unit of work whose compare-and-set is on the version that it read. Of two that raced, one is stored.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ekyc import store
from ekyc.blind_index import BlindIndex
from ekyc.config import EkycSettings
from ekyc.errors import (
    EnrolmentExpired,
    EnrolmentUnknown,
    EvidenceFirst,
    GateClosed,
    LevelUnknown,
    LevelWithout,
    TooMuchEvidence,
)
from ekyc.evidence.record import GENESIS, Evidence, EvidenceKind, chained, latest_shown
from ekyc.findings import Finding
from ekyc.model import CERTIFYING, CLOSED, REVIEWABLE, Enrolment, State, check_transition
from ekyc.policy import Policy
from ekyc.terms import read_terms
from foundation.canonical import canonical_json, digest
from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database, StaleWrite
from foundation.http.actor import Actor
from foundation.randomness import Randomness
from foundation.vault import Vault

_SALT = 16


@dataclass(frozen=True)
class Sealed:
    """Content sealed for a person, and the digest of the salted content."""

    digest: bytes
    data: bytes


class CaseFiles:
    """Loads, moves and writes down."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        settings: EkycSettings,
        policy: Policy,
    ) -> None:
        self.database = database
        self.vault = vault
        self.audit = audit
        self.clock = clock
        self.randomness = randomness
        self.settings = settings
        self.policy = policy
        self.terms = read_terms(settings.terms)
        self.index = BlindIndex(database, vault, randomness)

    def new_id(self, prefix: str, octets: int = 10) -> str:
        """An opaque id: the prefix and base32 of random octets (ten give sixteen characters)."""
        return prefix + base64.b32encode(self.randomness.bytes(octets)).decode().rstrip("=")

    def create(self, level: str, language: str) -> Enrolment:
        """A new enrolment of a new person. Raises LevelUnknown, for a level that is not offered too."""
        if not self.policy.level(level).offered:
            raise LevelUnknown
        now = self.clock.now()
        enrolment = Enrolment(
            id=self.new_id("ENR-"),
            person_id=self.new_id("KH-"),
            level=level,
            language=language,
            state=State.DRAFT,
            version=1,
            reason=None,
            retry_at=None,
            created_at=now,
            expires_at=now + timedelta(days=self.settings.enrolment_days),
            subject_index=None,
            key_id=None,
            certificate_serial=None,
            credential_id=None,
            erased_at=None,
            destruction=None,
        )
        with self.database.unit_of_work() as connection:
            store.insert_enrolment(connection, enrolment)
            details = {"level": level}
            self.audit.append(connection, f"person:{enrolment.person_id}", "ekyc.started", enrolment.id, details)
        return enrolment

    def of_person(self, actor: Actor, enrolment_id: str | None = None) -> Enrolment:
        """The caller's own enrolment; raises EnrolmentUnknown for anybody else's."""
        with self.database.read() as connection:
            enrolment = store.load_of_person(connection, actor.id)
        if enrolment_id is not None and enrolment.id != enrolment_id:
            raise EnrolmentUnknown
        return enrolment

    def begin(self, actor: Actor, enrolment_id: str, *states: State, if_version: int | None = None) -> Enrolment:
        """The caller's enrolment, to take a step that is open in ``states``.

        Raises EnrolmentUnknown, EnrolmentExpired, StaleWrite (another version than the caller saw), WrongState.
        """
        enrolment = self.of_person(actor, enrolment_id)
        return self.check(enrolment, *states, if_version=if_version)

    def check(self, enrolment: Enrolment, *states: State, if_version: int | None = None) -> Enrolment:
        """What :meth:`begin` checks, for an enrolment that is loaded."""
        if enrolment.state is State.EXPIRED:
            raise EnrolmentExpired
        if enrolment.is_due_to_expire(self.clock.now()):
            self.expire(enrolment)
            raise EnrolmentExpired
        if if_version is not None and if_version != enrolment.version:
            raise StaleWrite
        if states:
            enrolment.expect(*states)
        return enrolment

    def takes(self, enrolment: Enrolment, kind: EvidenceKind) -> None:
        """Raises LevelWithout where the level has no use for such evidence: what is not needed is not asked for."""
        if not self.policy.level(enrolment.level).takes(kind):
            raise LevelWithout(level=enrolment.level)

    def gate(self, enrolment: Enrolment, step: str, ledger: Sequence[Evidence]) -> None:
        """Raises EvidenceFirst, which names what is missing, while the level's gate before a step is closed."""
        closed = self.policy.level(enrolment.level).closed(step, ledger)
        if closed:
            raise EvidenceFirst([rule.text for rule in closed])

    @contextmanager
    def step(self, enrolment: Enrolment) -> Iterator[Connection]:
        """A unit of work on an enrolment that is still as it was read: its row is held. Raises StaleWrite."""
        with self.database.unit_of_work() as connection:
            store.hold(connection, enrolment)
            yield connection

    def expire(self, enrolment: Enrolment) -> Enrolment:
        """Its time ran out."""
        with self.step(enrolment) as connection:
            return self.advance(connection, enrolment, State.EXPIRED, "service:ekyc", reason="reason_expired")

    def seal(self, enrolment: Enrolment, kind: EvidenceKind, content: Mapping[str, Any]) -> Sealed:
        """Seal the content of a record. Salted, so that its digest confirms no guess about a person."""
        salted = canonical_json({**content, "salt": self.randomness.bytes(_SALT).hex()})
        return Sealed(
            digest(json.loads(salted)), self.vault.seal(enrolment.person_id, f"evidence:{kind.value}", salted)
        )

    def open(self, connection: Connection, enrolment: Enrolment, kind: EvidenceKind) -> Mapping[str, Any]:
        """The content of the last record of a kind that has one. Raises EnrolmentUnknown where there is none."""
        record = latest_shown(store.ledger(connection, enrolment.id), kind)
        if record is None:
            raise EnrolmentUnknown
        return self.open_record(connection, enrolment, record)

    def open_identity(self, connection: Connection, enrolment: Enrolment) -> Mapping[str, Any]:
        """The content of the document, or of the declaration of somebody who has none. Raises EnrolmentUnknown."""
        shown = latest_shown(store.ledger(connection, enrolment.id), EvidenceKind.DOCUMENT)
        return self.open(connection, enrolment, EvidenceKind.DECLARATION if shown is None else EvidenceKind.DOCUMENT)

    def open_record(self, connection: Connection, enrolment: Enrolment, record: Evidence) -> Mapping[str, Any]:
        """The content of one record, without its salt."""
        sealed = store.sealed_content(connection, record)
        content: dict[str, Any] = json.loads(
            self.vault.open(enrolment.person_id, f"evidence:{record.kind.value}", sealed)
        )
        content.pop("salt")
        return content

    def record(
        self,
        connection: Connection,
        enrolment: Enrolment,
        kind: EvidenceKind,
        outcome: str,
        sealed: Sealed,
        actor: str,
        facts: Mapping[str, str] | None = None,
    ) -> tuple[Evidence, ...]:
        """Append one record to the ledger; gives the ledger. The caller's compare-and-set keeps the order."""
        ledger = store.ledger(connection, enrolment.id)
        record = chained(
            ledger[-1].hash if ledger else GENESIS,
            enrolment_id=enrolment.id,
            sequence=len(ledger) + 1,
            kind=kind,
            outcome=outcome,
            facts=facts or {},
            content=sealed.digest,
            actor=actor,
            at=self.clock.now(),
        )
        store.append_evidence(connection, record, sealed.data)
        return (*ledger, record)

    def advance(
        self,
        connection: Connection,
        enrolment: Enrolment,
        to: State,
        actor: str,
        *,
        reason: str | None = None,
        retry_at: datetime | None = None,
        columns: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Enrolment:
        """Move to the next state if table, ledger and level permit. Raises WrongState, GateClosed or StaleWrite."""
        check_transition(enrolment, to, store.ledger(connection, enrolment.id))
        if to in CERTIFYING and self.policy.level(enrolment.level).policy_oid is None:
            raise GateClosed(milestone=to.value, evidence=enrolment.level)
        further = dict(columns or {})
        if to in CLOSED:
            further["claimed_index"] = None
        if to in REVIEWABLE:  # the clock that the person sees runs from the first day of waiting
            values.setdefault("review_due_at", enrolment.review_due_at or self._review_due())
        elif enrolment.review_due_at is not None:
            values["review_due_at"] = None
        moved = store.change(
            connection, enrolment, {"state": to, "reason": reason, "retry_at": retry_at, **values}, **further
        )
        details = {"from": enrolment.state.value, "to": to.value, "version": moved.version, "reason": reason}
        self.audit.append(connection, actor, "ekyc.moved", enrolment.id, details)
        return moved

    def add(self, actor: Actor, enrolment: Enrolment, *findings: Finding) -> Enrolment:
        """Append what controls found, in a unit of work of its own; the state stays. Raises StaleWrite, and
        TooMuchEvidence when a kind was recorded as often as the settings allow.
        """
        sealed = [self.seal(enrolment, finding.kind, finding.content) for finding in findings]
        with self.step(enrolment) as connection:
            for finding, content in zip(findings, sealed, strict=True):
                taken = sum(one.kind is finding.kind for one in store.ledger(connection, enrolment.id))
                if taken >= self.settings.evidence_tries:
                    raise TooMuchEvidence
                self.record(
                    connection, enrolment, finding.kind, finding.outcome, content, str(actor), finding.recorded()
                )
            return self.touch(connection, enrolment)

    def touch(self, connection: Connection, enrolment: Enrolment) -> Enrolment:
        """Take the next version without moving, so that of two that race one is stored. Raises StaleWrite."""
        return store.change(connection, enrolment, {})

    def _review_due(self) -> datetime:
        return self.clock.now() + timedelta(hours=self.settings.review_hours)

    def ledger(self, enrolment: Enrolment) -> Sequence[Evidence]:
        """All records of an enrolment."""
        with self.database.read() as connection:
            return store.ledger(connection, enrolment.id)
