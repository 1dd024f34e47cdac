"""Asking the base registry. Down means wait; no match means look again, a few times; nothing unclear ever passes.

Checks: EKYC-REGISTRY, and EKYC-DEDUPE for whoever is enrolled already. Which fields differed is for the officer's eyes
alone: the person, who may be somebody else, is told that they differ and not where.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection

from ekyc import store
from ekyc.casefile import CaseFiles, Sealed
from ekyc.errors import DuplicatePerson, EkycError, PersonDeceased, RegistryNoMatch, RegistryUnavailable
from ekyc.evidence.record import EvidenceKind, lacks_guardian, latest_shown
from ekyc.model import WAITS_FOR_REGISTRY, Enrolment, State
from ekyc.ports import (
    VITAL_STATUS,
    FieldOutcome,
    Registry,
    RegistryAnswer,
    RegistryOutcome,
    RegistryQuery,
)
from ekyc.recall.desk import exchange_digest
from foundation.http.actor import Actor


class RegistryDesk:
    """Asks, and writes down the answer."""

    def __init__(self, files: CaseFiles, registry: Registry) -> None:
        self._files = files
        self._registry = registry

    def match(self, actor: Actor, enrolment_id: str, *, if_version: int | None = None) -> Enrolment:
        """Compare the document with the registry; asked again while it waits, it goes on.

        Gives REGISTRY_MATCHED, REFERRED_IN_PERSON, WAITING_GUARDIAN or WAITING_REGISTRY. Raises RegistryNoMatch
        (NEEDS_INPUT, in the end REJECTED), PersonDeceased and DuplicatePerson (REJECTED).
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *WAITS_FOR_REGISTRY, if_version=if_version)
        files.gate(enrolment, "registry", files.ledger(enrolment))
        try:
            answer = self._registry.match(query_of(files, enrolment))
        except RegistryUnavailable:
            return self._wait(actor, enrolment)
        return self._answered(actor, enrolment, answer)

    def _wait(self, actor: Actor, enrolment: Enrolment) -> Enrolment:
        retry_at = self._files.clock.now() + timedelta(seconds=self._files.settings.registry_retry_seconds)
        with self._files.step(enrolment) as connection:
            return self._files.advance(
                connection,
                enrolment,
                State.WAITING_REGISTRY,
                str(actor),
                reason="reason_registry_unavailable",
                retry_at=retry_at,
            )

    def _answered(self, actor: Actor, enrolment: Enrolment, answer: RegistryAnswer) -> Enrolment:
        files, deceased = self._files, answer.fields.get(VITAL_STATUS) is FieldOutcome.MISMATCH
        outcome = "deceased" if deceased else answer.outcome.value
        fields = {name: value.value for name, value in answer.fields.items()}
        sealed = files.seal(enrolment, EvidenceKind.REGISTRY, {"fields": fields, "reference": answer.reference})
        unique = files.seal(enrolment, EvidenceKind.DEDUPE, {"index": (enrolment.subject_index or b"").hex()})
        refusal: EkycError | None = None
        with files.step(enrolment) as connection:
            facts = {"exchange": exchange_digest(answer.reference)}
            ledger = files.record(connection, enrolment, EvidenceKind.REGISTRY, outcome, sealed, str(actor), facts)
            if deceased:
                refusal = PersonDeceased()
                moved = self._reject(connection, actor, enrolment, refusal)
            elif answer.outcome is RegistryOutcome.NO_MATCH:
                misses = sum(1 for one in ledger if one.kind is EvidenceKind.REGISTRY and one.outcome == "no-match")
                refusal = RegistryNoMatch(left=max(0, files.settings.registry_tries - misses))
                moved = self._missed(connection, actor, enrolment, refusal, misses)
            elif self._is_enrolled_already(connection, actor, enrolment, unique):
                refusal = DuplicatePerson()
                moved = self._reject(connection, actor, enrolment, refusal)
            elif lacks_guardian(ledger):
                moved = files.advance(
                    connection, enrolment, State.WAITING_GUARDIAN, str(actor), reason="reason_guardian_needed"
                )
            elif answer.outcome is RegistryOutcome.MATCH:
                moved = files.advance(connection, enrolment, State.REGISTRY_MATCHED, str(actor))
            else:
                moved = files.advance(
                    connection, enrolment, State.REFERRED_IN_PERSON, str(actor), reason="reason_registry_review"
                )
        if refusal is not None:
            raise refusal
        return moved

    def _is_enrolled_already(self, connection: Connection, actor: Actor, enrolment: Enrolment, sealed: Sealed) -> bool:
        holder = None if enrolment.subject_index is None else store.claimed_by(connection, enrolment.subject_index)
        outcome = "unique" if holder is None else "duplicate"
        facts = store.namesake_facts(connection, enrolment)
        self._files.record(connection, enrolment, EvidenceKind.DEDUPE, outcome, sealed, str(actor), facts)
        return holder is not None

    def _missed(
        self, connection: Connection, actor: Actor, enrolment: Enrolment, refusal: EkycError, misses: int
    ) -> Enrolment:
        settings = self._files.settings
        if misses >= settings.registry_tries:
            return self._reject(connection, actor, enrolment, refusal)
        retry_at = self._files.clock.now() + timedelta(seconds=settings.no_match_wait_seconds)
        return self._files.advance(
            connection, enrolment, State.NEEDS_INPUT, str(actor), reason=_reason(refusal), retry_at=retry_at
        )

    def _reject(self, connection: Connection, actor: Actor, enrolment: Enrolment, refusal: EkycError) -> Enrolment:
        return self._files.advance(connection, enrolment, State.REJECTED, str(actor), reason=_reason(refusal))


def _reason(refusal: EkycError) -> str:
    return f"reason_{refusal.code.removeprefix('ekyc.')}"


def query_of(files: CaseFiles, enrolment: Enrolment) -> RegistryQuery:
    """What the registry is asked about the document that was shown last. Raises EnrolmentUnknown without one."""
    with files.database.read() as connection:
        document = files.open(connection, enrolment, EvidenceKind.DOCUMENT)
        shown = latest_shown(store.ledger(connection, enrolment.id), EvidenceKind.DOCUMENT)
    return query_about(shown.facts["type"] if shown else "", document)


def query_about(document_type: str, document: Mapping[str, Any]) -> RegistryQuery:
    """What the registry is asked about a document, from what is sealed of it."""
    return RegistryQuery(
        document_number=document["document_number"],
        surname=document["surname"],
        given_names=document["given_names"],
        date_of_birth=date.fromisoformat(document["date_of_birth"]),
        sex=document["sex"],
        surname_km=_khmer(document, "surname_km"),
        given_names_km=_khmer(document, "given_names_km"),
        document_type=document_type,
        issuing_state=document["document_type"].rsplit("/", 1)[-1],
        nationality=document["nationality"],
    )


def _khmer(document: Mapping[str, Any], field: str) -> str:
    name: Mapping[str, str] = document.get(field, {})
    return name.get("canonical", "")
