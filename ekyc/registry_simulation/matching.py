"""How the simulated registry compares: it answers match, no match or review, and gives nothing out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ekyc.errors import NameUnusable
from ekyc.latin_lattice import alike
from ekyc.names import Likeness, compare_latin, khmer_name
from ekyc.registry_simulation.persons import Specimen

_PLAIN = ("document_number", "date_of_birth", "sex")
_NAMES = ("surname", "given_names", "surname_km", "given_names_km")
_KHMER_NAMES = ("surname_km", "given_names_km")
_STATES = ("issuing_state", "nationality")


def compare(person: Specimen | None, asked: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The outcome, and how each field compared.

    Number, birth and sex must agree, for a passport its states too; Latin names may differ in spacing; a name that is
    like but not the same asks for a review. Whether the person lives, and lives here, is told only to who knows
    everything else.
    """
    foreign = asked.get("document_type") == "passport"
    plain = (*_PLAIN, *_STATES) if foreign else _PLAIN
    if person is None:
        names = _NAMES[:2] if foreign else _NAMES
        return "no-match", dict.fromkeys((*plain, *names), "not-compared")
    fields = {name: _same(asked[name] == getattr(person, name)) for name in plain}
    likeness = _latin(person, asked)
    latin = _same(likeness in (Likeness.SAME, Likeness.SPACING))
    fields |= {"surname": latin, "given_names": latin}
    if not foreign:
        fields |= {name: _same(_khmer(asked[name], getattr(person, name))) for name in _KHMER_NAMES}
    if any(fields[name] == "mismatch" for name in plain):
        return "no-match", fields
    if latin == "mismatch" and likeness is not Likeness.SWAPPED and not _respelt(person, asked):
        return "no-match", fields
    if "mismatch" in fields.values():
        return "review", fields
    if foreign:
        fields["residence"] = _same(person.resident)
        if not person.resident:
            return "no-match", fields
    if person.deceased:
        return "no-match", fields | {"vital_status": "mismatch"}
    return "match", fields | {"vital_status": "match"}


def compare_relation(child: Specimen | None, guardian: Specimen | None, relation: str) -> tuple[str, dict[str, str]]:
    """Whether somebody is to a child what they say. ``disputed``: an officer must look."""
    fields = {"child": _same(child is not None), "guardian": _same(guardian is not None and not guardian.deceased)}
    if child is None or guardian is None or "mismatch" in fields.values():
        return "no-match", fields | {"relation": "not-compared"}
    known = child.guardians.get(guardian.document_number)
    if known == "disputed":
        return "review", fields | {"relation": "mismatch"}
    return ("match" if known == relation else "no-match"), fields | {"relation": _same(known == relation)}


def _same(same: bool) -> str:
    return "match" if same else "mismatch"


def _latin(person: Specimen, asked: Mapping[str, str]) -> Likeness:
    try:
        return compare_latin(asked["surname"], asked["given_names"], person.surname, person.given_names)
    except NameUnusable:
        return Likeness.DIFFERENT


def _respelt(person: Specimen, asked: Mapping[str, str]) -> bool:
    """Whether both parts may be the same name in another spelling: for an officer to look at, never a match."""
    try:
        return all(alike(asked[name], getattr(person, name)).alike for name in ("surname", "given_names"))
    except NameUnusable:
        return False


def _khmer(asked: str, known: str) -> bool:
    try:
        return khmer_name(asked).match_key == khmer_name(known).match_key
    except NameUnusable:
        return False
