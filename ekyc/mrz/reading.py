"""Reading a machine-readable zone: every field, every check digit, and what is wrong with which field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from ekyc.errors import MrzCheckDigitWrong, MrzFieldInvalid, MrzFormatUnknown
from ekyc.mrz.check_digits import ALPHABET, check_digit
from ekyc.mrz.layouts import (
    BIRTH,
    COMPOSITE,
    DOCUMENT_NUMBER,
    EXPIRY,
    NAMES,
    OPTIONAL_1,
    OPTIONAL_2,
    Characters,
    Field,
    Layout,
    Place,
    layout_of,
)

_TYPED = str.maketrans({chr(0x17E0 + n): str(n) for n in range(10)} | {"«": "<<", "‹": "<", "\u200b": "", "\ufeff": ""})
_DIGITS = frozenset("0123456789")


class Problem(Enum):
    """What can be wrong with a field. The value is the rule's ID."""

    CHARACTERS = "MRZ-CHARACTERS"  # ICAO 9303-3 §4.3
    CHECK_DIGIT = "MRZ-CHECK-DIGIT"  # ICAO 9303-3 §4.9
    DATE = "MRZ-DATE"  # ICAO 9303-3 §4.8
    NAMES = "MRZ-NAMES"  # ICAO 9303-3 §4.6


@dataclass(frozen=True)
class FieldFailure:
    """One field (``composite`` for the digit over all) and what is wrong with it."""

    field: str
    problem: Problem


@dataclass(frozen=True)
class MrzDate:
    """A date as printed (six characters), and its value where day and month are known."""

    text: str
    value: date | None


@dataclass(frozen=True)
class Mrz:
    """What a machine-readable zone says. ``date_of_expiry`` is None on a card that never expires."""

    layout: str
    document_code: str
    issuer: str
    document_number: str
    nationality: str
    date_of_birth: MrzDate
    sex: str
    date_of_expiry: MrzDate | None
    surname: str
    given_names: str
    names_truncated: bool
    optional: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def is_khmer_id_card(self) -> bool:
        """A Khmer identity card: TD1, ``IDKHM`` and a number of nine digits."""
        return (
            (self.layout, self.document_code, self.issuer) == ("TD1", "ID", "KHM")
            and len(self.document_number) == 9
            and set(self.document_number) <= _DIGITS
        )


@dataclass(frozen=True)
class Examination:
    """The layout that fits, and everything that is wrong (nothing: it can be read)."""

    layout: Layout
    failures: tuple[FieldFailure, ...]


def normalise(lines: Sequence[str]) -> tuple[str, ...]:
    """Typed lines as MRZ lines: white space out, capitals, Khmer digits as 0-9, angle quotes as fillers."""
    return tuple("".join(line.translate(_TYPED).split()).upper() for line in lines)


def digits_only(lines: Sequence[str]) -> frozenset[str]:
    """The fields that hold nothing but digits by a rule of the issuer: the number of a Khmer identity card.

    Check digits do not see this: 6 and G, or 1 and L, have values that differ by a multiple of ten.
    """
    return frozenset({DOCUMENT_NUMBER}) if lines and lines[0].startswith("IDKHM") else frozenset()


def examine(lines: Sequence[str], reference: date) -> Examination:
    """Check normalised lines, field by field, on the day ``reference``. Raises MrzFormatUnknown."""
    layout = layout_of(lines)
    if layout is None:
        raise MrzFormatUnknown
    if any(character not in ALPHABET for line in lines for character in line):
        stray = tuple(
            FieldFailure(field.name, Problem.CHARACTERS)
            for field in layout.fields
            if not set(field.place.of(lines)) <= ALPHABET
            or (field.check and not set(field.check.of(lines)) <= ALPHABET)
        )
        return Examination(layout, stray or (FieldFailure(COMPOSITE, Problem.CHARACTERS),))
    failures = [failure for field in layout.fields for failure in _check_field(layout, field, lines, reference)]
    if layout.composite is not None:
        over = "".join(place.of(lines) for place in layout.covered)
        if check_digit(over) != layout.composite.of(lines):
            failures.append(FieldFailure(COMPOSITE, Problem.CHECK_DIGIT))
    return Examination(layout, tuple(failures))


def read(lines: Sequence[str], reference: date) -> Mrz:
    """Read normalised lines. Raises MrzFormatUnknown, MrzFieldInvalid or MrzCheckDigitWrong (names the fields).

    ``reference`` is the day that decides the century: a birth is the latest possible one not after it, an expiry the
    one within fifty years of it.
    """
    examination = examine(lines, reference)
    digits = tuple(failure.field for failure in examination.failures if failure.problem is Problem.CHECK_DIGIT)
    others = tuple(failure.field for failure in examination.failures if failure.problem is not Problem.CHECK_DIGIT)
    own = tuple(field for field in digits if field != COMPOSITE)
    if others:
        raise MrzFieldInvalid(others)
    if digits:  # a wrong field breaks the composite too: name the field, not the sum
        raise MrzCheckDigitWrong(own or digits)
    return _assemble(examination.layout, tuple(lines), reference)


