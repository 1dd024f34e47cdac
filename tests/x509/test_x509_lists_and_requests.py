"""CRLs, requests, names, profiles and PEM files."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.arc import is_example
from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der
from foundation.x509.algorithms import signature_hash, throwaway_key
from foundation.x509.certificate import sign_certificate
from foundation.x509.crl import (
    REASON_CODES,
    CrlScope,
    RevokedEntry,
    build_crl,
    crl_tbs,
    encode_entries,
    encode_entry,
)
from foundation.x509.csr import build_csr, read_csr
from foundation.x509.errors import CrlInvalid, CsrInvalid, NameInvalid, PemInvalid, ProfileInvalid
from foundation.x509.names import ATTRIBUTES, SubjectName, name_pairs, same_name, subject_name
from foundation.x509.pem import certificate_pem, chain_pem, read_certificate, read_certificates, read_crl
from foundation.x509.profile import load_profiles, parse_profile
from tests.x509.x509_world import ISSUER_KEY, ROOT_PROFILES, built, changed, given_for

DAY = datetime(2026, 6, 1, 12, 30, 45, tzinfo=UTC)
ROOT = sign_certificate(
    built(
        ROOT_PROFILES["root"], public_key=ISSUER_KEY.public_key(), issuer_name=given_for(ROOT_PROFILES["root"]).subject
    ),
    ISSUER_KEY,
)


def _by_library(
    issuer: x509.Certificate, number: int, begin: datetime, end: datetime, entries: list[RevokedEntry]
) -> x509.CertificateRevocationListBuilder:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(begin).next_update(end)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(identifier, None, None), False)
    builder = builder.add_extension(x509.CRLNumber(number), False)
    for entry in entries:
        one = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.revoked_at)
        if entry.reason not in (None, x509.ReasonFlags.unspecified):
            one = one.add_extension(x509.CRLReason(entry.reason), False)
        if entry.invalidity_date is not None:
            one = one.add_extension(x509.InvalidityDate(entry.invalidity_date), False)
        builder = builder.add_revoked_certificate(one.build())
    return builder


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2079, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
ENTRIES = st.builds(
    RevokedEntry, st.integers(1, (1 << 159) - 1), MOMENTS, st.none() | st.sampled_from(sorted(REASON_CODES, key=str)),
    st.none() | MOMENTS,
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.serial), st.integers(0, (1 << 159) - 1), MOMENTS)
def test_a_crl_is_byte_for_byte_the_librarys(entries: list[RevokedEntry], number: int, begin: datetime) -> None:
    """The joined DER is what `cryptography`'s own builder writes, for any entries, number and dates."""
    end = begin + timedelta(days=30)
    ours = build_crl(ROOT, ISSUER_KEY, number, begin, end, entries)
    theirs = _by_library(ROOT, number, begin, end, entries).sign(ISSUER_KEY, hashes.SHA384())
    assert ours.tbs_certlist_bytes == theirs.tbs_certlist_bytes
    assert ours.signature_algorithm_oid == theirs.signature_algorithm_oid
    assert ours.is_signature_valid(ISSUER_KEY.public_key())


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519, KeyAlgorithm.EC_P256,
                                       KeyAlgorithm.ML_DSA_65])  # fmt: skip
def test_a_crl_of_any_issuer_key(algorithm: KeyAlgorithm) -> None:
    """The algorithm identifiers of every kind of key are the library's too; a deterministic one gives equal files."""
    key = throwaway_key(algorithm)
    profile = changed(
        ROOT_PROFILES["root"], key={"algorithms": [algorithm.value]}, signature={"algorithms": [algorithm.value]}
    )
    issuer = sign_certificate(built(profile, public_key=key.public_key(), issuer_public_key=key.public_key()), key)
    entries = [RevokedEntry(77, DAY, x509.ReasonFlags.superseded)]
    ours = build_crl(issuer, key, 3, DAY, DAY + timedelta(days=1), entries)
    theirs = _by_library(issuer, 3, DAY, DAY + timedelta(days=1), entries).sign(key, signature_hash(key.public_key()))
    assert ours.tbs_certlist_bytes == theirs.tbs_certlist_bytes
    assert len(ours.public_bytes(Encoding.DER)) - len(theirs.public_bytes(Encoding.DER)) in (-2, -1, 0, 1, 2)
    if algorithm in (KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519):
        assert ours.public_bytes(Encoding.DER) == theirs.public_bytes(Encoding.DER)


