"""Templates: what is spliced is what the builder makes, octet for octet, and a template that is not is never used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der, template
from foundation.x509.algorithms import algorithm_identifier, key_algorithm, sign, throwaway_key
from foundation.x509.certificate import CertificateInput, Urls, alternative_names_allowed, sign_certificate
from foundation.x509.errors import AlgorithmInvalid, ProfileMismatch, TemplateRefused
from foundation.x509.lint import lint_certificate
from foundation.x509.names import subject_name
from foundation.x509.profile import PoliciesRule, Profile, last_second, load_profiles
from foundation.x509.template import (
    Issuer,
    Template,
    built,
    compile_template,
    signed_octets,
    unsigned_certificate,
)
from foundation.x509.template_specimens import specimens
from tests.programs import run

# Everything that a profile can ask for at once, and SAN both ways.
_RICH = """
[{name}]
title = "Everything"
cps = "7.1.9"
specimen = true
subject = {{ clause = "for the test", order = ["C", "O", "organizationIdentifier", "OU", "CN", "serialNumber"], \
optional = ["OU", "serialNumber"], fixed = {{ C = "KH" }} }}
key = {{ clause = "for the test", algorithms = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "ed25519", \
"ml-dsa-44", "ml-dsa-65"] }}
signature = {{ clause = "for the test", algorithms = ["ec-p256", "ec-p384", "rsa-2048", "ed25519", "ml-dsa-65"] }}
validity = {{ clause = "for the test", max_days = 20000 }}
basic_constraints = {{ clause = "for the test", ca = false }}
key_usage = {{ clause = "for the test", bits = ["digitalSignature", "nonRepudiation"] }}
extended_key_usage = {{ clause = "for the test", usages = ["clientAuth", "documentSigning"] }}
policies = {{ clause = "for the test", oids = ["2.999.116.1.2", "2.999.116.9.128.16384"], \
cps_uri = "https://cps.example" }}
authority_information_access = {{ clause = "for the test", ocsp = true, issuer = true }}
crl_distribution_points = {{ clause = "for the test" }}
authority_key_identifier = {{ clause = "for the test" }}
subject_key_identifier = {{ clause = "for the test", method = "rfc7093-1" }}
qc_statements = {{ clause = "for the test", compliance = true, type = "eseal", legislation = ["KH"], sscd = true }}
subject_alternative_name = {{ clause = "for the test", presence = "{presence}" }}
"""
PROFILES = {
    f"{room}/{name}": profile
    for room in ("issuing_ca", "root_ca")
    for name, profile in load_profiles(files(room).joinpath("profiles.toml").read_text(encoding="utf-8")).items()
    if not (profile.name_constraints or profile.statement)  # these differ from certificate to certificate
} | {f"test/{name}": load_profiles(_RICH.format(name=name, presence=name))[name] for name in ("optional", "required")}
URLS = Urls("http://ocsp.example/ocsp", "http://ca.example/aia/issuing.cer", "http://ca.example/crl/issuing.crl")
ISSUER_NAME = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN អាជ្ញាធរ")])
_FAST = (
    KeyAlgorithm.EC_P256,
    KeyAlgorithm.EC_P384,
    KeyAlgorithm.ED25519,
    KeyAlgorithm.ML_DSA_65,
    KeyAlgorithm.RSA_2048,
)
_WORDS = st.sampled_from(["SOK", "Dara", "O'Neil-Smith", "សុខ", "ដារ៉ា", "ស្រីពៅ", "ក្រសួង", "Ltd.", "é", "1"])
_VALUE = st.lists(_WORDS, min_size=1, max_size=4).map(lambda words: "SPECIMEN " + " ".join(words))
_HOST = st.from_regex(r"[a-z]{1,40}\.example", fullmatch=True)
_NEW_CENTURY = datetime(2000, 1, 1, tzinfo=UTC)
_TO_2050 = int((datetime(2050, 1, 1, tzinfo=UTC) - _NEW_CENTURY).total_seconds())
_BEGIN = st.one_of(st.integers(0, 6 * _TO_2050), st.integers(_TO_2050 - 86400, _TO_2050 + 86400))
_SAN = st.lists(st.one_of(_HOST.map(x509.DNSName), _HOST.map(lambda host: x509.RFC822Name(f"a@{host}"))), max_size=5)


@cache
def public_key(algorithm: KeyAlgorithm) -> CertificatePublicKeyTypes:
    """A real key of each algorithm, made once."""
    if algorithm in (KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096):  # real primes take long: half the size, squared
        size = int(algorithm.value.removeprefix("rsa-"))
        return rsa.RSAPublicNumbers(65537, (1 << size) - (1 << size // 2) + 1).public_key()
    return throwaway_key(algorithm).public_key()


@cache
def issuer_of(algorithm: KeyAlgorithm, with_identifier: bool) -> Issuer:
    return Issuer(ISSUER_NAME, throwaway_key(algorithm).public_key(), URLS, b"\x80" * 20 if with_identifier else None)


@cache
def compiled(place: str, algorithm: KeyAlgorithm, with_identifier: bool) -> Template:
    return compile_template(PROFILES[place], issuer_of(algorithm, with_identifier))


def signers(profile: Profile) -> list[KeyAlgorithm]:
    return [algorithm for algorithm in _FAST if algorithm in profile.signature.algorithms]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Template, CertificateInput]:
    """Any profile under any issuer, with anything that the profile lets in."""
    place = draw(st.sampled_from(sorted(PROFILES)))
    profile = PROFILES[place]
    made = compiled(place, draw(st.sampled_from(signers(profile))), draw(st.booleans()))
    attributes = []
    for attribute in profile.subject.order:
        if attribute in profile.subject.optional and draw(st.booleans()):
            continue
        plain = {"C": st.just("KH"), "serialNumber": st.from_regex(r"[A-Z]{2}:KH-[0-9A-F]{1,57}", fullmatch=True)}
        value = draw(plain.get(attribute, _VALUE.filter(lambda text: len(text.encode()) <= 64)))
        attributes.append((attribute, profile.subject.fixed.get(attribute, value)))
    begin = _NEW_CENTURY + timedelta(seconds=draw(_BEGIN))
    longest = profile.validity.max_days * 86400 - 1
    end = begin + timedelta(seconds=draw(st.one_of(st.integers(1, longest), st.just(longest))))
    size = draw(st.integers(64, 159))
    serial = draw(st.integers(1 << size - 1, (1 << size) - 1))
    rule = profile.subject_alternative_name
    drawn = dict.fromkeys(draw(_SAN)) if rule else {}
    san = tuple(name for name in drawn if alternative_names_allowed(profile, (name,)))
    if rule and rule.presence == "required" and not san:
        san = (x509.DNSName("specimen.example"),)
    key = public_key(draw(st.sampled_from(profile.key.algorithms)))
    return made, made.issuer.input(profile, subject_name(attributes), key, serial, begin, end, san)


@pytest.mark.parametrize("name", ["licensed-ca", "twin-statement"])
def test_what_differs_between_certificates_has_no_template(name: str) -> None:
    """Name constraints and statements are given per certificate: such a profile is refused, the builder makes it."""
    profile = load_profiles(files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))[name]
    with pytest.raises(TemplateRefused):
        compile_template(profile, Issuer(ISSUER_NAME, throwaway_key(KeyAlgorithm.EC_P384).public_key(), URLS))


@settings(max_examples=250)
@given(cases())
def test_a_template_gives_the_octets_of_the_builder(case: tuple[Template, CertificateInput]) -> None:
    """For any profile, issuer, subject, key, serial number, dates and SAN: the same to-be-signed octets."""
    made, wanted = case
    assert made.tbs(wanted) == built(wanted)


@pytest.mark.parametrize("place", sorted(PROFILES))
def test_what_a_template_gives_is_clean(place: str) -> None:
    """Under the dummy signature the lint reads it and finds nothing; with SAN or without, after 2050 or before."""
    profile = PROFILES[place]
    made = compiled(place, signers(profile)[0], False)
    for specimen in specimens(profile):
        certificate = unsigned_certificate(made.tbs(made.issuer.input(profile, *specimen)), made.algorithm)
        found = lint_certificate(certificate, profile)
        if isinstance(specimen.public_key, rsa.RSAPublicKey):  # a specimen's RSA modulus is a number like any other
            found = tuple(one for one in found if one.rule != "X509-KEY-RSA")
        assert found == ()
        assert certificate.serial_number == specimen.serial


@pytest.mark.parametrize("algorithm", _FAST)
def test_a_signed_certificate_is_one(algorithm: KeyAlgorithm, tmp_path: Path) -> None:
    """Template, AlgorithmIdentifier (NULL for RSA, nothing for the rest), signature: verified here and by OpenSSL."""
    made = compiled("test/optional", algorithm, False)
    wanted = made.issuer.input(made.profile, *next(specimens(made.profile)))
    key, tbs = throwaway_key(algorithm), made.tbs(wanted)
    assert made.algorithm == algorithm_identifier(key.public_key())
    assert (made.algorithm[-2:] == b"\x05\x00") == (algorithm is KeyAlgorithm.RSA_2048)
    certificate = x509.load_der_x509_certificate(signed_octets(tbs, made.algorithm, sign(key, tbs)))
    assert certificate.tbs_certificate_bytes == tbs
    root = sign_certificate(
        x509.CertificateBuilder(ISSUER_NAME, ISSUER_NAME, key.public_key(), 1 << 100)
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
        .add_extension(x509.BasicConstraints(True, None), True),
        key,
    )
    certificate.verify_directly_issued_by(root)
    if algorithm is KeyAlgorithm.ML_DSA_65:
        return  # an OpenSSL before 3.5 does not know it
    for name, one in (("root", root), ("certificate", certificate)):
        (tmp_path / name).write_bytes(one.public_bytes(Encoding.PEM))
    verified = run(
        "openssl", "verify", "-no_check_time", "-CAfile", str(tmp_path / "root"), str(tmp_path / "certificate")
    )
    assert verified.stdout.strip().endswith("OK")


def test_the_dummy_signature_is_none() -> None:
    """What is linted before the signature verifies under no key, not even the issuer's own."""
    made = compiled("issuing_ca/officer", KeyAlgorithm.EC_P256, False)
    tbs = made.tbs(made.issuer.input(made.profile, *next(specimens(made.profile))))
    certificate = unsigned_certificate(tbs, made.algorithm)
    key = made.issuer.public_key
    assert isinstance(key, ec.EllipticCurvePublicKey)
    with pytest.raises(InvalidSignature):
        key.verify(certificate.signature, tbs, ec.ECDSA(certificate.signature_hash_algorithm))  # type: ignore[arg-type]


