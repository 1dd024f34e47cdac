"""Calling evidence back: a wrong control, a document issuer, a registry answer, an officer, a document, a voucher.

The graph is in the ledger: each record names control and version, actor, and facts (an issuer's fingerprint, the digest
of a registry exchange, the keyed index of a document). An approved enrolment is affected exactly if its decision,
judged again by its frozen policy without the recalled records, is not an approval: whoever is proved by other evidence
too is left alone. What is not approved yet has to be shown again.

Two different officers with the role: one proposes the list that a dry run gave (by its digest), another confirms it.
Then each affected enrolment is suspended and its person's certificates are put on hold. Killed in between, it goes on.
Check: EKYC-RECALL.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import RecallChanged, RecallEmpty, RecallSameOfficer, RecallUnknown
from ekyc.evidence.record import RECALLED, Evidence, EvidenceKind, latest
from ekyc.model import CERTIFYING, RECALLABLE, Enrolment, State
from ekyc.policy import Outcome, judge, parse_policy
from ekyc.ports import CertificateIssuer
from ekyc.recall import store as recall_store
from foundation.canonical import canonical_json
from foundation.http.actor import Actor

ROLE = "ekyc-recall"
_REASON = "reason_evidence_recalled"
_SHOWN_BY_THE_PERSON = frozenset(
    {
        EvidenceKind.CONTACT,
        EvidenceKind.DOCUMENT,
        EvidenceKind.REGISTRY,
        EvidenceKind.CHIP,
        EvidenceKind.IMAGE,
        EvidenceKind.GUARDIAN,
        EvidenceKind.DECLARATION,
        EvidenceKind.VOUCH,
    }
)


@dataclass(frozen=True)
class Origin:
    """Where evidence came from: every value that is not None must fit. ``exchange``: the registry's reference."""

    control: str | None = None
    version: int | None = None
    officer: str | None = None
    issuer: str | None = None  # SHA-256 of a document signer's or its authority's certificate, hexadecimal
    exchange: str | None = None
    document: str | None = None  # the keyed index of a document, hexadecimal: a fact of its record
    voucher: str | None = None  # the person id of a certificate holder who vouched

    @property
    def empty(self) -> bool:
        return all(value is None for value in asdict(self).values()) or (self.control is None and self._only_version())

    def _only_version(self) -> bool:
        return all(value is None for name, value in asdict(self).items() if name != "version")

    def said(self) -> dict[str, Any]:
        """Every value; without ``voucher`` where there is none, as in recalls that were proposed before it existed."""
        return {name: value for name, value in asdict(self).items() if name != "voucher" or value is not None}

    def _actor(self) -> str | None:
        if self.officer is not None:
            return f"officer:{self.officer}"
        return None if self.voucher is None else f"person:{self.voucher}"

    def columns(self) -> dict[str, Any]:
        """What the database can look for by itself."""
        wanted = {
            "control": self.control,
            "control_version": self.version,
            "actor": self._actor(),
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def made(self, record: Evidence) -> bool:
        """Whether a record is of this origin."""
        facts = record.facts
        return (
            record.outcome != RECALLED
            and all(getattr(record, name) == value for name, value in self.columns().items())
            and (self.issuer is None or self.issuer in (facts.get("anchor"), facts.get("signer")))
            and (self.exchange is None or facts.get("exchange") == exchange_digest(self.exchange))
            and (self.voucher is None or (record.kind, record.actor) == (EvidenceKind.VOUCH, f"person:{self.voucher}"))
            and (self.document is None or facts.get("document") == self.document)
        )


@dataclass(frozen=True)
class Affected:
    """An enrolment that does not stand without the recalled evidence."""

    enrolment_id: str
    person_id: str
    state: str
    certificate_serial: str | None


@dataclass(frozen=True)
class Found:
    """What a recall would do; ``digest`` stands for exactly this list. ``standing``: enrolments that used such
    evidence and are proved without it.
    """

    affected: tuple[Affected, ...]
    standing: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Progress:
    """How far a recall got."""

    recall_id: str
    state: str  # proposed, running, done
    affected: int
    done: int


def is_another(officer: Actor, proposed_by: str) -> bool:
    """Whether it is not the officer who proposed it. That two ids are two people is the registration's care."""
    return str(officer) != proposed_by


def exchange_digest(reference: str) -> str:
    """How the ledger names an exchange with the registry."""
    return hashlib.sha256(reference.encode()).hexdigest()


class RecallDesk:
    """Looks, proposes, confirms, goes on."""

    def __init__(self, files: CaseFiles, issuer: CertificateIssuer) -> None:
        self._files = files
        self._issuer = issuer

    def look(self, origin: Origin) -> Found:
        """The dry run: changes nothing. Raises RecallEmpty for an origin that names nothing."""
        if origin.empty:
            raise RecallEmpty
        affected, standing = [], []
        with self._files.database.read() as connection:
            for enrolment_id in recall_store.holders(connection, origin.columns()):
                enrolment = store.load(connection, enrolment_id)
                ledger = store.ledger(connection, enrolment_id)
                if enrolment.state not in RECALLABLE or not any(origin.made(record) for record in ledger):
                    continue
                if self._stands(enrolment, ledger, recall_store.approving(connection, enrolment_id), origin):
                    standing.append(enrolment_id)
                else:
                    affected.append(_affected(enrolment))
        listed = [asdict(one) for one in affected]
        digest = hashlib.sha256(canonical_json({"affected": listed, "origin": origin.said()})).hexdigest()
        return Found(tuple(affected), tuple(standing), digest)

    def propose(self, officer: Actor, origin: Origin, digest: str) -> Progress:
        """The first officer: exactly what the dry run with this digest gave. Raises RecallEmpty, RecallChanged."""
        files, found = self._files, self.look(origin)
        if found.digest != digest:
            raise RecallChanged
        recall_id = files.new_id("RCL-")
        values = {
            "id": recall_id,
            "origin": canonical_json(origin.said()).decode(),
            "digest": digest,
            "proposed_by": str(officer),
            "proposed_at": files.clock.now(),
        }
        with files.database.unit_of_work() as connection:
            recall_store.propose(connection, values)
            details = {"digest": digest, "affected": len(found.affected)}
            files.audit.append(connection, str(officer), "ekyc.recall_proposed", recall_id, details)
        return Progress(recall_id, "proposed", len(found.affected), 0)

    def confirm(self, officer: Actor, recall_id: str) -> Progress:
        """The second officer, and then it is done at once; asked again, it goes on where it was cut off.

        Raises RecallUnknown, RecallSameOfficer, RecallChanged (somebody else is affected by now: propose anew).
        """
        files = self._files
        with files.database.read() as connection:
            recall = recall_store.load(connection, recall_id)
        if recall is None:
            raise RecallUnknown
        if not is_another(officer, recall.proposed_by):
            raise RecallSameOfficer
        if recall.confirmed_at is None:
            found = self.look(Origin(**json.loads(recall.origin)))
            if found.digest != recall.digest:
                raise RecallChanged
            with files.database.unit_of_work() as connection:
                ids = [one.enrolment_id for one in found.affected]
                recall_store.confirm(connection, recall_id, str(officer), files.clock.now(), ids)
                details = {"digest": recall.digest, "affected": len(ids)}
                files.audit.append(connection, str(officer), "ekyc.recall_confirmed", recall_id, details)
        return self._perform(recall_id)

    def resume(self) -> int:
        """Go on with every recall that was cut off; gives how many there were."""
        with self._files.database.read() as connection:
            found = recall_store.unfinished(connection)
        for recall_id in found:
            self._perform(recall_id)
        return len(found)

    def _perform(self, recall_id: str) -> Progress:
        files = self._files
        with files.database.read() as connection:
            recall = recall_store.load(connection, recall_id)
            items = recall_store.items_of(connection, recall_id)
        if recall is None:
            raise RecallUnknown
        origin, by = Origin(**json.loads(recall.origin)), f"ekyc:{recall_id}"
        for item in items:
            if item.moved_at is None:
                self._move(recall_id, item.enrolment_id, origin)
        waiting = [item.enrolment_id for item in items if item.done_at is None]
        if waiting:
            with files.database.read() as connection:
                persons = [store.load(connection, one).person_id for one in waiting]
            self._issuer.suspend_citizens(persons, by)
        with files.database.unit_of_work() as connection:
            for enrolment_id in waiting:
                recall_store.mark(connection, recall_id, enrolment_id, "done_at", files.clock.now())
            if recall.done_at is None:
                recall_store.finish(connection, recall_id, files.clock.now())
                details = {"affected": len(items)}
                files.audit.append(connection, recall.confirmed_by, "ekyc.recall_done", recall_id, details)
        return Progress(recall_id, "done", len(items), len(items))

    def _move(self, recall_id: str, enrolment_id: str, origin: Origin) -> None:
        """Suspend an approved enrolment, or ask for the evidence again; the ledger says that it was recalled."""
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment_id)
        kinds = sorted({one.kind for one in ledger if origin.made(one)})
        if enrolment.state in CERTIFYING:
            to = State.SUSPENDED
        else:
            to = State.NEEDS_INPUT if _SHOWN_BY_THE_PERSON.intersection(kinds) else State.REFERRED_IN_PERSON
        sealed = [(kind, files.seal(enrolment, kind, {"recall": recall_id})) for kind in kinds]
        with files.step(enrolment) as connection:
            if enrolment.state in RECALLABLE:
                for kind, content in sealed:
                    files.record(connection, enrolment, kind, RECALLED, content, "service:ekyc", {"recall": recall_id})
                if enrolment.state is to:
                    files.touch(connection, enrolment)
                else:
                    files.advance(connection, enrolment, to, "service:ekyc", reason=_REASON)
            recall_store.mark(connection, recall_id, enrolment_id, "moved_at", files.clock.now())

    def _stands(
        self,
        enrolment: Enrolment,
        ledger: Sequence[Evidence],
        approving: tuple[int, str, Mapping[str, Any]] | None,
        origin: Origin,
    ) -> bool:
        """Whether it is proved without the evidence of this origin."""
        if enrolment.state in CERTIFYING and approving is not None:
            count, level, policy = approving
            kept = [record for record in ledger[:count] if not origin.made(record)]
            return judge(parse_policy(policy), level, kept).outcome is Outcome.APPROVED
        return not any(record is latest(ledger, record.kind) for record in ledger if origin.made(record))


def _affected(enrolment: Enrolment) -> Affected:
    return Affected(enrolment.id, enrolment.person_id, enrolment.state.value, enrolment.certificate_serial)