def test_joining_entries_is_linear() -> None:
    """Fifty thousand entries are one CRL whose every entry is found; the library's builder would copy 10^9 items."""
    entries = [encode_entry(RevokedEntry((1 << 100) + n, DAY)) for n in range(50_000)]
    tbs = crl_tbs(ROOT, 1, DAY, DAY + timedelta(days=1), entries)
    assert tbs.count(entries[-1]) == 1
    assert len(der.children(der.children(tbs)[5])) == 50_000


@pytest.mark.parametrize(
    ("number", "days", "serials"),
    [(-1, 1, [1]), (1 << 159, 1, [1]), (1, 0, [1]), (1, -1, [1]), (1, 1, [5, 5])],
)
def test_a_crl_that_rfc_5280_does_not_allow_is_refused(number: int, days: int, serials: list[int]) -> None:
    """Numbers out of range, dates in the wrong order and double entries are refused."""
    with pytest.raises(CrlInvalid):
        build_crl(ROOT, ISSUER_KEY, number, DAY, DAY + timedelta(days=days), [RevokedEntry(n, DAY) for n in serials])


def test_a_crl_is_signed_by_its_issuer_alone() -> None:
    """A key that is not in the issuer's certificate is refused before it signs."""
    with pytest.raises(CrlInvalid, match="not the issuer's"):
        build_crl(ROOT, throwaway_key(KeyAlgorithm.EC_P384), 1, DAY, DAY + timedelta(days=1), [])


# --- requests -----------------------------------------------------------------------------------------------------

NAME = subject_name([("C", "KH"), ("O", "SPECIMEN"), ("CN", "SPECIMEN")])


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_a_request_comes_back(algorithm: KeyAlgorithm) -> None:
    """PEM and DER requests of every key are read, with their name and key."""
    key = throwaway_key(algorithm)
    pem = build_csr(NAME, key)
    for data in (pem, read_csr(pem).public_bytes(Encoding.DER)):
        assert same_name(read_csr(data).subject, NAME)
        assert read_csr(data).public_key() == key.public_key()


def _forged() -> bytes:
    data = bytearray(read_csr(build_csr(NAME, ISSUER_KEY)).public_bytes(Encoding.DER))
    position = data.index(b"SPECIMEN")
    data[position : position + 8] = b"SPECIMAN"
    return bytes(data)


def _explicit_curve() -> bytes:
    return build_csr_of(ec.generate_private_key(ec.SECP256K1()))


def build_csr_of(key: object) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return request.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"0", b"\x30\x82", b"-----BEGIN CERTIFICATE REQUEST-----", b"x" * 70_000, _forged(), _explicit_curve(),
        build_csr_of(dsa.generate_private_key(2048)), build_csr(NAME, ISSUER_KEY) * 2, certificate_pem(ROOT),
    ],
)  # fmt: skip
def test_what_is_not_a_good_request_is_refused(data: bytes) -> None:
    """Nothing, garbage, too much, two at once, a changed one, odd keys, a certificate: CsrInvalid, nothing else."""
    with pytest.raises(CsrInvalid):
        read_csr(data)


@settings(max_examples=150)
@given(st.binary(max_size=300))
def test_no_octets_crash_the_reader(data: bytes) -> None:
    """Whatever comes in, the answer is a request or CsrInvalid."""
    with pytest.raises(CsrInvalid):
        read_csr(data)


# --- names --------------------------------------------------------------------------------------------------------


_TEXT = st.text(st.characters(codec="utf-8"), max_size=70)


@given(st.lists(st.tuples(st.sampled_from(sorted(ATTRIBUTES)), st.one_of(_TEXT, st.sampled_from(["KH", "សុខ", "A-1"])))))
def test_a_subject_s_octets_are_the_library_s(pairs: list[tuple[str, str]]) -> None:
    """Whatever attributes there are: the same octets as the library's name, or the same refusal."""
    try:
        name = subject_name(pairs)
    except NameInvalid as refusal:
        with pytest.raises(NameInvalid, match=re.escape(str(refusal))):
            SubjectName.of(pairs)
        return
    subject = SubjectName.of(pairs)
    assert subject.encoded == name.public_bytes() == subject.name.public_bytes()
    assert subject.pairs == name_pairs(name)


