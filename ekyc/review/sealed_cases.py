"""Sealed test cases: cases whose right answer is known, put among the others, so that officers' care is measured.

A case is made of a specimen's data with evidence that speaks for one answer; the answer is sealed under the service's
own key and is in nothing that an officer is shown. Whatever the officer says, the case ends there and is erased: it can
never lead to a certificate. Check: EKYC-REVIEW-TEST.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from ekyc.blind_index import OWNER
from ekyc.casefile import CaseFiles
from ekyc.errors import ReviewReasonUnknown
from ekyc.evidence.record import EvidenceKind
from ekyc.model import Enrolment, State
from ekyc.ports import RegistryOutcome
from ekyc.review import store as review_store
from foundation.canonical import canonical_json
from foundation.http.actor import Actor

_PURPOSE = "review-test"
_VERDICTS = frozenset({"bind", "reject", "refer"})


class SealedTests:
    """Seeds test cases and judges the answers."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def seed(
        self,
        operator: str,
        document: Mapping[str, Any],
        fields: Mapping[str, str],
        outcome: RegistryOutcome,
        right: Sequence[str],
        *,
        level: str = "IAL2",
        language: str = "km",
    ) -> Enrolment:
        """A case that waits for an officer. ``document``: the content of a document record; ``fields``: how the
        registry's fields compare; ``right``: the verdicts that are right. Raises ReviewReasonUnknown for another one.
        """
        files = self._files
        if not right or not _VERDICTS.issuperset(right):
            raise ReviewReasonUnknown
        case = files.create(level, language)
        kinds = EvidenceKind
        matched = outcome is RegistryOutcome.MATCH
        contents: tuple[tuple[EvidenceKind, str, Mapping[str, Any], Mapping[str, str]], ...] = (
            (kinds.CONSENT, "accepted", {}, {}),
            (kinds.AGREEMENT, "accepted", {}, {}),
            (kinds.CONTACT, "verified", {}, {"channel": "sms"}),
            (kinds.DOCUMENT, "captured", {}, {"type": "khmer-id-card"}),
            (kinds.DOCUMENT, "valid", document, {"type": "khmer-id-card"}),
            (kinds.REGISTRY, outcome.value, {"fields": dict(fields), "reference": files.new_id("")}, {}),
            (kinds.DEDUPE, "unique", {}, {}),
        )
        sealed = [files.seal(case, kind, content) for kind, _, content, _ in contents]
        expected = files.vault.seal(OWNER, _PURPOSE, canonical_json(sorted(right)))
        person = f"person:{case.person_id}"
        with files.step(case) as connection:
            for (kind, said, _, facts), data in zip(contents, sealed, strict=True):
                files.record(connection, case, kind, said, data, person, facts)
            moved = case
            for state in (State.CONSENTED, State.CONTACT_VERIFIED, State.DOCUMENT_CAPTURED, State.DOCUMENT_VALIDATED):
                moved = files.advance(connection, moved, state, person)
            waits = State.REGISTRY_MATCHED if matched else State.REFERRED_IN_PERSON
            moved = files.advance(
                connection, moved, waits, person, reason=None if matched else "reason_registry_review"
            )
            review_store.add_test(connection, case.id, expected, operator)
        return moved

    def expected(self, enrolment_id: str) -> tuple[str, ...] | None:
        """The right verdicts of a test case; None for a case that is none."""
        with self._files.database.read() as connection:
            sealed = review_store.expected_of(connection, enrolment_id)
        return None if sealed is None else tuple(json.loads(self._files.vault.open(OWNER, _PURPOSE, sealed)))

    def answer(
        self,
        officer: Actor,
        enrolment: Enrolment,
        verdict: str,
        right: Sequence[str],
        done: Callable[[Connection, Actor, Enrolment], None],
    ) -> Enrolment:
        """Keep how the officer did, and end the case; the sweep erases it."""
        files = self._files
        with files.step(enrolment) as connection:
            review_store.answer_test(connection, enrolment.id, officer.id, verdict in right, files.clock.now())
            done(connection, officer, enrolment)
            return files.advance(
                connection,
                enrolment,
                State.WITHDRAWN,
                str(officer),
                reason="reason_review_test",
                subject_index=None,
            )

    def results(self) -> tuple[tuple[str, int, int], ...]:
        """For each officer: sealed tests answered, and answered right."""
        with self._files.database.read() as connection:
            return review_store.test_results(connection)
