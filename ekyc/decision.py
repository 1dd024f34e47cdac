"""The decision: the policy judges the ledger; its document, and the policy itself, are kept beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection

from ekyc import store
from ekyc.casefile import CaseFiles, Sealed
from ekyc.errors import DecisionMissing, DecisionNotReproduced
from ekyc.evidence.record import EvidenceKind
from ekyc.model import Enrolment, State
from ekyc.policy import Decision, Outcome, evaluate, parse_policy
from foundation.http.actor import Actor

_STATES = {
    Outcome.APPROVED: State.APPROVED,
    Outcome.REJECTED: State.REJECTED,
    Outcome.REFER: State.REFERRED_IN_PERSON,
}


@dataclass(frozen=True)
class Prepared:
    """What is sealed before the unit of work, so that the token is not asked while the database is held."""

    dedupe: Sealed
    decision: Sealed


class Decider:
    """Decides, and shows later that it decided right."""

    def __init__(self, files: CaseFiles) -> None:
        self._files = files

    def prepare(self, enrolment: Enrolment) -> Prepared:
        """Seal what the decision will record."""
        index = (enrolment.subject_index or b"").hex()
        return Prepared(
            self._files.seal(enrolment, EvidenceKind.DEDUPE, {"index": index}),
            self._files.seal(enrolment, EvidenceKind.DECISION, {"policy": self._files.policy.digest()}),
        )

    def decide(self, connection: Connection, enrolment: Enrolment, actor: str, prepared: Prepared) -> Enrolment:
        """Judge an enrolment that is PERSON_BOUND: APPROVED, REJECTED or REFERRED_IN_PERSON, with reasons.

        An approval claims the person: IntegrityError where another enrolment claimed them in a race.
        """
        files = self._files
        holder = None if enrolment.subject_index is None else store.claimed_by(connection, enrolment.subject_index)
        unique = holder is None and enrolment.subject_index is not None
        decision = self._judge(connection, enrolment, actor, prepared, unique)
        reason = decision.against[0].text if decision.against else None
        claim = {"claimed_index": enrolment.subject_index} if decision.outcome is Outcome.APPROVED else {}
        return files.advance(connection, enrolment, _STATES[decision.outcome], actor, reason=reason, columns=claim)

    def decide_again(self, connection: Connection, enrolment: Enrolment, actor: str, prepared: Prepared) -> bool:
        """Judge the ledger of somebody who was approved, with what was added to it; whether they are approved still.

        Kept and frozen as every decision; the state stays. The caller has claimed the person, and rolls back what is
        not approved.
        """
        holder = None if enrolment.subject_index is None else store.claimed_by(connection, enrolment.subject_index)
        return self._judge(connection, enrolment, actor, prepared, holder == enrolment.id).outcome is Outcome.APPROVED

    def _judge(
        self, connection: Connection, enrolment: Enrolment, actor: str, prepared: Prepared, unique: bool
    ) -> Decision:
        files, policy = self._files, self._files.policy
        outcome, namesake = "unique" if unique else "duplicate", store.namesake_facts(connection, enrolment)
        ledger = files.record(connection, enrolment, EvidenceKind.DEDUPE, outcome, prepared.dedupe, actor, namesake)
        decision = evaluate(policy, enrolment.level, ledger)
        frozen = (policy.digest(), policy.document())
        store.keep_decision(connection, enrolment.id, len(ledger), decision.document, frozen, files.clock.now())
        facts = {"policy": policy.version, "policy_digest": policy.digest()}
        files.record(
            connection, enrolment, EvidenceKind.DECISION, decision.outcome.value, prepared.decision, actor, facts
        )
        return decision

    def replay(self, enrolment_id: str) -> tuple[Decision, ...]:
        """Judge the stored evidence again by each decision's own policy, as it was kept: byte for byte the same.

        Raises DecisionNotReproduced where a document differs, EvidenceChainBroken, EnrolmentUnknown.
        """
        with self._files.database.read() as connection:
            store.load(connection, enrolment_id)
            ledger = store.ledger(connection, enrolment_id)
            kept = store.kept_decisions(connection, enrolment_id)
        again = []
        for count, document, policy in kept:
            decision = evaluate(parse_policy(json.loads(policy)), json.loads(document)["level"], ledger[:count])
            if decision.document != document:
                raise DecisionNotReproduced(enrolment=enrolment_id, count=count)
            again.append(decision)
        return tuple(again)

    def last(self, enrolment_id: str) -> bytes | None:
        """The document of the last decision."""
        with self._files.database.read() as connection:
            kept = store.kept_decisions(connection, enrolment_id)
        return kept[-1][1] if kept else None

    def policy_oid(self, enrolment_id: str) -> str:
        """The policy OID of the level, as the last decision has it frozen. Raises DecisionMissing."""
        document = self.last(enrolment_id)
        frozen = None if document is None else json.loads(document)["policy_oid"]
        if frozen is None:
            raise DecisionMissing
        return str(frozen)

    def of_person(self, actor: Actor, enrolment_id: str) -> bytes:
        """The document of the last decision on the caller's enrolment. Raises EnrolmentUnknown, DecisionMissing."""
        enrolment = self._files.of_person(actor, enrolment_id)
        document = self.last(enrolment.id)
        if document is None:
            raise DecisionMissing
        return document
