"""What clients and browsers send: ``application/x-www-form-urlencoded``, each parameter once (RFC 6749 §3.1, §3.2)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from identity.oauth.errors import invalid_request

MEDIA_TYPE = "application/x-www-form-urlencoded"
LARGEST = 512 * 1024  # octets: a thousand digests with their labels, and room
_MOST_FIELDS = 40
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The parameters; those without a value are left out, as the standard says. Raises OAuthRefused."""
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise invalid_request(f"the Content-Type is not {MEDIA_TYPE}")
    if len(body) > LARGEST:
        raise invalid_request("the request is too large")
    return read_query(body)


def read_query(octets: bytes) -> dict[str, str]:
    """The parameters of a query. Raises OAuthRefused."""
    try:
        pairs = parse_qsl(octets.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise invalid_request("the parameters cannot be read") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_request("a parameter came twice")
        if _CONTROL.search(name) or _CONTROL.search(value):
            raise invalid_request("a parameter has characters that it cannot have")
        found[name] = value
    return {name: value for name, value in found.items() if value}