def test_a_name_keeps_order_and_text() -> None:
    """Attributes come in the order given, in NFC; Khmer is UTF8String, C and serialNumber PrintableString."""
    pairs = (("C", "KH"), ("CN", "SPECIMEN សុខ"), ("surname", "សុខ"), ("serialNumber", "CT:KH-1"))
    name = subject_name(pairs)
    assert name_pairs(name) == pairs
    tags = [der.children(der.children(rdn)[0])[1][0] for rdn in der.children(name.public_bytes())]
    assert tags == [0x13, 0x0C, 0x0C, 0x13]
    assert name_pairs(subject_name([("O", "e\u0301")])) == (("O", "é"),)


@pytest.mark.parametrize(
    "attributes",
    [
        [], [("CN", "")], [("CN", " a")], [("CN", "a  b")], [("CN", "a\u200bb")], [("CN", "a\u200db")],
        [("CN", "a\u202eb")], [("CN", "a\u2066b")], [("CN", "a\x00b")], [("CN", "a\nb")], [("CN", "a\u00a0b")],
        [("CN", "\ue000")], [("CN", "\ud800")], [("CN", "a\u00adb")], [("CN", "x" * 65)], [("CN", "ក" * 22)],
        [("O", "x" * 65)], [("C", "kh")], [("C", "KHM")], [("serialNumber", "ក")], [("serialNumber", "a_b")],
        [("CN", "a"), ("CN", "b")], [("DC", "kh")], [("emailAddress", "a@b")],
    ],
)  # fmt: skip
def test_what_a_certificate_must_not_carry_is_refused(attributes: list[tuple[str, str]]) -> None:
    """Invisible, confusing, doubled, overlong and unknown values are refused, and the value is not in the error."""
    with pytest.raises(NameInvalid) as refusal:
        subject_name(attributes)
    for _, value in attributes:
        assert len(value) < 3 or value not in refusal.value.message()


@given(st.text(max_size=70))
def test_a_value_is_refused_or_comes_back(value: str) -> None:
    """Any text is either refused as NameInvalid or stands in the name in NFC and reads back."""
    try:
        name = subject_name([("O", value)])
    except NameInvalid:
        return
    assert name_pairs(subject_name(name_pairs(name))) == name_pairs(name)


# --- profiles and policies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"surprise": {"x": 1}}, "surprise"),
        ({"key": {"algorithms": ["ec-p384"], "more": 1}}, "key"),
        ({"key": {"algorithms": []}}, "key"),
        ({"key": {"algorithms": ["dsa"]}}, "key"),
        ({"validity": {"max_days": "30"}}, "validity"),
        ({"validity": {"max_days": 0}}, "validity"),
        ({"subject": {"order": ["C", "C"]}}, "subject"),
        ({"subject": {"order": ["C"], "optional": ["O"]}}, "subject"),
        ({"subject": {"order": ["XX"]}}, "subject"),
        ({"basic_constraints": {"ca": False}}, "profile"),
        ({"basic_constraints": {"ca": False, "path_length": 0}}, "basic_constraints"),
        ({"key_usage": {"bits": ["keySign"]}}, "key_usage"),
        ({"extended_key_usage": {"usages": ["everything"]}}, "extended_key_usage"),
        ({"policies": {"oids": ["not an oid"]}}, "policies"),
        ({"policies": {"oids": ["2.999.1", "2.999.1"]}}, "policies"),
        ({"qc_statements": {"compliance": True, "type": "esign"}}, "qc_statements"),
        ({"authority_information_access": {"ocsp": False, "issuer": False}}, "authority_information_access"),
        ({"subject": None}, "subject"),
    ],
)
def test_a_profile_is_read_strictly(tables: dict[str, object], where: str) -> None:
    """Unknown keys, wrong types, contradictions and missing tables are refused; the error says where."""
    with pytest.raises(ProfileInvalid) as refusal:
        changed(ROOT_PROFILES["issuing-ca"], **tables)
    assert str(refusal.value.params["where"]).startswith(where)


def test_a_profile_and_its_data_are_the_same() -> None:
    """A profile comes back from its plain values, and every part of it names its clause."""
    for profile in ROOT_PROFILES.values():
        assert parse_profile(profile.data()) == profile
        assert all("clause" in part for part in profile.data().values() if isinstance(part, dict))


