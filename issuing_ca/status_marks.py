"""The heads that the rollback guard holds the database against, as marks of a token (`foundation.keys.marks`).

Two marks an authority: the tree of its status changes (count: its size, digest: its root) and its CRL number. A token
lets them go forward alone, so that a database *and* the file beside it, both put back from last week, are found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from foundation.keys.marks import Mark
from issuing_ca.ports import Witnessed

_STATUS, _CRL = "status/", "crl/"


def marks_of(heads: Iterable[Witnessed]) -> list[Mark]:
    """What the token is to remember of these heads, the last of each authority."""
    last = {one.authority: one for one in heads}
    return [
        mark
        for one in last.values()
        for mark in (
            Mark(f"{_STATUS}{one.authority}", one.size, one.root),
            Mark(f"{_CRL}{one.authority}", one.crl_number, b""),
        )
    ]


def heads_of(marks: Iterable[Mark]) -> Mapping[str, Witnessed]:
    """The inverse, by authority; marks of others are left out."""
    known = {mark.name: mark for mark in marks}
    heads = {}
    for name, mark in known.items():
        if name.startswith(_STATUS):
            authority = name.removeprefix(_STATUS)
            crl = known.get(f"{_CRL}{authority}")
            heads[authority] = Witnessed(authority, mark.count, mark.digest, crl.count if crl is not None else 0)
    return heads
