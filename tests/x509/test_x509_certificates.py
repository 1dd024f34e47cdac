"""Certificates from profiles: what is built is exactly the profile, for every profile and key."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.x509.certificate import (
    CertificateInput,
    Urls,
    certificate_builder,
    sign_certificate,
    throwaway_sign,
)
from foundation.x509.lint import lint_certificate
from foundation.x509.names import subject_name
from foundation.x509.profile import last_second, load_profiles

PROFILES = load_profiles(files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
URLS = Urls("http://ocsp.example.kh/ocsp", "http://ca.example.kh/aia/root.cer", "http://ca.example.kh/crl/root.crl")
SERIAL = 1 << 126 | 0x1234


def _input(name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey) -> CertificateInput:
    profile = PROFILES[name]
    subject = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {name}")])
    issuer_name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN root")])
    return CertificateInput(
        profile,
        subject,
        key.public_key(),
        SERIAL,
        BEGIN,
        last_second(BEGIN, 300),
        issuer_name,
        issuer.public_key(),
        URLS,
    )


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_gives_a_certificate_that_its_lint_accepts(name: str) -> None:
    """A certificate of each root profile has no finding, before (throwaway signature) and after signing."""
    issuer = ec.generate_private_key(ec.SECP384R1())
    key = issuer if name == "root" else ec.generate_private_key(ec.SECP384R1())
    builder = certificate_builder(_input(name, key, issuer))
    before = throwaway_sign(builder, issuer.public_key())
    after = sign_certificate(builder, issuer)
    assert before.tbs_certificate_bytes == after.tbs_certificate_bytes
    assert lint_certificate(before, PROFILES[name]) == ()
    assert lint_certificate(after, PROFILES[name]) == ()
