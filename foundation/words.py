"""Octets as words, to be read aloud: even positions have short words, odd ones longer ones, in English and in Khmer.

So a swapped, doubled or dropped word is heard. English: four letters at even positions, five at odd ones
(``words_en.txt``). Khmer: mostly one syllable at even positions, more at odd ones (``words_km.txt``).
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

_Lists = tuple[tuple[str, ...], tuple[str, ...]]


@cache
def _lists(file: str) -> _Lists:
    text = files("foundation").joinpath(file).read_text(encoding="utf-8")
    pairs = [normalised(line).split() for line in text.splitlines() if not line.startswith("#")]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def words(data: bytes) -> tuple[str, ...]:
    """One English word per octet."""
    return _said(data, "words_en.txt")


def khmer_words(data: bytes) -> tuple[str, ...]:
    """One Khmer word per octet."""
    return _said(data, "words_km.txt")


def _said(data: bytes, file: str) -> tuple[str, ...]:
    lists = _lists(file)
    return tuple(lists[position % 2][octet] for position, octet in enumerate(data))


def word_lines(data: bytes, per_line: int = 8) -> tuple[str, ...]:
    """The English words in lines, for a terminal."""
    return _lines(words(data), per_line)


def khmer_word_lines(data: bytes, per_line: int = 8) -> tuple[str, ...]:
    """The Khmer words in lines."""
    return _lines(khmer_words(data), per_line)


def _lines(said: tuple[str, ...], per_line: int) -> tuple[str, ...]:
    return tuple(" ".join(said[start : start + per_line]) for start in range(0, len(said), per_line))


def normalised(typed: str) -> str:
    """What a person typed, for comparison: NFC, small letters, single spaces; zero-width characters are left out.

    Khmer keyboards put U+200B between words; there it counts as a space.
    """
    text = unicodedata.normalize("NFC", typed).lower().replace("\u200b", " ")
    return " ".join("".join(sign for sign in text if unicodedata.category(sign) != "Cf").split())
