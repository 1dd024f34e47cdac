"""The policy: which evidence opens the gate to approval, as data; and the pure function that judges by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ekyc.errors import LevelUnknown, PolicyInvalid
from ekyc.evidence import Evidence, EvidenceKind, latest, verify_chain
from foundation.canonical import canonical_json, digest


class Outcome(StrEnum):
    """What a decision can be."""

    APPROVED = "approved"
    REJECTED = "rejected"
    REFER = "refer"  # not enough: an officer must see the person


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Condition(_Part):
    """The last record of a kind has one of these outcomes, and these facts."""

    evidence: EvidenceKind
    outcomes: Annotated[tuple[str, ...], Field(min_length=1)]
    facts: Mapping[str, str] = {}

    def holds(self, ledger: Sequence[Evidence]) -> bool:
        record = latest(ledger, self.evidence)
        return (
            record is not None
            and record.outcome in self.outcomes
            and all(record.facts.get(name) == value for name, value in self.facts.items())
        )


class Rule(_Part):
    """A need of a level: any of these sets of conditions meets it."""

    id: Annotated[str, Field(pattern=r"^EKYC-[A-Z0-9-]+$")]
    text: Annotated[str, Field(pattern=r"^reason_[a-z_]+$")]
    any: Annotated[tuple[tuple[Condition, ...], ...], Field(min_length=1)]

    def met(self, ledger: Sequence[Evidence]) -> bool:
        return any(conditions and all(c.holds(ledger) for c in conditions) for conditions in self.any)


class Refusal(_Part):
    """What rejects at every level."""

    id: Annotated[str, Field(pattern=r"^EKYC-REFUSE-[A-Z-]+$")]
    text: Annotated[str, Field(pattern=r"^reason_[a-z_]+$")]
    when: Condition


class Level(_Part):
    """An assurance level: the policy OID that its certificates carry, and what it needs."""

    policy_oid: Annotated[str, Field(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


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

    def level(self, name: str) -> Level:
        """Raises LevelUnknown."""
        level = self.levels.get(name)
        if level is None:
            raise LevelUnknown
        return level

    def document(self) -> bytes:
        """The policy in canonical form: what is kept with a decision, and what its digest covers."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return digest(self.model_dump(mode="json")).hex()


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


def evaluate(policy: Policy, level_name: str, ledger: Sequence[Evidence]) -> Decision:
    """Judge a ledger. The same policy and ledger give the same document, byte for byte.

    A refusal that applies rejects; else every rule of the level must be met to approve; else it refers.
    """
    level = policy.level(level_name)
    refusals = [Reason(item.id, item.text, met=False) for item in policy.refusals if item.when.holds(ledger)]
    rules = [Reason(rule.id, rule.text, rule.met(ledger)) for rule in level.rules]
    if refusals:
        outcome = Outcome.REJECTED
    elif all(reason.met for reason in rules):
        outcome = Outcome.APPROVED
    else:
        outcome = Outcome.REFER
    reasons = (*refusals, *rules)
    document = canonical_json(
        {
            "evidence_head": verify_chain(ledger).hex(),
            "evidence_count": len(ledger),
            "level": level_name,
            "outcome": outcome.value,
            "policy_digest": policy.digest(),
            "policy_oid": level.policy_oid,
            "policy_version": policy.version,
            "reasons": [{"met": reason.met, "rule": reason.rule, "text": reason.text} for reason in reasons],
        }
    )
    return Decision(outcome, reasons, document)
