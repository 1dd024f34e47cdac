"""Machine-readable lines in what a program read from a picture. Pure.

A reader of letters sees noise around the lines, and loses count in the long runs of fillers. Runs are set to the length
that the layout asks for; nothing else is changed here. Whether the lines are right, the check digits say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date

from ekyc.mrz.check_digits import ALPHABET
from ekyc.mrz.layouts import MRV_A, MRV_B, TD1, TD2, TD3, Layout
from ekyc.mrz.reading import examine, normalise
from ekyc.mrz.repair import propose

_LOST = 6  # so many characters may be missing or too many, in fillers
_RUN = re.compile("<{2,}")
_CANDIDATES = 200


def found_lines(text: str, reference: date) -> tuple[tuple[str, ...], bool] | None:
    """The lines in ``text``, and whether they hold as they were read: True, or False for the only repair there is.

    None where no lines hold or can be repaired to exactly one text.
    """
    read = [line for line in normalise(text.splitlines()) if len(line) >= TD1.width - _LOST and set(line) <= ALPHABET]
    repaired: set[tuple[str, ...]] = set()
    least_changed = sorted(_candidates(read), key=lambda found: found[0])
    for _, candidate in least_changed[:_CANDIDATES]:
        if not examine(candidate, reference).failures:
            return candidate, True
        proposed = propose(candidate, reference)
        if proposed is not None:
            repaired.add(proposed)
    return (repaired.pop(), False) if len(repaired) == 1 else None


def _candidates(read: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Neighbouring lines that may be one zone, their fillers set to the length of the layout; and by how many."""
    for layout in (TD1, TD2, TD3, MRV_A, MRV_B):
        for start in range(len(read) - layout.height + 1):
            near = read[start : start + layout.height]
            lines = tuple(fitted for line in near if (fitted := _fitted(line, layout)))
            if len(lines) == layout.height and (layout in (MRV_A, MRV_B)) == lines[0].startswith("V"):
                yield sum(abs(layout.width - len(line)) for line in near), lines


def _fitted(line: str, layout: Layout) -> str | None:
    missing = layout.width - len(line)
    if missing == 0:
        return line
    runs = list(_RUN.finditer(line))
    if abs(missing) > _LOST or not runs:
        return None
    longest = max(runs, key=lambda run: run.end() - run.start())
    length = longest.end() - longest.start() + missing
    return None if length < 1 else line[: longest.start()] + "<" * length + line[longest.end() :]
