"""Guardians of minors: who is 15 to 17 needs one who holds a certificate here. Control: EKYC-GUARDIAN.

The minor hands an invitation over; the guardian, in their own session and with their own factors, declares a relation;
the base registry says whether it is so. What it said stands in the minor's ledger, and the policy judges by it. The
certificate of a minor ends before the eighteenth birthday. A guardian can withdraw at any time, and one who is lost
(suspended, dead) withdraws without a word: then the minor's certificate is put on hold. Killed in between, the upkeep
goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.documents.desk import age_on, local_day
from ekyc.errors import RegistryUnavailable
from ekyc.evidence.record import EvidenceKind, lacks_guardian, latest
from ekyc.guardians import store as guardian_store
from ekyc.guardians.errors import (
    GuardianInvitationUnknown,
    GuardianIsMinor,
    GuardianNotConfirmed,
    GuardianNotHolder,
    GuardianQuota,
    GuardianSelf,
    GuardianshipUnknown,
    GuardianUnneeded,
    RelationUnknown,
)
from ekyc.model import CERTIFYING, REVIEWABLE, TAKES_GUARDIAN, Enrolment, State
from ekyc.policy import Guardians
from ekyc.ports import (
    CertificateIssuer,
    RegistryAnswer,
    RegistryOutcome,
    RelationParty,
    RelationQuery,
    RelationRegistry,
)
from ekyc.recall.desk import exchange_digest
from foundation.http.actor import Actor
from foundation.keys.port import Factors

_DAYS = 7  # how long an invitation is good
_OUTCOMES = {RegistryOutcome.MATCH: "bound", RegistryOutcome.REVIEW: "review", RegistryOutcome.NO_MATCH: "no-match"}
_ACCEPTS = (*TAKES_GUARDIAN, State.SUSPENDED)  # suspended without one, a minor needs another to come back
LOST = (State.SUSPENDED, State.REJECTED, State.EXPIRED, State.WITHDRAWN)


@dataclass(frozen=True)
class Invitation:
    """A code for the guardian, given once and kept nowhere."""

    code: str
    expires_at: datetime


@dataclass(frozen=True)
class Guardianship:
    """A guardian's side of it: an opaque enrolment, the relation, since when, and its end."""

    enrolment_id: str
    relation: str
    since: datetime
    ended_at: datetime | None
    outcome: str | None = None


