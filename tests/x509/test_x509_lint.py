"""Every rule of the lint has a certificate that breaks it, and is named for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from foundation.x509 import der, oids
from foundation.x509.certificate import certificate_builder, extensions, key_identifier, throwaway_sign
from foundation.x509.errors import LintFailed, ProfileMismatch
from foundation.x509.lint import RULES, lint_certificate, require_clean
from foundation.x509.profile import Profile, last_second
from tests.x509.x509_world import (
    BEGIN,
    ISSUER_KEY,
    ROOT_PROFILES,
    built,
    changed,
    given_for,
    signed_freely,
)

FULL = changed(
    ROOT_PROFILES["issuing-ca"],
    extended_key_usage={"usages": ["timeStamping"], "critical": True},
    policies={"oids": ["2.999.116.1"], "cps_uri": "http://ca.example.kh/cps"},
    qc_statements={"compliance": True, "type": "esign", "legislation": ["KH"]},
    key={"algorithms": ["ec-p256", "rsa-2048"]},
)
SHA384 = hashes.SHA384()
GIVEN = given_for(FULL)


def _free(**replaced: object) -> x509.Certificate:
    return signed_freely(GIVEN, SHA384, **replaced)


def _with(changed_extension: x509.ExtensionType, critical: bool | None = None) -> x509.Certificate:
    """The certificate with one extension replaced (or added)."""
    pairs = [(value, mark) for value, mark in extensions(GIVEN) if value.oid != changed_extension.oid]
    old = {value.oid: mark for value, mark in extensions(GIVEN)}
    mark = old.get(changed_extension.oid, False) if critical is None else critical
    return _free(extensions=[*pairs, (changed_extension, mark)])


def _name(*attributes: tuple[x509.ObjectIdentifier, str], **kinds: _ASN1Type) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, kinds.get(oid._name)) for oid, value in attributes])


def _subject(
    o: str = "SPECIMEN CamTrust", cn: str = "SPECIMEN CA", c: str = "KH", **kinds: _ASN1Type
) -> x509.Certificate:
    name = _name((NameOID.COUNTRY_NAME, c), (NameOID.ORGANIZATION_NAME, o), (NameOID.COMMON_NAME, cn), **kinds)
    return _free(subject=name)


def _patched(change: Callable[[list[bytes]], list[bytes]]) -> x509.Certificate:
    """The certificate with its to-be-signed fields changed as octets (its signature is not looked at)."""
    certificate = _free()
    tbs, algorithm, signature = der.children(certificate.public_bytes(Encoding.DER))
    return x509.load_der_x509_certificate(
        der.sequence([der.sequence(change(list(der.children(tbs)))), algorithm, signature])
    )


def _generalized(fields: list[bytes]) -> list[bytes]:
    begin = der.generalized_time(GIVEN.not_before)
    fields[4] = der.sequence([begin, der.time(GIVEN.not_after)])
    return fields


def _other_inner_algorithm(fields: list[bytes]) -> list[bytes]:
    fields[2] = der.sequence([der.oid(oids.ECDSA_SHA256)])
    return fields


def _unique_id(fields: list[bytes]) -> list[bytes]:
    return [*fields[:7], der.tlv(0x81, b"\x00\x01"), *fields[7:]]


def _twice(fields: list[bytes]) -> list[bytes]:
    (inner,) = der.children(fields[7])
    listed = der.children(inner)
    fields[7] = der.explicit(3, der.sequence([*listed, listed[0]]))
    return fields


def _empty_issuer(fields: list[bytes]) -> list[bytes]:
    fields[3] = der.sequence([])
    return fields


def _version_1(fields: list[bytes]) -> list[bytes]:
    return fields[1:7]


def _double_rdn(fields: list[bytes]) -> list[bytes]:
    members = b"".join(sorted(der.children(rdn)[0] for rdn in der.children(fields[5])))
    fields[5] = der.sequence([der.tlv(der.SET, members)])
    return fields


def _rsa(exponent: int) -> rsa.RSAPublicKey:
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _with_key(key: object) -> x509.Certificate:
    pairs = [(value, mark) for value, mark in extensions(GIVEN) if not isinstance(value, x509.SubjectKeyIdentifier)]
    own = x509.SubjectKeyIdentifier(key_identifier(key))  # type: ignore[arg-type]
    return _free(public_key=key, extensions=[*pairs, (own, False)])


def _close_primes() -> rsa.RSAPublicKey:
    # Two neighbouring odd numbers without small factors stand for primes: Fermat's method does not look at primality.
    one = (1 << 1023) + (1 << 1022) + 1
    while math.gcd(one * (one + 2), math.prod(range(3, 752, 2))) != 1:
        one += 2
    return rsa.RSAPublicNumbers(65537, one * (one + 2)).public_key()


def _small_factor() -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(65537, ((1 << 2047) // 751 + 1 | 1) * 751).public_key()


def _access(*methods: tuple[x509.ObjectIdentifier, str]) -> x509.AuthorityInformationAccess:
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(address)) for method, address in methods]
    )


def _points(*addresses: str) -> x509.CRLDistributionPoints:
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(one)], None, None, None) for one in addresses]
    )


def _policies(*identifiers: str, uri: str = "http://ca.example.kh/cps") -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), [uri]) for one in identifiers])


def _usage(**bits: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


OCSP, ISSUERS = AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS
PRINTABLE = _ASN1Type.PrintableString
WRONG_ORDER = ((NameOID.ORGANIZATION_NAME, "SPECIMEN"), (NameOID.COUNTRY_NAME, "KH"), (NameOID.COMMON_NAME, "x"))

BROKEN: list[tuple[str, Callable[[], x509.Certificate]]] = [
    ("X509-VERSION", lambda: _patched(_version_1)),
    ("X509-UNIQUE-ID", lambda: _patched(_unique_id)),
    ("X509-SERIAL-SIZE", lambda: _patched(lambda fields: [fields[0], b"\x02\x15" + b"\x01" * 21, *fields[2:]])),
    ("X509-SERIAL-ENTROPY", lambda: _free(serial=1234)),
    ("X509-SIGNATURE-ALGORITHM", lambda: signed_freely(GIVEN, hashes.SHA256())),
    ("X509-SIGNATURE-CONSISTENT", lambda: _patched(_other_inner_algorithm)),
    ("X509-VALIDITY-ORDER", lambda: _patched(lambda fields: [*fields[:4], der.sequence(
        [der.time(GIVEN.not_after), der.time(GIVEN.not_before)]), *fields[5:]])),
    ("X509-VALIDITY-PERIOD", lambda: _free(not_after=BEGIN + timedelta(days=3653))),
    ("X509-VALIDITY-ENCODING", lambda: _patched(_generalized)),
    ("X509-NAME-ATTRIBUTES", lambda: _free(subject=_name(*WRONG_ORDER))),
    ("X509-NAME-ATTRIBUTES", lambda: _free(subject=_name(*WRONG_ORDER[:2]))),
    ("X509-NAME-ATTRIBUTES", lambda: _subject(c="TH")),
    ("X509-NAME-TEXT", lambda: _subject(cn="SPECIMEN\u202eAC")),
    ("X509-NAME-TEXT", lambda: _subject(cn="SPECIMEN e\u0301")),
    ("X509-NAME-ENCODING", lambda: _subject(organizationName=PRINTABLE)),
    ("X509-NAME-ENCODING", lambda: _patched(_double_rdn)),
    ("X509-NAME-SPECIMEN", lambda: _subject(o="CamTrust", cn="CA")),
    ("X509-NAME-ISSUER", lambda: _patched(_empty_issuer)),
    ("X509-KEY-ALGORITHM", lambda: _with_key(ec.generate_private_key(ec.SECP256K1()).public_key())),
    ("X509-KEY-ALGORITHM", lambda: _with_key(ec.generate_private_key(ec.SECP521R1()).public_key())),
    ("X509-KEY-RSA", lambda: _with_key(_rsa(3))),
    ("X509-KEY-RSA", lambda: _with_key(_small_factor())),
    ("X509-KEY-RSA", lambda: _with_key(_close_primes())),
    ("X509-EXTENSION-PARSE", lambda: _patched(_twice)),
    ("X509-EXTENSION-SET", lambda: _with(x509.OCSPNoCheck())),
    ("X509-EXTENSION-SET", lambda: _free(extensions=extensions(GIVEN)[1:])),
    ("X509-EXTENSION-CRITICAL", lambda: _with(x509.BasicConstraints(True, 0), False)),
    ("X509-BASIC-CONSTRAINTS", lambda: _with(x509.BasicConstraints(True, None))),
    ("X509-KEY-USAGE", lambda: _with(_usage(key_cert_sign=True))),
    ("X509-KEY-USAGE", lambda: _with(_usage(key_cert_sign=True, crl_sign=True, digital_signature=True))),
    ("X509-EXTENDED-KEY-USAGE", lambda: _with(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))),
    ("X509-POLICIES", lambda: _with(_policies("2.999.116.2"))),
    ("X509-POLICIES", lambda: _with(_policies("2.999.116.1", uri="http://elsewhere.example/"))),
    ("X509-POLICY-ARC", lambda: _with(_policies("1.3.6.1.4.1.99999.1"))),
    ("X509-SKI", lambda: _with(x509.SubjectKeyIdentifier(b"x" * 20))),
    ("X509-AKI", lambda: _with(x509.AuthorityKeyIdentifier(b"x" * 20, [x509.DirectoryName(GIVEN.issuer_name)], 5))),
    ("X509-AIA", lambda: _with(_access((OCSP, "http://ocsp.example.kh/")))),
    ("X509-AIA", lambda: _with(_access((OCSP, "ldap://x"), (ISSUERS, "http://ca.example.kh/")))),
    ("X509-AIA", lambda: _with(_access((OCSP, "http://x.kh"), (ISSUERS, "https://ca.example.kh/")))),
    ("X509-CRLDP", lambda: _with(_points("http://a.kh", "http://b.kh"))),
    ("X509-CRLDP", lambda: _with(_points("https://a.kh"))),
    ("X509-QC-STATEMENTS", lambda: _with(x509.UnrecognizedExtension(oids.QC_STATEMENTS, b"\x30\x00"))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "make"), BROKEN, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(BROKEN)])
@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
def test_a_broken_rule_is_found(rule: str, make: Callable[[], x509.Certificate]) -> None:
    """The certificate that breaks a rule has a finding with its ID and clause; the one that does not has none."""
    assert lint_certificate(_free(), FULL) == ()
    found = lint_certificate(make(), FULL)
    assert rule in {finding.rule for finding in found}
    assert all(finding.rule in RULES and finding.clause for finding in found)


def test_an_alternative_name_is_there_exactly_when_it_should_be() -> None:
    """X509-SAN: required and missing, or empty; optional may be either."""
    required = changed(FULL, subject_alternative_name={"presence": "required"})
    optional = changed(FULL, subject_alternative_name={"presence": "optional"})
    san = (x509.DNSName("example.kh"),)
    for profile in (required, optional):
        certificate = throwaway_sign(built(profile, san=san), ISSUER_KEY.public_key())
        assert lint_certificate(certificate, profile) == ()
    assert lint_certificate(_free(), optional) == ()
    assert {finding.rule for finding in lint_certificate(_free(), required)} == {"X509-SAN"}


def _chain(profile: Profile = FULL) -> tuple[x509.Certificate, x509.Certificate]:
    root_profile = ROOT_PROFILES["root"]
    key = ISSUER_KEY.public_key()
    root = throwaway_sign(
        built(root_profile, public_key=key, subject=GIVEN.issuer_name, not_after=last_second(BEGIN, 60)), key
    )
    return root, throwaway_sign(built(profile), key)


def test_a_certificate_is_held_against_its_issuer() -> None:
    """X509-ISSUER-CHAIN, -VALIDITY and -CA: name, key identifier, dates and rights of the issuing certificate."""
    root, certificate = _chain()
    assert lint_certificate(certificate, FULL, root) == ()
    named = _free(issuer=_name((NameOID.COMMON_NAME, "Another")))
    late = _free(not_after=BEGIN + timedelta(days=100))
    keyed = _with(x509.AuthorityKeyIdentifier(b"x" * 20, None, None))
    assert "X509-ISSUER-CHAIN" in {finding.rule for finding in lint_certificate(named, FULL, root)}
    assert "X509-ISSUER-VALIDITY" in {finding.rule for finding in lint_certificate(late, FULL, root)}
    assert "X509-ISSUER-CHAIN" in {finding.rule for finding in lint_certificate(keyed, FULL, root)}
    other = _name((NameOID.COUNTRY_NAME, "KH"), (NameOID.ORGANIZATION_NAME, "SPECIMEN"), (NameOID.COMMON_NAME, "Below"))
    below = signed_freely(given_for(FULL, issuer_name=certificate.subject), SHA384, subject=other)
    assert "X509-ISSUER-CA" in {finding.rule for finding in lint_certificate(below, FULL, certificate)}
    leaf_profile = ROOT_PROFILES["root-ocsp-responder"]
    leaf = throwaway_sign(built(leaf_profile), ISSUER_KEY.public_key())
    assert "X509-ISSUER-CA" in {finding.rule for finding in lint_certificate(certificate, FULL, leaf)}


def test_name_constraints_constrain_something_that_is_known() -> None:
    """X509-NAME-CONSTRAINTS: directory, DNS and mail names are fine; an address range is not."""
    profile = changed(FULL, name_constraints={"clause": "RFC 5280 §4.2.1.10"})
    for names, found in (
        ([x509.DNSName("other.example"), x509.RFC822Name("other.example")], set()),
        ([x509.UniformResourceIdentifier("other.example")], {"X509-NAME-CONSTRAINTS"}),
    ):
        given = given_for(profile, name_constraints=x509.NameConstraints(names, None))
        certificate = signed_freely(given, SHA384)
        assert {finding.rule for finding in lint_certificate(certificate, profile)} == found
    given = given_for(profile, name_constraints=x509.NameConstraints([x509.DNSName("other.example")], None))
    pairs = [pair for pair in extensions(given) if not isinstance(pair[0], x509.NameConstraints)]
    assert {finding.rule for finding in lint_certificate(signed_freely(given, SHA384, extensions=pairs), profile)} == {
        "X509-EXTENSION-SET"
    }
    for constraints in (None, "missing"):
        wrong = given_for(
            FULL if constraints else profile, name_constraints=given.name_constraints if constraints else None
        )
        with pytest.raises(ProfileMismatch, match="name constraints"):
            certificate_builder(wrong)


def test_every_rule_has_a_certificate_that_breaks_it() -> None:
    """No rule of the lint is without a test in this file."""
    elsewhere = {"X509-SAN", "X509-NAME-CONSTRAINTS", "X509-ISSUER-CHAIN", "X509-ISSUER-VALIDITY", "X509-ISSUER-CA"}
    assert {rule for rule, _ in BROKEN} | elsewhere == set(RULES)


def test_require_clean_names_the_rules() -> None:
    """LintFailed carries every finding, and its sentence names the rules."""
    with pytest.raises(LintFailed, match="X509-SERIAL-ENTROPY") as failure:
        require_clean(_free(serial=1234), FULL)
    assert [finding.rule for finding in failure.value.findings] == ["X509-SERIAL-ENTROPY"]
    require_clean(_free(), FULL)
