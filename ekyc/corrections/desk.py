"""Data correction: the name or birth of somebody with a certificate, as card and registry have it now. EKYC-CORRECTION.

The person asks in their own session with both factors and the lines of the card; number, issuer, sex and nationality
stay, so that nobody becomes somebody else. The base registry is asked when they ask and again when it is decided. Two
officers who have not spoken for this person before decide (`ekyc.corrections.review`). Every contact is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ekyc.casefile import CaseFiles
from ekyc.contacts.telling import Telling
from ekyc.corrections import store as corrections
from ekyc.corrections.checks import FOR, CorrectionChecks, Standing, is_another_person
from ekyc.corrections.errors import (
    CorrectionNothing,
    CorrectionOtherPerson,
    CorrectionUnmet,
)
from ekyc.documents.desk import DocumentDesk, Examined
from ekyc.documents.printed import Printed
from ekyc.errors import (
    TooMuchEvidence,
)
from ekyc.evidence.record import EvidenceKind
from ekyc.model import Enrolment, State
from ekyc.policy import Correction as Rules
from ekyc.ports import Registry
from ekyc.recall.desk import exchange_digest
from ekyc.registry.match import query_about
from ekyc.terms import Acceptance, check_acceptance
from foundation.http.actor import Actor
from foundation.keys.port import Factors

_CAN_CHANGE = ("surname", "given_names", "surname_km", "given_names_km", "date_of_birth")


@dataclass(frozen=True)
class Asked:
    """What the card says now: its lines, the name in Khmer, and what is printed where it is to be compared."""

    lines: Sequence[str] = field(repr=False)
    surname_km: str | None = field(repr=False)
    given_names_km: str | None = field(repr=False)
    printed: Printed | None = field(default=None, repr=False)


class CorrectionDesk:
    """Takes what a person wants corrected."""

    def __init__(
        self, files: CaseFiles, document: DocumentDesk, registry: Registry, factors: Factors, telling: Telling
    ) -> None:
        self._files, self._document, self._registry = files, document, registry
        self._factors, self._telling = factors, telling
        self._checks = CorrectionChecks(files)

    def request(
        self,
        actor: Actor,
        enrolment_id: str,
        asked: Asked,
        acceptance: Acceptance,
        pin: str,
        totp: str,
        *,
        if_version: int | None = None,
    ) -> Standing:
        """Ask for it; what waited before is replaced. Every contact is told.

        Raises WrongState (no certificate), CorrectionHeld, TermsOutdated, what the token says of the factors, what a
        document is refused for, CorrectionUnmet, CorrectionOtherPerson, CorrectionNothing, TooMuchEvidence,
        RegistryUnavailable (ask again); and, written down: PersonDeceased, CorrectionUnconfirmed, DuplicatePerson.
        """
        files, rules = self._files, self._checks.rules()
        enrolment = files.begin(actor, enrolment_id, State.ACTIVATED, if_version=if_version)
        self._checks.check_not_held(enrolment)
        check_acceptance(files.terms, acceptance)
        self._factors.check(enrolment.person_id, pin, totp)
        found, changed = self._examined(enrolment, asked)
        self._check_tries(enrolment, rules)
        answer = self._registry.match(query_about(found.kind, found.content))
        refusal = self._checks.against(enrolment, found.index, answer)
        facts = {"fields": " ".join(changed), "exchange": exchange_digest(answer.reference)}
        kept = {
            "document": found.content,
            "facts": dict(found.facts),
            "index": found.index.hex(),
            "namesake": found.namesake.hex(),
        }
        sealed = files.seal(enrolment, EvidenceKind.CORRECTION, {} if refusal else kept)
        consent = {"purpose": acceptance.purpose, "version": acceptance.consent_version, **FOR}
        agreement = {"version": acceptance.agreement_version, "digest": acceptance.agreement_digest, **FOR}
        accepted = [
            (kind, said, files.seal(enrolment, kind, said))
            for kind, said in ((EvidenceKind.CONSENT, consent), (EvidenceKind.AGREEMENT, agreement))
        ]
        notices = () if refusal else self._telling.everyone(enrolment, "notice_correction_asked")
        outcome = "refused" if refusal else "requested"
        with files.step(enrolment) as connection:
            for kind, said, content in () if refusal else accepted:
                files.record(connection, enrolment, kind, "accepted", content, str(actor), said)
            ledger = files.record(connection, enrolment, EvidenceKind.CORRECTION, outcome, sealed, str(actor), facts)
            if refusal is None:
                row = {
                    "id": files.new_id("COR-"),
                    "enrolment_id": enrolment.id,
                    "sequence": len(ledger),
                    "serial": enrolment.certificate_serial,
                    "requested_at": files.clock.now(),
                }
                corrections.request(connection, row)
            self._telling.post(connection, notices)
            files.touch(connection, enrolment)
            files.audit.append(connection, str(actor), "ekyc.correction_asked", enrolment.id, {"outcome": outcome})
        if refusal is not None:
            raise refusal
        return self.of_person(actor, enrolment_id)

    def of_person(self, actor: Actor, enrolment_id: str) -> Standing:
        """How far the caller's own correction is. Raises CorrectionUnknown."""
        return self._checks.standing(self._files.of_person(actor, enrolment_id))

    def _check_tries(self, enrolment: Enrolment, rules: Rules) -> None:
        """So that the registry is no oracle for who has factors."""
        since = self._files.clock.now() - timedelta(days=rules.period_days)
        asked = ("requested", "refused")
        ledger = self._files.ledger(enrolment)
        tries = [one for one in ledger if one.kind is EvidenceKind.CORRECTION and one.outcome in asked]
        if sum(one.at > since and one.actor == f"person:{enrolment.person_id}" for one in tries) >= rules.tries:
            raise TooMuchEvidence

    def _examined(self, enrolment: Enrolment, asked: Asked) -> tuple[Examined, tuple[str, ...]]:
        """The document that was shown, and the names of the fields that differ from what was shown before."""
        before = self._checks.shown(enrolment)
        found = self._document.examine(asked.lines, asked.surname_km, asked.given_names_km, asked.printed)
        if found.refusal is not None:
            raise found.refusal
        if is_another_person(before, found.content):
            raise CorrectionOtherPerson
        if found.facts.get("minor") == "true":  # the guardian's word would have to be asked for anew
            raise CorrectionUnmet
        changed = tuple(name for name in _CAN_CHANGE if _part(before, name) != _part(found.content, name))
        if not changed:
            raise CorrectionNothing
        return found, changed


def _part(document: Mapping[str, Any], name: str) -> object:
    value = document.get(name)
    return value["canonical"] if isinstance(value, Mapping) else value
