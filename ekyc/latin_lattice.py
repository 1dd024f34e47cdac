"""Latin spellings of Khmer names that are one name: a walk through what writers use for each other, with reasons. Pure.

There is no one way from Khmer letters to Latin ones, so one person's papers say SOPHEA, SOPHEAR and SOPHIA. Two
spellings are walked through together: equal letters are free, each pair of the table below costs one and is named, and
nothing else is passed over. Few are allowed, so that short names do not melt into each other. This never approves
anybody: what is alike and not the same goes to an officer, with the kinds of change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ekyc.names import latin_name

_MOST = 3  # changes in one name

# What stands for what, both ways, and the name of the reason.
_PAIRS: tuple[tuple[str, str, str], ...] = (
    ("PH", "P", "aspiration"),
    ("TH", "T", "aspiration"),
    ("KH", "K", "aspiration"),
    ("CHH", "CH", "aspiration"),
    ("V", "W", "consonant"),
    ("Y", "I", "vowel"),
    ("IEU", "IV", "vowel"),
    ("EA", "IA", "vowel"),
    ("EA", "EAR", "silent_r"),
    ("A", "AR", "silent_r"),
    ("OE", "OER", "silent_r"),
    ("OU", "U", "vowel"),
    ("OU", "O", "vowel"),
    ("U", "O", "vowel"),
    ("EU", "OEU", "vowel"),
    ("OEU", "OEUR", "silent_r"),
    ("EI", "EY", "vowel"),
    ("AI", "AY", "vowel"),
    ("AO", "AV", "vowel"),
    ("IE", "EA", "vowel"),
    ("EE", "I", "doubled"),
    ("OO", "U", "doubled"),
    ("AA", "A", "doubled"),
    ("NN", "N", "doubled"),
    ("TT", "T", "doubled"),
    ("KK", "K", "doubled"),
    ("LL", "L", "doubled"),
    ("SS", "S", "doubled"),
    ("NG", "N", "final"),
    ("K", "C", "consonant"),
    ("J", "CH", "consonant"),
)


@dataclass(frozen=True)
class LatinMatch:
    """Whether two spellings may be one name, and by which kinds of change; no reasons: the letters are the same."""

    alike: bool
    reasons: tuple[str, ...] = ()


def alike(one: str, other: str) -> LatinMatch:
    """Compare two spellings of one part of a name. Raises NameUnusable."""
    first, second = latin_name(one).match_key, latin_name(other).match_key
    if first == second:
        return LatinMatch(True)
    found = _walk(first, second)
    if found is None:
        return LatinMatch(False)
    equal = min(len(first), len(second)) - len(found)
    if len(found) > _MOST or equal <= len(found):  # more letters are equal than were changed
        return LatinMatch(False, found)
    return LatinMatch(True, found)


def _walk(first: str, second: str) -> tuple[str, ...] | None:
    """The fewest changes that lead through both to their ends; None where there is no way."""

    @cache
    def best(i: int, j: int) -> tuple[str, ...] | None:
        if (i, j) == (len(first), len(second)):
            return ()
        ways: list[tuple[str, ...]] = []
        if i < len(first) and j < len(second) and first[i] == second[j]:
            rest = best(i + 1, j + 1)
            if rest is not None:
                ways.append(rest)
        for left, right, reason in _PAIRS:
            for a, b in ((left, right), (right, left)):
                if first.startswith(a, i) and second.startswith(b, j):
                    rest = best(i + len(a), j + len(b))
                    if rest is not None:
                        ways.append((reason, *rest))
        return min(ways, key=len, default=None)

    return best(0, 0)
