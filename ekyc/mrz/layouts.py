"""Where each field of a machine-readable zone stands: TD1, TD2, TD3, MRV-A, MRV-B, as data.

Positions count from 0; ``end`` is exclusive. The clause of each layout stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Characters(Enum):
    """What a field may hold, beside the filler ``<`` (ICAO 9303-3 §4.3)."""

    LETTERS = "letters"
    ANY = "letters-and-digits"
    DIGITS = "digits"
    DATE = "date"
    SEX = "sex"


@dataclass(frozen=True)
class Place:
    """A run of characters on one line."""

    line: int
    start: int
    end: int

    def of(self, lines: Sequence[str]) -> str:
        return lines[self.line][self.start : self.end]


@dataclass(frozen=True)
class Field:
    """A field, and the place of its own check digit where it has one."""

    name: str
    place: Place
    characters: Characters
    check: Place | None = None
    blank_check: bool = False  # an empty field's check digit may be the filler itself (9303-4 §4.2.2, note)


@dataclass(frozen=True)
class Layout:
    """A size of document: lines, fields, and what the composite check digit covers (empty for visas)."""

    name: str
    width: int
    height: int
    fields: tuple[Field, ...]
    composite: Place | None
    covered: tuple[Place, ...]
    long_number: str | None  # the optional field in which a number of more than nine characters goes on

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)


DOCUMENT_NUMBER, BIRTH, EXPIRY, NAMES = "document_number", "date_of_birth", "date_of_expiry", "names"
OPTIONAL_1, OPTIONAL_2, COMPOSITE = "optional_1", "optional_2", "composite"


def _field(
    name: str,
    line: int,
    start: int,
    end: int,
    characters: Characters,
    *,
    checked: bool = False,
    blank_check: bool = False,
) -> Field:
    check = Place(line, end, end + 1) if checked else None
    return Field(name, Place(line, start, end), characters, check, blank_check)


def _second_line(line: int, optional_end: int, *, optional_checked: bool = False) -> tuple[Field, ...]:
    """The data line that TD2, TD3 and both visas share; only the optional part differs."""
    return (
        _field(DOCUMENT_NUMBER, line, 0, 9, Characters.ANY, checked=True),
        _field("nationality", line, 10, 13, Characters.LETTERS),
        _field(BIRTH, line, 13, 19, Characters.DATE, checked=True),
        _field("sex", line, 20, 21, Characters.SEX),
        _field(EXPIRY, line, 21, 27, Characters.DATE, checked=True, blank_check=True),
        _field(OPTIONAL_1, line, 28, optional_end, Characters.ANY, checked=optional_checked, blank_check=True),
    )


def _head(line: int, names_end: int) -> tuple[Field, ...]:
    return (
        _field("document_code", line, 0, 2, Characters.LETTERS),
        _field("issuer", line, 2, 5, Characters.LETTERS),
        _field(NAMES, line, 5, names_end, Characters.LETTERS),
    )


# ICAO 9303-5 §4.2
TD1 = Layout(
    "TD1",
    30,
    3,
    (
        _field("document_code", 0, 0, 2, Characters.LETTERS),
        _field("issuer", 0, 2, 5, Characters.LETTERS),
        _field(DOCUMENT_NUMBER, 0, 5, 14, Characters.ANY, checked=True),
        _field(OPTIONAL_1, 0, 15, 30, Characters.ANY),
        _field(BIRTH, 1, 0, 6, Characters.DATE, checked=True),
        _field("sex", 1, 7, 8, Characters.SEX),
        _field(EXPIRY, 1, 8, 14, Characters.DATE, checked=True, blank_check=True),
        _field("nationality", 1, 15, 18, Characters.LETTERS),
        _field(OPTIONAL_2, 1, 18, 29, Characters.ANY),
        _field(NAMES, 2, 0, 30, Characters.LETTERS),
    ),
    Place(1, 29, 30),
    (Place(0, 5, 30), Place(1, 0, 7), Place(1, 8, 15), Place(1, 18, 29)),
    OPTIONAL_1,
)

# ICAO 9303-6 §4.2
TD2 = Layout(
    "TD2",
    36,
    2,
    (*_head(0, 36), *_second_line(1, 35)),
    Place(1, 35, 36),
    (Place(1, 0, 10), Place(1, 13, 20), Place(1, 21, 35)),
    OPTIONAL_1,
)

# ICAO 9303-4 §4.2
TD3 = Layout(
    "TD3",
    44,
    2,
    (*_head(0, 44), *_second_line(1, 42, optional_checked=True)),
    Place(1, 43, 44),
    (Place(1, 0, 10), Place(1, 13, 20), Place(1, 21, 43)),
    None,
)

# ICAO 9303-7 §4.2, §7.2: visas have no composite check digit
MRV_A = Layout("MRV-A", 44, 2, (*_head(0, 44), *_second_line(1, 44)), None, (), None)
MRV_B = Layout("MRV-B", 36, 2, (*_head(0, 36), *_second_line(1, 36)), None, (), None)


def layout_of(lines: Sequence[str]) -> Layout | None:
    """The layout that fits the number and length of the lines and the first character; None where none does."""
    shape = {(len(lines), len(line)) for line in lines}
    visa = bool(lines) and lines[0].startswith("V")
    for layout in (MRV_A, MRV_B) if visa else (TD1, TD2, TD3):
        if shape == {(layout.height, layout.width)}:
            return layout
    return None