class GuardianDesk:
    """Invites, takes a guardian's word, ends it."""

    def __init__(
        self, files: CaseFiles, factors: Factors, issuer: CertificateIssuer, relations: RelationRegistry | None
    ) -> None:
        self._files = files
        self._factors = factors
        self._issuer = issuer
        self._relations = relations

    def invite(self, actor: Actor, enrolment_id: str, *, if_version: int | None = None) -> Invitation:
        """A minor's invitation to a guardian, good once and for seven days; one before is good no more.

        Raises GuardianUnneeded for whoever is no minor or has a guardian, and what :meth:`CaseFiles.begin` raises.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *_ACCEPTS, if_version=if_version)
        if not lacks_guardian(files.ledger(enrolment)):
            raise GuardianUnneeded
        code = files.new_id("GRD-")
        index = files.index.of("guardian-invitation", code.encode())
        expires_at = files.clock.now() + timedelta(days=_DAYS)
        with files.database.unit_of_work() as connection:
            guardian_store.invitations.forget(connection, enrolment.id)  # the last one alone is good
            guardian_store.invitations.add(connection, index, enrolment.id, expires_at)
            files.audit.append(connection, str(actor), "ekyc.guardian_invited", enrolment.id, {})
        return Invitation(code, expires_at)

    def accept(self, actor: Actor, code: str, relation: str, pin: str, totp: str) -> Guardianship:
        """A certificate holder's word, with PIN and one-time code, that they are the guardian of who invited them.

        Raises EnrolmentUnknown, GuardianInvitationUnknown, RelationUnknown, GuardianSelf, GuardianNotHolder,
        GuardianIsMinor, GuardianQuota, what the token says of the factors, RegistryUnavailable (ask again), and
        GuardianNotConfirmed (recorded; the minor is refused in the end).
        """
        files, rules = self._files, self._rules()
        guardian = files.of_person(actor)
        index = files.index.of("guardian-invitation", code.strip().upper().encode())
        with files.database.read() as connection:
            ward_id = guardian_store.invitations.enrolment_of(connection, index, files.clock.now())
            ward = None if ward_id is None else store.load(connection, ward_id)
        if ward is None:
            raise GuardianInvitationUnknown
        if relation not in rules.relations:
            raise RelationUnknown
        files.check(ward, *_ACCEPTS)
        if not lacks_guardian(files.ledger(ward)):
            raise GuardianUnneeded
        self._may_be(guardian, ward, rules)
        self._factors.check(guardian.person_id, pin, totp)
        answer = self._ask(guardian, ward, relation)
        return self._answered(actor, guardian, ward, index, relation, answer)

    def wards(self, actor: Actor) -> tuple[Guardianship, ...]:
        """Whose guardian the caller is or was."""
        with self._files.database.read() as connection:
            rows = guardian_store.of_guardian(connection, actor.id)
        return tuple(Guardianship(row.enrolment_id, row.relation, row.since, row.ended_at) for row in rows)

    def withdraw(self, actor: Actor, enrolment_id: str) -> None:
        """The guardian's word is taken back: the minor waits for a guardian, or their certificate is put on hold.

        Repeating it is safe. Raises GuardianshipUnknown.
        """
        if enrolment_id not in {one.enrolment_id for one in self.wards(actor)}:
            raise GuardianshipUnknown
        self._end(enrolment_id, actor.id, str(actor))
        self._follow(enrolment_id)

    def resume(self) -> int:
        """End the guardianships of who is lost, and finish what was cut off; gives how many enrolments changed."""
        with self._files.database.read() as connection:
            lost = guardian_store.orphaned(connection, LOST)
        for enrolment_id, guardian_id in lost:
            self._end(enrolment_id, guardian_id, "service:ekyc")
        with self._files.database.read() as connection:
            waiting = guardian_store.unfinished(connection)
        for enrolment_id in waiting:
            self._follow(enrolment_id)
        return len(waiting)

    def _rules(self) -> Guardians:
        rules = self._files.policy.guardians
        if rules is None:
            raise GuardianUnneeded
        return rules

    def _may_be(self, guardian: Enrolment, ward: Enrolment, rules: Guardians) -> None:
        """Raises GuardianSelf, GuardianNotHolder, GuardianIsMinor, GuardianQuota."""
        if is_self(guardian, ward):
            raise GuardianSelf
        if not self._holds(guardian) or guardian.level not in rules.levels:
            raise GuardianNotHolder
        if not self._is_of_age(guardian):
            raise GuardianIsMinor
        with self._files.database.read() as connection:
            if guardian_store.wards(connection, guardian.person_id) >= rules.most:
                raise GuardianQuota(most=rules.most)

    def _holds(self, guardian: Enrolment) -> bool:
        """Whether a certificate of theirs is in force, by the CA's word."""
        serial, now = guardian.certificate_serial, self._files.clock.now()
        return guardian.state is State.ACTIVATED and serial is not None and self._issuer.in_force(serial, now)

    def _is_of_age(self, guardian: Enrolment) -> bool:
        born = date.fromisoformat(self._document(guardian)["date_of_birth"])
        return age_on(born, local_day(self._files.clock.now())) >= self._files.policy.age_full

    def _document(self, enrolment: Enrolment) -> Any:
        with self._files.database.read() as connection:
            return self._files.open(connection, enrolment, EvidenceKind.DOCUMENT)

    def _ask(self, guardian: Enrolment, ward: Enrolment, relation: str) -> RegistryAnswer:
        if self._relations is None:
            raise RegistryUnavailable
        parties = [_party(self._document(one)) for one in (ward, guardian)]
        return self._relations.relation(RelationQuery(parties[0], parties[1], relation))

    def _answered(
        self,
        actor: Actor,
        guardian: Enrolment,
        ward: Enrolment,
        index: bytes,
        relation: str,
        answer: RegistryAnswer,
    ) -> Guardianship:
        files, rules, now = self._files, self._rules(), self._files.clock.now()
        outcome = _OUTCOMES[answer.outcome]
        fields = {name: value.value for name, value in answer.fields.items()}
        content = {"relation": relation, "fields": fields, "reference": answer.reference}
        sealed = files.seal(ward, EvidenceKind.GUARDIAN, content)
        facts = {"relation": relation, "exchange": exchange_digest(answer.reference)}
        facts["certificate"] = guardian.certificate_serial or ""
        if ward.state is State.SUSPENDED:  # a withdrawal that was cut off may have left the certificate in force
            self._issuer.suspend_citizens([ward.person_id], f"ekyc:{ward.id}")
        with files.step(ward) as connection:
            store.hold(connection, guardian)  # so that of two wards at once one is counted before the other
            guardian_store.invitations.use(connection, index, now)
            ledger = files.record(connection, ward, EvidenceKind.GUARDIAN, outcome, sealed, str(actor), facts)
            if outcome == "no-match":
                refused = sum(1 for one in ledger if one.kind is EvidenceKind.GUARDIAN and one.outcome == outcome)
                if refused >= rules.tries:
                    files.advance(connection, ward, State.REJECTED, str(actor), reason="reason_guardian_not_confirmed")
                else:
                    files.touch(connection, ward)
            else:
                if guardian_store.wards(connection, guardian.person_id) >= rules.most:
                    raise GuardianQuota(most=rules.most)
                guardian_store.bind(connection, ward.id, guardian.person_id, relation, now)
                self._go_on(connection, ward, str(actor))
            details = {"guardian": guardian.person_id, "outcome": outcome}
            files.audit.append(connection, str(actor), "ekyc.guardian_answered", ward.id, details)
        if outcome == "no-match":
            raise GuardianNotConfirmed(left=max(0, rules.tries - refused))
        return Guardianship(ward.id, relation, now, None, outcome)

    def _go_on(self, connection: Any, ward: Enrolment, actor: str) -> None:
        """From waiting for a guardian to where the registry's answer about the minor leads."""
        if ward.state is not State.WAITING_GUARDIAN:
            self._files.touch(connection, ward)
            return
        answer = latest(store.ledger(connection, ward.id), EvidenceKind.REGISTRY)
        if answer is not None and answer.outcome == "match":
            self._files.advance(connection, ward, State.REGISTRY_MATCHED, actor)
        else:
            self._files.advance(connection, ward, State.REFERRED_IN_PERSON, actor, reason="reason_registry_review")

    def _end(self, enrolment_id: str, guardian_id: str, by: str) -> None:
        files = self._files
        with files.database.unit_of_work() as connection:
            if guardian_store.end(connection, enrolment_id, guardian_id, files.clock.now()):
                details = {"guardian": guardian_id}
                files.audit.append(connection, by, "ekyc.guardian_ended", enrolment_id, details)

    def _follow(self, enrolment_id: str) -> None:
        """What follows from the end of a guardianship, as often as it is asked."""
        files = self._files
        with files.database.read() as connection:
            ward = store.load(connection, enrolment_id)
            another = guardian_store.stands(connection, enrolment_id)
        if not another:
            to = State.SUSPENDED if ward.state in CERTIFYING else State.WAITING_GUARDIAN
            if ward.erased_at is None and ward.state in (*CERTIFYING, *TAKES_GUARDIAN, *REVIEWABLE):
                self._take_back(ward, to)
            if to is State.SUSPENDED or ward.state is State.SUSPENDED:
                self._issuer.suspend_citizens([ward.person_id], f"ekyc:{ward.id}")
        with files.database.unit_of_work() as connection:
            guardian_store.done(connection, enrolment_id, files.clock.now())

    def _take_back(self, ward: Enrolment, to: State) -> None:
        files = self._files
        sealed = files.seal(ward, EvidenceKind.GUARDIAN, {})
        with files.step(ward) as connection:
            if not lacks_guardian(store.ledger(connection, ward.id)):
                files.record(connection, ward, EvidenceKind.GUARDIAN, "withdrawn", sealed, "service:ekyc")
            if to is State.WAITING_GUARDIAN and ward.state in TAKES_GUARDIAN:
                files.touch(connection, ward)
            else:
                files.advance(connection, ward, to, "service:ekyc", reason="reason_guardian_withdrew")


def is_self(guardian: Enrolment, ward: Enrolment) -> bool:
    """By person, and by the index of the person."""
    same = guardian.subject_index is not None and guardian.subject_index == ward.subject_index
    return same or guardian.person_id == ward.person_id


def _party(document: Any) -> RelationParty:
    return RelationParty(
        document["document_number"],
        document["document_type"].rsplit("/", 1)[-1],
        date.fromisoformat(document["date_of_birth"]),
    )
