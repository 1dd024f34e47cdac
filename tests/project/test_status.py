"""docs/status.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    (number, line)
    for number, line in enumerate((ROOT / "docs" / "status.md").read_text(encoding="utf-8").splitlines(), 1)
    if line.startswith("|")
]


def test_named_tests_are_there() -> None:
    """Each test that a row names stands in the file that is linked before it."""
    wrong, named = [], 0
    for number, line in ROWS:
        file: Path | None = None
        for found in re.finditer(r"\]\(\.\./(tests/[^)]+)\)|`(test_[a-z0-9_]+)`", line):
            if found[1]:
                file = ROOT / found[1]
            elif file is not None:
                named += 1
                if f"def {found[2]}(" not in file.read_text(encoding="utf-8"):
                    wrong.append(f"line {number}: {found[2]} is not in {file.name}")
    assert not wrong, wrong
    assert named > 150
