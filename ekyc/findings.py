"""What the controls of evidence find: images, chip, cross-check, liveness, face. Pure; policy and ledger read it.

A finding becomes one record of the ledger (:meth:`ekyc.casefile.CaseFiles.add`): its kind names the control and its
version (`ekyc.evidence.record.CONTROLS`), its outcome is one of the enumerations here, its facts are without personal
data, its content is sealed. The last record of a kind counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ekyc.evidence.record import EvidenceKind


class ImageOutcome(StrEnum):
    """An image that could not be decoded leaves no record: it is refused and not kept. Facts: ``side``, ``image``."""

    STORED = "stored"
    READ = "read"  # machine-readable lines were found in it, with all check digits


class CrossCheckOutcome(StrEnum):
    """Printed lines, typed lines, chip and image beside each other. Facts: ``sources``, ``reasons`` (fields)."""

    CONSISTENT = "consistent"
    DIFFERS = "differs"


class LivenessOutcome(StrEnum):
    """Whether a living person answered the challenge. Facts: ``model``, ``reasons``."""

    LIVE = "live"
    NOT_LIVE = "not-live"
    INCONCLUSIVE = "inconclusive"  # no model, or no clear answer: an officer must look, never a pass


class FaceOutcome(StrEnum):
    """Whether portrait and person are one. Facts: ``model``, ``source`` (chip or image), ``score``, ``reasons``."""

    SAME = "same"
    OTHER = "other"
    INCONCLUSIVE = "inconclusive"  # no model, or no clear answer: an officer must look, never a pass


# The chip's outcomes are those of `ekyc.chip.ChipOutcome`; its facts are `ChipVerdict.evidence()`: `possession_proved`
# is "true" only if the chip answered a challenge of ours, `capped` is "true" otherwise.


@dataclass(frozen=True)
class Finding:
    """What one control found. ``reasons``: rule IDs or names of fields; ``content``: personal data, to be sealed."""

    kind: EvidenceKind
    outcome: str
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def recorded(self) -> dict[str, str]:
        """The facts as the ledger keeps them, the reasons among them."""
        return {**self.facts, "reasons": " ".join(self.reasons)}
