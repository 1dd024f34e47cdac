"""Lints of extensions: exactly those of the profile, with its criticality and its content."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from foundation.arc import is_example
from foundation.x509 import der, oids
from foundation.x509.certificate import alternative_names_allowed, key_identifier_of, qc_statements
from foundation.x509.errors import UNREADABLE
from foundation.x509.finding import Finding, finding
from foundation.x509.profile import Profile

_KEY_USAGE_FIELDS = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}


def expected_extensions(profile: Profile, with_san: bool) -> dict[x509.ObjectIdentifier, bool]:
    """The extensions of the profile and whether each is critical. ``with_san`` settles an optional SAN."""
    usage = profile.extended_key_usage
    rows = (
        (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, profile.authority_key_identifier is not None, False),
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, True, False),
        (ExtensionOID.KEY_USAGE, True, True),
        (ExtensionOID.BASIC_CONSTRAINTS, profile.ca, True),
        (ExtensionOID.CERTIFICATE_POLICIES, profile.policies is not None, False),
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, _san_wanted(profile, with_san), False),
        (ExtensionOID.EXTENDED_KEY_USAGE, usage is not None, usage is not None and usage.critical),
        (ExtensionOID.CRL_DISTRIBUTION_POINTS, profile.crl_distribution_points is not None, False),
        (ExtensionOID.AUTHORITY_INFORMATION_ACCESS, profile.authority_information_access is not None, False),
        (ExtensionOID.NAME_CONSTRAINTS, profile.name_constraints is not None, True),
        (ExtensionOID.OCSP_NO_CHECK, profile.ocsp_nocheck is not None, False),
        (oids.STATEMENT, profile.statement is not None, True),
        (oids.QC_STATEMENTS, profile.qc_statements is not None, False),
    )
    return {identifier: critical for identifier, present, critical in rows if present}


def _san_wanted(profile: Profile, with_san: bool) -> bool:
    rule = profile.subject_alternative_name
    return rule is not None and (rule.presence == "required" or with_san)


def lint_extensions(certificate: x509.Certificate, profile: Profile) -> Iterator[Finding]:
    """Findings about the extensions as a set, and about each one's content."""
    try:
        extensions = certificate.extensions
    except UNREADABLE:
        yield finding("X509-EXTENSION-PARSE", "an extension cannot be read, or stands twice")
        return
    present = {extension.oid: extension for extension in extensions}
    expected = expected_extensions(profile, ExtensionOID.SUBJECT_ALTERNATIVE_NAME in present)
    for identifier in expected.keys() - present.keys():
        rule = "X509-SAN" if identifier == ExtensionOID.SUBJECT_ALTERNATIVE_NAME else "X509-EXTENSION-SET"
        yield finding(rule, f"{_called(identifier)} is missing")
    for identifier in present.keys() - expected.keys():
        yield finding("X509-EXTENSION-SET", f"{_called(identifier)} is not in the profile")
    for identifier in present.keys() & expected.keys():
        if present[identifier].critical != expected[identifier]:
            must = "critical" if expected[identifier] else "not critical"
            yield finding("X509-EXTENSION-CRITICAL", f"{_called(identifier)} must be {must}")
        yield from _lint_content(certificate, profile, present[identifier].value)


def _called(identifier: x509.ObjectIdentifier) -> str:
    name = identifier._name
    return identifier.dotted_string if name == "Unknown OID" else name


