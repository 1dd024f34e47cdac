"""Officers decide on corrections: two, who have not spoken for the person before. Check: EKYC-CORRECTION.

Each signs the digest of the evidence with their own key. The second word adds document, registry's answer and both
reviews to the ledger, and the policy judges it all again; the new decision carries a new certificate. The
one before is revoked as affiliationChanged (RFC 5280 §5.3.1) when the new one can sign. Killed in between, the upkeep
goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.corrections import store as corrections
from ekyc.corrections.checks import FOR, CorrectionChecks, Standing
from ekyc.corrections.errors import (
    CorrectionOfficerBefore,
    CorrectionSameOfficer,
    CorrectionUnknown,
    CorrectionUnmet,
)
from ekyc.decision import Decider
from ekyc.documents.lost import LostDocuments
from ekyc.errors import (
    DocumentReportedLost,
    DuplicatePerson,
    EvidenceChanged,
    InPersonNeeded,
    ReviewReasonUnknown,
)
from ekyc.evidence.record import Evidence, EvidenceKind, verify_chain
from ekyc.issuance import IssuanceDesk
from ekyc.model import Enrolment, State
from ekyc.ports import Officers, Registry
from ekyc.recall.desk import exchange_digest
from ekyc.registry.match import query_about
from ekyc.renewal.desk import RenewalDesk
from ekyc.review.desk import Method, ReviewDesk
from ekyc.review.statement import check, statement
from foundation.errors import CamTrustError
from foundation.http.actor import Actor

ROLE = "ekyc-correction"
_BY = "service:ekyc"
_MOST = 100  # shown at once
_FIRST = ("reason", "method", "seen", "signature")


class Word(StrEnum):
    """What an officer can say of a correction."""

    CORRECT = "correct"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Case:
    """A correction as an officer needs it: before and after, and the digest that is to be signed."""

    standing: Standing
    before: Mapping[str, Any] = field(repr=False)
    after: Mapping[str, Any] = field(repr=False)
    namesake: bool
    evidence_digest: str
    first_by: str | None


class CorrectionReviewDesk:
    """Shows a correction, takes two words, and replaces the certificate."""

    def __init__(
        self,
        files: CaseFiles,
        registry: Registry,
        lost: LostDocuments,
        review: ReviewDesk,
        officers: Officers,
        decider: Decider,
        issuance: IssuanceDesk,
        renewals: RenewalDesk,
        telling: Telling,
    ) -> None:
        self._files, self._registry, self._lost, self._review = files, registry, lost, review
        self._officers, self._decider, self._issuance = officers, decider, issuance
        self._renewals, self._telling = renewals, telling
        self._checks = CorrectionChecks(files)

    def waiting(self) -> tuple[str, ...]:
        """The enrolments whose corrections wait for officers, oldest first, at most a hundred."""
        with self._files.database.read() as connection:
            return tuple(row.enrolment_id for row in corrections.waiting(connection, _MOST))

    def show(self, officer: Actor, enrolment_id: str) -> Case:
        """What was and what would be. Who looked is in the audit trail before anything is shown.

        Raises EnrolmentUnknown, CorrectionUnknown, WrongState, SelfReview, CorrectionOfficerBefore.
        """
        files = self._files
        enrolment, ledger, row = self._waiting(officer, enrolment_id)
        with files.database.unit_of_work() as connection:
            details = {"person": enrolment.person_id}
            files.audit.append(connection, str(officer), "ekyc.evidence_viewed", enrolment.id, details)
        kept, before = self._checks.kept(enrolment, ledger, row), self._checks.shown(enrolment)
        digest = verify_chain(ledger).hex()
        first = row.first_by if row.first_seen == digest else None
        with files.database.read() as connection:
            namesake = store.has_namesake(connection, enrolment.id, bytes.fromhex(kept["namesake"]))
        return Case(self._checks.standing(enrolment), before, kept["document"], namesake, digest, first)

    def decide(
        self,
        officer: Actor,
        enrolment_id: str,
        word: Word,
        reason: str,
        method: Method,
        evidence_digest: str,
        signature: str,
    ) -> Standing:
        """The first officer's word is kept, another one's corrects; either can refuse.

        ``signature``: of the statement of a review with the decision ``correct`` or ``refuse``. Raises what
        :meth:`show` raises, ReviewReasonUnknown, EvidenceChanged, ReviewSignatureInvalid; and for the second word
        CorrectionSameOfficer, CorrectionHeld, DocumentReportedLost, RegistryUnavailable, PersonDeceased,
        CorrectionUnconfirmed, DuplicatePerson, InPersonNeeded (a namesake: both must have seen the person) and
        CorrectionUnmet.
        """
        files, rules = self._files, self._checks.rules()
        enrolment, ledger, row = self._waiting(officer, enrolment_id)
        if reason not in (rules.reasons if word is Word.CORRECT else rules.refusals):
            raise ReviewReasonUnknown
        if reason in rules.in_person and method is not Method.IN_PERSON:
            raise InPersonNeeded
        digest = verify_chain(ledger).hex()
        if digest != evidence_digest:
            raise EvidenceChanged
        said = statement(enrolment.id, digest, word.value, method.value, reason)
        check(self._officers.key_of(officer.id), said, signature)
        facts = {"method": method.value, "reason": reason, "seen": digest, "signature": signature, **FOR}
        if word is Word.REFUSE:
            self._refuse(officer, enrolment, row, facts)
        elif row.first_by is None or row.first_seen != digest:
            self._keep_first(officer, enrolment, row, facts)
        else:
            if not is_another(officer, row.first_by):
                raise CorrectionSameOfficer
            self._correct(officer, enrolment, ledger, row, facts)
            with suppress(CamTrustError):  # the upkeep goes on with it
                self._replace(row)
        with files.database.read() as connection:
            return self._checks.standing(store.load(connection, enrolment.id))

    def resume(self) -> int:
        """Make the certificates of corrections that were cut off; gives how many there were."""
        with self._files.database.read() as connection:
            rows = corrections.unfinished(connection)
        for row in rows:
            self._replace(row)
        return len(rows)

    def _waiting(self, officer: Actor, enrolment_id: str) -> tuple[Enrolment, tuple[Evidence, ...], Row[Any]]:
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment_id)
            row = corrections.last(connection, enrolment_id)
        if row is None or row.state != corrections.WAITING:
            raise CorrectionUnknown
        files.check(enrolment, State.ACTIVATED)
        self._review.not_their_own(officer, enrolment)
        if spoke_before(officer, ledger):
            raise CorrectionOfficerBefore
        return enrolment, ledger, row

    def _keep_first(self, officer: Actor, enrolment: Enrolment, row: Row[Any], facts: Mapping[str, str]) -> None:
        values = {"first_by": str(officer), **{f"first_{name}": facts[name] for name in _FIRST}}
        with self._files.step(enrolment) as connection:
            corrections.change(connection, row.id, values)
            details = {"reason": facts["reason"], "method": facts["method"]}
            self._files.audit.append(connection, str(officer), "ekyc.correction_proposed", enrolment.id, details)

    def _refuse(self, officer: Actor, enrolment: Enrolment, row: Row[Any], facts: Mapping[str, str]) -> None:
        files = self._files
        sealed = files.seal(enrolment, EvidenceKind.CORRECTION, {"reason": facts["reason"]})
        notices = self._telling.everyone(enrolment, "notice_correction_refused")
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.CORRECTION, "refused", sealed, str(officer), facts)
            corrections.change(connection, row.id, {"state": corrections.REFUSED, "decided_at": files.clock.now()})
            self._telling.post(connection, notices)
            files.touch(connection, enrolment)

    def _correct(
        self,
        officer: Actor,
        enrolment: Enrolment,
        ledger: Sequence[Evidence],
        row: Row[Any],
        facts: Mapping[str, str],
    ) -> None:
        files, kept = self._files, self._checks.kept(enrolment, ledger, row)
        self._checks.check_not_held(enrolment)
        document, index = kept["document"], bytes.fromhex(kept["index"])
        if self._lost.holds(document["document_type"].rsplit("/", 1)[-1], document["document_number"]):
            raise DocumentReportedLost
        answer = self._registry.match(query_about(kept["facts"]["type"], document))
        refusal = self._checks.against(enrolment, index, answer)
        if refusal is not None:
            raise refusal
        first = {name: getattr(row, f"first_{name}") for name in _FIRST} | FOR
        compared = {name: value.value for name, value in answer.fields.items()}
        exchange = {"exchange": exchange_digest(answer.reference), **FOR}
        registry = {"fields": compared, "reference": answer.reference}
        records: tuple[tuple[EvidenceKind, str, Mapping[str, Any], str, Mapping[str, str]], ...] = (
            (EvidenceKind.DOCUMENT, "valid", document, _BY, {**kept["facts"], **FOR}),
            (EvidenceKind.REGISTRY, "match", registry, _BY, exchange),
            (EvidenceKind.REVIEW, "bound", first, row.first_by, first),
            (EvidenceKind.REVIEW, "bound", facts, str(officer), facts),
        )
        sealed = [files.seal(enrolment, kind, content) for kind, _, content, _, _ in records]
        done = files.seal(enrolment, EvidenceKind.CORRECTION, {"correction": row.id})
        renamed = replace(enrolment, subject_index=index)
        prepared = self._decider.prepare(renamed)
        notices = self._telling.everyone(enrolment, "notice_corrected")
        namesake = bytes.fromhex(kept["namesake"])
        try:
            with files.step(enrolment) as connection:
                seen = {first["method"], facts["method"]}
                if store.has_namesake(connection, enrolment.id, namesake) and seen != {Method.IN_PERSON.value}:
                    raise InPersonNeeded
                for (kind, outcome, _, by, said), content in zip(records, sealed, strict=True):
                    files.record(connection, enrolment, kind, outcome, content, by, said)
                columns = {"claimed_index": index, "namesake_index": namesake}
                moved = store.change(connection, enrolment, {"subject_index": index}, **columns)
                if not self._decider.decide_again(connection, moved, str(officer), prepared):
                    raise CorrectionUnmet
                files.record(connection, enrolment, EvidenceKind.CORRECTION, "corrected", done, str(officer), FOR)
                values = {"state": corrections.CORRECTED, "decided_at": files.clock.now()}
                corrections.change(connection, row.id, values)
                self._telling.post(connection, notices)
                details = {"correction": row.id}
                files.audit.append(connection, str(officer), "ekyc.corrected", enrolment.id, details)
        except IntegrityError:  # somebody else was approved as this person just now
            raise DuplicatePerson from None

    def _replace(self, row: Row[Any]) -> None:
        """A certificate that says it as it is now, and then the end of the one before."""
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, row.enrolment_id)
        if enrolment.state is State.ACTIVATED and enrolment.certificate_serial == row.serial:
            enrolment = self._issuance.renew_key(_BY, enrolment)
        if enrolment.state in (State.KEY_GENERATED, State.CERTIFICATE_ISSUED):
            enrolment = self._issuance.go_on(_BY, enrolment)
        self._renewals.resume(only=enrolment.id)
        with files.database.unit_of_work() as connection:
            now = store.load(connection, enrolment.id)
            if row.serial not in (now.certificate_serial, now.superseded_serial):
                corrections.change(connection, row.id, {"done_at": files.clock.now()})


def is_another(officer: Actor, first_by: str) -> bool:
    """Whether it is not the officer who spoke first."""
    return str(officer) != first_by


def spoke_before(officer: Actor, ledger: Sequence[Evidence]) -> bool:
    """Whether an officer judged this person before: what they did not see then, they would not see now."""
    return any(one.kind is EvidenceKind.REVIEW and one.actor == str(officer) for one in ledger)
