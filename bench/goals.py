"""What a benchmark was meant to reach, said in one form, so that `python -m bench` can collect it."""

from __future__ import annotations

MARK = "goal"


def goal(what: str, wanted: str, got: str, met: bool) -> None:
    """One line: what, the goal, what was measured in this run, and whether that is enough."""
    print(f"{MARK} {'met   ' if met else 'MISSED'} {what}: {got} (goal: {wanted})", flush=True)