def _check_field(layout: Layout, field: Field, lines: Sequence[str], reference: date) -> list[FieldFailure]:
    value = field.place.of(lines)
    problems: list[Problem] = []
    if not _characters_fit(field, value) or (field.name in digits_only(lines) and not set(value) <= _DIGITS):
        problems.append(Problem.CHARACTERS)
    elif field.characters is Characters.DATE and not _date_fits(field, value, reference):
        problems.append(Problem.DATE)
    elif field.name == NAMES and not _names_fit(value):
        problems.append(Problem.NAMES)
    if field.check is not None and not _check_fits(layout, field, field.check, lines):
        problems.append(Problem.CHECK_DIGIT)
    return [FieldFailure(field.name, problem) for problem in problems]


def _characters_fit(field: Field, value: str) -> bool:
    if field.characters is Characters.LETTERS:
        return not set(value) & _DIGITS
    if field.characters is Characters.DATE:
        return set(value) <= _DIGITS | {"<"}
    if field.characters is Characters.SEX:
        return value in ("M", "F", "<")
    return True


def _check_fits(layout: Layout, field: Field, at: Place, lines: Sequence[str]) -> bool:
    value, check = field.place.of(lines), at.of(lines)
    if field.blank_check and not value.strip("<"):
        return check in ("<", "0")
    if field.name == DOCUMENT_NUMBER and check == "<" and layout.long_number:
        number, digit = _long_number(value, layout.field(layout.long_number).place.of(lines))
        return bool(digit) and check_digit(number) == digit
    return check_digit(value) == check


def _long_number(value: str, optional: str) -> tuple[str, str]:
    """A number of more than nine characters goes on in the optional field, its check digit last (9303-5 §4.2.2)."""
    rest = optional.split("<", 1)[0]
    return value + rest[:-1], rest[-1:]


def _date_fits(field: Field, value: str, reference: date) -> bool:
    if field.name == EXPIRY and value == "<<<<<<":
        return True
    known = value.rstrip("<")
    if field.name == BIRTH and len(known) in (0, 2, 4):  # unknown day, month or year (9303-3 §4.8)
        return "<" not in known and (len(known) < 4 or 1 <= int(known[2:]) <= 12)
    return "<" not in value and _value(field.name, value, reference) is not None


def _value(name: str, text: str, reference: date) -> date | None:
    """The date that six digits stand for; the century follows the rule that :func:`read` states."""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    best: date | None = None
    for century in range(reference.year // 100 - 1, reference.year // 100 + 2):
        try:
            candidate = date(century * 100 + year, month, day)
        except ValueError:
            continue
        if name == BIRTH:
            if candidate <= reference:
                best = candidate
        elif -50 <= candidate.year - reference.year < 50:
            best = candidate
    return best


def _names_fit(value: str) -> bool:
    written = value.rstrip("<")
    return bool(written) and not written.startswith("<") and written.count("<<") <= 1 and "<<<" not in written


def _assemble(layout: Layout, lines: tuple[str, ...], reference: date) -> Mrz:
    def text(name: str) -> str:
        return layout.field(name).place.of(lines)

    number, optional_1 = text(DOCUMENT_NUMBER), text(OPTIONAL_1)
    check = layout.field(DOCUMENT_NUMBER).check
    if layout.long_number and check and check.of(lines) == "<":
        number, _ = _long_number(number, optional_1)
        optional_1 = optional_1.split("<", 1)[1] if "<" in optional_1 else ""
    optional = [optional_1]
    if any(field.name == OPTIONAL_2 for field in layout.fields):
        optional.append(text(OPTIONAL_2))
    birth, expiry = text(BIRTH), text(EXPIRY)
    surname, _, given = text(NAMES).rstrip("<").partition("<<")
    return Mrz(
        layout=layout.name,
        document_code=text("document_code").rstrip("<"),
        issuer=text("issuer").rstrip("<"),
        document_number=number.rstrip("<"),
        nationality=text("nationality").rstrip("<"),
        date_of_birth=MrzDate(birth, None if "<" in birth else _value(BIRTH, birth, reference)),
        sex=text("sex"),
        date_of_expiry=None if expiry == "<<<<<<" else MrzDate(expiry, _value(EXPIRY, expiry, reference)),
        surname=surname.replace("<", " "),
        given_names=given.replace("<", " "),
        names_truncated=not text(NAMES).endswith("<"),
        optional=tuple(part.rstrip("<").replace("<", " ") for part in optional),
        lines=lines,
    )