def _lint_content(certificate: x509.Certificate, profile: Profile, value: x509.ExtensionType) -> Iterator[Finding]:
    match value:
        case x509.SubjectKeyIdentifier():
            if value.digest != key_identifier_of(_key_info(certificate)):
                yield finding("X509-SKI", "it is not made by RFC 7093 method 1", profile.subject_key_identifier.clause)
        case x509.AuthorityKeyIdentifier():
            if not value.key_identifier or value.authority_cert_issuer or value.authority_cert_serial_number:
                yield finding("X509-AKI", "it must hold the key identifier and nothing else")
        case x509.BasicConstraints():
            rule = profile.basic_constraints
            if (value.ca, value.path_length) != (rule.ca, rule.path_length):
                yield finding("X509-BASIC-CONSTRAINTS", "CA or path length is not the profile's", rule.clause)
        case x509.KeyUsage():
            bits = {bit for bit, field in _KEY_USAGE_FIELDS.items() if getattr(value, field)}
            agreement = value.key_agreement and (value.encipher_only or value.decipher_only)
            if bits != set(profile.key_usage.bits) or agreement:
                yield finding("X509-KEY-USAGE", "the bits are not the profile's", profile.key_usage.clause)
        case x509.ExtendedKeyUsage():
            usage = profile.extended_key_usage
            if usage is not None and tuple(value) != usage.oids:
                yield finding("X509-EXTENDED-KEY-USAGE", "the usages are not the profile's", usage.clause)
        case x509.CertificatePolicies():
            yield from _lint_policies(profile, value)
        case x509.AuthorityInformationAccess():
            yield from _lint_access(profile, value)
        case x509.CRLDistributionPoints():
            yield from _lint_points(value)
        case x509.SubjectAlternativeName():
            if len(tuple(value)) == 0:
                yield finding("X509-SAN", "it is empty")
            elif not alternative_names_allowed(profile, value):
                yield finding("X509-SAN", "a name stands twice, or is of a kind that the profile does not have")
        case x509.NameConstraints():
            yield from _lint_name_constraints(value)
        case x509.UnrecognizedExtension():
            yield from _lint_qc(profile, value)
        case _:
            pass


def _key_info(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo as it stands in the certificate, whatever the key is."""
    fields = der.children(certificate.tbs_certificate_bytes)
    return fields[6 if fields[0][0] == 0xA0 else 5]  # behind [0] version, which version 1 does not write


def _lint_policies(profile: Profile, value: x509.CertificatePolicies) -> Iterator[Finding]:
    rule = profile.policies
    if rule is None:
        return
    wanted = [rule.cps_uri] if rule.cps_uri else None
    given = [(policy.policy_identifier.dotted_string, policy.policy_qualifiers or None) for policy in value]
    if given != [(oid, wanted) for oid in rule.oids]:
        yield finding("X509-POLICIES", "the policies or their qualifiers are not the profile's", rule.clause)
    for policy in value:
        identifier = policy.policy_identifier
        if identifier != oids.ANY_POLICY and is_example(identifier.dotted_string) != profile.specimen:
            kind = "a specimen has a real policy" if profile.specimen else "the policy is of the example arc"
            yield finding("X509-POLICY-ARC", kind)


def _lint_access(profile: Profile, value: x509.AuthorityInformationAccess) -> Iterator[Finding]:
    rule = profile.authority_information_access
    if rule is None:
        return
    wanted = []
    if rule.ocsp:
        wanted.append(AuthorityInformationAccessOID.OCSP)
    if rule.issuer:
        wanted.append(AuthorityInformationAccessOID.CA_ISSUERS)
    if [access.access_method for access in value] != wanted:
        yield finding("X509-AIA", "the access methods are not the profile's", rule.clause)
    for access in value:
        if not _is_http(access.access_location):
            yield finding("X509-AIA", "an address is not an HTTP one", rule.clause)
        elif access.access_method == AuthorityInformationAccessOID.CA_ISSUERS and _is_tls(access.access_location):
            yield finding("X509-AIA", "the issuer's address needs TLS, which can need it in turn", rule.clause)


def _lint_points(value: x509.CRLDistributionPoints) -> Iterator[Finding]:
    points = tuple(value)
    names = points[0].full_name if points else None
    if len(points) != 1 or not names or len(names) != 1 or points[0].reasons or points[0].crl_issuer:
        yield finding("X509-CRLDP", "it must be one point with one full name and nothing else")
    elif not _is_http(names[0]) or _is_tls(names[0]):
        yield finding("X509-CRLDP", "the address is not a plain HTTP one")


def _lint_name_constraints(value: x509.NameConstraints) -> Iterator[Finding]:
    listed = [*(value.permitted_subtrees or ()), *(value.excluded_subtrees or ())]
    if not listed:
        yield finding("X509-NAME-CONSTRAINTS", "it permits and excludes nothing")
    if not all(isinstance(one, x509.DirectoryName | x509.DNSName | x509.RFC822Name) for one in listed):
        yield finding("X509-NAME-CONSTRAINTS", "a name of a kind that is not constrained here")


def _lint_qc(profile: Profile, value: x509.UnrecognizedExtension) -> Iterator[Finding]:
    if value.oid == oids.QC_STATEMENTS and profile.qc_statements is not None:
        rule = profile.qc_statements
        if value.value != qc_statements(rule).value:
            yield finding("X509-QC-STATEMENTS", "the statements are not the profile's", rule.clause)


def _is_http(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(("http://", "https://"))


def _is_tls(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith("https://")
