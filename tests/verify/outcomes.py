"""A verdict in the short form that the tests compare."""

from __future__ import annotations

from signing.verify.model import FileVerdict


def outcome(verdict: FileVerdict) -> tuple[str, str | None]:
    return verdict.indication.value, verdict.sub_indication.value if verdict.sub_indication else None


def rules(verdict: FileVerdict) -> set[str]:
    return {reason.rule for one in verdict.signatures for reason in one.reasons} | {
        reason.rule for reason in verdict.reasons
    }
