"""Distinguished names: from short attribute names and text to an X.501 Name, in the order given.

Text is normalised to NFC and written as UTF8String (RFC 5280 §4.1.2.4), except C and serialNumber, which X.520 keeps
as PrintableString. What a person cannot see is refused: control, zero-width and bidirectional characters, unassigned
and private code points, white space at an end or doubled.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from foundation.x509 import der
from foundation.x509.errors import NameInvalid

ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "businessCategory": NameOID.BUSINESS_CATEGORY,
    "title": NameOID.TITLE,
    "CN": NameOID.COMMON_NAME,
    "surname": NameOID.SURNAME,
    "givenName": NameOID.GIVEN_NAME,
    "pseudonym": NameOID.PSEUDONYM,
    "serialNumber": NameOID.SERIAL_NUMBER,
}
SHORT_NAMES = {oid: short for short, oid in ATTRIBUTES.items()}

# What stands before an attribute's text, and the tag of it.
_ENCODED = {
    short: (der.oid(identifier), 0x13 if short in ("C", "serialNumber") else 0x0C)
    for short, identifier in ATTRIBUTES.items()
}

# RFC 5280 Appendix A.1 (ub-*), in characters; ours where it sets none. CN counts UTF-8 octets, because common
# software (cryptography among it) does, and warns about every certificate that goes beyond.
MAX_LENGTHS = {
    "C": 2, "ST": 128, "L": 128, "O": 64, "organizationIdentifier": 128, "OU": 64, "businessCategory": 128,
    "title": 64, "CN": 64, "surname": 64, "givenName": 64, "pseudonym": 128, "serialNumber": 64,
}  # fmt: skip

# Everything that has no picture of its own: Cc, Cf (zero-width and bidi among them), Cs, Co, Cn, line separators.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]+")
_COUNTRY = re.compile(r"[A-Z]{2}")


def checked_value(attribute: str, value: str) -> str:
    """The value in NFC; NameInvalid (naming the attribute, never the value) where a certificate must not carry it."""
    if attribute not in ATTRIBUTES:
        raise NameInvalid(attribute=attribute, reason="unknown attribute")
    value = unicodedata.normalize("NFC", value)
    if not value or value != value.strip() or "  " in value:
        raise NameInvalid(attribute=attribute, reason="empty, or white space at an end or doubled")
    if not (value.isascii() and value.isprintable()):  # ASCII from space to tilde has none of what follows
        categories = {unicodedata.category(character) for character in set(value) - {" "}}
        if not categories.isdisjoint(_UNSEEN):
            raise NameInvalid(attribute=attribute, reason="a control, zero-width or bidirectional character")
        if "Zs" in categories:
            raise NameInvalid(attribute=attribute, reason="white space other than the plain space")
    length = len(value.encode()) if attribute == "CN" else len(value)
    if length > MAX_LENGTHS[attribute]:
        raise NameInvalid(attribute=attribute, reason=f"longer than {MAX_LENGTHS[attribute]}")
    if attribute == "C" and not _COUNTRY.fullmatch(value):
        raise NameInvalid(attribute=attribute, reason="not two capital letters (ISO 3166-1)")
    if attribute == "serialNumber" and not _PRINTABLE.fullmatch(value):
        raise NameInvalid(attribute=attribute, reason="not a PrintableString (X.520)")
    return value


@dataclass(frozen=True, slots=True)
class SubjectName:
    """A name as its attributes and as DER (RFC 5280 §4.1.2.4), without the library; :meth:`of` makes it."""

    pairs: tuple[tuple[str, str], ...]
    encoded: bytes

    @classmethod
    def of(cls, attributes: Sequence[tuple[str, str]]) -> SubjectName:
        """The octets of ``subject_name(attributes)``; raises what that raises."""
        pairs = _checked(attributes)
        parts = []
        for attribute, text in pairs:
            before, tag = _ENCODED[attribute]
            value = before + der.tlv(tag, text.encode())
            parts.append(der.tlv(der.SET, der.tlv(der.SEQUENCE, value)))
        return cls(pairs, der.sequence(parts))

    @property
    def name(self) -> x509.Name:
        """The same for the library."""
        return _name(self.pairs)


def subject_name(attributes: Sequence[tuple[str, str]]) -> x509.Name:
    """An X.501 name with one attribute per RDN, in the order given; NameInvalid for what a certificate must not carry.

    Attributes go by short name (`ATTRIBUTES`). Only OU may stand more than once.
    """
    return _name(_checked(attributes))


def _checked(attributes: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    if not attributes:
        raise NameInvalid(attribute="subject", reason="no attribute at all")
    seen: set[str] = set()
    pairs = []
    for attribute, value in attributes:
        if attribute in seen and attribute != "OU":
            raise NameInvalid(attribute=attribute, reason="given twice")
        seen.add(attribute)
        pairs.append((attribute, checked_value(attribute, value)))
    return tuple(pairs)


def _name(pairs: Sequence[tuple[str, str]]) -> x509.Name:
    return x509.Name([x509.NameAttribute(ATTRIBUTES[attribute], text) for attribute, text in pairs])


def name_pairs(name: x509.Name) -> tuple[tuple[str, str], ...]:
    """The inverse of `subject_name` for display and comparison; unknown attributes go by their dotted OID."""
    return tuple(
        [(SHORT_NAMES.get(item.oid) or item.oid.dotted_string, str(item.value)) for part in name.rdns for item in part]
    )


def same_name(one: x509.Name, other: x509.Name) -> bool:
    """Whether two names are the same octets: what a chain of ours demands (stricter than RFC 5280 §7.1)."""
    return one.public_bytes() == other.public_bytes()
