"""The way back from SUSPENDED: two officers, each with their own signature over the evidence as it stands by then.

Either what was called back turned out to be sound, or the person was seen again (in person). The policy names reasons,
and what there is no way back from: a death. A minor comes back with a guardian only, and nobody with a document that is
still on the list of lost ones. The enrolment then stands where it stood, the ledger says who brought it back, and the
certificates that were put on hold because of it are released: not those that somebody else put on hold. Killed in
between, the upkeep goes on. Check: EKYC-REINSTATEMENT.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, ForeignKey, String, Table, Text, delete, select, update

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.documents.lost import LostDocuments
from ekyc.errors import EvidenceChanged, ReviewReasonUnknown
from ekyc.evidence.record import Evidence, EvidenceKind, lacks_guardian, latest, verify_chain
from ekyc.lifecycle_errors import ReinstatementImpossible, ReinstatementSameOfficer
from ekyc.model import Enrolment, State
from ekyc.ports import CertificateIssuer, Officers
from ekyc.recall.desk import is_another
from ekyc.review.desk import Method, ReviewDesk
from ekyc.review.statement import check, statement
from foundation.db.types import UtcDateTime
from foundation.http.actor import Actor

DECISION = "reinstate"

reinstatements = Table(
    "ekyc_reinstatements",
    store.metadata,
    Column("enrolment_id", String(40), ForeignKey("ekyc_enrolments.id"), primary_key=True),
    Column("evidence", String(64), nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("reason", String(60), nullable=False),
    Column("method", String(20), nullable=False),
    Column("signature", Text, nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("confirmed_at", UtcDateTime, nullable=True),
    Column("done_at", UtcDateTime, nullable=True),
)


@dataclass(frozen=True)
class Suspended:
    """A suspended enrolment as an officer needs it: why, what is to be signed, and whether somebody spoke already."""

    enrolment: Enrolment
    evidence_digest: str
    proposed_by: str | None
    proposed_at: datetime | None


class ReinstatementDesk:
    """Two officers bring an enrolment back."""

    def __init__(
        self,
        files: CaseFiles,
        review: ReviewDesk,
        officers: Officers,
        issuer: CertificateIssuer,
        lost: LostDocuments,
    ) -> None:
        self._files, self._review, self._officers = files, review, officers
        self._issuer, self._lost = issuer, lost

    def show(self, officer: Actor, enrolment_id: str) -> Suspended:
        """What would be decided on; no personal data. Raises EnrolmentUnknown, WrongState, SelfReview."""
        enrolment, ledger = self._suspended(officer, enrolment_id)
        digest = verify_chain(ledger).hex()
        with self._files.database.read() as connection:
            row = connection.execute(select(reinstatements).where(_open(enrolment.id))).first()
        if row is None or row.evidence != digest:
            return Suspended(enrolment, digest, None, None)
        return Suspended(enrolment, digest, row.proposed_by, row.proposed_at)

    def decide(
        self, officer: Actor, enrolment_id: str, reason: str, method: Method, evidence_digest: str, signature: str
    ) -> Enrolment:
        """The first officer's word is kept; another one's brings the enrolment back.

        ``signature``: of the statement with the decision ``reinstate`` (`ekyc.review.statement`). Raises SelfReview,
        ReviewReasonUnknown, ReinstatementImpossible, EvidenceChanged, ReviewSignatureInvalid,
        ReinstatementSameOfficer, StaleWrite.
        """
        files = self._files
        enrolment, ledger = self._suspended(officer, enrolment_id)
        self._check_possible(enrolment, ledger, reason, method)
        digest = verify_chain(ledger).hex()
        if digest != evidence_digest:
            raise EvidenceChanged
        said = statement(enrolment.id, digest, DECISION, method.value, reason)
        check(self._officers.key_of(officer.id), said, signature)
        values = {
            "evidence": digest,
            "proposed_by": str(officer),
            "reason": reason,
            "method": method.value,
            "signature": signature,
            "proposed_at": files.clock.now(),
        }
        content = files.seal(enrolment, EvidenceKind.REINSTATEMENT, {"reason": reason})
        with files.step(enrolment) as connection:
            first = connection.execute(select(reinstatements).where(_open(enrolment.id))).first()
            if first is None or first.evidence != digest:
                connection.execute(delete(reinstatements).where(reinstatements.c.enrolment_id == enrolment.id))
                connection.execute(reinstatements.insert().values(enrolment_id=enrolment.id, **values))
                details = {"reason": reason, "method": method.value}
                files.audit.append(connection, str(officer), "ekyc.reinstatement_proposed", enrolment.id, details)
                return enrolment
            if not is_another(officer, first.proposed_by):
                raise ReinstatementSameOfficer
            facts = {
                "first": first.proposed_by,
                "first_reason": first.reason,
                "first_method": first.method,
                "first_signature": first.signature,
                "reason": reason,
                "method": method.value,
                "seen": digest,
                "signature": signature,
            }
            files.record(connection, enrolment, EvidenceKind.REINSTATEMENT, "reinstated", content, str(officer), facts)
            again = files.clock.now() + timedelta(days=files.settings.enrolment_days)  # time to go on, as at the start
            to = stood(enrolment, ledger)
            moved = files.advance(connection, enrolment, to, str(officer), expires_at=again)
            connection.execute(update(reinstatements).where(_open(enrolment.id)).values(confirmed_at=files.clock.now()))
        self._release(moved)
        return moved

    def resume(self) -> int:
        """Release what a kill left on hold; gives how many enrolments there were."""
        query = select(reinstatements.c.enrolment_id).where(
            reinstatements.c.confirmed_at.is_not(None) & reinstatements.c.done_at.is_(None)
        )
        with self._files.database.read() as connection:
            waiting = [store.load(connection, one) for one in connection.execute(query).scalars()]
        for enrolment in waiting:
            self._release(enrolment)
        return len(waiting)

    def _suspended(self, officer: Actor, enrolment_id: str) -> tuple[Enrolment, tuple[Evidence, ...]]:
        with self._files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment_id)
        self._files.check(enrolment, State.SUSPENDED)
        self._review.not_their_own(officer, enrolment)
        return enrolment, ledger

    def _check_possible(self, enrolment: Enrolment, ledger: tuple[Evidence, ...], reason: str, method: Method) -> None:
        rules = self._files.policy.reinstatement
        if rules is None or enrolment.reason in rules.never:
            raise ReinstatementImpossible(reason=enrolment.reason or "-")
        if reason not in rules.reasons:
            raise ReviewReasonUnknown
        if reason in rules.in_person and method is not Method.IN_PERSON:
            raise ReviewReasonUnknown
        if lacks_guardian(ledger):
            raise ReinstatementImpossible(reason="reason_guardian_withdrew")
        if latest(ledger, EvidenceKind.DOCUMENT) is not None:
            with self._files.database.read() as connection:
                shown = self._files.open(connection, enrolment, EvidenceKind.DOCUMENT)
            if self._lost.holds(shown["document_type"].rsplit("/", 1)[-1], shown["document_number"]):
                raise ReinstatementImpossible(reason="reason_document_reported_lost")

    def _release(self, enrolment: Enrolment) -> None:
        files = self._files
        with files.database.read() as connection:
            still = store.load(connection, enrolment.id)
        if still.state is not State.SUSPENDED:  # it could be suspended again by now
            self._issuer.release_citizens([enrolment.person_id], f"ekyc:{enrolment.id}")
        with files.database.unit_of_work() as connection:
            done = update(reinstatements).where(reinstatements.c.enrolment_id == enrolment.id)
            connection.execute(done.values(done_at=files.clock.now()))


def stood(enrolment: Enrolment, ledger: tuple[Evidence, ...]) -> State:
    """Where an enrolment stood when it was suspended: as far as what was made reaches."""
    if enrolment.credential_id is not None:
        return State.ACTIVATED
    if enrolment.certificate_serial is not None:
        return State.CERTIFICATE_ISSUED
    if enrolment.key_id is not None:
        return State.KEY_GENERATED
    factor = latest(ledger, EvidenceKind.FACTOR)
    return State.FACTOR_BOUND if factor is not None and factor.outcome == "bound" else State.APPROVED


def _open(enrolment_id: str) -> ColumnElement[bool]:
    return (reinstatements.c.enrolment_id == enrolment_id) & reinstatements.c.confirmed_at.is_(None)
