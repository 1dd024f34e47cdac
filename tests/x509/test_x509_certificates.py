"""Certificates from profiles: what is built is exactly the profile, and what does not fit is refused."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.keys.port import KeyAlgorithm
from foundation.x509.algorithms import signature_hash, signature_oid, throwaway_key
from foundation.x509.certificate import Urls, certificate_builder, key_identifier, sign_certificate, throwaway_sign
from foundation.x509.errors import AlgorithmInvalid, ProfileMismatch, SignatureWrong
from foundation.x509.lint import lint_certificate
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile, last_second
from tests.x509.x509_world import BEGIN, CA_PROFILES, ISSUER_KEY, ROOT_PROFILES, VALUES, built, changed, given_for

EVERY = {**ROOT_PROFILES, **CA_PROFILES}
ISSUING = ROOT_PROFILES["issuing-ca"]


@pytest.mark.parametrize("name", list(EVERY))
def test_every_profile_gives_a_certificate_that_its_lint_accepts(name: str) -> None:
    """A certificate of each profile of root and issuing CA has no finding, before signing and after; same bytes."""
    builder = built(EVERY[name])
    before = throwaway_sign(builder, ISSUER_KEY.public_key())
    after = sign_certificate(builder, ISSUER_KEY)
    assert before.tbs_certificate_bytes == after.tbs_certificate_bytes
    assert lint_certificate(before, EVERY[name]) == ()
    assert lint_certificate(after, EVERY[name]) == ()


BITS = st.lists(st.sampled_from(["digitalSignature", "nonRepudiation", "keyAgreement"]), min_size=1, unique=True)
USAGES = st.lists(st.sampled_from(["clientAuth", "timeStamping", "OCSPSigning", "documentSigning"]), min_size=1,
                  unique=True)  # fmt: skip


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any profile of an end entity or CA."""
    ca = draw(st.booleans())
    some = draw(st.lists(st.sampled_from(sorted(set(VALUES) - {"O"})), unique=True))
    table: dict[str, object] = {
        "subject": {"order": ["O", *some], "optional": some},
        "basic_constraints": {"ca": ca, "path_length": draw(st.none() | st.integers(0, 3)) if ca else None},
        "key_usage": {"bits": ["keyCertSign", "cRLSign"] if ca else draw(BITS)},
        "extended_key_usage": draw(st.none() | st.fixed_dictionaries({"usages": USAGES, "critical": st.booleans()})),
        "policies": draw(st.sampled_from([None, {"oids": ["2.999.116.7", "2.5.29.32.0"]}])),
        "crl_distribution_points": draw(st.sampled_from([None, {}])),
        "authority_key_identifier": draw(st.sampled_from([None, {}])),
        "ocsp_nocheck": draw(st.sampled_from([None, {}])),
        "authority_information_access": draw(st.sampled_from(
            [None, {"ocsp": True, "issuer": True}, {"ocsp": False, "issuer": True}])),
        "qc_statements": draw(st.sampled_from(
            [None, {"compliance": True, "type": "esign", "legislation": ["KH"]},
             {"compliance": False, "type": "eseal"}])),
    }  # fmt: skip
    return changed(ISSUING, **table)


@settings(max_examples=60)
@given(profiles())
def test_any_profile_gives_a_lint_clean_certificate(profile: Profile) -> None:
    """Whatever the profile says, builder and lint agree about it."""
    assert lint_certificate(throwaway_sign(built(profile), ISSUER_KEY.public_key()), profile) == ()


