"""An appeal against a refusal: once, within the policy's time, with a statement; another officer decides. EKYC-APPEAL.

REJECTED is left no other way. The statement is sealed for the person. The officer is none of those who spoke before and
signs, with a reason of the policy's list, the digest of the evidence as it stands. Granted, the case goes on where it
was refused: to officers who have not spoken, where an officer had refused it, and to the person, who shows again what
was refused, otherwise. Upheld, it stays refused. The person sees until when they can appeal, and when it is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Row, String, Table, select, update

from ekyc import store
from ekyc.appeals.errors import AppealLate, AppealMade, AppealOfficerBefore, AppealUnknown
from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.errors import EvidenceChanged, ReviewReasonUnknown
from ekyc.evidence.record import Evidence, EvidenceKind, latest, verify_chain
from ekyc.model import Enrolment, State
from ekyc.policy import Appeal as Rules
from ekyc.ports import Officers
from ekyc.review import store as review_store
from ekyc.review.desk import Method, ReviewDesk
from ekyc.review.statement import check, statement
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.http.actor import Actor

ROLE = "ekyc-appeals"
LODGED, GRANTED, UPHELD = "lodged", "granted", "upheld"
_METHOD = Method.RECORD  # the officer judges what is written; whoever reviews it afterwards sees the person
_MOST = 100
_SHOWN = (EvidenceKind.DOCUMENT, EvidenceKind.REGISTRY, EvidenceKind.DECLARATION, EvidenceKind.REVIEW)

appeals = Table(
    "ekyc_appeals",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), primary_key=True),  # one, whatever races
    Column("state", String(10), nullable=False, index=True),
    Column("lodged_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime, nullable=True),
    Column("reason", String(60), nullable=True),
)


class Word(StrEnum):
    """What an officer can say of an appeal."""

    GRANT = "grant"
    UPHOLD = "uphold"  # the refusal


@dataclass(frozen=True)
class Standing:
    """How far an appeal is: possible (``until``), over, lodged (``due_at``: by when it is to be decided), granted or
    upheld, with the reason.
    """

    enrolment_id: str
    state: str
    until: datetime | None
    due_at: datetime | None = None
    decided_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Case:
    """An appeal as an officer needs it: the statement, and the evidence, opened where it is read."""

    enrolment: Enrolment
    statement: str = field(repr=False)
    due_at: datetime
    evidence: tuple[tuple[Evidence, Mapping[str, Any] | None], ...] = field(repr=False)
    evidence_digest: str


class AppealDesk:
    """Takes appeals, and an officer's word on them."""

    def __init__(self, files: CaseFiles, review: ReviewDesk, officers: Officers, telling: Telling) -> None:
        self._files, self._review, self._officers, self._telling = files, review, officers, telling

    def lodge(self, actor: Actor, enrolment_id: str, said: str, *, if_version: int | None = None) -> Standing:
        """The applicant appeals. Raises WrongState (it is not refused), AppealLate, AppealMade."""
        files, rules = self._files, self._rules()
        enrolment = files.begin(actor, enrolment_id, State.REJECTED, if_version=if_version)
        now = files.clock.now()
        if now >= until(files.ledger(enrolment), rules):
            raise AppealLate
        due_at = now + timedelta(days=rules.decide_days)
        sealed = files.seal(enrolment, EvidenceKind.APPEAL, {"statement": said})
        row = {"enrolment_id": enrolment.id, "state": LODGED, "lodged_at": now, "due_at": due_at}
        with files.step(enrolment) as connection:
            if not insert_once(connection, appeals, row):
                raise AppealMade
            files.record(connection, enrolment, EvidenceKind.APPEAL, LODGED, sealed, str(actor))
            store.change(connection, enrolment, {"review_due_at": due_at})
            files.audit.append(connection, str(actor), "ekyc.appeal_lodged", enrolment.id, {})
        return self.of_person(actor, enrolment_id)

    def of_person(self, actor: Actor, enrolment_id: str) -> Standing:
        """How far the caller's appeal is, or until when one is possible. Raises WrongState: nothing was refused."""
        enrolment = self._files.of_person(actor, enrolment_id)
        with self._files.database.read() as connection:
            row = connection.execute(select(appeals).where(appeals.c.enrolment_id == enrolment.id)).first()
        if row is not None:
            return Standing(enrolment.id, row.state, None, row.due_at, row.decided_at, row.reason)
        enrolment.expect(State.REJECTED)
        ends = until(self._files.ledger(enrolment), self._rules())
        return Standing(enrolment.id, "possible" if self._files.clock.now() < ends else "over", ends)

    def waiting(self) -> tuple[str, ...]:
        """The enrolments whose appeals wait, the one that is due first, at most a hundred."""
        query = select(appeals.c.enrolment_id).where(appeals.c.state == LODGED)
        with self._files.database.read() as connection:
            return tuple(connection.execute(query.order_by(appeals.c.due_at).limit(_MOST)).scalars())

    def show(self, officer: Actor, enrolment_id: str) -> Case:
        """Statement and evidence. Who looked is in the audit trail before anything is shown.

        Raises EnrolmentUnknown, AppealUnknown, SelfReview, AppealOfficerBefore.
        """
        files = self._files
        enrolment, ledger, row = self._lodged(officer, enrolment_id)
        with files.database.unit_of_work() as connection:
            details = {"person": enrolment.person_id}
            files.audit.append(connection, str(officer), "ekyc.evidence_viewed", enrolment.id, details)
        with files.database.read() as connection:
            shown = tuple(
                (one, files.open_record(connection, enrolment, one) if one.kind in _SHOWN else None) for one in ledger
            )
            content = files.open(connection, enrolment, EvidenceKind.APPEAL)
        return Case(enrolment, content["statement"], row.due_at, shown, verify_chain(ledger).hex())

    def decide(
        self, officer: Actor, enrolment_id: str, word: Word, reason: str, evidence_digest: str, signature: str
    ) -> Enrolment:
        """The officer's word ends the appeal. ``signature``: of the statement of a review with the decision ``grant``
        or ``uphold`` and the method ``record``.

        Raises what :meth:`show` raises, ReviewReasonUnknown, EvidenceChanged, ReviewSignatureInvalid.
        """
        files, rules = self._files, self._rules()
        enrolment, ledger, _ = self._lodged(officer, enrolment_id)
        if reason not in (rules.grants if word is Word.GRANT else rules.upholds):
            raise ReviewReasonUnknown
        digest = verify_chain(ledger).hex()
        if digest != evidence_digest:
            raise EvidenceChanged
        said = statement(enrolment.id, digest, word.value, _METHOD.value, reason)
        check(self._officers.key_of(officer.id), said, signature)
        facts = {"method": _METHOD.value, "reason": reason, "seen": digest, "signature": signature}
        outcome, now = GRANTED if word is Word.GRANT else UPHELD, files.clock.now()
        sealed = files.seal(enrolment, EvidenceKind.APPEAL, {"reason": reason})
        notices = self._telling.everyone(enrolment, f"notice_appeal_{outcome}")
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.APPEAL, outcome, sealed, str(officer), facts)
            values = {"state": outcome, "decided_at": now, "reason": reason}
            connection.execute(update(appeals).where(appeals.c.enrolment_id == enrolment.id).values(**values))
            self._telling.post(connection, notices)
            if word is Word.UPHOLD:
                return store.change(connection, enrolment, {"review_due_at": None})
            review_store.end_all(connection, enrolment.id)
            to = goes_on(enrolment, ledger)
            if to is State.REFERRED_IN_PERSON:  # the clock of reviews runs from now on, not that of the appeal
                enrolment = replace(enrolment, review_due_at=None)
            again = now + timedelta(days=files.settings.enrolment_days)  # time to go on, as at the start
            return files.advance(
                connection,
                enrolment,
                to,
                str(officer),
                reason="reason_appeal_granted",
                expires_at=again,
            )

    def _rules(self) -> Rules:
        rules = self._files.policy.appeal
        if rules is None:
            raise AppealLate
        return rules

    def _lodged(self, officer: Actor, enrolment_id: str) -> tuple[Enrolment, tuple[Evidence, ...], Row[Any]]:
        with self._files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment_id)
            row = connection.execute(select(appeals).where(appeals.c.enrolment_id == enrolment_id)).first()
        if row is None or row.state != LODGED:
            raise AppealUnknown
        self._review.not_their_own(officer, enrolment)
        if spoke_before(officer, ledger):
            raise AppealOfficerBefore
        return enrolment, ledger, row


def until(ledger: Sequence[Evidence], rules: Rules) -> datetime:
    """Until when an appeal is possible: so long after what was refused."""
    return ledger[-1].at + timedelta(days=rules.days)


def spoke_before(officer: Actor, ledger: Sequence[Evidence]) -> bool:
    """Whether an officer had a word in it: nobody judges their own."""
    return any(one.actor == str(officer) for one in ledger)


def goes_on(enrolment: Enrolment, ledger: Sequence[Evidence]) -> State:
    """Where a case goes on whose appeal was granted: to other officers, or to the person who shows it again."""
    by_officer = enrolment.reason == "reason_officer_refused" and latest(ledger, EvidenceKind.DOCUMENT) is not None
    return State.REFERRED_IN_PERSON if by_officer else State.NEEDS_INPUT
