"""The specimen persons: citizens and foreign residents of the data file, and a long series for rehearsals. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, cast

from ekyc.mrz import TD1, TD3, write

SERIES = 100_000
_SERIES_BASE = 900_000_000
_LETTERS = "ABCDEFGHIJ"
_KHMER = "កខគឃងចឆជឈញ"


@dataclass(frozen=True)
class Specimen:
    """One person: what is on the card, and in ``registry`` what the registry has instead."""

    document_number: str
    surname: str
    given_names: str
    surname_km: str
    given_names_km: str
    date_of_birth: str
    sex: str
    card_expires: str
    deceased: bool = False
    absent: bool = False
    issuing_state: str = "KHM"
    nationality: str = "KHM"
    resident: bool = True
    registry: Mapping[str, str] = field(default_factory=dict)
    guardians: Mapping[str, str] = field(default_factory=dict)  # relation by the guardian's document number

    def as_registered(self) -> Specimen:
        """What the registry has."""
        return replace(self, **cast(Any, self.registry))

    def card(self) -> tuple[str, ...]:
        """The machine-readable lines of the card, or of the passport of somebody from elsewhere."""
        foreign = self.issuing_state != "KHM"
        fields = {
            "document_code": "P" if foreign else "ID",
            "issuer": self.issuing_state,
            "document_number": self.document_number,
            "date_of_birth": _six(self.date_of_birth),
            "sex": self.sex,
            "date_of_expiry": _six(self.card_expires),
            "nationality": self.nationality,
        }
        return write(TD3 if foreign else TD1, fields, self.surname, self.given_names)


@cache
def specimens() -> Mapping[str, Specimen]:
    """The persons of the data file, by name."""
    data = tomllib.loads(files("ekyc.registry_simulation").joinpath("persons.toml").read_text(encoding="utf-8"))
    return {name: Specimen(**values) for name, values in data.items()}


def series(number: int) -> Specimen:
    """One of many adults, number 0 to 99,999: always the same for the same number."""
    if not 0 <= number < SERIES:
        raise ValueError(f"the series has numbers from 0 to {SERIES - 1}")
    digits = [int(digit) for digit in f"{number:05}"]
    born = date(1960, 1, 1) + timedelta(days=number % 12_000)
    return Specimen(
        document_number=str(_SERIES_BASE + number),
        surname="SPECIMEN",
        given_names="SERIES " + "".join(_LETTERS[digit] for digit in digits),
        surname_km="គំរូ",
        given_names_km="".join(_KHMER[digit] for digit in digits),
        date_of_birth=born.isoformat(),
        sex="FM"[number % 2],
        card_expires="2035-12-31",
    )


def registered(document_number: str, issuing_state: str = "KHM") -> Specimen | None:
    """The person whom the registry has under a number of a state."""
    for person in specimens().values():
        if (person.document_number, person.issuing_state) == (document_number, issuing_state):
            return None if person.absent else person.as_registered()
    if issuing_state == "KHM" and document_number.isascii() and document_number.isdigit() and len(document_number) == 9:
        number = int(document_number) - _SERIES_BASE
        if 0 <= number < SERIES:
            return series(number)
    return None


def registered_as(document_number: str, issuing_state: str, date_of_birth: str) -> Specimen | None:
    """The person whom the registry has under a number of a state, if they were born on that day."""
    person = registered(document_number, issuing_state)
    return person if person is not None and person.date_of_birth == date_of_birth else None


def _six(day: str) -> str:
    return day.replace("-", "")[2:]
