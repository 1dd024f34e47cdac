"""An officer binds the person to the evidence, or does not; then the policy decides.

Checks: EKYC-REVIEW, EKYC-REVIEW-ASSIGNMENT, EKYC-REVIEW-SIGNATURE, EKYC-DECISION. There is no silent pass: without an
officer who saw the person, nobody is approved. An officer is drawn at random (`ekyc.review.assignment`), decides on
exactly the evidence that they were shown, signs that with their own key (`ekyc.review.statement`), never on their own
enrolment, with a reason from a list. Where the policy asks for two, the case goes on to another officer (REVIEW_2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ekyc import store
from ekyc.casefile import CaseFiles, Sealed
from ekyc.decision import Decider
from ekyc.errors import EvidenceChanged, InPersonNeeded, ReviewReasonUnknown, SelfReview
from ekyc.evidence.record import Evidence, EvidenceKind, verify_chain
from ekyc.model import REVIEWABLE, Enrolment, State
from ekyc.packets import store as packet_store
from ekyc.policy import judge
from ekyc.ports import Officers
from ekyc.review import store as review_store
from ekyc.review.assignment import Assignments
from ekyc.review.sealed_cases import SealedTests
from ekyc.review.statement import check, statement
from ekyc.vouching import store as vouch_store
from foundation.http.actor import Actor

ROLE = "ekyc-review"
_SHOWN = (
    EvidenceKind.DOCUMENT,
    EvidenceKind.REGISTRY,
    EvidenceKind.CHIP,
    EvidenceKind.CROSS_CHECK,
    EvidenceKind.FACE,
    EvidenceKind.LIVENESS,
    EvidenceKind.GUARDIAN,
    EvidenceKind.DECLARATION,
)


class Verdict(StrEnum):
    """What an officer can say."""

    BIND = "bind"
    REJECT = "reject"
    REFER = "refer"


class Method(StrEnum):
    """How the officer saw the person."""

    IN_PERSON = "in-person"
    REMOTE_VIDEO = "remote-video"
    RECORD = "record"  # not at all: the officer checks what another one did, and can only be the second


_OUTCOMES = {Verdict.BIND: "bound", Verdict.REJECT: "refused", Verdict.REFER: "referred"}


@dataclass(frozen=True)
class Shown:
    """A record as an officer sees it: its outcome, and its content where the work needs it (else None)."""

    record: Evidence
    content: Mapping[str, Any] | None


@dataclass(frozen=True)
class Case:
    """An enrolment with its evidence. ``evidence_digest`` stands for exactly what is shown."""

    enrolment: Enrolment
    evidence: tuple[Shown, ...]
    evidence_digest: str


@dataclass(frozen=True)
class Page:
    """A page of the queue; ``next_cursor`` is None on the last."""

    items: tuple[Enrolment, ...]
    next_cursor: str | None


class ReviewDesk:
    """The queue, the case, the verdict."""

    def __init__(self, files: CaseFiles, officers: Officers, decider: Decider) -> None:
        self._files = files
        self._officers = officers
        self._decider = decider
        self.assignments = Assignments(files, officers, self.is_their_own)
        self.tests = SealedTests(files)

    def queue(self, officer: Actor, cursor: str | None, limit: int) -> Page:
        """The cases whose turn is this officer's, in the order of random ids; no personal data."""
        self.assignments.draw_for_all()
        with self._files.database.read() as connection:
            found = review_store.assigned_to(connection, officer.id, REVIEWABLE, cursor, limit + 1)
        return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)

    def show(self, officer: Actor, enrolment_id: str) -> Case:
        """The evidence, opened. Who looked is in the audit trail before anything is shown.

        Raises SelfReview, NotAssigned.
        """
        with self._files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
        enrolment.expect(*REVIEWABLE)
        self.not_their_own(officer, enrolment)
        self.assignments.check(officer, enrolment)
        with self._files.database.unit_of_work() as connection:
            self._files.audit.append(
                connection, str(officer), "ekyc.evidence_viewed", enrolment.id, {"person": enrolment.person_id}
            )
        with self._files.database.read() as connection:
            ledger = store.ledger(connection, enrolment.id)
            shown = tuple(
                Shown(
                    record,
                    self._files.open_record(connection, enrolment, record) if record.kind in _SHOWN else None,
                )
                for record in ledger
            )
        return Case(enrolment, shown, verify_chain(ledger).hex())

    def decide(
        self,
        officer: Actor,
        enrolment_id: str,
        verdict: Verdict,
        method: Method,
        reason_code: str,
        evidence_digest: str,
        signature: str,
        *,
        if_version: int | None = None,
    ) -> Enrolment:
        """Record the officer's verdict; on ``bind`` the policy decides at once, or the case waits for another officer.

        ``evidence_digest`` is that of the case that the officer was shown, ``signature`` the officer's own over it
        and the verdict. Raises SelfReview, NotAssigned, ReviewReasonUnknown, EvidenceChanged, ReviewSignatureInvalid,
        InPersonNeeded (referred, and not seen in person), EvidenceFirst.
        """
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment.id)
        files.check(enrolment, *REVIEWABLE, if_version=if_version)
        self.not_their_own(officer, enrolment)
        self.assignments.check(officer, enrolment)
        files.gate(enrolment, "review", ledger)
        reasons = {reason.code: reason.decisions for reason in files.policy.review_reasons}
        if verdict.value not in reasons.get(reason_code, ()):
            raise ReviewReasonUnknown
        if verify_chain(ledger).hex() != evidence_digest:
            raise EvidenceChanged
        said = statement(enrolment.id, evidence_digest, verdict.value, method.value, reason_code)
        check(self._officers.key_of(officer.id), said, signature)
        if (
            verdict is not Verdict.REJECT
            and enrolment.state is State.REFERRED_IN_PERSON
            and method is not Method.IN_PERSON
        ):
            raise InPersonNeeded
        facts = {"method": method.value, "reason": reason_code, "seen": evidence_digest, "signature": signature}
        expected = self.tests.expected(enrolment.id)
        if expected is not None:
            return self.tests.answer(officer, enrolment, verdict.value, expected, self._spoke)
        sealed = files.seal(enrolment, EvidenceKind.REVIEW, facts)
        if verdict is Verdict.BIND:
            return self.bind(officer, enrolment, facts, sealed)
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.REVIEW, _OUTCOMES[verdict], sealed, str(officer), facts)
            self._spoke(connection, officer, enrolment)
            if verdict is Verdict.REJECT:
                return files.advance(
                    connection, enrolment, State.REJECTED, str(officer), reason="reason_officer_refused"
                )
            if enrolment.state is State.REFERRED_IN_PERSON:  # seen, and still not clear: it stays with the officers
                return files.touch(connection, enrolment)
            return files.advance(
                connection, enrolment, State.REFERRED_IN_PERSON, str(officer), reason="reason_officer_referred"
            )

    def bind(
        self,
        officer: Actor,
        enrolment: Enrolment,
        facts: Mapping[str, str],
        sealed: Sealed,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> Enrolment:
        """An officer's word that was checked: the policy decides, or the case waits for another officer. ``beside``:
        what is done in the same unit of work, and can refuse.
        """
        prepared = self._decider.prepare(enrolment)
        for last in (False, True):
            try:
                with self._files.step(enrolment) as connection:
                    beside(connection)
                    ledger = self._files.record(
                        connection, enrolment, EvidenceKind.REVIEW, "bound", sealed, str(officer), facts
                    )
                    waits = judge(self._files.policy, enrolment.level, ledger).waits
                    self._spoke(connection, officer, enrolment, review_store.DONE if waits else review_store.RELEASED)
                    if waits:
                        return self._wait(connection, officer, enrolment)
                    bound = self._files.advance(connection, enrolment, State.PERSON_BOUND, str(officer))
                    return self._decider.decide(connection, bound, str(officer), prepared)
            except IntegrityError:  # another enrolment of the same person was approved meanwhile: look again
                if last:
                    raise
        raise AssertionError("unreachable")

    def _wait(self, connection: Connection, officer: Actor, enrolment: Enrolment) -> Enrolment:
        if enrolment.state is State.REVIEW_2:
            return self._files.touch(connection, enrolment)
        return self._files.advance(connection, enrolment, State.REVIEW_2, str(officer))

    def _spoke(
        self, connection: Connection, officer: Actor, enrolment: Enrolment, state: str = review_store.RELEASED
    ) -> None:
        """The officer's turn is over. DONE: they have spoken for the person, so the next one must be another."""
        for one in review_store.seats_of(connection, enrolment.id):
            if one.officer_id == officer.id:
                review_store.end_seat(connection, enrolment.id, one.seat, state)

    def not_their_own(self, officer: Actor, enrolment: Enrolment) -> None:
        """Raises SelfReview."""
        if self.is_their_own(officer.id, enrolment):
            raise SelfReview

    def is_their_own(self, officer_id: str, enrolment: Enrolment) -> bool:
        """By person id, and by the index of the person whom the officer is enrolled as; or they vouched for it, or
        collected its evidence at a station.
        """
        own = self._officers.person_of(officer_id)
        if enrolment.person_id in (own, officer_id):
            return True
        with self._files.database.read() as connection:
            if own in vouch_store.vouchers(connection, enrolment.id):
                return True
            if officer_id in packet_store.collectors(connection, enrolment.id):
                return True
        if own is None or enrolment.subject_index is None:
            return False
        with self._files.database.read() as connection:
            theirs = store.index_of_person(connection, own)
        return theirs == enrolment.subject_index