@pytest.mark.parametrize("slot", ["serial", "time", "key identifier", "SAN"])
def test_a_template_that_differs_is_refused(slot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One octet off in any slot, even in one case of many, and the compiler gives no template."""
    integer, time = der.integer, der.time
    if slot == "serial":  # the mistake that only a high bit shows: no leading zero octet
        monkeypatch.setattr(
            der,
            "integer",
            lambda value: integer(value) if value.bit_length() % 8 else der.tlv(2, value.to_bytes(16, "big")),
        )
    elif slot == "time":  # the mistake that only 2050 shows
        monkeypatch.setattr(der, "time", lambda at: time(at) if at.year != 2050 else der.tlv(0x17, b"500101000000Z"))
    elif slot == "key identifier":
        monkeypatch.setattr(template, "key_identifier_of", lambda _: bytes(20))
    else:
        monkeypatch.setattr(template, "_alternative_name", lambda _: b"")
    profile = PROFILES["test/optional"]
    with pytest.raises(TemplateRefused):
        compile_template(profile, issuer_of(KeyAlgorithm.EC_P256, False))


def test_a_template_that_cannot_be_proved_is_refused() -> None:
    """An issuer whose key or addresses do not fit the profile: no specimen can be made, and so there is no template."""
    profile = PROFILES["issuing_ca/officer"]
    with pytest.raises(TemplateRefused):
        compile_template(profile, issuer_of(KeyAlgorithm.ED25519, False))
    with pytest.raises(TemplateRefused):
        compile_template(profile, replace(issuer_of(KeyAlgorithm.EC_P256, False), urls=Urls()))


def test_a_template_serves_its_own_profile_and_issuer_alone() -> None:
    """Another issuer's name, key, addresses or identifier, or another profile: TemplateRefused, no certificate."""
    made = compiled("issuing_ca/officer", KeyAlgorithm.EC_P256, False)
    good = made.issuer.input(made.profile, *next(specimens(made.profile)))
    other_policy = PoliciesRule(clause="for the test", oids=("2.999.116.7",))
    for changed in (
        {"issuer_name": subject_name([("CN", "SPECIMEN other")])},
        {"issuer_public_key": ec.generate_private_key(ec.SECP256R1()).public_key()},
        {"urls": replace(URLS, ocsp="http://other.example/ocsp")},
        {"issuer_key_identifier": bytes(20)},
        {"profile": made.profile.model_copy(update={"policies": other_policy})},
    ):
        with pytest.raises(TemplateRefused):
            made.tbs(replace(good, **changed))
    assert made.tbs(replace(good, urls=replace(URLS))) == made.tbs(good)


def test_a_template_holds_the_profile_as_the_builder_does() -> None:
    """Subject, dates, serial number, key and SAN that the profile does not allow are ProfileMismatch here too."""
    made = compiled("issuing_ca/officer", KeyAlgorithm.EC_P256, False)
    good = made.issuer.input(made.profile, *next(specimens(made.profile)))
    for changed in (
        {"subject": subject_name([("C", "KH"), ("O", "Real"), ("CN", "Real")])},
        {"not_after": last_second(good.not_before, made.profile.validity.max_days + 1)},
        {"not_before": good.not_before.replace(tzinfo=None)},
        {"serial": 1},
        {"public_key": ec.generate_private_key(ec.SECP256K1()).public_key()},
        {"san": (x509.DNSName("specimen.example"),)},
    ):
        with pytest.raises((ProfileMismatch, AlgorithmInvalid)):
            made.tbs(replace(good, **changed))


def test_specimens_reach_every_edge() -> None:
    """A profile is proved with every key algorithm, both time encodings, high bits, Khmer, optional parts both ways."""
    profile = PROFILES["test/optional"]
    all_of = list(specimens(profile))
    assert {key_algorithm(one.public_key) for one in all_of} == set(profile.key.algorithms)
    assert {(one.not_before.year >= 2050, one.not_after.year >= 2050) for one in all_of} == {
        (False, False), (False, True), (True, True),
    }  # fmt: skip
    assert {one.serial.bit_length() % 8 == 0 for one in all_of} == {True, False}
    assert {bool(one.san) for one in all_of} == {True, False}
    assert {len(list(one.subject)) for one in all_of} == {4, 6}
    assert any("ស" in str(attribute.value) for one in all_of for attribute in one.subject)
