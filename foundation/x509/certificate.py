"""Certificates from profile and values: pure, the same input always gives the same to-be-signed bytes.

Extensions come from the profile alone (`foundation.x509.profile`), in one fixed order; nothing is taken from a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.x509.oid import AuthorityInformationAccessOID

from foundation.x509 import der, oids
from foundation.x509.algorithms import POINT_HEADERS, key_algorithm, signature_hash, throwaway_key, verify
from foundation.x509.errors import ProfileMismatch
from foundation.x509.names import SubjectName, name_pairs
from foundation.x509.profile import KeyUsageRule, PoliciesRule, Profile, QcStatementsRule

_NAME_KINDS: dict[str, type[x509.GeneralName]] = {"dns": x509.DNSName, "email": x509.RFC822Name}


@dataclass(frozen=True)
class Urls:
    """Where status, issuer certificate and CRL are found; those that the profile asks for must be there."""

    ocsp: str | None = None
    issuer: str | None = None
    crl: str | None = None


@dataclass(slots=True)  # one is made for each certificate, and a frozen one takes five times as long to make
class CertificateInput:
    """Everything that goes into a certificate. Times are aware, whole seconds, and both count (RFC 5280 §4.1.2.5).

    ``issuer_key_identifier`` is the SKI of the issuer's certificate where that was not made by RFC 7093 method 1.
    ``encoded_key``: ``public_key`` as SubjectPublicKeyInfo where that is at hand (`foundation.x509.csr.ProvenKey`).
    ``subject_der``, ``public_key_info``: the subject's Name and SubjectPublicKeyInfo (§4.1.2.6, §4.1.2.7), DER.
    """

    profile: Profile
    subject: x509.Name | SubjectName
    public_key: CertificatePublicKeyTypes
    serial: int
    not_before: datetime
    not_after: datetime
    issuer_name: x509.Name
    issuer_public_key: CertificateIssuerPublicKeyTypes
    urls: Urls = Urls()
    san: tuple[x509.GeneralName, ...] = ()
    issuer_key_identifier: bytes | None = None
    name_constraints: x509.NameConstraints | None = None
    statement: bytes | None = None
    encoded_key: bytes | None = None

    subject_der: bytes = field(init=False, repr=False, compare=False)
    public_key_info: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        subject = self.subject
        encoded = subject.encoded if isinstance(subject, SubjectName) else subject.public_bytes()
        self.subject_der = encoded
        self.public_key_info = self.encoded_key or _public_key_info(self.public_key)


def _public_key_info(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_identifier(public_key: CertificatePublicKeyTypes) -> bytes:
    """RFC 7093 §2 method 1: the leftmost 160 bits of SHA-256 over the subjectPublicKey bits."""
    return key_identifier_of(_public_key_info(public_key))


def key_identifier_of(public_key_info: bytes) -> bytes:
    """The same of a SubjectPublicKeyInfo, DER."""
    header = POINT_HEADERS.get(len(public_key_info))
    if header is not None and public_key_info.startswith(header):
        return hashlib.sha256(public_key_info[len(header) - 1 :]).digest()[:20]  # from the octet that starts a point
    bits = der.children(public_key_info)[1]
    _, start, end = der.read(bits)
    return hashlib.sha256(bits[start + 1 : end]).digest()[:20]  # without the octet that counts unused bits


def extensions(given: CertificateInput) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    """The extensions and their criticality that the profile wants for this input; ProfileMismatch for a missing URL."""
    profile, wanted = given.profile, list[tuple[x509.ExtensionType, bool]]()
    if profile.authority_key_identifier:
        identifier = given.issuer_key_identifier or key_identifier(given.issuer_public_key)
        wanted.append((x509.AuthorityKeyIdentifier(identifier, None, None), False))
    wanted.append((x509.SubjectKeyIdentifier(key_identifier(given.public_key)), False))
    wanted.append((_key_usage(profile.key_usage), True))
    if profile.policies:
        wanted.append((_policies(profile.policies), False))
    if given.san:
        wanted.append((x509.SubjectAlternativeName(given.san), False))
    if profile.basic_constraints.ca:
        wanted.append((x509.BasicConstraints(True, profile.basic_constraints.path_length), True))
    if profile.name_constraints:
        if given.name_constraints is None:
            raise ProfileMismatch(profile=profile.name, reason="no name constraints, which its certificates carry")
        wanted.append((given.name_constraints, True))
    if rule := profile.extended_key_usage:
        wanted.append((x509.ExtendedKeyUsage(rule.oids), rule.critical))
    if profile.crl_distribution_points:
        point = x509.DistributionPoint([_uri(profile, "crl", given.urls.crl)], None, None, None)
        wanted.append((x509.CRLDistributionPoints([point]), False))
    if access := profile.authority_information_access:
        methods = []
        if access.ocsp:
            methods.append((AuthorityInformationAccessOID.OCSP, _uri(profile, "ocsp", given.urls.ocsp)))
        if access.issuer:
            methods.append((AuthorityInformationAccessOID.CA_ISSUERS, _uri(profile, "issuer", given.urls.issuer)))
        wanted.append((x509.AuthorityInformationAccess([x509.AccessDescription(*method) for method in methods]), False))
    if profile.qc_statements:
        wanted.append((qc_statements(profile.qc_statements), False))
    if profile.ocsp_nocheck:
        wanted.append((x509.OCSPNoCheck(), False))
    if profile.statement:
        wanted.append((x509.UnrecognizedExtension(oids.STATEMENT, der.tlv(0x0C, given.statement or b"")), True))
    return tuple(wanted)


def certificate_builder(given: CertificateInput) -> x509.CertificateBuilder:
    """The to-be-signed certificate; ProfileMismatch where what is given does not fit the profile."""
    check_input(given)
    builder = (
        x509.CertificateBuilder()
        .subject_name(given.subject.name if isinstance(given.subject, SubjectName) else given.subject)
        .issuer_name(given.issuer_name)
        .public_key(given.public_key)
        .serial_number(given.serial)
        .not_valid_before(given.not_before)
        .not_valid_after(given.not_after)
    )
    for extension, critical in extensions(given):
        builder = builder.add_extension(extension, critical)
    return builder


def sign_certificate(builder: x509.CertificateBuilder, key: CertificateIssuerPrivateKeyTypes) -> x509.Certificate:
    """Sign with the hash that goes with the key, and verify afterwards; SignatureWrong when the token gave nonsense."""
    certificate = builder.sign(key, signature_hash(key.public_key()))
    verify(key.public_key(), certificate.signature, certificate.tbs_certificate_bytes)
    return certificate


def throwaway_sign(
    builder: x509.CertificateBuilder, like_public_key: CertificateIssuerPublicKeyTypes
) -> x509.Certificate:
    """The same to-be-signed bytes under a throwaway key of the issuer key's algorithm: to lint before signing."""
    key = throwaway_key(key_algorithm(like_public_key))
    return builder.sign(key, signature_hash(like_public_key))