@settings(max_examples=40)
@given(profiles(), profiles())
def test_a_certificate_of_another_profile_has_findings(one: Profile, other: Profile) -> None:
    """A certificate fits another profile only where it would have been built the same."""
    certificate = throwaway_sign(built(one), ISSUER_KEY.public_key())
    same = throwaway_sign(built(other), ISSUER_KEY.public_key())
    findings = lint_certificate(certificate, other)
    if certificate.tbs_certificate_bytes != same.tbs_certificate_bytes and certificate.subject == same.subject:
        assert findings


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_the_issuers_key_decides_the_signature_algorithm(algorithm: KeyAlgorithm) -> None:
    """P-256, P-384, P-521, RSA, Ed25519 and ML-DSA sign with their own algorithm, and the lint accepts it."""
    key = throwaway_key(algorithm)
    profile = changed(ISSUING, signature={"algorithms": [algorithm.value]}, key={"algorithms": [algorithm.value]})
    builder = built(profile, public_key=key.public_key(), issuer_public_key=key.public_key())
    certificate = sign_certificate(builder, key)
    assert certificate.signature_algorithm_oid.dotted_string == signature_oid(key.public_key())
    assert lint_certificate(certificate, profile) == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"not_after": BEGIN}, "end before"),
        ({"not_after": BEGIN + timedelta(days=3653)}, "validity of more"),
        ({"not_before": BEGIN.replace(tzinfo=None)}, "not UTC"),
        ({"not_before": BEGIN.astimezone(timezone(timedelta(hours=7)))}, None),
        ({"not_before": BEGIN.replace(microsecond=5)}, "not UTC"),
        ({"serial": 5}, "serial"),
        ({"serial": 1 << 159}, "serial"),
        ({"serial": -1}, "serial"),
        ({"urls": Urls()}, "crl address"),
        ({"urls": Urls("ldap://x", "ldap://x", "ldap://x")}, "address"),
        ({"san": (x509.DNSName("example.kh"),)}, "alternative name"),
        ({"public_key": throwaway_key(KeyAlgorithm.ED25519).public_key()}, "ed25519"),
        ({"issuer_public_key": throwaway_key(KeyAlgorithm.EC_P256).public_key()}, "issuer with"),
        ({"subject": subject_name([("C", "KH"), ("O", "CamTrust"), ("CN", "CA")])}, "SPECIMEN"),
        ({"subject": subject_name([("C", "TH"), ("O", "SPECIMEN"), ("CN", "CA")])}, "another C"),
        ({"subject": subject_name([("O", "SPECIMEN"), ("C", "KH"), ("CN", "CA")])}, "order"),
        ({"subject": subject_name([("C", "KH"), ("O", "SPECIMEN")])}, "no CN"),
        ({"subject": subject_name([("C", "KH"), ("O", "SPECIMEN"), ("OU", "x"), ("CN", "CA")])}, "order"),
    ],
)
def test_what_does_not_fit_the_profile_is_refused(values: dict[str, object], reason: str | None) -> None:
    """Nothing is built that the profile does not say; the error says why. A time is compared in UTC."""
    if reason is None:
        certificate_builder(given_for(ISSUING, **values))
        return
    with pytest.raises(ProfileMismatch, match=reason):
        certificate_builder(given_for(ISSUING, **values))


def test_the_last_second_counts() -> None:
    """A validity of the profile's maximum ends one second earlier; one second more is refused (RFC 5280 §4.1.2.5)."""
    end = last_second(BEGIN, ISSUING.validity.max_days)
    certificate_builder(given_for(ISSUING, not_after=end))
    with pytest.raises(ProfileMismatch):
        certificate_builder(given_for(ISSUING, not_after=end + timedelta(seconds=1)))


def test_the_key_identifier_is_rfc_7093_method_1() -> None:
    """The leftmost 160 bits of SHA-256 over the value of the subjectPublicKey BIT STRING."""
    public = ISSUER_KEY.public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert key_identifier(public) == hashlib.sha256(point).digest()[:20]


def test_a_key_that_signs_nonsense_is_found() -> None:
    """A token's handle that gives a garbage signature raises: the library itself would have taken it."""

    class Broken(ec.EllipticCurvePrivateKey):
        curve = ISSUER_KEY.curve
        key_size = 384

        def public_key(self) -> ec.EllipticCurvePublicKey:
            return ISSUER_KEY.public_key()

        def sign(self, *_: object) -> bytes:
            return ISSUER_KEY.sign(b"something else", ec.ECDSA(signature_hash(self.public_key())))  # type: ignore[arg-type]

        exchange = private_numbers = private_bytes = __copy__ = __deepcopy__ = None  # type: ignore[assignment]

    with pytest.raises(SignatureWrong):
        sign_certificate(built(ISSUING), Broken())


def test_odd_keys_are_not_certified() -> None:
    """A key on a curve that CamTrust does not use is refused by name."""
    odd = ec.generate_private_key(ec.SECP256K1()).public_key()
    with pytest.raises(AlgorithmInvalid, match="secp256k1"):
        certificate_builder(given_for(ISSUING, public_key=odd))


def test_times_from_2050_are_generalized() -> None:
    """UTCTime to 2049, GeneralizedTime from 2050; the lint accepts both encodings where they belong."""
    profile = changed(ISSUING, validity={"max_days": 36525})
    certificate = throwaway_sign(built(profile, not_after=datetime(2060, 1, 1, tzinfo=UTC)), ISSUER_KEY.public_key())
    assert lint_certificate(certificate, profile) == ()
    assert b"\x18\x0f20600101000000Z" in certificate.tbs_certificate_bytes
