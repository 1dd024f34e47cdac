"""Certificates of document signers and country signing authorities, read from their own bytes.

Country certificates break rules that a strict parser insists on (explicit curves, data after the signature). They are
taken apart here without being encoded again, so that a signature is always checked over the to-be-signed bytes as they
came (RFC 5280 §4.1.1.3); what stands outside of those, and outside of the signature, is never read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import core
from asn1crypto import x509 as asn1_x509

from ekyc.chip.der import (
    BIT_STRING,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Fields,
    Malformed,
    check_bounds,
    single,
)
from ekyc.chip.signatures import SignatureAlgorithm, oid, read_signature_algorithm

MAX_CERTIFICATE = 32 * 1024  # octets
_UTC_TIME, _GENERALIZED_TIME, _BOOLEAN = 0x17, 0x18, 0x01
_KEY_USAGE, _BASIC, _EXTENDED_USAGE = "2.5.29.15", "2.5.29.19", "2.5.29.37"
_SUBJECT_KEY, _AUTHORITY_KEY = "2.5.29.14", "2.5.29.35"


@dataclass(frozen=True)
class DistinguishedName:
    """``key`` is the name prepared for comparison (RFC 5280 §7.1); ``country`` in capitals, None unless exactly one."""

    raw: bytes
    key: str
    country: str | None


@dataclass(frozen=True)
class ChipCertificate:
    """What is needed of a certificate. ``trailing``: it holds elements after the fields that RFC 5280 knows."""

    raw: bytes
    tbs: bytes
    serial: bytes
    algorithm: SignatureAlgorithm
    signature: bytes
    issuer: DistinguishedName
    subject: DistinguishedName
    not_before: datetime
    not_after: datetime
    public_key_info: bytes
    extensions: Mapping[str, tuple[bool, bytes]]
    trailing: bool

    @property
    def sha256(self) -> str:
        """The fingerprint, in hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()

    def usages(self) -> frozenset[str] | None:
        """The key usages, by their names in RFC 5280 §4.2.1.3 as asn1crypto writes them; None where not stated."""
        found = self.extensions.get(_KEY_USAGE)
        return None if found is None else frozenset(_native(asn1_x509.KeyUsage, found[1]))

    @property
    def is_ca(self) -> bool:
        found = self.extensions.get(_BASIC)
        return found is not None and bool(_native(asn1_x509.BasicConstraints, found[1])["ca"])

    @property
    def has_extended_usage(self) -> bool:
        return _EXTENDED_USAGE in self.extensions

    @property
    def subject_key_id(self) -> bytes | None:
        found = self.extensions.get(_SUBJECT_KEY)
        return None if found is None else single(found[1], OCTET_STRING).content

    @property
    def authority_key_id(self) -> bytes | None:
        found = self.extensions.get(_AUTHORITY_KEY)
        if found is None:
            return None
        identifier = Fields(single(found[1], SEQUENCE).content).optional(0x80)
        return None if identifier is None else identifier.content

    def unknown_critical(self) -> bool:
        """Whether it has a critical extension that is not understood here (RFC 5280 §4.2)."""
        return any(critical and identifier not in _UNDERSTOOD for identifier, (critical, _) in self.extensions.items())


# A policy is understood in that any of them will do: nothing is asked of it here.
_UNDERSTOOD = frozenset({_KEY_USAGE, _BASIC, _SUBJECT_KEY, _AUTHORITY_KEY, "2.5.29.32"})


def read_certificate(data: bytes) -> ChipCertificate:
    """A v3 certificate at the beginning of ``data``. Raises Malformed and AlgorithmUnsupported.

    Octets after it, elements after its signature and elements after its extensions are told, not read.
    """
    if len(data) > MAX_CERTIFICATE:
        raise Malformed("size")
    outside = Fields(data)
    whole = outside.next(SEQUENCE)
    check_bounds(whole.raw)
    fields = Fields(whole.content)
    tbs, outer, bits = fields.next(SEQUENCE), fields.next(SEQUENCE), fields.next(BIT_STRING).content
    if not bits or bits[0] != 0:
        raise Malformed("unused bits")
    inner = Fields(tbs.content)
    if single(inner.next(0xA0).content, INTEGER).integer() != 2:
        raise Malformed("certificate version")
    serial = inner.next(INTEGER)
    if inner.next(SEQUENCE).raw != outer.raw:  # RFC 5280 §4.1.1.2
        raise Malformed("two signature algorithms")
    issuer = read_name(inner.next(SEQUENCE).raw)
    validity = Fields(inner.next(SEQUENCE).content)
    not_before, not_after = read_time(validity), read_time(validity)
    validity.end()
    subject = read_name(inner.next(SEQUENCE).raw)
    public_key_info = inner.next(SEQUENCE).raw
    inner.optional(0x81)
    inner.optional(0x82)
    stated = inner.optional(0xA3)
    return ChipCertificate(
        raw=whole.raw,
        tbs=tbs.raw,
        serial=serial.content,
        algorithm=read_signature_algorithm(outer.raw),
        signature=bits[1:],
        issuer=issuer,
        subject=subject,
        not_before=not_before,
        not_after=not_after,
        public_key_info=public_key_info,
        extensions={} if stated is None else _extensions(single(stated.content, SEQUENCE).content),
        trailing=bool(outside.rest or fields.rest or inner.rest),
    )


def read_name(raw: bytes) -> DistinguishedName:
    """A distinguished name, DER. Raises Malformed."""
    try:
        name = asn1_x509.Name.load(raw, strict=True)
        countries = [
            str(attribute["value"].native).upper()
            for rdn in name.chosen
            for attribute in rdn
            if attribute["type"].native == "country_name"
        ]
        return DistinguishedName(raw, str(name.hashable), countries[0] if len(countries) == 1 else None)
    except Exception as error:  # asn1crypto raises several kinds
        raise Malformed("name") from error


def read_time(fields: Fields) -> datetime:
    """A UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5). Raises Malformed."""
    element = fields.next(_UTC_TIME, _GENERALIZED_TIME)
    kind = core.UTCTime if element.tag == _UTC_TIME else core.GeneralizedTime
    value = _native(kind, element.raw)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Malformed("time")
    return value


def _extensions(content: bytes) -> dict[str, tuple[bool, bytes]]:
    found: dict[str, tuple[bool, bytes]] = {}
    for element in Fields(content).all(SEQUENCE, limit=64):
        fields = Fields(element.content)
        identifier = oid(fields.next(OID).raw)
        critical = fields.optional(_BOOLEAN)
        value = fields.next(OCTET_STRING).content
        fields.end()
        if identifier in found:  # RFC 5280 §4.2
            raise Malformed("an extension twice")
        found[identifier] = (critical is not None and critical.content != b"\x00", value)
    return found


def _native(kind: type, raw: bytes):  # type: ignore[no-untyped-def]
    try:
        check_bounds(raw)
        return kind.load(raw, strict=True).native  # type: ignore[attr-defined]
    except Exception as error:  # asn1crypto raises several kinds
        raise Malformed(kind.__name__) from error
