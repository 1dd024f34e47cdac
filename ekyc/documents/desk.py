"""The document: machine-readable lines, checked and judged. Check: EKYC-DOCUMENT-MRZ.

What cannot be read is not kept. What can be read is kept sealed, with its outcome; an expired card asks for another,
a child is refused, a minor goes on with a guardian. What the certificate rests on can end: a passport's ends with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ekyc import mrz
from ekyc.casefile import CaseFiles
from ekyc.documents.cross_check import said
from ekyc.documents.kinds import KHMER_ID_CARD, index_parts, kind_of, namesake_parts
from ekyc.documents.lost import LostDocuments
from ekyc.documents.printed import Printed, check_printed
from ekyc.errors import (
    BirthDateIncomplete,
    DocumentExpired,
    DocumentReportedLost,
    EkycError,
    GuardianNeeded,
    RetryLater,
    UnderAge,
)
from ekyc.evidence.errors import KhmerNameUnverified
from ekyc.evidence.record import Evidence, EvidenceKind
from ekyc.evidence.sources import EvidenceSources
from ekyc.model import TAKES_DOCUMENT, Enrolment, State, standing
from ekyc.names import khmer_name
from foundation.clock import rfc3339
from foundation.http.actor import Actor

_PHNOM_PENH = ZoneInfo("Asia/Phnom_Penh")


@dataclass(frozen=True)
class Proposal:
    """What is wrong with typed lines, and the one text that would be right, for the person to confirm."""

    fields: tuple[str, ...]
    lines: tuple[str, ...] | None


@dataclass(frozen=True)
class Examined:
    """A document whose lines were read and judged. ``content``: what is sealed of it; ``facts``: what the ledger says;
    ``index`` and ``namesake``: the keyed indexes of the person.
    """

    card: mrz.Mrz
    kind: str
    content: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, str]
    index: bytes
    namesake: bytes
    outcome: str
    refusal: EkycError | None
    final: bool


@dataclass(frozen=True)
class _Finding:
    """How a document was judged: the outcome for the ledger, and the refusal where it is one."""

    outcome: str
    refusal: EkycError | None
    final: bool = False


class DocumentDesk:
    """Takes typed lines."""

    def __init__(self, files: CaseFiles, sources: EvidenceSources, lost: LostDocuments) -> None:
        self._files = files
        self._sources = sources
        self._lost = lost

    def submit(
        self,
        actor: Actor,
        enrolment_id: str,
        lines: Sequence[str],
        surname_km: str | None,
        given_names_km: str | None,
        *,
        printed: Printed | None = None,
        if_version: int | None = None,
    ) -> Enrolment:
        """Read, check and judge a Khmer identity card, or a foreign resident's passport, and compare it with what is
        printed where that is given. The name in Khmer is on the card, and on no passport.

        Before the contact is proved, it stays CONSENTED with the document in its ledger. Raises LevelWithout, the Mrz
        errors, DocumentNotAccepted, BirthDateIncomplete, NameUnusable, KhmerNameUnverified, PrintedDiffers,
        PrintedDateUnreadable and DocumentNotYetValid (nothing kept); DocumentExpired and DocumentReportedLost (state
        NEEDS_INPUT); UnderAge and GuardianNeeded (state REJECTED); RetryLater.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *TAKES_DOCUMENT, if_version=if_version)
        files.takes(enrolment, EvidenceKind.DOCUMENT)
        now = files.clock.now()
        if enrolment.retry_at is not None and now < enrolment.retry_at:
            raise RetryLater(retry_after=(enrolment.retry_at - now).total_seconds())
        found = self.examine(lines, surname_km, given_names_km, printed)
        content, facts = found.content, found.facts
        raw = {"lines": list(found.card.lines)}
        sealed = [files.seal(enrolment, EvidenceKind.DOCUMENT, part) for part in (raw, content)]
        compared = None if found.refusal else self._sources.compared(enrolment, document=content)
        beside = files.seal(enrolment, EvidenceKind.CROSS_CHECK, {}) if compared else None
        with files.step(enrolment) as connection:
            files.record(connection, enrolment, EvidenceKind.DOCUMENT, "captured", sealed[0], str(actor), facts)
            captured = files.advance(connection, enrolment, State.DOCUMENT_CAPTURED, str(actor))
            ledger = files.record(
                connection, captured, EvidenceKind.DOCUMENT, found.outcome, sealed[1], str(actor), facts
            )
            if compared and beside:
                ledger = files.record(
                    connection, captured, compared.kind, compared.outcome, beside, str(actor), compared.recorded()
                )
            moved = files.advance(
                connection,
                captured,
                _after(found, ledger),
                str(actor),
                reason=None if found.refusal is None else f"reason_{found.refusal.code.removeprefix('ekyc.')}",
                subject_index=None if found.refusal else found.index,
                columns={"namesake_index": None if found.refusal else found.namesake},
            )
        if found.refusal is not None:
            raise found.refusal
        return moved

    def examine(
        self,
        lines: Sequence[str],
        surname_km: str | None,
        given_names_km: str | None,
        printed: Printed | None = None,
    ) -> Examined:
        """Read, check and judge a document; nothing is kept. Raises what :meth:`submit` does where nothing is kept."""
        files, today = self._files, local_day(self._files.clock.now())
        card = mrz.read(mrz.normalise(lines), today)
        kind = kind_of(card, files.policy.accepted_documents, files.policy.travel_documents, today)
        born = card.date_of_birth.value
        if born is None:
            raise BirthDateIncomplete
        check_printed(printed or Printed(), card, today)
        names = _khmer_names(kind, surname_km, given_names_km)
        finding = self._judge(card, born, today)
        parts = index_parts(kind, card.issuer, card.document_number)
        index = files.index.of("subject", *parts, born.isoformat().encode())
        namesake = files.index.of("namesake", *namesake_parts(card.surname, card.given_names, born))
        minor = finding.refusal is None and age_on(born, today) < files.policy.age_full
        until = _ends(kind, card, born, files.policy.age_full if minor else None)
        content = {**said(card), "date_of_birth": born.isoformat(), **names, **until}
        facts = {"type": kind, "document": files.index.of("document", *parts).hex()}
        facts |= {"minor": "true"} if minor else {}
        return Examined(card, kind, content, facts, index, namesake, finding.outcome, finding.refusal, finding.final)

    def propose(self, actor: Actor, enrolment_id: str, lines: Sequence[str]) -> Proposal:
        """What is wrong with typed lines, and a repair if exactly one is possible. Nothing is kept or changed.

        Raises MrzFormatUnknown, and what :meth:`CaseFiles.begin` raises.
        """
        self._files.begin(actor, enrolment_id, *TAKES_DOCUMENT)
        typed, today = mrz.normalise(lines), local_day(self._files.clock.now())
        failures = mrz.examine(typed, today).failures
        fields = tuple(dict.fromkeys(failure.field for failure in failures))
        return Proposal(fields, mrz.propose(typed, today))

    def _judge(self, card: mrz.Mrz, born: date, today: date) -> _Finding:
        policy = self._files.policy
        expiry = card.date_of_expiry
        if expiry is not None and (expiry.value is None or expiry.value < today):
            return _Finding("expired", DocumentExpired())
        if self._lost.holds(card.issuer, card.document_number):
            return _Finding("reported-lost", DocumentReportedLost())
        age = age_on(born, today)
        if age < policy.age_card:
            return _Finding("under-age", UnderAge(age=policy.age_card), final=True)
        if age < policy.age_full and policy.guardians is None:
            return _Finding("guardian-needed", GuardianNeeded(age=policy.age_full), final=True)
        return _Finding("valid", None)


