"""What a seal credential will say, as octets that officers name by their SHA-256."""

from __future__ import annotations

from datetime import datetime

from foundation.clock import rfc3339
from signing.agencies.model import Agency
from signing.ports import SealTerms

_STATEMENT = (
    "សោមួយក្នុងឧបករណ៍សុវត្ថិភាពនៃសេវានេះ និងវិញ្ញាបនបត្រដែលប្រព័ន្ធនេះប្រើ ដើម្បីបោះត្រាក្នុងនាមអង្គភាពនេះ។",
    "A key in the token of this service, and a certificate by which this client seals in the organisation's name.",
)


def terms_of(
    request_id: str, agency: Agency, client_id: str, certified: SealTerms, asked_at: datetime, replaces: str | None
) -> str:
    """UTF-8 text: the organisation, the client, and what the certificate says, a line each."""
    label = next((one.label for one in agency.clients if one.client_id == client_id), "")
    lines = [
        "CamTrust seal credential 1",
        "",
        *_STATEMENT,
        "",
        f"request: {request_id}",
        f"asked: {rfc3339(asked_at)}",
        f"organisation: {agency.agency_id}",
        f"name (km): {agency.name_km}",
        f"name: {agency.name_latin}",
        f"registration number: {agency.number}",
        f"client: {client_id}",
        f"client's label: {label}",
        f"certificate profile: {certified.profile}",
        *(f"certificate subject {name}: {value}" for name, value in certified.subject),
        f"certificate valid for: {certified.days} days at most",
        *([f"replaces credential: {replaces}"] if replaces else []),
    ]
    return "\n".join(lines) + "\n"
