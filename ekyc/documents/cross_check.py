"""Typed lines, lines read from an image, and the chip, beside each other. Pure. Control: EKYC-CROSS-CHECK.

All of them say who the person is: those fields must agree everywhere. Number and expiry are compared only between
sources of one document. What a source does not say is not compared; a name that was cut off matches what it begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ekyc.evidence.record import EvidenceKind
from ekyc.findings import CrossCheckOutcome, Finding
from ekyc.mrz import Mrz

PERSON = ("surname", "given_names", "date_of_birth", "sex")
DOCUMENT = ("document_number", "date_of_expiry", "nationality")

Said = Mapping[str, Any]
"""What one source says, as :func:`said` gives it."""


def said(mrz: Mrz) -> dict[str, Any]:
    """What a machine-readable zone says, in the form in which sources are compared and sealed."""
    expiry = mrz.date_of_expiry
    return {
        "document_type": f"{mrz.layout}/{mrz.document_code}/{mrz.issuer}",
        "document_number": mrz.document_number,
        "nationality": mrz.nationality,
        "surname": mrz.surname,
        "given_names": mrz.given_names,
        "names_truncated": mrz.names_truncated,
        "date_of_birth": None if mrz.date_of_birth.value is None else mrz.date_of_birth.value.isoformat(),
        "sex": mrz.sex,
        "date_of_expiry": "" if expiry is None else None if expiry.value is None else expiry.value.isoformat(),
    }


def cross_check(sources: Mapping[str, Said]) -> Finding | None:
    """Compare every source with every other; None where there are fewer than two. Reasons name fields, never values."""
    if len(sources) < 2:
        return None
    differing = {
        f"{one}-{other}:{field}"
        for (one, left), (other, right) in combinations(sorted(sources.items()), 2)
        for field in _differing(left, right)
    }
    outcome = CrossCheckOutcome.DIFFERS if differing else CrossCheckOutcome.CONSISTENT
    return Finding(EvidenceKind.CROSS_CHECK, outcome, tuple(sorted(differing)), {"sources": " ".join(sorted(sources))})


def _differing(left: Said, right: Said) -> list[str]:
    same_document = left.get("document_type") is not None and left.get("document_type") == right.get("document_type")
    truncated = bool(left.get("names_truncated") or right.get("names_truncated"))
    return [
        field
        for field in (*PERSON, *(DOCUMENT if same_document else ()))
        if not _agree(field, left.get(field), right.get(field), truncated=truncated)
    ]


def _agree(field: str, left: Any, right: Any, *, truncated: bool) -> bool:
    if left is None or right is None:
        return True
    if field in ("surname", "given_names"):
        one, other = _letters(left), _letters(right)
        return one == other or (truncated and (one.startswith(other) or other.startswith(one)))
    return bool(left == right)


def _letters(name: str) -> str:
    """A name's letters alone: where one document has a space, another has a hyphen or nothing."""
    return "".join(name.split()).replace("-", "").upper()
