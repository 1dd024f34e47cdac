"""The policy: which evidence opens the gate to approval, as data; and the pure function that judges by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ekyc.documents.kinds import TravelDocument
from ekyc.errors import LevelUnknown, PolicyInvalid
from ekyc.evidence.record import Evidence, EvidenceKind, verify_chain
from foundation.arc import below
from foundation.canonical import canonical_json, digest

GATES = ("registry", "review")


class Outcome(StrEnum):
    """What a decision can be."""

    APPROVED = "approved"
    REJECTED = "rejected"
    REFER = "refer"  # not enough: an officer must see the person


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Condition(_Part):
    """The last record of a kind has one of these outcomes, and these facts, and none of those that it must lack.

    ``after``: no record of these kinds came later, so that it is about what is shown now and not about what was shown
    before. ``distinct``: so many different actors say so, each by their last record since then. ``last_word``: the last
    record of the kind says so too; false where another officer's later record may be about something else.
    """

    evidence: EvidenceKind
    outcomes: Annotated[tuple[str, ...], Field(min_length=1)]
    facts: Mapping[str, str] = {}
    lacks: Mapping[str, str] = {}
    after: tuple[EvidenceKind, ...] = ()
    distinct: Annotated[int, Field(ge=1, le=5)] = 1
    last_word: bool = True

    def holds(self, ledger: Sequence[Evidence], risk: int = 0) -> bool:  # noqa: ARG002 - as every condition
        since = max((record.sequence for record in ledger if record.kind in self.after), default=0)
        fresh = [record for record in ledger if record.kind is self.evidence and record.sequence > since]
        if self.last_word and not (fresh and self._says_so(fresh[-1])):
            return False
        last_words = {record.actor: record for record in fresh}
        return sum(self._says_so(record) for record in last_words.values()) >= self.distinct

    def _says_so(self, record: Evidence) -> bool:
        return (
            record.outcome in self.outcomes
            and all(record.facts.get(name) == value for name, value in self.facts.items())
            and not any(record.facts.get(name) == value for name, value in self.lacks.items())
        )


class RiskBelow(_Part):
    """The sum of the points of the risk rules that apply is less than this."""

    risk_below: Annotated[int, Field(ge=1, le=1000)]

    def holds(self, ledger: Sequence[Evidence], risk: int = 0) -> bool:  # noqa: ARG002 - as every condition
        return risk < self.risk_below


class Rule(_Part):
    """A need of a level: any of these sets of conditions meets it.

    ``another_officer``: what is missing is the word of one officer more, so that the case waits for them.
    """

    id: Annotated[str, Field(pattern=r"^EKYC-[A-Z0-9-]+$")]
    text: Annotated[str, Field(pattern=r"^reason_[a-z_]+$")]
    any: Annotated[tuple[tuple[Condition | RiskBelow, ...], ...], Field(min_length=1)]
    another_officer: bool = False

    def met(self, ledger: Sequence[Evidence], risk: int = 0) -> bool:
        return any(conditions and all(c.holds(ledger, risk) for c in conditions) for conditions in self.any)

    def kinds(self) -> frozenset[EvidenceKind]:
        """The kinds of evidence that can meet it."""
        return frozenset(c.evidence for conditions in self.any for c in conditions if isinstance(c, Condition))


class RiskRule(_Part):
    """Points of risk where a record of a kind with these outcomes and facts is there at least ``times``."""

    id: Annotated[str, Field(pattern=r"^EKYC-RISK-[A-Z0-9-]+$")]
    points: Annotated[int, Field(ge=1, le=1000)]
    evidence: EvidenceKind
    outcomes: Annotated[tuple[str, ...], Field(min_length=1)]
    facts: Mapping[str, str] = {}
    times: Annotated[int, Field(ge=1, le=100)] = 1

    def applies(self, ledger: Sequence[Evidence]) -> bool:
        found = [
            record
            for record in ledger
            if record.kind is self.evidence
            and record.outcome in self.outcomes
            and all(record.facts.get(name) == value for name, value in self.facts.items())
        ]
        return len(found) >= self.times


class Guardians(_Part):
    """Who can be a minor's guardian: by which relations, at which levels, of how many at most (``most``); and how many
    answers that it is not so refuse the minor (``tries``). Without this, minors are refused.
    """

    relations: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z-]{1,20}$")], ...], Field(min_length=1)]
    levels: Annotated[tuple[str, ...], Field(min_length=1)]
    most: Annotated[int, Field(ge=1, le=100)]
    tries: Annotated[int, Field(ge=1, le=10)]


class Vouching(_Part):
    """Who may vouch for somebody without a document: certificate holders of these ``levels``. ``per_voucher`` and
    ``per_commune``: for how many persons at most in ``period_days``. ``lifetime_days``: how long after the declaration
    the provisional certificate may last. Without this nobody is vouched for.
    """

    levels: Annotated[tuple[str, ...], Field(min_length=1)]
    per_voucher: Annotated[int, Field(ge=1, le=1000)]
    per_commune: Annotated[int, Field(ge=1, le=100_000)]
    period_days: Annotated[int, Field(ge=1, le=3660)]
    lifetime_days: Annotated[int, Field(ge=1, le=366)]


class Reinstatement(_Part):
    """Why two officers may bring a suspended enrolment back: ``reasons``; ``in_person``: of them, where they saw the
    person. ``never``: reasons of a suspension (keys of the catalogue) that there is no way back from.
    """

    reasons: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")], ...], Field(min_length=1)]
    in_person: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Renewal(_Part):
    """When a certificate can be renewed (``days_before`` its end), when its holder is reminded, and how old the
    decision may be (``proofing_days``).
    """

    days_before: Annotated[int, Field(ge=1, le=365)]
    reminders: Annotated[tuple[Annotated[int, Field(ge=1, le=365)], ...], Field(min_length=1)]
    proofing_days: Annotated[int, Field(ge=1, le=40_000)]


_Reasons = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z-]{1,60}$")], ...], Field(min_length=1)]


class Correction(_Part):
    """How often a person may ask for a correction (``tries`` in ``period_days``), why two officers may make it
    (``reasons``; ``in_person``: of them, where they saw the person), why one may refuse it. Without this there is none.
    """

    tries: Annotated[int, Field(ge=1, le=20)]
    period_days: Annotated[int, Field(ge=1, le=3660)]
    reasons: _Reasons
    in_person: tuple[str, ...] = ()
    refusals: _Reasons


class Appeal(_Part):
    """For how long after a refusal its applicant may appeal, within how many days that is to be decided, and for which
    reasons. Without this there is no appeal.
    """

    days: Annotated[int, Field(ge=1, le=366)]
    decide_days: Annotated[int, Field(ge=1, le=90)]
    grants: _Reasons
    upholds: _Reasons


class Refusal(_Part):
    """What rejects at every level."""

    id: Annotated[str, Field(pattern=r"^EKYC-REFUSE-[A-Z-]+$")]
    text: Annotated[str, Field(pattern=r"^reason_[a-z_]+$")]
    when: Condition


class Level(_Part):
    """An assurance level: what it needs, and the policy OID that its certificates carry.

    Without an OID it is an account and nothing more: no certificate is ever issued at such a level. ``gates``: for a
    step (``registry``, ``review``), the rules that must be met before it is taken; what has no gate can come at any
    time. ``offered``: whether it can be asked for.
    """

    policy_oid: Annotated[str, Field(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")] | None = None
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    gates: Mapping[str, tuple[str, ...]] = {}
    offered: bool = True

    @model_validator(mode="after")
    def _gates_name_rules(self) -> Self:
        known = {rule.id for rule in self.rules}
        for step, ids in self.gates.items():
            if step not in GATES or not known.issuperset(ids):
                raise ValueError(f"the gate {step} names what is no step or no rule of the level")
        return self

    def takes(self, kind: EvidenceKind) -> bool:
        """Whether evidence of this kind is of any use at this level: what is not is not asked for."""
        return any(kind in rule.kinds() for rule in self.rules)

    def closed(self, step: str, ledger: Sequence[Evidence]) -> tuple[Rule, ...]:
        """The rules that keep the gate before a step closed; empty when it is open."""
        return tuple(rule for rule in self.rules if rule.id in self.gates.get(step, ()) and not rule.met(ledger))


class ReviewReason(_Part):
    """A code that an officer may give, and the decisions that it fits."""

    code: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    decisions: tuple[str, ...]


class Policy(_Part):
    """One version of the policy."""

    version: str
    accepted_documents: tuple[str, ...]
    age_card: Annotated[int, Field(ge=0, le=30)]
    age_full: Annotated[int, Field(ge=0, le=30)]
    refusals: tuple[Refusal, ...]
    levels: Annotated[Mapping[str, Level], Field(min_length=1)]
    review_reasons: tuple[ReviewReason, ...]
    risks: tuple[RiskRule, ...] = ()
    travel_documents: Mapping[str, TravelDocument] = {}
    guardians: Guardians | None = None
    vouching: Vouching | None = None
    reinstatement: Reinstatement | None = None
    renewal: Renewal | None = None
    correction: Correction | None = None
    appeal: Appeal | None = None

    def level(self, name: str) -> Level:
        """Raises LevelUnknown."""
        level = self.levels.get(name)
        if level is None:
            raise LevelUnknown
        return level

    def oids(self) -> Mapping[str, str]:
        """The policy OIDs that certificates can carry, by level."""
        return {name: level.policy_oid for name, level in self.levels.items() if level.policy_oid is not None}

    def below(self, arc: str) -> Policy:
        """The same policy with the OIDs of its levels below ``arc`` in place of the example arc."""
        data = self._said()
        for level in data["levels"].values():
            if level.get("policy_oid") is not None:
                level["policy_oid"] = below(arc, level["policy_oid"])
        return parse_policy(data)

    def document(self) -> bytes:
        """The policy in canonical form: what is kept with a decision, and what its digest covers.

        What was not said stays unsaid, so that a policy that was kept before a key of the format existed still has
        the digest that it had.
        """
        return canonical_json(self._said())

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return digest(self._said()).hex()

    def _said(self) -> Any:
        return self.model_dump(mode="json", exclude_unset=True)


@dataclass(frozen=True)
class Reason:
    """A rule and whether it is met; ``text`` is a key of the catalogue."""

    rule: str
    text: str
    met: bool


@dataclass(frozen=True)
class Decision:
    """What the policy says about a ledger."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    document: bytes
    waits: bool = False  # nothing is missing but the word of another officer

    @property
    def against(self) -> tuple[Reason, ...]:
        """The reasons that stand against approval."""
        return tuple(reason for reason in self.reasons if not reason.met)


