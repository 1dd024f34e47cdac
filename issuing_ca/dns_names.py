"""Host names as they go into certificates (RFC 5280 §4.2.1.6, RFC 9525 §2, RFC 1034 §3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from issuing_ca.errors import DnsNameRefused

MAX_NAMES = 100
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_LENGTH = 253


def dns_name(text: str) -> str:
    """A fully qualified host name in lower case; DnsNameRefused for anything else.

    No wildcard, no address, no trailing dot, at least two labels; an internationalised name as its A-labels.
    """
    name = text.lower()
    labels = name.split(".")
    if (
        len(name) > _MAX_LENGTH
        or len(labels) < 2
        or not all(_LABEL.fullmatch(label) for label in labels)
        or labels[-1].isdigit()
    ):
        raise DnsNameRefused
    return name


def dns_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Several, each once, in the order given. Raises DnsNameRefused, also for more than 100 of them."""
    names = tuple(dict.fromkeys(dns_name(text) for text in texts))
    if len(names) > MAX_NAMES:
        raise DnsNameRefused
    return names
