"""The mandate: what representatives sign with their own keys, as octets that never change for one organisation."""

from __future__ import annotations

from foundation.clock import rfc3339
from signing.agencies.model import Agency

NAME = "mandate.txt"
_STATEMENT = (
    "យើងខ្ញុំជាតំណាងរបស់អង្គភាពនេះ ហើយស្នើសុំឱ្យអង្គភាពនេះបោះត្រាតាមសេវានេះ។",
    "We represent this organisation, and ask that it may seal through this service.",
    "Whoever of us is named here may add its clients and withdraw them.",
)


def mandate_of(agency: Agency) -> bytes:
    """The text of the mandate, UTF-8: who the organisation is, and every representative, each on a line."""
    lines = [
        "CamTrust mandate 1",
        "",
        *_STATEMENT,
        "",
        f"id: {agency.agency_id}",
        f"name (km): {agency.name_km}",
        f"name: {agency.name_latin}",
        f"registration number: {agency.number}",
        f"proposed: {rfc3339(agency.proposed_at)}",
        *(f"representative: {one.person_id}" for one in sorted(agency.representatives, key=lambda one: one.person_id)),
    ]
    return ("\n".join(lines) + "\n").encode()