def check_input(given: CertificateInput) -> None:
    """ProfileMismatch where what is given does not fit the profile: the issuer's key, and :func:`check_holder`."""
    profile = given.profile
    if key_algorithm(given.issuer_public_key) not in profile.signature.algorithms:
        raise ProfileMismatch(profile=profile.name, reason=f"an issuer with {key_algorithm(given.issuer_public_key)}")
    check_holder(given)


def check_holder(given: CertificateInput) -> None:
    """What differs from certificate to certificate of one profile and issuer: subject, key, dates, serial number, SAN.

    ProfileMismatch where it does not fit the profile.
    """
    profile = given.profile
    _check_subject(profile, given.subject)
    if key_algorithm(given.public_key) not in profile.key.algorithms:
        raise ProfileMismatch(profile=profile.name, reason=f"a key of {key_algorithm(given.public_key)}")
    not_before, not_after = given.not_before, given.not_after
    for moment in (not_before, not_after):
        if moment.microsecond or (moment.tzinfo is not UTC and not _is_utc(moment)):
            raise ProfileMismatch(profile=profile.name, reason="a time that is not UTC in whole seconds")
    if not not_before < not_after:
        raise ProfileMismatch(profile=profile.name, reason="it would end before it begins")
    if not_after >= not_before + profile.validity.maximum:
        raise ProfileMismatch(profile=profile.name, reason=f"a validity of more than {profile.validity.max_days} days")
    if not 0 < given.serial < 1 << 159 or given.serial.bit_length() < 64:
        raise ProfileMismatch(profile=profile.name, reason="a serial number out of range")
    if bool(given.statement) != (profile.statement is not None):
        raise ProfileMismatch(profile=profile.name, reason="a statement where none belongs, or none where one does")
    if given.name_constraints is not None and profile.name_constraints is None:
        raise ProfileMismatch(profile=profile.name, reason="name constraints that it does not have")
    if profile.subject_alternative_name is None and not given.san:
        return
    presence = profile.subject_alternative_name.presence if profile.subject_alternative_name else "absent"
    if bool(given.san) != (presence == "required") and presence != "optional":
        raise ProfileMismatch(profile=profile.name, reason=f"a subject alternative name is {presence}")
    if not alternative_names_allowed(profile, given.san):
        raise ProfileMismatch(profile=profile.name, reason="an alternative name of a kind that it does not have")


