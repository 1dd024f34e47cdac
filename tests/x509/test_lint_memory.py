"""What the lint remembers changes nothing that it says: with and without its memory, the findings are the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.x509 import der, lint_memory
from foundation.x509.certificate import Urls, key_identifier
from foundation.x509.finding import Finding
from foundation.x509.lint import lint_certificate
from foundation.x509.lint_fields import _pairs_as_written
from foundation.x509.names import name_pairs, subject_name
from foundation.x509.template import Issuer, compile_template, unsigned_certificate
from issuing_ca.service import packaged_profiles
from tests.x509.x509_world import BEGIN

# What the parser warns of, in certificates that are meant to be wrong.
pytestmark = [
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning"),
]

PROFILE = packaged_profiles()["citizen-sign"]
OTHER = packaged_profiles()["organisation-seal"]
ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER_NAME = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Issuing CA")])
URLS = Urls("http://ca.example/ocsp", "http://ca.example/aia/issuing.cer", "http://ca.example/crl/issuing.crl")
SUBJECT = (
    ("C", "KH"),
    ("surname", "SPECIMEN SOK"),
    ("givenName", "SPECIMEN DARA"),
    ("CN", "SPECIMEN SOK SPECIMEN DARA (សុខ ដារ៉ា)"),
    ("serialNumber", "CT:KH-0123456789ABCDEF0123456789ABCDEF"),
)
END = BEGIN + timedelta(days=300)


def issuer_certificate(days: int = 3650) -> x509.Certificate:
    public = ISSUER_KEY.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(ISSUER_NAME)
        .issuer_name(ISSUER_NAME)
        .public_key(public)
        .serial_number(1 << 126)
        .not_valid_before(BEGIN - timedelta(days=1))
        .not_valid_after(BEGIN + timedelta(days=days))
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public)), False)
        .sign(ISSUER_KEY, hashes.SHA256())
    )


ISSUER_CERTIFICATE = issuer_certificate()
ISSUER = Issuer(ISSUER_NAME, ISSUER_KEY.public_key(), URLS, key_identifier(ISSUER_KEY.public_key()))
TEMPLATE = compile_template(PROFILE, ISSUER)


def tbs() -> bytes:
    """A clean certificate for a new key, to be signed."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    serial = x509.random_serial_number() >> 1 | 1 << 126
    return TEMPLATE.tbs(ISSUER.input(PROFILE, subject_name(SUBJECT), key, serial, BEGIN, END))


def certificate(octets: bytes) -> x509.Certificate:
    return unsigned_certificate(octets, TEMPLATE.algorithm)


def said(octets: bytes) -> set[Finding] | str:
    """What is found, or how the parser refuses it."""
    try:
        return set(lint_certificate(certificate(octets), PROFILE, ISSUER_CERTIFICATE))
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        return type(error).__name__


def without_memory(octets: bytes) -> set[Finding] | str:
    kept = dict(lint_memory._clean)
    lint_memory._clean.clear()
    try:
        return said(octets)
    finally:
        lint_memory._clean.clear()
        lint_memory._clean.update(kept)


def rules(octets: bytes) -> set[str]:
    found = said(octets)
    assert isinstance(found, set)
    return {one.rule for one in found}


CLEAN = tbs()


@pytest.fixture(autouse=True)
def remembered() -> None:
    """The shape of a clean certificate is known."""
    lint_memory._clean.clear()
    assert said(CLEAN) == set()
    assert len(lint_memory._clean) == 1


