"""Every benchmark, one after the other, and at the end what was reached and what was not.

    python -m bench [names, all unless said otherwise]

A benchmark that fails does not end the others; then the exit code is 1. A goal that is missed is told, and no failure:
on a machine with other work most are.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.goals import MARK

PARTS = (
    "raw",
    "issue",
    "issue_http",
    "status",
    "lists",
    "sign_verify",
    "sign_http",
    "batches",
    "verify",
    "judging",
    "hsm",
)


def main() -> int:
    goals, failed = list[str](), list[str]()
    for name in sys.argv[1:] or PARTS:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-u", "-m", f"bench.{name}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as part:
            assert part.stdout is not None
            for line in part.stdout:
                print(line, end="", flush=True)
                if line.startswith(f"{MARK} "):
                    goals.append(line.rstrip())
        if part.returncode:
            failed.append(name)
    print("\n== Goals")
    print("\n".join(goals) or "no benchmark that was run has one")
    if failed:
        print(f"bench: FAILED: {', '.join(failed)}")
        return 1
    missed = sum(line.startswith(f"{MARK} MISSED") for line in goals)
    print(f"bench: {len(goals) - missed} goals met, {missed} missed. Compare with docs/measurements.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
