"""Certificate revocation lists (RFC 5280 §5): full lists, version 2, with AKI and CRL number.

Entries are DER and joined: `cryptography`'s builder copies its list at every added entry, which is quadratic. The
result is byte for byte what that builder would make (a test holds this).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

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


@dataclass(frozen=True)
class RevokedEntry:
    """One revoked certificate; times are aware, whole seconds. ``reason`` None or unspecified leaves the code out."""

    serial: int
    revoked_at: datetime
    reason: x509.ReasonFlags | None = None
    invalidity_date: datetime | None = None


def encode_entry(entry: RevokedEntry) -> bytes:
    """One element of revokedCertificates (RFC 5280 §5.1.2.6) as DER."""
    extensions = []
    if entry.reason is not None and entry.reason is not x509.ReasonFlags.unspecified:
        extensions.append(_extension(CRLEntryExtensionOID.CRL_REASON, der.enumerated(REASON_CODES[entry.reason])))
    if entry.invalidity_date is not None:
        value = der.generalized_time(entry.invalidity_date.astimezone(UTC))
        extensions.append(_extension(CRLEntryExtensionOID.INVALIDITY_DATE, value))
    parts = [der.integer(entry.serial), der.time(entry.revoked_at.astimezone(UTC))]
    if extensions:
        parts.append(der.sequence(extensions))
    return der.sequence(parts)


def _extension(identifier: x509.ObjectIdentifier, value: bytes) -> bytes:
    return der.sequence([der.oid(identifier), der.octet_string(value)])


def crl_tbs(
    issuer_certificate: x509.Certificate,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    expired_since: datetime | None = None,
) -> bytes:
    """The DER TBSCertList over entries that are already DER, in the order given (RFC 5280 §5.1.2).

    ``expired_since`` adds expiredCertsOnCRL (ISO/IEC 9594-8): certificates that expired since then stay on the list.
    CrlInvalid for a number below zero or over 20 octets (§5.2.3), or a next update that is not later than this one.
    """
    if not 0 <= number < 1 << 159:
        raise CrlInvalid(reason="the CRL number is out of range")
    if next_update <= this_update:
        raise CrlInvalid(reason="the next update is not later than this one")
    revoked = b"".join(entries)
    extensions = [
        _extension(
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER, der.sequence([der.tlv(0x80, _issuer_key(issuer_certificate))])
        ),
        _extension(ExtensionOID.CRL_NUMBER, der.integer(number)),
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
    if key.public_key() != issuer_certificate.public_key():
        raise CrlInvalid(reason="the key is not the issuer's")
    signature = der.bit_string(sign(key, tbs))
    return x509.load_der_x509_crl(der.sequence([tbs, _algorithm_identifier(issuer_certificate), signature]))


def _issuer_key(issuer_certificate: x509.Certificate) -> bytes:
    try:
        return issuer_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return key_identifier(issuer_certificate.public_key())


def _algorithm_identifier(issuer_certificate: x509.Certificate) -> bytes:
    return algorithm_identifier(issuer_certificate.public_key())
