"""SHA-256 as words, to be read aloud: octets at even positions have four-letter words, at odd ones five-letter words.

So a swapped, doubled or dropped word is heard. The English list is ``words_en.txt``. There is no Khmer list yet.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def _lists() -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = files("root_ca").joinpath("words_en.txt").read_text(encoding="ascii")
    pairs = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def words(data: bytes) -> tuple[str, ...]:
    """One word per octet."""
    lists = _lists()
    return tuple(lists[position % 2][octet] for position, octet in enumerate(data))


def word_lines(data: bytes, per_line: int = 8) -> tuple[str, ...]:
    """The words in lines, for a terminal."""
    said = words(data)
    return tuple(" ".join(said[start : start + per_line]) for start in range(0, len(said), per_line))