def local_day(now: datetime) -> date:
    """The calendar day in Cambodia: what ages and expiries are counted by."""
    return now.astimezone(_PHNOM_PENH).date()


def age_on(born: date, day: date) -> int:
    """Full years. Somebody born on 29 February is a year older on 1 March where there is no 29th."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _after(finding: Examined, ledger: Sequence[Evidence]) -> State:
    if finding.refusal is None:
        return standing(ledger)
    return State.REJECTED if finding.final else State.NEEDS_INPUT


def _khmer_names(kind: str, surname: str | None, given_names: str | None) -> dict[str, dict[str, str]]:
    """The name in Khmer as entered and canonical; none of a document that has none. Raises NameUnusable,
    KhmerNameUnverified.
    """
    if kind != KHMER_ID_CARD:
        if surname or given_names:
            raise KhmerNameUnverified
        return {}
    entered = {"surname_km": surname or "", "given_names_km": given_names or ""}
    names = {field: khmer_name(text) for field, text in entered.items()}
    return {field: {"entered": name.as_entered, "canonical": name.canonical} for field, name in names.items()}


def _ends(kind: str, card: mrz.Mrz, born: date, age_full: int | None) -> dict[str, str]:
    """Until when the certificate may last, where the document says so: a passport carries to the end of its last day, a
    minor's document to the end of the day before they are of age.

    A Khmer card that expires is replaced, and its holder is the same person with the same number.
    """
    days = []
    if kind != KHMER_ID_CARD and card.date_of_expiry is not None and card.date_of_expiry.value is not None:
        days.append(card.date_of_expiry.value)
    if age_full is not None:
        days.append(birthday(born, age_full) - timedelta(days=1))
    return {"carries_until": rfc3339(end_of_day(min(days)))} if days else {}


def birthday(born: date, age: int) -> date:
    """The day on which somebody reaches an age, as :func:`age_on` counts."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:  # 29 February
        return date(born.year + age, 3, 1)


def end_of_day(day: date) -> datetime:
    """The last second of a day in Cambodia."""
    return datetime.combine(day + timedelta(days=1), time(), _PHNOM_PENH) - timedelta(seconds=1)