@pytest.mark.parametrize("text", ["x = ", "x = 1", '[root]\nname = "root"', "[Root]\n"])
def test_a_file_that_is_no_profile_file_is_refused(text: str) -> None:
    """Broken TOML, stray values, and names that are not the heading's."""
    with pytest.raises(ProfileInvalid):
        load_profiles(text)


def test_example_policies_are_known() -> None:
    """Everything below 2.999 is an example; nothing else is."""
    assert is_example("2.999.116.1")
    assert not is_example("2.16.116.1")


# --- files and DER ------------------------------------------------------------------------------------------------


def test_pem_files_come_back() -> None:
    """One certificate as PEM or DER, a chain in its order, a CRL."""
    assert read_certificate(certificate_pem(ROOT)) == ROOT
    assert read_certificate(ROOT.public_bytes(Encoding.DER)) == ROOT
    assert read_certificates(chain_pem([ROOT, ROOT])) == (ROOT, ROOT)
    crl = build_crl(ROOT, ISSUER_KEY, 1, DAY, DAY + timedelta(days=1), [])
    assert read_crl(crl.public_bytes(Encoding.PEM)) == read_crl(crl.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30\x00", b"text", chain_pem([ROOT, ROOT]), certificate_pem(ROOT) * 101, build_csr(NAME, ISSUER_KEY)],
)
def test_a_file_that_is_not_one_certificate_is_named(data: bytes) -> None:
    """PemInvalid carries the name that was given."""
    with pytest.raises(PemInvalid, match=r"root\.pem"):
        read_certificate(data, "root.pem")
    with pytest.raises(PemInvalid, match=r"root\.crl"):
        read_crl(data, "root.crl")


@given(st.integers(0, 1 << 200))
def test_der_integers_are_shortest(value: int) -> None:
    """An INTEGER has no superfluous octet and comes back."""
    encoded = der.integer(value)
    _, start, end = der.read(encoded)
    content = encoded[start:end]
    assert int.from_bytes(content, "big", signed=True) == value
    assert len(content) == 1 or not (content[0] == 0 and content[1] < 0x80)


@pytest.mark.parametrize("dotted", ["2.999.116.3.1", "1.2.840.10045.4.3.3", "0.4.0.1862.1.1", "2.5.29.32.0"])
def test_der_oids_are_the_librarys(dotted: str) -> None:
    """An OBJECT IDENTIFIER is what the library writes for the same arcs."""
    policy = x509.PolicyInformation(x509.ObjectIdentifier(dotted), None)
    assert der.oid(dotted) in x509.CertificatePolicies([policy]).public_bytes()


@given(st.lists(ENTRIES, max_size=30, unique_by=lambda entry: entry.serial))
def test_many_entries_at_once_are_the_same_octets(entries: list[RevokedEntry]) -> None:
    """Encoding what entries share once gives each the octets that it has alone."""
    assert list(encode_entries(entries)) == [encode_entry(entry) for entry in entries]


@pytest.mark.parametrize(
    "scope",
    [
        CrlScope(base=3),
        CrlScope(distribution_point="http://ca.example/crl/issuing/16-3.crl"),
        CrlScope(freshest="http://ca.example/crl/issuing/delta.crl"),
    ],
)
def test_scopes_are_byte_for_byte_the_librarys(scope: CrlScope) -> None:
    """Delta indicator, issuing distribution point and freshest CRL as the library writes them."""
    end = DAY + timedelta(days=1)
    builder = _by_library(ROOT, 7, DAY, end, [])
    if scope.base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(scope.base), True)
    if scope.distribution_point is not None:
        name = [x509.UniformResourceIdentifier(scope.distribution_point)]
        point = x509.IssuingDistributionPoint(name, None, False, False, None, False, False)
        builder = builder.add_extension(point, True)
    if scope.freshest is not None:
        where = [x509.UniformResourceIdentifier(scope.freshest)]
        builder = builder.add_extension(x509.FreshestCRL([x509.DistributionPoint(where, None, None, None)]), False)
    theirs = builder.sign(ISSUER_KEY, hashes.SHA384())
    assert crl_tbs(ROOT, 7, DAY, end, [], None, scope) == theirs.tbs_certlist_bytes


def test_a_delta_to_a_newer_list_is_refused() -> None:
    """The base of a delta has at most its own number (RFC 5280 §5.2.4)."""
    with pytest.raises(CrlInvalid):
        crl_tbs(ROOT, 7, DAY, DAY + timedelta(days=1), [], None, CrlScope(base=8))
