"""Certificate revocation lists (RFC 5280 §5), version 2, with AKI and CRL number: full, delta, and partitioned.

Entries are DER and joined: `cryptography`'s builder copies its list at every added entry, which is quadratic. The
result is byte for byte what that builder would make (a test holds this).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from foundation.x509 import der, oids
from foundation.x509.algorithms import algorithm_identifier, sign
from foundation.x509.certificate import key_identifier
from foundation.x509.errors import CrlInvalid

# RFC 5280 §5.3.1; unspecified is left out, removeFromCRL belongs to delta lists.
REASON_CODES = {
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}


class RevokedEntry(NamedTuple):
    """One revoked certificate; times are aware, whole seconds. ``reason`` None or unspecified leaves the code out."""

    serial: int
    revoked_at: datetime
    reason: x509.ReasonFlags | None = None
    invalidity_date: datetime | None = None


def encode_entry(entry: RevokedEntry) -> bytes:
    """One element of revokedCertificates (RFC 5280 §5.1.2.6) as DER."""
    parts = [der.integer(entry.serial), der.time(entry.revoked_at.astimezone(UTC))]
    return der.sequence([*parts, _entry_extensions(entry.reason, entry.invalidity_date)])


def _entry_extensions(reason: x509.ReasonFlags | None, invalidity_date: datetime | None) -> bytes:
    """crlEntryExtensions; nothing where there is none."""
    extensions = []
    if reason is not None and reason is not x509.ReasonFlags.unspecified:
        extensions.append(_extension(CRLEntryExtensionOID.CRL_REASON, der.enumerated(REASON_CODES[reason])))
    if invalidity_date is not None:
        value = der.generalized_time(invalidity_date.astimezone(UTC))
        extensions.append(_extension(CRLEntryExtensionOID.INVALIDITY_DATE, value))
    return der.sequence(extensions) if extensions else b""


def encode_entries(entries: Iterable[RevokedEntry]) -> Iterator[bytes]:
    """The same for many: dates and reasons that entries share are encoded once."""
    times: dict[datetime, bytes] = {}
    reasons: dict[tuple[x509.ReasonFlags | None, datetime | None], bytes] = {}
    for serial, revoked_at, reason, invalidity_date in entries:
        time = times.get(revoked_at)
        if time is None:
            if len(times) >= _MOST_SHARED:
                times.clear()
            time = times[revoked_at] = der.time(revoked_at.astimezone(UTC))
        extensions = reasons.get((reason, invalidity_date))
        if extensions is None:
            if len(reasons) >= _MOST_SHARED:
                reasons.clear()
            extensions = reasons[reason, invalidity_date] = _entry_extensions(reason, invalidity_date)
        octets = serial.bit_length() // 8 + 1
        size = 2 + octets + len(time) + len(extensions)
        if size < 0x80:  # serial numbers have 20 octets at most
            lengths = bytes((der.SEQUENCE, size, der.INTEGER, octets))
            yield lengths + serial.to_bytes(octets, "big") + time + extensions
        else:
            yield encode_entry(RevokedEntry(serial, revoked_at, reason, invalidity_date))


_MOST_SHARED = 100_000


@dataclass(frozen=True)
class CrlScope:
    """What sets a CRL apart from a plain full one.

    ``base``: it is a delta to the full CRL of this number (RFC 5280 §5.2.4). ``distribution_point``: it lists only the
    certificates that name this URL (§5.2.5). ``freshest``: where the deltas to it are (§5.2.6).
    """

    base: int | None = None
    distribution_point: str | None = None
    freshest: str | None = None


FULL = CrlScope()


def _extension(identifier: x509.ObjectIdentifier, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence([der.oid(identifier), der.TRUE if critical else b"", der.octet_string(value)])


def _scope_extensions(scope: CrlScope) -> list[bytes]:
    found = []
    if scope.base is not None:
        found.append(_extension(ExtensionOID.DELTA_CRL_INDICATOR, der.integer(scope.base), critical=True))
    if scope.distribution_point is not None:
        value = der.sequence([_distribution_point_name(scope.distribution_point)])
        found.append(_extension(ExtensionOID.ISSUING_DISTRIBUTION_POINT, value, critical=True))
    if scope.freshest is not None:
        point = der.sequence([_distribution_point_name(scope.freshest)])
        found.append(_extension(ExtensionOID.FRESHEST_CRL, der.sequence([point])))
    return found


def _distribution_point_name(url: str) -> bytes:
    """``distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] } }``."""
    return der.tlv(0xA0, der.tlv(0xA0, der.tlv(0x86, url.encode("ascii"))))


def crl_tbs(
    issuer_certificate: x509.Certificate,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    expired_since: datetime | None = None,
    scope: CrlScope = FULL,
) -> bytes:
    """The DER TBSCertList over entries that are already DER, in the order given (RFC 5280 §5.1.2).

    ``expired_since`` adds expiredCertsOnCRL (ISO/IEC 9594-8): certificates that expired since then stay on the list.
    CrlInvalid for a number below zero or over 20 octets (§5.2.3), a next update that is not later than this one, or a
    delta to a CRL that is not older.
    """
    if not 0 <= number < 1 << 159:
        raise CrlInvalid(reason="the CRL number is out of range")
    if next_update <= this_update:
        raise CrlInvalid(reason="the next update is not later than this one")
    if scope.base is not None and not 0 <= scope.base <= number:
        raise CrlInvalid(reason="the base is newer than the delta")
    revoked = b"".join(entries)
    extensions = [
        _extension(
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER, der.sequence([der.tlv(0x80, _issuer_key(issuer_certificate))])
        ),
        _extension(ExtensionOID.CRL_NUMBER, der.integer(number)),
        *_scope_extensions(scope),
    ]
    if expired_since is not None:
        value = der.generalized_time(expired_since.astimezone(UTC))
        extensions.append(_extension(oids.EXPIRED_CERTS_ON_CRL, value))
    return der.sequence(
        [
            der.integer(1),
            _algorithm_identifier(issuer_certificate),
            issuer_certificate.subject.public_bytes(),
            der.time(this_update.astimezone(UTC)),
            der.time(next_update.astimezone(UTC)),
            der.tlv(der.SEQUENCE, revoked) if revoked else b"",  # RFC 5280 §5.1.2.6: absent when there is none
            der.explicit(0, der.sequence(extensions)),
        ]
    )


def build_crl(
    issuer_certificate: x509.Certificate,
    key: CertificateIssuerPrivateKeyTypes,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[RevokedEntry],
) -> x509.CertificateRevocationList:
    """A signed, verified full CRL. CrlInvalid for wrong numbers or dates, or a certificate that stands twice."""
    listed = tuple(entries)
    if len({entry.serial for entry in listed}) != len(listed):
        raise CrlInvalid(reason="a certificate stands in it twice")
    encoded = (encode_entry(entry) for entry in listed)
    return sign_crl(issuer_certificate, key, crl_tbs(issuer_certificate, number, this_update, next_update, encoded))


def sign_crl(
    issuer_certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes, tbs: bytes
) -> x509.CertificateRevocationList:
    """Sign a TBSCertList with the issuer's key. CrlInvalid when the key is not the one in the issuer's certificate."""
    return x509.load_der_x509_crl(signed_crl(issuer_certificate, key, tbs))


def signed_crl(issuer_certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes, tbs: bytes) -> bytes:
    """The same as octets, without reading a long list again."""
    if key.public_key() != issuer_certificate.public_key():
        raise CrlInvalid(reason="the key is not the issuer's")
    signature = der.bit_string(sign(key, tbs))
    return der.sequence([tbs, _algorithm_identifier(issuer_certificate), signature])


def _issuer_key(issuer_certificate: x509.Certificate) -> bytes:
    try:
        return issuer_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return key_identifier(issuer_certificate.public_key())


def _algorithm_identifier(issuer_certificate: x509.Certificate) -> bytes:
    return algorithm_identifier(issuer_certificate.public_key())
