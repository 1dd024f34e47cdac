"""What examining a chip gives: numbered steps, an outcome, and a summary for the evidence ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ekyc.mrz import Mrz


class Rule(StrEnum):
    """The steps, in their order. Clauses are in :data:`CLAUSES`, texts in the catalogue under :attr:`text`."""

    FORMAT = "CHIP-FORMAT"
    DG_LISTED = "CHIP-DG-LISTED"
    DG_HASH = "CHIP-DG-HASH"
    SOD_PROFILE = "CHIP-SOD-PROFILE"
    CURVE = "CHIP-CURVE"
    ALGORITHM = "CHIP-ALGORITHM"
    SOD_SIGNATURE = "CHIP-SOD-SIGNATURE"
    DSC_PROFILE = "CHIP-DSC-PROFILE"
    ANCHOR = "CHIP-ANCHOR"
    DSC_SIGNATURE = "CHIP-DSC-SIGNATURE"
    DSC_VALIDITY = "CHIP-DSC-VALIDITY"
    DSC_STATUS = "CHIP-DSC-STATUS"
    MRZ = "CHIP-MRZ"
    COUNTRY = "CHIP-COUNTRY"
    POSSESSION = "CHIP-POSSESSION"

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return list(Rule).index(self) + 1

    @property
    def text(self) -> str:
        """The key in the catalogue of what it means when it does not hold."""
        return "ekyc.reason_" + self.value.lower().replace("-", "_")


CLAUSES: Mapping[Rule, str] = {
    Rule.FORMAT: "ICAO 9303-10 §4; X.690 §10.1",
    Rule.DG_LISTED: "ICAO 9303-10 §4.6.2",
    Rule.DG_HASH: "ICAO 9303-11 §5.1",
    Rule.SOD_PROFILE: "ICAO 9303-10 §4.6.2; RFC 5652 §5.3",
    Rule.CURVE: "ICAO 9303-12 §4.1.6",
    Rule.ALGORITHM: "ICAO 9303-12 §4.1.6",
    Rule.SOD_SIGNATURE: "ICAO 9303-11 §5.1; RFC 5652 §5.6",
    Rule.DSC_PROFILE: "ICAO 9303-12 §7.1",
    Rule.ANCHOR: "ICAO 9303-11 §5.1",
    Rule.DSC_SIGNATURE: "RFC 5280 §6.1.3 (a)(1)",
    Rule.DSC_VALIDITY: "RFC 5280 §6.1.3 (a)(2)",
    Rule.DSC_STATUS: "ICAO 9303-12 §6.1.2; RFC 5280 §6.3",
    Rule.MRZ: "ICAO 9303-10 §4.7.1; ICAO 9303-3 §4.9",
    Rule.COUNTRY: "ICAO 9303-12 §7.1; ICAO 9303-3 §5",
    Rule.POSSESSION: "ICAO 9303-11 §6.1, §6.2",
}


class Standing(StrEnum):
    """How a step came out."""

    HOLDS = "holds"
    WEAK = "weak"  # holds, on a ground that no longer suffices
    NOT_ANCHORED = "not-anchored"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    NOT_REACHED = "not-reached"  # an earlier step did not give what it needs


class Proof(StrEnum):
    """By what a chip showed that it is there."""

    ACTIVE_AUTHENTICATION = "active-authentication"
    CHIP_AUTHENTICATION = "chip-authentication"


class ChipOutcome(StrEnum):
    """What the steps come to. AUTHENTIC alone is a pass."""

    AUTHENTIC = "authentic"
    WEAK = "weak"  # all that was checked holds, but not by grounds that suffice: see the weak steps
    SIGNED_NOT_ANCHORED = "signed-not-anchored"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"

    @property
    def text(self) -> str:
        return "ekyc.chip_" + self.value.replace("-", "_")


@dataclass(frozen=True)
class Step:
    """One rule, how it came out, and a word on what: a data group, an algorithm, a curve. Never personal data."""

    rule: Rule
    standing: Standing
    detail: str = ""

    @property
    def clause(self) -> str:
        return CLAUSES[self.rule]


# What must hold, each of it, for AUTHENTIC. Possession is beside: it lifts the cap, it does not make a chip authentic.
REQUIRED = frozenset(Rule) - {Rule.POSSESSION}


@dataclass(frozen=True)
class ChipVerdict:
    """The verdict on a chip's files. ``mrz`` and ``groups`` (files whose hash is signed, by number) are personal data;
    they are empty when the outcome is FAILED or UNSUPPORTED.

    ``possession_proved`` is False until the chip has answered us with a key of its own: files alone can be copied.
    While it is False the evidence is capped, whatever the outcome. ``possession_by``: how it was tried.
    ``possession_announced``: the signed object lists DG15, or a DG14 that names a key for chip authentication or was
    not sent. A chip that could have answered and did not is told from one that cannot.
    """

    outcome: ChipOutcome
    steps: tuple[Step, ...]
    possession_proved: bool = False
    possession_by: Proof | None = None
    possession_announced: bool = False
    signer_expired: bool = False
    country: str | None = None
    signer_sha256: str | None = None
    anchor_sha256: str | None = None
    mrz: Mrz | None = field(default=None, repr=False)
    groups: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def passed(self) -> bool:
        return self.outcome is ChipOutcome.AUTHENTIC

    @property
    def capped(self) -> bool:
        """Whether the evidence counts for data only, not for holding the document."""
        return not self.possession_proved

    @property
    def reasons(self) -> tuple[Step, ...]:
        """The steps that stand against a pass."""
        return tuple(step for step in self.steps if step.standing not in (Standing.HOLDS, Standing.NOT_REACHED))

    def evidence(self) -> dict[str, str]:
        """Facts for the ledger, without personal data; by the fingerprints, evidence can be recalled."""
        return {
            "outcome": self.outcome.value,
            "reasons": " ".join(f"{step.rule.value}={step.standing.value}" for step in self.reasons),
            "possession_proved": "true" if self.possession_proved else "false",
            "possession_by": self.possession_by.value if self.possession_by else "",
            "possession_announced": "true" if self.possession_announced else "false",
            "capped": "true" if self.capped else "false",
            "signer_expired": "true" if self.signer_expired else "false",
            "country": self.country or "",
            "signer": self.signer_sha256 or "",
            "anchor": self.anchor_sha256 or "",
        }


def outcome_of(steps: Sequence[Step]) -> ChipOutcome:
    """The worst step decides; what was not reached counts as not held."""
    standings = {step.standing for step in steps}
    if Standing.FAILED in standings:
        return ChipOutcome.FAILED
    if any(step.standing is Standing.UNSUPPORTED and step.rule in REQUIRED for step in steps):
        return ChipOutcome.UNSUPPORTED
    if Standing.NOT_ANCHORED in standings:
        return ChipOutcome.SIGNED_NOT_ANCHORED
    held = {step.rule for step in steps if step.standing in (Standing.HOLDS, Standing.WEAK)}
    if not held >= REQUIRED:
        return ChipOutcome.FAILED
    if any(step.standing is Standing.WEAK and step.rule in REQUIRED for step in steps):
        return ChipOutcome.WEAK
    return ChipOutcome.AUTHENTIC


def with_possession(verdict: ChipVerdict, step: Step, by: Proof) -> ChipVerdict:
    """The verdict with the step of possession judged: FAILED takes everything with it, HOLDS lifts the cap."""
    steps = tuple(step if one.rule is Rule.POSSESSION else one for one in verdict.steps)
    outcome = outcome_of(steps)
    judged = replace(verdict, outcome=outcome, steps=steps, possession_by=by)
    if outcome is ChipOutcome.FAILED:
        return replace(judged, possession_proved=False, mrz=None, groups={})
    return replace(judged, possession_proved=step.standing is Standing.HOLDS)
