"""Whether a CRL speaks of a certificate, and of which reasons (RFC 5280 §6.3.3 (b) to (e)). Pure.

C1  issuer: the certificate's, or for an indirect CRL the cRLIssuer of a distribution point     §6.3.3 (b)(1)
C2  its issuingDistributionPoint covers the certificate                                        §6.3.3 (b)(2)
C3  the reasons it covers: of the distribution point and of onlySomeReasons, both               §6.3.3 (d), (e)
C4  no critical extension that is not understood, of the list or of any entry                   §5.2, §5.3
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from foundation.x509.name_matching import NameKey, name_key, names_match
from foundation.x509.status_evidence import extension_of

ALL_REASONS = frozenset(set(x509.ReasonFlags) - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl})
_UNDERSTOOD = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
    ExtensionOID.DELTA_CRL_INDICATOR,
}
_UNDERSTOOD_OF_ENTRIES = {
    CRLEntryExtensionOID.CRL_REASON,
    CRLEntryExtensionOID.INVALIDITY_DATE,
    CRLEntryExtensionOID.CERTIFICATE_ISSUER,
}
_CRITICAL = b"\x01\x01\xff"  # BOOLEAN TRUE in DER


@dataclass(frozen=True)
class CrlHead:
    """The extensions of a CRL that decide what it speaks of. ``base``: the BaseCRLNumber of a delta CRL."""

    point: x509.IssuingDistributionPoint | None = None
    number: int | None = None
    base: int | None = None
    authority_key: bytes | None = None

    @property
    def indirect(self) -> bool:
        return self.point is not None and self.point.indirect_crl


def head_of(crl: x509.CertificateRevocationList) -> CrlHead | None:
    """C4 for the list itself; None when a critical extension is not understood. ValueError when one is unreadable."""
    point: x509.IssuingDistributionPoint | None = None
    number = base = None
    authority_key: bytes | None = None
    for extension in crl.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            return None
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            point = extension.value
        elif isinstance(extension.value, x509.CRLNumber):
            number = extension.value.crl_number
        elif isinstance(extension.value, x509.DeltaCRLIndicator):
            base = extension.value.crl_number
        elif isinstance(extension.value, x509.AuthorityKeyIdentifier):
            authority_key = extension.value.public_bytes()
    return CrlHead(point, number, base, authority_key)


def reasons_covered(
    certificate: x509.Certificate, crl: x509.CertificateRevocationList, head: CrlHead
) -> frozenset[x509.ReasonFlags]:
    """C1-C3: the reasons for which this CRL speaks of the certificate; empty when it does not speak of it at all."""
    scope = head.point
    if scope is not None:
        basic = extension_of(certificate, x509.BasicConstraints)
        is_ca = basic is not None and basic.ca
        if scope.only_contains_attribute_certs:
            return frozenset()
        if (scope.only_contains_ca_certs and not is_ca) or (scope.only_contains_user_certs and is_ca):
            return frozenset()
    covered: set[x509.ReasonFlags] = set()
    for point in _points(certificate):
        if _speaks_through(certificate, crl, head, point):
            covered |= point.reasons or ALL_REASONS
    only = scope.only_some_reasons if scope is not None else None
    return frozenset(covered & (only or ALL_REASONS) & ALL_REASONS)


def _points(certificate: x509.Certificate) -> Iterator[x509.DistributionPoint]:
    """The certificate's points, then the one that §6.3.3 assumes for CRLs of its issuer that no point names."""
    yield from extension_of(certificate, x509.CRLDistributionPoints) or ()
    yield x509.DistributionPoint([x509.DirectoryName(certificate.issuer)], None, None, None)


def _speaks_through(
    certificate: x509.Certificate, crl: x509.CertificateRevocationList, head: CrlHead, point: x509.DistributionPoint
) -> bool:
    """C1 and the names of C2, for one distribution point."""
    if point.crl_issuer:
        if not head.indirect or name_key(crl.issuer) not in _directory_names(point.crl_issuer):
            return False
    elif not names_match(crl.issuer, certificate.issuer):
        return False
    scope = head.point
    if scope is None or (scope.full_name is None and scope.relative_name is None):
        return True
    given = _names(scope.full_name, scope.relative_name, crl.issuer)
    relative_to = crl.issuer if point.crl_issuer else certificate.issuer
    wanted = _names(point.full_name, point.relative_name, relative_to) or _names(point.crl_issuer, None, crl.issuer)
    return not given.isdisjoint(wanted)


def _names(
    full: Iterable[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, base: x509.Name
) -> set[object]:
    """The names of a DistributionPointName in a form that compares: directory names by RFC 5280 §7.1, others as are."""
    if relative is not None:
        return {name_key(x509.Name([*base.rdns, relative]))}
    return {name_key(one.value) if isinstance(one, x509.DirectoryName) else one for one in full or ()}


def _directory_names(names: Iterable[x509.GeneralName]) -> set[NameKey]:
    return {name_key(one.value) for one in names if isinstance(one, x509.DirectoryName)}


def entries_understood(crl: x509.CertificateRevocationList, head: CrlHead) -> bool:
    """C4 for the entries. A list without a critical entry extension is told without walking it."""
    of_list = sum(one.critical for one in crl.extensions)
    if crl.tbs_certlist_bytes.count(_CRITICAL) <= of_list:
        return True
    known = _UNDERSTOOD_OF_ENTRIES if head.indirect else _UNDERSTOOD_OF_ENTRIES - {_CERTIFICATE_ISSUER}
    return all(one.oid in known for entry in crl for one in entry.extensions if one.critical)


_CERTIFICATE_ISSUER = CRLEntryExtensionOID.CERTIFICATE_ISSUER


def entry_for(
    certificate: x509.Certificate, crl: x509.CertificateRevocationList, head: CrlHead
) -> x509.RevokedCertificate | None:
    """The entry about the certificate. In an indirect CRL certificateIssuer holds on until the next (§5.3.3)."""
    if not head.indirect:
        return crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    speaks_of, wanted = name_key(crl.issuer), name_key(certificate.issuer)
    for entry in crl:
        for one in entry.extensions:
            if isinstance(one.value, x509.CertificateIssuer):
                names = _directory_names(one.value)
                speaks_of = next(iter(names)) if len(names) == 1 else ()
        if entry.serial_number == certificate.serial_number and speaks_of == wanted:
            return entry
    return None
