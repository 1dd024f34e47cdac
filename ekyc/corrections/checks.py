"""What both sides of a correction look at: is it possible, is it confirmed, how far is it. Check: EKYC-CORRECTION."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from ekyc import store
from ekyc.approval import DECLARED
from ekyc.authenticators.cool_off import CoolOffs
from ekyc.casefile import CaseFiles
from ekyc.corrections import store as corrections
from ekyc.corrections.errors import (
    CorrectionHeld,
    CorrectionUnconfirmed,
    CorrectionUnknown,
    CorrectionUnmet,
)
from ekyc.errors import (
    DuplicatePerson,
    EkycError,
    PersonDeceased,
)
from ekyc.evidence.record import Evidence
from ekyc.model import Enrolment
from ekyc.policy import Correction as Rules
from ekyc.ports import VITAL_STATUS, FieldOutcome, RegistryAnswer, RegistryOutcome

FOR = {"for": "correction"}  # a fact of each record that a correction adds
_MUST_STAY = ("document_type", "document_number", "sex", "nationality")


@dataclass(frozen=True)
class Standing:
    """How far a correction is; ``fields``: the names of what is to be corrected."""

    enrolment_id: str
    state: str  # waiting, corrected, refused, replaced
    fields: tuple[str, ...]
    requested_at: datetime
    decided_at: datetime | None
    certificate_serial: str | None  # the new one, once it is there


class CorrectionChecks:
    """Looks, and changes nothing."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files
        self._cool_offs = CoolOffs(files.database, files.clock)

    def rules(self) -> Rules:
        rules = self._files.policy.correction
        if rules is None:
            raise CorrectionUnmet
        return rules

    def check_not_held(self, enrolment: Enrolment) -> None:
        if self._cool_offs.held(enrolment.person_id) is not None:
            raise CorrectionHeld

    def against(self, enrolment: Enrolment, index: bytes, answer: RegistryAnswer) -> EkycError | None:
        if answer.fields.get(VITAL_STATUS) is FieldOutcome.MISMATCH:
            return PersonDeceased()
        if not is_confirmed(answer):
            return CorrectionUnconfirmed()
        with self._files.database.read() as connection:
            holder = store.claimed_by(connection, index)
        return None if holder in (None, enrolment.id) else DuplicatePerson()

    def shown(self, enrolment: Enrolment) -> Mapping[str, Any]:
        """Name and birth as they were verified. Raises CorrectionUnmet for somebody without a document."""
        with self._files.database.read() as connection:
            shown = self._files.open_identity(connection, enrolment)
        if shown["document_type"] == DECLARED:
            raise CorrectionUnmet
        return shown

    def kept(self, enrolment: Enrolment, ledger: Sequence[Evidence], row: Row[Any]) -> Mapping[str, Any]:
        with self._files.database.read() as connection:
            return self._files.open_record(connection, enrolment, ledger[row.sequence - 1])

    def standing(self, enrolment: Enrolment) -> Standing:
        with self._files.database.read() as connection:
            row = corrections.last(connection, enrolment.id)
            ledger = store.ledger(connection, enrolment.id)
        if row is None:
            raise CorrectionUnknown
        fields = tuple(ledger[row.sequence - 1].facts["fields"].split())
        serial = enrolment.certificate_serial if row.done_at is not None else None
        return Standing(enrolment.id, row.state, fields, row.requested_at, row.decided_at, serial)


def is_another_person(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the document is of somebody else: name and birth can change, and what names a person cannot."""
    return any(before.get(name) != after.get(name) for name in _MUST_STAY)


def is_confirmed(answer: RegistryAnswer) -> bool:
    """Whether the registry says the same, without a question left."""
    return answer.outcome is RegistryOutcome.MATCH
