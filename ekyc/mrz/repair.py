"""A proposal for a machine-readable zone that was misread, only where exactly one text satisfies all digits.

Characters that look alike are exchanged (O and 0, I and 1, B and 8, S and 5 …), in the fields that are wrong and
nowhere else. Nothing is changed silently: the person is shown the proposal and confirms it by sending it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import combinations, product

from ekyc.errors import MrzFormatUnknown
from ekyc.mrz.layouts import COMPOSITE, DOCUMENT_NUMBER, OPTIONAL_1, OPTIONAL_2, Characters, Layout, Place
from ekyc.mrz.reading import Problem, digits_only, examine

_LOOK_ALIKE = ("0ODQ", "1IL", "2Z", "5S", "6G", "8B")
_OTHERS = {
    character: "".join(other for other in group if other != character) for group in _LOOK_ALIKE for character in group
}
_DIGITS = "0123456789"
_CHANGES = 3  # at most so many exchanges in one field
_CANDIDATES = 5_000  # more than this many texts to try is no repair but a guess


def propose(lines: Sequence[str], reference: date) -> tuple[str, ...] | None:
    """The only text within a few exchanges that has no failure at all; None where there is none, or more than one.

    Takes normalised lines; None too for lines that have no failure, or no known layout.
    """
    try:
        examination = examine(lines, reference)
    except MrzFormatUnknown:
        return None
    wrong = {failure.field for failure in examination.failures}
    if not wrong or any(failure.problem is Problem.NAMES for failure in examination.failures):
        return None
    places = _places(examination.layout, wrong, digits_only(lines))
    found: set[tuple[str, ...]] = set()
    readings = product(*(tuple(_readings(lines, place, kind)) for place, kind in places))
    for tried, replacements in enumerate(readings):
        if tried == _CANDIDATES:
            return None
        candidate = _replaced(lines, [place for place, _ in places], replacements)
        if not examine(candidate, reference).failures:
            found.add(candidate)
            if len(found) > 1:
                return None
    return found.pop() if found else None


def _places(layout: Layout, wrong: set[str], numeric: frozenset[str]) -> list[tuple[Place, Characters]]:
    """The places to vary: the wrong fields with their check digits; for the sum alone, what has no digit of its own."""
    named = wrong - {COMPOSITE}
    places: list[tuple[Place, Characters]] = []
    for field in layout.fields:
        unguarded = not named and field.name in (OPTIONAL_1, OPTIONAL_2) and field.check is None
        if field.name in named or unguarded or (field.name == layout.long_number and DOCUMENT_NUMBER in named):
            places.append((field.place, Characters.DIGITS if field.name in numeric else field.characters))
            if field.check is not None:
                places.append((field.check, Characters.DIGITS))
    if layout.composite is not None:
        places.append((layout.composite, Characters.DIGITS))
    return places


def _readings(lines: Sequence[str], place: Place, kind: Characters) -> Iterator[str]:
    """What the place may say: as it stands, and with up to a few look-alikes exchanged that its field permits."""
    text = place.of(lines)
    options = [_options(character, kind) for character in text]
    forced = [n for n, choice in enumerate(options) if text[n] not in choice]
    free = [n for n, choice in enumerate(options) if text[n] in choice and len(choice) > 1]
    for count in range(min(_CHANGES, len(free)) + 1):
        for chosen in combinations(free, count):
            varied = [*forced, *chosen]
            for characters in product(*(options[n].replace(text[n], "") for n in varied)):
                changed = list(text)
                for n, character in zip(varied, characters, strict=True):
                    changed[n] = character
                yield "".join(changed)


def _options(character: str, kind: Characters) -> str:
    """The characters that this one may stand for, itself first; empty where the field permits none of them."""
    options = character + _OTHERS.get(character, "")
    if kind in (Characters.DATE, Characters.DIGITS):
        return "".join(option for option in options if option in _DIGITS or option == "<")
    if kind is Characters.LETTERS:
        return "".join(option for option in options if option not in _DIGITS)
    if kind is Characters.SEX:
        return character
    return options


def _replaced(lines: Sequence[str], places: Sequence[Place], texts: Sequence[str]) -> tuple[str, ...]:
    changed = list(lines)
    for place, text in zip(places, texts, strict=True):
        line = changed[place.line]
        changed[place.line] = line[: place.start] + text + line[place.end :]
    return tuple(changed)
