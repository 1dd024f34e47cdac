"""Tables of the documents that come from the code: ``python -m camtrust.cp_cps`` writes them anew, in the source tree.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; a test holds every committed table against
what this module makes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from root_ca import rules as ceremony_rules

TREE = Path(__file__).parents[1]
DOCUMENTS = ("docs/ceremony.md",)

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ceremony(which: Mapping[str, str]) -> Callable[[], str]:
    return lambda: table(("rule", "what holds"), which.items())


TABLES: dict[str, Callable[[], str]] = {
    "ceremony-checks": _ceremony(ceremony_rules.CHECKS),
    "ceremony-steps": _ceremony(ceremony_rules.STEPS),
    "ceremony-verification": _ceremony(ceremony_rules.VERIFICATION),
}


def renewed(text: str) -> str:
    """A document with its tables as the code gives them; KeyError for a table that nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> int:
    """Write the tables of every document; tells which files changed."""
    for name in DOCUMENTS:
        path = TREE / name
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
