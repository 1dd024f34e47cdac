"""What is printed on a document for people to read: numbers and dates, in Khmer or other digits. Pure.

Compared with the machine-readable lines, it tells a typing error that the check digits cannot, and a card whose two
sides do not belong together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date

from ekyc.errors import DocumentNotYetValid, PrintedDateUnreadable, PrintedDiffers
from ekyc.mrz import Mrz

_KHMER = str.maketrans({chr(0x17E0 + n): str(n) for n in range(10)})
# The months as they are written in Khmer, January first.
_MONTHS = (
    "មករា", "កុម្ភៈ", "មីនា", "មេសា", "ឧសភា", "មិថុនា", "កក្កដា", "សីហា", "កញ្ញា", "តុលា", "វិច្ឆិកា", "ធ្នូ",
)  # fmt: skip
_NUMERIC = re.compile(r"^(\d{1,2})[./\- ](\d{1,2})[./\- ](\d{4})$")
_WORDS = re.compile(rf"^(?:ថ្ងៃទី)? *(\d{{1,2}}) *(?:ខែ)? *({'|'.join(_MONTHS)}) *(?:ឆ្នាំ)? *(\d{{4}})$")


@dataclass(frozen=True)
class Printed:
    """What the person reads on the document; None where they did not say. ``never_expires``: so it is printed."""

    document_number: str | None = field(default=None, repr=False)
    date_of_birth: str | None = field(default=None, repr=False)
    date_of_issue: str | None = field(default=None, repr=False)
    date_of_expiry: str | None = field(default=None, repr=False)
    never_expires: bool = False


def read_date(text: str) -> date:
    """Day, month, year of the common era, in Khmer or other digits, the month as number or Khmer word.

    Raises PrintedDateUnreadable; for a year of the Buddhist era too, which is not guessed.
    """
    cleaned = " ".join(text.translate(_KHMER).replace("\u200b", "").split())
    numeric, words = _NUMERIC.match(cleaned), _WORDS.match(cleaned)
    try:
        if numeric:
            day, month, year = (int(part) for part in numeric.groups())
        elif words:
            day, month, year = int(words[1]), _MONTHS.index(words[2]) + 1, int(words[3])
        else:
            raise PrintedDateUnreadable
        if not 1900 <= year <= 2199:
            raise PrintedDateUnreadable
        return date(year, month, day)
    except ValueError:
        raise PrintedDateUnreadable from None


def check_printed(printed: Printed, card: Mrz, today: date) -> None:
    """Raises PrintedDiffers, which names the fields, DocumentNotYetValid, PrintedDateUnreadable."""
    differing = []
    if printed.document_number is not None and _number(printed.document_number) != card.document_number:
        differing.append("document_number")
    if printed.date_of_birth is not None and read_date(printed.date_of_birth) != card.date_of_birth.value:
        differing.append("date_of_birth")
    expires = card.date_of_expiry
    if printed.never_expires and expires is not None:
        differing.append("date_of_expiry")
    if printed.date_of_expiry is not None and (expires is None or read_date(printed.date_of_expiry) != expires.value):
        differing.append("date_of_expiry")
    if differing:
        raise PrintedDiffers(tuple(dict.fromkeys(differing)))
    if printed.date_of_issue is not None and read_date(printed.date_of_issue) > today:
        raise DocumentNotYetValid


def _number(text: str) -> str:
    return "".join(text.translate(_KHMER).replace("\u200b", "").split()).upper()