def parse_policy(data: Mapping[str, Any]) -> Policy:
    """Strict; raises PolicyInvalid."""
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise PolicyInvalid(problem=f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def default_policy() -> Policy:
    """The policy that this build brings."""
    return parse_policy(tomllib.loads(files("ekyc").joinpath("policy.toml").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Judgment:
    """What the policy says about records, whatever chain they stand in."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    risks: tuple[str, ...]
    risk: int
    waits: bool


def judge(policy: Policy, level_name: str, records: Sequence[Evidence]) -> Judgment:
    """A refusal that applies rejects; else every rule of the level must be met to approve; else it refers."""
    level = policy.level(level_name)
    applying = [rule for rule in policy.risks if rule.applies(records)]
    risk = sum(rule.points for rule in applying)
    refusals = [Reason(item.id, item.text, met=False) for item in policy.refusals if item.when.holds(records)]
    unmet = [rule for rule in level.rules if not rule.met(records, risk)]
    rules = [Reason(rule.id, rule.text, rule not in unmet) for rule in level.rules]
    outcome = Outcome.REJECTED if refusals else Outcome.REFER if unmet else Outcome.APPROVED
    waits = outcome is Outcome.REFER and all(rule.another_officer for rule in unmet)
    return Judgment(outcome, (*refusals, *rules), tuple(rule.id for rule in applying), risk, waits)


def evaluate(policy: Policy, level_name: str, ledger: Sequence[Evidence]) -> Decision:
    """Judge a ledger (see :func:`judge`). The same policy and ledger give the same document, byte for byte."""
    judgment = judge(policy, level_name, ledger)
    content = {
        "evidence_head": verify_chain(ledger).hex(),
        "evidence_count": len(ledger),
        "level": level_name,
        "outcome": judgment.outcome.value,
        "policy_digest": policy.digest(),
        "policy_oid": policy.level(level_name).policy_oid,
        "policy_version": policy.version,
        "reasons": [{"met": reason.met, "rule": reason.rule, "text": reason.text} for reason in judgment.reasons],
    }
    if policy.risks:
        content["risk"] = {"rules": list(judgment.risks), "score": judgment.risk}
    return Decision(judgment.outcome, judgment.reasons, canonical_json(content), judgment.waits)
