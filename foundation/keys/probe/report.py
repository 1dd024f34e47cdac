"""Findings, and what they amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 (no password)
    CAUTION = "caution"  # it holds only with the care that CamTrust takes; another program may not take it
    FAIL = "fail"
    NOT_TRIED = "not tried"  # and the summary says why
    UNKNOWN = "unknown"  # it was tried, and no answer came


@dataclass(frozen=True)
class Finding:
    """One check: what it came to, in a sentence, with the figures behind it (values that JSON can say)."""

    check: str
    verdict: Verdict
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Finding:
        """The inverse of :meth:`data`."""
        return cls(data["check"], Verdict(data["verdict"]), data["summary"], dict(data["details"]))


SPOILABLE = "may be spoilt"
"""What a token's label must say before wrong PINs are tried on it."""

EXIT_CODES: Mapping[Verdict, int] = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}


def overall(findings: Sequence[Finding]) -> Verdict:
    """FAIL if any check failed, else UNKNOWN if any came to nothing, else PASS (cautions and what was not tried are
    named in the report and do not count).
    """
    found = {finding.verdict for finding in findings}
    return next((worst for worst in (Verdict.FAIL, Verdict.UNKNOWN) if worst in found), Verdict.PASS)