def test_a_certificate_of_a_known_shape_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is clean without its extensions being read; a shape that is not known is read."""
    read: list[x509.Certificate] = []
    monkeypatch.setattr("foundation.x509.lint.lint_extensions", lambda one, _: read.append(one) or ())
    assert said(tbs()) == set()
    assert read == []
    fields = list(der.children(tbs()))
    fields[7] = fields[7].replace(b"http://ca.example/ocsp", b"http://ca.example/ocsq")
    said(der.sequence(fields))
    assert len(read) == 1


@settings(max_examples=400)
@given(st.data())
def test_no_changed_octet_goes_unseen_because_of_the_memory(data: st.DataObject) -> None:
    """Any octet of a clean certificate changed, any bit: what is found is what is found without memory."""
    assert said(CLEAN) == set()
    at = data.draw(st.integers(0, len(CLEAN) - 1))
    flip = data.draw(st.integers(1, 255))
    octets = CLEAN[:at] + bytes([CLEAN[at] ^ flip]) + CLEAN[at + 1 :]
    assert said(octets) == without_memory(octets)


@settings(max_examples=60)
@given(st.data())
def test_no_changed_set_of_extensions_goes_unseen_because_of_the_memory(data: st.DataObject) -> None:
    """Extensions left out, twice, in another order, or those of another certificate of ours."""
    fields = list(der.children(CLEAN))
    mine, theirs = (list(der.children(der.children(one[7])[0])) for one in (fields, der.children(tbs())))
    chosen = data.draw(st.lists(st.sampled_from([*mine, *theirs]), min_size=1, max_size=len(mine) + 2))
    fields[7] = der.explicit(3, der.sequence(chosen))
    octets = der.sequence(fields)
    assert said(octets) == without_memory(octets)


def test_another_key_s_identifier_is_found() -> None:
    """Everything is as it was, but the identifier is that of the clean certificate's key."""
    fields, clean = list(der.children(tbs())), der.children(CLEAN)
    fields[7] = clean[7]
    assert rules(der.sequence(fields)) == {"X509-SKI"}


def test_what_is_known_is_known_of_one_profile_and_one_issuer() -> None:
    """Under another profile, or an issuer that ends before it, the same certificate is judged anew."""
    one = certificate(tbs())
    assert lint_certificate(one, OTHER, ISSUER_CERTIFICATE)
    short = issuer_certificate(days=10)
    assert {it.rule for it in lint_certificate(one, PROFILE, short)} == {"X509-ISSUER-VALIDITY"}
    no_ca = x509.load_der_x509_certificate(certificate(CLEAN).public_bytes(Encoding.DER))
    assert "X509-ISSUER-CA" in {it.rule for it in lint_certificate(one, PROFILE, no_ca)}


def test_a_certificate_outside_its_issuer_s_validity_is_found_under_a_known_shape() -> None:
    """Dates are no part of a shape."""
    fields = list(der.children(tbs()))
    fields[4] = der.sequence((der.time(BEGIN - timedelta(days=200)), der.time(END)))
    assert rules(der.sequence(fields)) == {"X509-ISSUER-VALIDITY"}


@settings(max_examples=300)
@given(st.data())
def test_names_read_by_their_shape_are_as_the_parser_reads_them(data: st.DataObject) -> None:
    """A subject with any octet changed is read as the general parser reads it, or left to that."""
    fields = list(der.children(CLEAN))
    assert _pairs_as_written(fields[5]) == SUBJECT
    at = data.draw(st.integers(2, len(fields[5]) - 1))
    flip = data.draw(st.integers(1, 255))
    fields[5] = fields[5][:at] + bytes([fields[5][at] ^ flip]) + fields[5][at + 1 :]
    try:
        expected = name_pairs(certificate(der.sequence(fields)).subject)
    except (ValueError, TypeError):  # a string of a kind that no name has
        assert isinstance(said(der.sequence(fields)), str) or _pairs_as_written(fields[5]) is None
        return
    assert _pairs_as_written(fields[5]) in (None, expected)


def test_a_name_that_the_library_does_not_know() -> None:
    """A general name of a kind that `cryptography` refuses (ediPartyName, x400Address) is an extension that cannot be
    read; found by chance in the property above."""
    octets = tbs()
    assert rules(octets) == set()
    for kind in (b"\xa3", b"\xa5"):
        at = octets.index(b"http://ca.example/ocsp") - 2
        assert octets[at] == 0x86
        assert rules(octets[:at] + kind + octets[at + 1 :]) == {"X509-EXTENSION-PARSE"}
