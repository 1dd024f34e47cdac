"""The states of an enrolment, which may follow which, and what each asks of the ledger. Pure.

    DRAFT → CONSENTED → CONTACT_VERIFIED → DOCUMENT_CAPTURED → DOCUMENT_VALIDATED → REGISTRY_MATCHED → PERSON_BOUND
          → APPROVED → FACTOR_BOUND → KEY_GENERATED → CERTIFICATE_ISSUED → ACTIVATED

Contact and document come in either order: the state says how far the evidence reaches without a gap (:func:`standing`).

REJECTED is left by an appeal that was granted (`ekyc.appeals.desk`), and no other way.

When all factors are lost, an officer leads FACTOR_BOUND and what follows it back to APPROVED
(`ekyc.authenticators.recovery`).

Beside the way: NEEDS_INPUT(reason, retry_at), WAITING_REGISTRY, WAITING_GUARDIAN (a minor without one),
 WAITING_VOUCHERS (somebody without a document), REFERRED_IN_PERSON, REJECTED, EXPIRED, WITHDRAWN.
A gate is held twice: the policy decides on approval, and :func:`check_transition` asks the ledger at each milestone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ekyc.errors import GateClosed, WrongState
from ekyc.evidence.record import Evidence, EvidenceKind, latest


class State(StrEnum):
    """Where an enrolment stands."""

    DRAFT = "DRAFT"
    CONSENTED = "CONSENTED"
    CONTACT_VERIFIED = "CONTACT_VERIFIED"
    DOCUMENT_CAPTURED = "DOCUMENT_CAPTURED"
    DOCUMENT_VALIDATED = "DOCUMENT_VALIDATED"
    REGISTRY_MATCHED = "REGISTRY_MATCHED"
    REVIEW_2 = "REVIEW_2"  # one officer has spoken for it; it waits for another
    PERSON_BOUND = "PERSON_BOUND"
    APPROVED = "APPROVED"
    FACTOR_BOUND = "FACTOR_BOUND"
    KEY_GENERATED = "KEY_GENERATED"
    CERTIFICATE_ISSUED = "CERTIFICATE_ISSUED"
    ACTIVATED = "ACTIVATED"
    NEEDS_INPUT = "NEEDS_INPUT"
    WAITING_REGISTRY = "WAITING_REGISTRY"
    WAITING_GUARDIAN = "WAITING_GUARDIAN"  # all is there but a guardian's word
    WAITING_VOUCHERS = "WAITING_VOUCHERS"  # without a document: for vouchers, and then the commune's officer
    REFERRED_IN_PERSON = "REFERRED_IN_PERSON"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    SUSPENDED = "SUSPENDED"  # what it stands on was called back; two officers lead back (`ekyc.recall.reinstatement`)


class Action(StrEnum):
    """What can be done next, by the person or by an officer."""

    CONSENT = "consent"
    CONTACT = "contact"
    VERIFY_CONTACT = "verify-contact"
    DOCUMENT = "document"
    REGISTRY_MATCH = "registry-match"
    GUARDIAN = "guardian"
    DECLARATION = "declaration"
    VOUCHERS = "vouchers"
    REVIEW = "await-review"
    FACTORS = "factors"
    CONFIRM_FACTORS = "confirm-factors"
    CERTIFICATE = "certificate"
    WITHDRAW = "withdraw"


_LEAVES = frozenset({State.WITHDRAWN, State.EXPIRED})
_REGISTRY_ANSWERS = frozenset(
    {
        State.REGISTRY_MATCHED,
        State.WAITING_REGISTRY,
        State.WAITING_GUARDIAN,
        State.NEEDS_INPUT,
        State.REFERRED_IN_PERSON,
        State.REJECTED,
    }
)
_OF_REVIEWABLE = frozenset({State.NEEDS_INPUT, State.WAITING_GUARDIAN, State.PERSON_BOUND, State.REJECTED})

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.DRAFT: _LEAVES | {State.CONSENTED},
    State.CONSENTED: _LEAVES | {State.CONTACT_VERIFIED, State.DOCUMENT_CAPTURED, State.DOCUMENT_VALIDATED},
    State.CONTACT_VERIFIED: _LEAVES | {State.DOCUMENT_CAPTURED, State.WAITING_VOUCHERS, State.NEEDS_INPUT},
    State.DOCUMENT_CAPTURED: _LEAVES | {State.CONSENTED, State.DOCUMENT_VALIDATED, State.NEEDS_INPUT, State.REJECTED},
    State.NEEDS_INPUT: _LEAVES | {State.DOCUMENT_CAPTURED, State.WAITING_VOUCHERS},
    State.DOCUMENT_VALIDATED: _LEAVES | _REGISTRY_ANSWERS,
    State.WAITING_REGISTRY: _LEAVES | _REGISTRY_ANSWERS,
    State.WAITING_GUARDIAN: _LEAVES
    | {State.REGISTRY_MATCHED, State.REFERRED_IN_PERSON, State.NEEDS_INPUT, State.REJECTED},
    State.WAITING_VOUCHERS: _LEAVES | {State.REVIEW_2, State.PERSON_BOUND, State.NEEDS_INPUT, State.REJECTED},
    State.REGISTRY_MATCHED: _LEAVES | _OF_REVIEWABLE | {State.REVIEW_2, State.REFERRED_IN_PERSON},
    State.REFERRED_IN_PERSON: _LEAVES | _OF_REVIEWABLE | {State.REVIEW_2},
    State.REVIEW_2: _LEAVES | _OF_REVIEWABLE | {State.REFERRED_IN_PERSON},
    State.PERSON_BOUND: frozenset({State.APPROVED, State.REFERRED_IN_PERSON, State.REJECTED}),
    State.APPROVED: _LEAVES | {State.FACTOR_BOUND, State.SUSPENDED},
    State.FACTOR_BOUND: _LEAVES | {State.KEY_GENERATED, State.APPROVED, State.SUSPENDED},
    State.KEY_GENERATED: frozenset({State.CERTIFICATE_ISSUED, State.APPROVED, State.SUSPENDED}),
    State.CERTIFICATE_ISSUED: frozenset({State.ACTIVATED, State.APPROVED, State.SUSPENDED}),
    State.ACTIVATED: frozenset({State.KEY_GENERATED, State.APPROVED, State.SUSPENDED}),  # a new key: renewal
    State.SUSPENDED: frozenset(
        {State.APPROVED, State.FACTOR_BOUND, State.KEY_GENERATED, State.CERTIFICATE_ISSUED, State.ACTIVATED}
    ),
    State.REJECTED: frozenset({State.REFERRED_IN_PERSON, State.NEEDS_INPUT}),  # an appeal that was granted, alone
    State.EXPIRED: frozenset(),
    State.WITHDRAWN: frozenset(),
}

CLOSED = frozenset({State.REJECTED, State.EXPIRED, State.WITHDRAWN})
REVIEWABLE = (State.REGISTRY_MATCHED, State.REFERRED_IN_PERSON, State.REVIEW_2)
WAITS_FOR_REGISTRY = (State.DOCUMENT_VALIDATED, State.WAITING_REGISTRY)
TAKES_GUARDIAN = (*WAITS_FOR_REGISTRY, State.WAITING_GUARDIAN)
TAKES_DOCUMENT = (State.CONSENTED, State.CONTACT_VERIFIED, State.NEEDS_INPUT)
TAKES_DECLARATION = (State.CONTACT_VERIFIED, State.NEEDS_INPUT, State.WAITING_VOUCHERS)
TAKES_CONTACT = (State.CONSENTED, State.NEEDS_INPUT)
RAISABLE = (State.CONSENTED, State.CONTACT_VERIFIED, State.DOCUMENT_VALIDATED, State.NEEDS_INPUT)
# Further evidence (images, chip, face) may come at any of these, and changes none of them; none once an officer spoke.
TAKES_EVIDENCE = (*TAKES_DOCUMENT, *TAKES_GUARDIAN, State.REGISTRY_MATCHED, State.REFERRED_IN_PERSON)
ISSUING = (State.FACTOR_BOUND, State.KEY_GENERATED, State.CERTIFICATE_ISSUED)
CERTIFYING = frozenset({State.APPROVED, *ISSUING, State.ACTIVATED})  # never at a level without a policy OID
RECALLABLE = CERTIFYING | {
    State.CONTACT_VERIFIED,
    State.DOCUMENT_VALIDATED,
    State.WAITING_REGISTRY,
    State.WAITING_GUARDIAN,
    State.WAITING_VOUCHERS,
    *REVIEWABLE,
}
RECOVERABLE = (*ISSUING, State.ACTIVATED)

_NEXT: Mapping[State, tuple[Action, ...]] = {
    State.DRAFT: (Action.CONSENT,),
    State.CONSENTED: (Action.CONTACT, Action.VERIFY_CONTACT, Action.DOCUMENT),
    State.CONTACT_VERIFIED: (Action.DOCUMENT,),
    State.NEEDS_INPUT: (Action.DOCUMENT,),
    State.DOCUMENT_VALIDATED: (Action.REGISTRY_MATCH,),
    State.WAITING_REGISTRY: (Action.REGISTRY_MATCH,),
    State.WAITING_GUARDIAN: (Action.GUARDIAN,),
    State.WAITING_VOUCHERS: (Action.VOUCHERS, Action.DECLARATION),
    State.REGISTRY_MATCHED: (Action.REVIEW,),
    State.REFERRED_IN_PERSON: (Action.REVIEW,),
    State.REVIEW_2: (Action.REVIEW,),
    State.APPROVED: (Action.FACTORS, Action.CONFIRM_FACTORS),
    State.FACTOR_BOUND: (Action.CERTIFICATE,),
    State.KEY_GENERATED: (Action.CERTIFICATE,),
    State.CERTIFICATE_ISSUED: (Action.CERTIFICATE,),
}

# What the ledger must show before a milestone is entered: the last record of the kind has this outcome.
_MILESTONES: Mapping[State, tuple[tuple[EvidenceKind, frozenset[str]], ...]] = {
    State.CONSENTED: (
        (EvidenceKind.CONSENT, frozenset({"accepted"})),
        (EvidenceKind.AGREEMENT, frozenset({"accepted"})),
    ),
    State.CONTACT_VERIFIED: ((EvidenceKind.CONTACT, frozenset({"verified"})),),
    State.DOCUMENT_VALIDATED: (
        (EvidenceKind.CONTACT, frozenset({"verified"})),
        (EvidenceKind.DOCUMENT, frozenset({"valid"})),
    ),
    State.WAITING_VOUCHERS: (
        (EvidenceKind.CONTACT, frozenset({"verified"})),
        (EvidenceKind.DECLARATION, frozenset({"declared"})),
    ),
    State.REGISTRY_MATCHED: ((EvidenceKind.REGISTRY, frozenset({"match"})),),
    State.REVIEW_2: ((EvidenceKind.REVIEW, frozenset({"bound"})),),
    State.PERSON_BOUND: ((EvidenceKind.REVIEW, frozenset({"bound"})),),
    State.APPROVED: ((EvidenceKind.DECISION, frozenset({"approved"})),),
    State.FACTOR_BOUND: (
        (EvidenceKind.DECISION, frozenset({"approved"})),
        (EvidenceKind.FACTOR, frozenset({"bound"})),
    ),
    State.KEY_GENERATED: (
        (EvidenceKind.DECISION, frozenset({"approved"})),
        (EvidenceKind.FACTOR, frozenset({"bound"})),
        (EvidenceKind.KEY, frozenset({"generated"})),
    ),
    State.CERTIFICATE_ISSUED: (
        (EvidenceKind.DECISION, frozenset({"approved"})),
        (EvidenceKind.FACTOR, frozenset({"bound"})),
        (EvidenceKind.KEY, frozenset({"generated"})),
        (EvidenceKind.CERTIFICATE, frozenset({"issued"})),
    ),
    State.ACTIVATED: ((EvidenceKind.CREDENTIAL, frozenset({"registered"})),),
}


@dataclass(frozen=True)
class Enrolment:
    """One person's enrolment. Every change raises ``version``; nothing here is personal data."""

    id: str
    person_id: str
    level: str
    language: str
    state: State
    version: int
    reason: str | None
    retry_at: datetime | None
    created_at: datetime
    expires_at: datetime
    subject_index: bytes | None
    key_id: str | None
    certificate_serial: str | None
    credential_id: str | None
    erased_at: datetime | None
    destruction: bytes | None
    review_due_at: datetime | None = None
    certificate_ends_at: datetime | None = None
    superseded_serial: str | None = None  # of the certificate before, until it is revoked

    @property
    def next(self) -> tuple[Action, ...]:
        """What can be done now."""
        leave = (Action.WITHDRAW,) if State.WITHDRAWN in TRANSITIONS[self.state] else ()
        return _NEXT.get(self.state, ()) + leave

    def expect(self, *states: State) -> None:
        """Raises WrongState, which says what is expected next, unless it stands in one of ``states``."""
        if self.state not in states:
            raise WrongState(self.state.value, [action.value for action in self.next])

    def is_due_to_expire(self, now: datetime) -> bool:
        """Whether its time ran out in a state that can expire."""
        return now >= self.expires_at and State.EXPIRED in TRANSITIONS[self.state]