def alternative_names_allowed(profile: Profile, names: Iterable[x509.GeneralName]) -> bool:
    """Whether every alternative name is of a kind that the profile has, and none stands twice."""
    given, rule = tuple(names), profile.subject_alternative_name
    kinds = tuple(_NAME_KINDS[kind] for kind in rule.kinds) if rule is not None and rule.kinds else (x509.GeneralName,)
    return all(isinstance(name, kinds) for name in given) and len(set(given)) == len(given)


def _check_subject(profile: Profile, subject: x509.Name | SubjectName) -> None:
    pairs, rule = subject.pairs if isinstance(subject, SubjectName) else name_pairs(subject), profile.subject
    values = dict(pairs)
    names = tuple(values)
    if names != rule.order or len(names) != len(pairs):  # most have all that there may be
        if [name for name, _ in pairs] != [attribute for attribute in rule.order if attribute in values]:
            raise ProfileMismatch(
                profile=profile.name, reason="subject attributes that it does not have, or in another order"
            )
        for attribute in rule.order:
            if attribute not in values and attribute not in rule.optional:
                raise ProfileMismatch(profile=profile.name, reason=f"no {attribute} in the subject")
    for attribute, value in rule.fixed.items():
        if values.get(attribute, value) != value:
            raise ProfileMismatch(profile=profile.name, reason=f"another {attribute} than the fixed one")
    if profile.specimen and not says_specimen(pairs):
        raise ProfileMismatch(profile=profile.name, reason="a subject that does not say SPECIMEN")


def says_specimen(pairs: Iterable[tuple[str, str]]) -> bool:
    """Whether O or CN carries the word SPECIMEN, so that nobody takes it for a real one."""
    return any("SPECIMEN" in value for attribute, value in pairs if attribute in ("O", "CN"))


def _is_utc(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment == moment.astimezone(UTC)


def _key_usage(rule: KeyUsageRule) -> x509.KeyUsage:
    bits = set(rule.bits)
    return x509.KeyUsage(
        digital_signature="digitalSignature" in bits,
        content_commitment="nonRepudiation" in bits,
        key_encipherment="keyEncipherment" in bits,
        data_encipherment="dataEncipherment" in bits,
        key_agreement="keyAgreement" in bits,
        key_cert_sign="keyCertSign" in bits,
        crl_sign="cRLSign" in bits,
        encipher_only=False,
        decipher_only=False,
    )


def _policies(rule: PoliciesRule) -> x509.CertificatePolicies:
    qualifiers: list[str | x509.UserNotice] | None = [rule.cps_uri] if rule.cps_uri else None
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(oid), qualifiers) for oid in rule.oids]
    )


def _uri(profile: Profile, what: str, address: str | None) -> x509.UniformResourceIdentifier:
    if address is None or not address.startswith(("http://", "https://")):
        raise ProfileMismatch(profile=profile.name, reason=f"no {what} address, which its certificates name")
    return x509.UniformResourceIdentifier(address)


def qc_statements(rule: QcStatementsRule) -> x509.UnrecognizedExtension:
    """QCStatements (RFC 3739 §3.2.6) with the statements of EN 319 412-5 §4 that the profile makes."""
    statements = []
    if rule.compliance:
        statements.append(der.sequence([der.oid(oids.QC_COMPLIANCE)]))
    if rule.sscd:
        statements.append(der.sequence([der.oid(oids.QC_SSCD)]))
    kind = oids.QC_TYPE_ESIGN if rule.type == "esign" else oids.QC_TYPE_ESEAL
    statements.append(der.sequence([der.oid(oids.QC_TYPE), der.sequence([der.oid(kind)])]))
    if rule.legislation:
        countries = [der.tlv(0x13, country.encode("ascii")) for country in rule.legislation]
        statements.append(der.sequence([der.oid(oids.QC_CC_LEGISLATION), der.sequence(countries)]))
    return x509.UnrecognizedExtension(oids.QC_STATEMENTS, der.sequence(statements))
