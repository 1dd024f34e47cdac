"""CamDX (X-Road): what a security server checks when it imports our certificates and reads our status.

The importing side is written here from its published behaviour, apart from the code that issues: chains of two or
three, RSA with SHA-256 or P-256, a key usage that says sign or auth and never both, the subject of the Basic profile,
and OCSP answers that echo its SHA-1 CertID, are young, and come from a delegate that the issuer certified directly.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foundation.x509.errors import ProfileMismatch
from issuing_ca.model import IssuedCertificate, Reason
from tests.ca.ca_world import OPERATOR, World

SERVER_NAME = "ss1.member.example"
SIGN_SUBJECT = (
    ("C", "KH"),
    ("O", "SPECIMEN Member"),
    ("businessCategory", "GOV"),
    ("serialNumber", "0000041"),
    ("CN", "SPECIMEN Member"),
)
AUTH_SUBJECT = (("C", "KH"), ("O", "SPECIMEN Member"), ("serialNumber", "0000041"), ("CN", SERVER_NAME))
_MAX_AGE = timedelta(seconds=3600)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class ImportRefused(Exception):
    """What a security server says."""


def usage_of(certificate: x509.Certificate) -> str:
    """SIGNING or AUTHENTICATION, as the import decides it from the certificate alone."""
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    try:
        extended = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        extended = set()
    authenticates = ExtendedKeyUsageOID.CLIENT_AUTH in extended or (
        usage.digital_signature or usage.key_encipherment or usage.data_encipherment
    )
    signs = usage.content_commitment
    if signs and authenticates:
        raise ImportRefused("a certificate for both uses")
    if not signs and not authenticates:
        raise ImportRefused("a certificate for neither use")
    return "SIGNING" if signs else "AUTHENTICATION"


def member_of(certificate: x509.Certificate, use: str) -> tuple[str, ...]:
    """Member class and code out of the subject (Basic profile)."""

    def only(oid: x509.ObjectIdentifier) -> str:
        found = certificate.subject.get_attributes_for_oid(oid)
        if len(found) != 1:
            raise ImportRefused(f"{oid.dotted_string} stands {len(found)} times")
        return str(found[0].value)

    only(NameOID.COUNTRY_NAME), only(NameOID.ORGANIZATION_NAME), only(NameOID.COMMON_NAME)
    if use == "SIGNING":
        return only(NameOID.BUSINESS_CATEGORY), only(NameOID.SERIAL_NUMBER)
    return (only(NameOID.SERIAL_NUMBER),)


def check_chain(certificate: x509.Certificate, chain: list[x509.Certificate]) -> None:
    """Every certificate by the next, the last by itself; two or three of them."""
    whole = [certificate, *chain]
    if len(whole) not in (2, 3):
        raise ImportRefused(f"a chain of {len(whole)}")
    for one, issuer in zip(whole, [*whole[1:], whole[-1]], strict=True):
        one.verify_directly_issued_by(issuer)


def check_key(certificate: x509.Certificate, release: tuple[int, int]) -> None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" and release >= (7, 6):
        return
    raise ImportRefused("a key that this release does not have")


def check_status(world: World, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    """Ask as the security server does (SHA-1 CertID, no nonce) and judge the first answer."""
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # noqa: S303
    answer = world.ca.ocsp.answer(request.public_bytes(serialization.Encoding.DER)).response
    response = ocsp.load_der_ocsp_response(answer)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ImportRefused("no answer")
    first = next(response.responses)
    if (first.serial_number, first.issuer_key_hash, first.issuer_name_hash, first.hash_algorithm.name) != (
        request.serial_number,
        request.issuer_key_hash,
        request.issuer_name_hash,
        "sha1",
    ):
        raise ImportRefused("another CertID than was asked")
    now = world.clock.now()
    if not now - _MAX_AGE < first.this_update_utc <= now:
        raise ImportRefused("an old answer")
    if first.next_update_utc is None or first.next_update_utc <= now:
        raise ImportRefused("an answer that has run out")
    signer = response.certificates[0] if response.certificates else issuer
    if signer != issuer:
        signer.verify_directly_issued_by(issuer)
        if (
            ExtendedKeyUsageOID.OCSP_SIGNING
            not in signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        ):
            raise ImportRefused("a delegate that may not answer")
    key = signer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert response.signature_hash_algorithm is not None
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))
    return first.certificate_status.name


def security_server_request(key: Key) -> bytes:
    """The CSR that a security server makes: it asks for nonRepudiation and keyCertSign, which nobody may grant."""
    usage = x509.KeyUsage(False, True, False, False, False, True, False, False, False)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever the server says")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(usage, True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def issued(world: World, profile: str, key: Key) -> IssuedCertificate:
    signing = profile.startswith("camdx-sign")
    return world.ca.issue_for_request(
        profile,
        security_server_request(key),
        SIGN_SUBJECT if signing else AUTH_SUBJECT,
        f"member-{hashlib.sha256(profile.encode()).hexdigest()[:8]}",
        OPERATOR,
        dns_names=() if signing else (SERVER_NAME,),
    )


def new_key(profile: str) -> Key:
    return ec.generate_private_key(ec.SECP256R1()) if profile.endswith("-ec") else rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("profile", ["camdx-sign", "camdx-sign-ec", "camdx-auth", "camdx-auth-ec"])
def test_a_security_server_imports_it(world: World, profile: str) -> None:
    """Chain, key, key usage, subject and status of each profile pass the importing side's checks; on hold it is off,
    and released it is on again."""
    made = issued(world, profile, new_key(profile))
    certificate, issuer = made.certificate, made.chain[0]
    check_chain(certificate, [*made.chain, made.root])
    check_key(certificate, (7, 6) if profile.endswith("-ec") else (6, 21))
    use = usage_of(certificate)
    assert use == ("SIGNING" if profile.startswith("camdx-sign") else "AUTHENTICATION")
    assert member_of(certificate, use) == (("GOV", "0000041") if use == "SIGNING" else ("0000041",))
    assert check_status(world, certificate, issuer) == "GOOD"
    world.ca.revoke(made.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    assert check_status(world, certificate, issuer) == "REVOKED"
    world.ca.revoke(made.serial, Reason.REMOVE_FROM_CRL, OPERATOR)
    assert check_status(world, certificate, issuer) == "GOOD"


def test_nothing_comes_from_the_request(small_world: World) -> None:
    """The server's CSR asks to be a CA that signs: the certificate is no CA and has the profile's one bit."""
    certificate = issued(small_world, "camdx-sign", new_key("camdx-sign")).certificate
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.content_commitment
    assert not usage.key_cert_sign
    assert not usage.digital_signature
    assert "whatever" not in certificate.subject.rfc4514_string()
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


@pytest.mark.parametrize("profile", ["camdx-sign", "camdx-auth"])
def test_older_releases_get_no_ec_keys(small_world: World, profile: str) -> None:
    """The RSA profiles refuse P-256: a release before 7.6 could not use the certificate."""
    with pytest.raises(ProfileMismatch):
        issued(small_world, profile, ec.generate_private_key(ec.SECP256R1()))


def test_the_checks_here_refuse_what_they_must(small_world: World) -> None:
    """An officer's certificate is for authentication without a member; a seal and a login in one would be refused."""
    made = small_world.ca.issue_for_request(
        "officer",
        security_server_request(ec.generate_private_key(ec.SECP256R1())),
        (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer")),
        "officer-1",
        OPERATOR,
    )
    with pytest.raises(ImportRefused):
        member_of(made.certificate, "SIGNING")
    with pytest.raises(ImportRefused):
        check_chain(made.certificate, [])
    small_world.clock.advance(timedelta(hours=2))
    assert check_status(small_world, made.certificate, made.chain[0]) == "GOOD"
