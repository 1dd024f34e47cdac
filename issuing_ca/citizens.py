"""The subject of a citizen's certificate (EN 319 412-2 §4.2.4)."""

from __future__ import annotations

import hashlib

from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CitizenRequest

_CN_OCTETS = 64


def person_identifier(person_id: str, settings: IssuingCaSettings) -> str:
    """The subject's serialNumber, ``XX:KH-…`` (EN 319 412-1 §5.1.3): the same in every certificate of the person.

    Made one way from our opaque id, so that it says nothing about the person and is not a key to any other register.
    """
    digest = hashlib.sha256(b"camtrust person identifier\x00" + person_id.encode()).hexdigest()
    return f"{settings.identifier_scheme}:{settings.country}-{digest[:32].upper()}"


def citizen_subject(request: CitizenRequest, settings: IssuingCaSettings) -> tuple[tuple[str, str], ...]:
    """Subject attributes. CN: the name in Latin, and in brackets the Khmer name where 64 octets hold both."""
    return (
        ("C", settings.country),
        ("surname", request.surname),
        ("givenName", request.given_name),
        ("CN", _common_name(request, settings.mark)),
        ("serialNumber", person_identifier(request.person_id, settings)),
    )


def _common_name(request: CitizenRequest, mark: str | None) -> str:
    latin = f"{request.surname} {request.given_name}"
    if mark and mark not in latin:
        latin = f"{mark} {latin}"
    candidates = [f"{latin} ({request.khmer_name})"] if request.khmer_name else []
    candidates += [latin, f"{mark} {request.surname}" if mark and mark not in request.surname else request.surname]
    return next((name for name in candidates if len(name.encode()) <= _CN_OCTETS), candidates[-1])
