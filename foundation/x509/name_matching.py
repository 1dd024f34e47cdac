"""Comparing distinguished names (RFC 5280 §7.1): case and white space do not count, order and types do."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from cryptography import x509

NameKey = tuple[frozenset[tuple[str, str | bytes]], ...]


@lru_cache(maxsize=4096)
def name_key(name: x509.Name) -> NameKey:
    """A value that is equal for names that match. Strings are prepared as RFC 4518 §2 asks, in the main."""
    return tuple(
        frozenset((attribute.oid.dotted_string, _prepared(attribute.value)) for attribute in rdn) for rdn in name.rdns
    )


def _prepared(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split())


def names_match(one: x509.Name, other: x509.Name) -> bool:
    """Whether two names are the same one."""
    return name_key(one) == name_key(other)


def is_within(name: NameKey, subtree: NameKey) -> bool:
    """Whether a name lies in the subtree of a directory name (RFC 5280 §4.2.1.10): the subtree is its beginning."""
    return name[: len(subtree)] == subtree


def subject_key(certificate: x509.Certificate) -> NameKey:
    """The key of the subject; empty for a name that cannot be read, which then matches nothing."""
    try:
        return name_key(certificate.subject)
    except Exception:  # cryptography raises ValueError, TypeError and more for odd attributes
        return ()


def issuer_key(certificate: x509.Certificate) -> NameKey:
    """The key of the issuer; empty for a name that cannot be read."""
    try:
        return name_key(certificate.issuer)
    except Exception:
        return ()