def standing(ledger: Sequence[Evidence]) -> State:
    """Where consent, contact and document lead, in whatever order they came: as far as there is no gap."""
    reached = State.DRAFT
    for milestone in (State.CONSENTED, State.CONTACT_VERIFIED, State.DOCUMENT_VALIDATED):
        if _missing(milestone, ledger) is not None:
            break
        reached = milestone
    return reached


def check_transition(enrolment: Enrolment, to: State, ledger: Sequence[Evidence]) -> None:
    """Raises WrongState for a transition that is not in the table, GateClosed for one whose evidence is not there."""
    if to not in TRANSITIONS[enrolment.state]:
        raise WrongState(enrolment.state.value, [action.value for action in enrolment.next])
    if enrolment.state is State.REJECTED and not _appeal_granted(ledger):
        raise GateClosed(milestone=to.value, evidence=EvidenceKind.APPEAL.value)
    missing = _missing(to, ledger)
    if missing is not None:
        raise GateClosed(milestone=to.value, evidence=missing.value)


def _appeal_granted(ledger: Sequence[Evidence]) -> bool:
    """Whether that is the last word: an appeal that was granted once leads out of no later refusal."""
    last = ledger[-1] if ledger else None
    return last is not None and (last.kind, last.outcome) == (EvidenceKind.APPEAL, "granted")


def _missing(milestone: State, ledger: Sequence[Evidence]) -> EvidenceKind | None:
    """The first kind of evidence that a milestone asks for and the ledger does not show."""
    for kind, outcomes in _MILESTONES.get(milestone, ()):
        record = latest(ledger, kind)
        if record is None or record.outcome not in outcomes:
            return kind
    return None
