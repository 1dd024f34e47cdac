"""Names of people: as entered, canonical, and a key to compare by. Khmer and Latin. Pure.

Unicode normalisation does not merge Khmer spellings that look alike, so each name is kept three times. The canonical
form orders a cluster as base, robat, subscripts (RO last), shifter, vowel, signs; the match key goes further and
merges what readers cannot tell apart. A match key is for finding, never for showing.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from ekyc.errors import NameUnusable

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_COENG, _ROBAT, _RO = "\u17d2", "\u17cc", "\u179a"
_SHIFTERS = "\u17c9\u17ca"
_VOWELS = frozenset(map(chr, range(0x17B6, 0x17C6)))
_MOST_CHARACTERS = 120

# Spellings that look the same: subscript DA as TA, split vowels, deprecated independent vowels.
_LOOK_ALIKE = (
    ("\u17d2\u178a", "\u17d2\u178f"),
    ("\u17c1\u17b8", "\u17be"),
    ("\u17b8\u17c1", "\u17be"),
    ("\u17c1\u17b6", "\u17c4"),
    ("\u17b6\u17c1", "\u17c4"),
    ("\u17a3", "\u17a2"),
    ("\u17a4", "\u17a2\u17b6"),
    ("\u17b2", "\u17b1"),
)


@dataclass(frozen=True)
class Name:
    """One name in three forms."""

    as_entered: str
    canonical: str
    match_key: str


def khmer_name(text: str) -> Name:
    """A Khmer name. Raises NameUnusable for anything but Khmer letters and spaces between them."""
    clean = _clean(text)
    if not clean or not all(_is_khmer_letter(character) or character == " " for character in clean):
        raise NameUnusable
    if not all(_is_base(word[0]) and not word.endswith(_COENG) for word in clean.split(" ")):
        raise NameUnusable
    canonical = _ordered(clean)
    key = canonical
    for written, merged in _LOOK_ALIKE:
        key = key.replace(written, merged)
    return Name(text, canonical, _ordered(key).replace(" ", ""))


def latin_name(text: str) -> Name:
    """A Latin name. Raises NameUnusable for anything but letters and what stands between them."""
    clean = _clean(text)
    plain = "".join(c for c in unicodedata.normalize("NFD", clean) if not unicodedata.combining(c)).upper()
    if not plain or not all(c.isascii() and (c.isalpha() or c in " -'.") for c in plain):
        raise NameUnusable
    key = "".join(c for c in plain if c.isalpha())
    if not key:
        raise NameUnusable
    return Name(text, clean.upper(), key)


class Likeness(StrEnum):
    """How two Latin names compare; the value is the reason."""

    SAME = "same"
    SPACING = "same-but-spacing"
    SWAPPED = "surname-and-given-name-swapped"
    TRUNCATED = "same-as-far-as-written"
    DIFFERENT = "different"


def compare_latin(
    surname: str, given: str, other_surname: str, other_given: str, *, truncated: bool = False
) -> Likeness:
    """Compare surname and given names. ``truncated``: the first may be cut at its end (a full MRZ field).

    Spaces, hyphens, case and diacritics do not count. Raises NameUnusable.
    """
    ours, theirs = _pair(surname, given), _pair(other_surname, other_given)
    if ours == theirs:
        plain = (surname.upper().split(), given.upper().split()) == (
            other_surname.upper().split(),
            other_given.upper().split(),
        )
        return Likeness.SAME if plain else Likeness.SPACING
    if ours == theirs[::-1]:
        return Likeness.SWAPPED
    if truncated and (
        (ours[0] == theirs[0] and theirs[1].startswith(ours[1])) or (not ours[1] and theirs[0].startswith(ours[0]))
    ):
        return Likeness.TRUNCATED
    return Likeness.DIFFERENT


def _pair(surname: str, given: str) -> tuple[str, str]:
    return latin_name(surname).match_key, latin_name(given).match_key if given.strip() else ""


def _clean(text: str) -> str:
    if len(text) > _MOST_CHARACTERS:
        raise NameUnusable
    return " ".join(unicodedata.normalize("NFC", text).translate(_INVISIBLE).split())


def _is_khmer_letter(character: str) -> bool:
    return "\u1780" <= character <= "\u17d3" or character == "\u17dd"


def _is_base(character: str) -> bool:
    return "\u1780" <= character <= "\u17b3"


def _ordered(text: str) -> str:
    """Every cluster in one order: base, robat, subscripts with RO last, shifter, vowels, signs; repeats once."""
    clusters: list[list[str]] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == _COENG and position + 1 < len(text) and clusters:
            clusters[-1].append(text[position : position + 2])
            position += 2
            continue
        if _is_base(character) or character == " " or not clusters:
            clusters.append([character])
        else:
            clusters[-1].append(character)
        position += 1
    return "".join(_cluster(cluster) for cluster in clusters)


def _cluster(parts: list[str]) -> str:
    base, *marks = parts
    unique = list(dict.fromkeys(marks))
    return base + "".join(sorted(unique, key=_rank))


def _rank(mark: str) -> int:
    if mark == _ROBAT:
        return 0
    if mark[0] == _COENG:
        return 2 if mark[1:] == _RO else 1
    if mark in _SHIFTERS:
        return 3
    return 4 if mark in _VOWELS else 5
