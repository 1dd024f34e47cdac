"""The commune's officer: sees a person without a document, for whom two vouched, and says who they are.

Checks: EKYC-REVIEW, EKYC-REVIEW-SIGNATURE. The officer has the role ``ekyc-commune``, and
``commune-CODE`` for the commune that was declared; nobody else of another commune can speak. The word is signed with
the officer's own key over the digest of the evidence, like a review's (`ekyc.review.statement`), and is never about
themselves or somebody they vouched for. A commune speaks for so many in a period. Then the policy decides.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import EvidenceChanged, ReviewReasonUnknown
from ekyc.evidence.record import Evidence, EvidenceKind, latest, verify_chain
from ekyc.model import Enrolment, State
from ekyc.ports import Officers
from ekyc.review import store as review_store
from ekyc.review.desk import Case, Method, ReviewDesk, Shown, Verdict
from ekyc.review.statement import check, statement
from ekyc.review.store import DONE, Seat
from ekyc.vouching import store as vouch_store
from ekyc.vouching.desk import VouchDesk
from ekyc.vouching.errors import CommuneOther, CommuneQuota, VoucherLost
from foundation.http.actor import Actor

ROLE = "ekyc-commune"
_METHOD = Method.IN_PERSON


class CommuneDesk:
    """Shows a case to the commune's officer, and takes their word."""

    def __init__(self, files: CaseFiles, officers: Officers, review: ReviewDesk, vouching: VouchDesk) -> None:
        self._files = files
        self._officers = officers
        self._review = review
        self._vouching = vouching

    def show(self, officer: Actor, enrolment_id: str) -> Case:
        """The declaration and who vouched, by opaque ids. Who looked is in the audit trail before anything is shown.

        Raises EnrolmentUnknown, WrongState, SelfReview, CommuneOther.
        """
        files = self._files
        enrolment, ledger = self._of_commune(officer, enrolment_id)
        with files.database.unit_of_work() as connection:
            details = {"person": enrolment.person_id}
            files.audit.append(connection, str(officer), "ekyc.evidence_viewed", enrolment.id, details)
        with files.database.read() as connection:
            shown = tuple(
                Shown(
                    one,
                    files.open_record(connection, enrolment, one) if one.kind is EvidenceKind.DECLARATION else None,
                )
                for one in ledger
            )
        return Case(enrolment, shown, verify_chain(ledger).hex())

    def decide(
        self, officer: Actor, enrolment_id: str, verdict: Verdict, reason: str, evidence_digest: str, signature: str
    ) -> Enrolment:
        """``bind`` or ``reject``, seen in person, signed over the digest of the evidence that was shown.

        Raises what :meth:`show` raises, ReviewReasonUnknown, EvidenceChanged, ReviewSignatureInvalid, EvidenceFirst
        (too few vouchers), VoucherLost, CommuneQuota.
        """
        files = self._files
        enrolment, ledger = self._of_commune(officer, enrolment_id)
        reasons = {one.code: one.decisions for one in files.policy.review_reasons}
        if verdict is Verdict.REFER or verdict.value not in reasons.get(reason, ()):
            raise ReviewReasonUnknown
        if verify_chain(ledger).hex() != evidence_digest:
            raise EvidenceChanged
        said = statement(enrolment.id, evidence_digest, verdict.value, _METHOD.value, reason)
        check(self._officers.key_of(officer.id), said, signature)
        commune = _commune(ledger)
        facts = {
            "method": _METHOD.value,
            "reason": reason,
            "seen": evidence_digest,
            "signature": signature,
            "role": "commune",
            "commune": commune,
        }
        sealed = files.seal(enrolment, EvidenceKind.REVIEW, facts)
        if verdict is Verdict.REJECT:
            with files.step(enrolment) as connection:
                files.record(connection, enrolment, EvidenceKind.REVIEW, "refused", sealed, str(officer), facts)
                return files.advance(
                    connection, enrolment, State.REJECTED, str(officer), reason="reason_officer_refused"
                )
        files.gate(enrolment, "review", ledger)
        self._vouchers_hold(ledger)
        return self._review.bind(
            officer,
            enrolment,
            facts,
            sealed,
            lambda connection: self._spoken(connection, officer, enrolment.id, commune),
        )

    def _of_commune(self, officer: Actor, enrolment_id: str) -> tuple[Enrolment, tuple[Evidence, ...]]:
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment.id)
        files.check(enrolment, State.WAITING_VOUCHERS)
        if not is_of(officer, _commune(ledger)):
            raise CommuneOther
        self._review.not_their_own(officer, enrolment)
        return enrolment, ledger

    def _vouchers_hold(self, ledger: tuple[Evidence, ...]) -> None:
        """Raises VoucherLost where one who counts could not vouch now."""
        declared = latest(ledger, EvidenceKind.DECLARATION)
        since = 0 if declared is None else declared.sequence
        words = {one.actor for one in ledger if one.kind is EvidenceKind.VOUCH and one.sequence > since}
        with self._files.database.read() as connection:
            vouchers = [store.load_of_person(connection, one.partition(":")[2]) for one in words]
        if not all(self._vouching.may_vouch(one) for one in vouchers):
            raise VoucherLost

    def _spoken(self, connection: Connection, officer: Actor, enrolment_id: str, commune: str) -> None:
        """Count it for the commune, and take a turn that is done: a second officer, where one is needed, is another."""
        rules, now = self._vouching.rules(), self._files.clock.now()
        before = vouch_store.speak(connection, enrolment_id, commune, now, now - timedelta(days=rules.period_days))
        if before >= rules.per_commune:
            raise CommuneQuota(most=rules.per_commune, days=rules.period_days)
        turn = len(review_store.seats_of(connection, enrolment_id)) + 1
        review_store.take_seat(connection, enrolment_id, Seat(turn, officer.id, now, DONE), now)


def is_of(officer: Actor, commune: str) -> bool:
    """Whether an officer was registered for a commune."""
    return f"commune-{commune}" in officer.roles


def _commune(ledger: tuple[Evidence, ...]) -> str:
    declared = latest(ledger, EvidenceKind.DECLARATION)
    return "" if declared is None else declared.facts.get("commune", "")
