"""Issuance: what goes into a certificate, the two steps, and what a crash between them leaves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sqlalchemy import select, update

from foundation.keys.errors import TokenUnavailable
from foundation.keys.handles import public_key
from foundation.x509.errors import CsrInvalid, ProfileMismatch
from issuing_ca import issuance_store
from issuing_ca.errors import (
    IssuanceMismatch,
    IssuanceTokenInvalid,
    KeyInUse,
    KeyNotTheirs,
    KeyRefused,
    ProfileRefused,
    ProfileUnknown,
    RequestRefused,
    TransitionRefused,
)
from issuing_ca.key_checks import check_public_key
from issuing_ca.model import CertificateRequest, CertificateState, Reason
from issuing_ca.tables import certificates
from tests.ca.ca_world import EVIDENCE, OPERATOR, World, down, up

SEAL = (
    ("C", "KH"),
    ("O", "SPECIMEN Ministry"),
    ("organizationIdentifier", "GO:KH-000000"),
    ("CN", "SPECIMEN Ministry seal"),
)
OFFICER = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer 1"))


def csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "what a request says about itself")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def officer_request(world: World, owner: str = "officer-1") -> CertificateRequest:
    return CertificateRequest(
        authority="issuing",
        profile="officer",
        subject=OFFICER,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        owner=owner,
        requested_by=OPERATOR,
    )


def test_a_citizen_certificate_is_what_the_profile_says(world: World) -> None:
    """nonRepudiation alone, an opaque serialNumber, the policy of the level, our addresses, the key of the token."""
    request = world.person()
    issued = world.ca.issue_citizen(request)
    certificate = issued.certificate
    certificate.verify_directly_issued_by(world.ca.authorities.get("issuing").certificate)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.content_commitment
    assert not usage.value.digital_signature
    subject = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert subject[NameOID.SERIAL_NUMBER] == world.ca.settings.naming.identifier(request.person_id)
    assert str(subject[NameOID.SERIAL_NUMBER]).startswith("CT:KH-")
    assert request.person_id not in str(certificate.subject)
    assert subject[NameOID.COMMON_NAME] == "SPECIMEN SOK SPECIMEN DARA (សុខ ដារ៉ា)"
    policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [policy.policy_identifier.dotted_string for policy in policies] == ["2.999.116.1.1.3"]
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [one.access_location.value for one in access] == [
        "http://127.0.0.1:8440/ocsp",
        "http://127.0.0.1:8440/aia/issuing.cer",
    ]
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name is not None
    assert points[0].full_name[0].value == "http://127.0.0.1:8440/crl/issuing.crl"
    assert certificate.public_key() == public_key(world.keys.get(request.key_id))
    record = world.ca.certificate(issued.serial)
    assert (record.state, record.owner, record.evidence) == (
        CertificateState.ISSUED,
        request.person_id,
        EVIDENCE,
    )
    assert record.tbs_digest == hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()
    assert world.audit.verify(world.database) > 0


def test_the_evidence_bounds_the_validity(small_world: World) -> None:
    """A certificate ends no later than the evidence, the profile and the authority allow."""
    world = small_world
    limit = world.clock.now() + timedelta(days=10)
    assert (
        world.ca.issue_citizen(replace(world.person(), not_after_limit=limit)).certificate.not_valid_after_utc == limit
    )
    certificate = world.citizen().certificate
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=1096)
    with pytest.raises(RequestRefused):
        world.ca.issue_citizen(replace(world.person(), not_after_limit=world.clock.now()))


def test_a_citizen_key_must_be_in_the_token_and_theirs(small_world: World) -> None:
    """Another person's key, a key made for another use, a disabled key, and a key from outside are all refused."""
    world = small_world
    one, other = world.person(), world.person()
    with pytest.raises(KeyNotTheirs):
        world.ca.issue_citizen(replace(one, key_id=other.key_id))
    with pytest.raises(KeyNotTheirs):
        world.ca.issue_citizen(replace(one, key_id=world.ca.authorities.get("issuing").key_id))
    world.keys.set_enabled(one.key_id, False)
    with pytest.raises(KeyNotTheirs):
        world.ca.issue_citizen(one)
    outside = replace(officer_request(world), profile="citizen-sign", owner=one.person_id)
    with pytest.raises(KeyNotTheirs):
        world.ca.issue_now(outside)
    with pytest.raises(RequestRefused):
        world.ca.issue_citizen(replace(other, level="unheard-of"))


def test_two_steps_and_a_token_that_works_once(world: World) -> None:
    """prepare reserves; issue redeems; the second redemption, a wrong token and an expired one are refused."""
    prepared = world.ca.prepare(officer_request(world))
    assert world.ca.certificate(prepared.serial).state is CertificateState.PREPARED
    issued = world.again().issue(prepared.token)
    assert issued.serial == prepared.serial
    for token in (prepared.token, f"{prepared.serial}.{'0' * 64}", "", "nothing.at.all"):
        with pytest.raises(IssuanceTokenInvalid):
            world.ca.issue(token)
    late = world.ca.prepare(officer_request(world, "officer-2"))
    world.clock.advance(world.ca.settings.issuance_token_validity)
    with pytest.raises(IssuanceTokenInvalid):
        world.ca.issue(late.token)


def test_what_was_linted_is_what_is_signed(world: World) -> None:
    """Whoever changes the stored octets, and even their digest, has no token for them."""
    prepared = world.ca.prepare(officer_request(world))
    other = world.ca.prepare(officer_request(world, "officer-2"))
    with world.database.unit_of_work() as connection:
        row = connection.execute(select(certificates).where(certificates.c.serial == other.serial)).one()
        connection.execute(
            update(certificates)
            .where(certificates.c.serial == prepared.serial)
            .values(tbs=row.tbs, tbs_digest=row.tbs_digest)
        )
    with pytest.raises(IssuanceTokenInvalid):
        world.ca.issue(prepared.token)
    with world.database.unit_of_work() as connection:
        connection.execute(update(certificates).where(certificates.c.serial == other.serial).values(tbs=b"\x30\x00"))
    with pytest.raises(Exception, match="issuance_mismatch"):
        world.ca.issue(other.token)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (b"\xce\x3d\x04\x03\x03", b"\xce\x3d\x04\x03\x02"),  # the ends of ecdsa-with-SHA384 and -SHA256
        (b"SPECIMEN Issuing CA", b"SPECIMEN Another C."),
    ],
)
def test_what_names_another_signer_is_not_signed(world: World, own: bytes, other: bytes) -> None:
    """Octets with another signature algorithm or issuer than who signs, even where their digest was changed too."""
    issuance = world.ca.issuance
    draft = issuance._drafts.draft(officer_request(world))
    assert draft.tbs.count(own) == 1
    tbs = draft.tbs.replace(own, other)
    altered = replace(draft, tbs=tbs, row={**draft.row, "tbs": tbs, "tbs_digest": hashlib.sha256(tbs).hexdigest()})
    world.keys.before = down("sign")
    (outcome,) = issuance._batch.issue([altered])
    world.keys.before = up
    assert isinstance(outcome, IssuanceMismatch)
    assert world.ca.certificate(draft.serial).state is CertificateState.ABANDONED


def test_a_crash_between_the_steps_leaves_a_named_orphan(world: World) -> None:
    """Killed after prepare, or while signing: another process names the serial, tells OCSP unknown, and closes it."""

    class Killed(BaseException):
        pass

    def kill(operation: str) -> None:
        if operation == "sign":
            raise Killed

    prepared = world.ca.prepare(officer_request(world))
    world.keys.before = kill
    with pytest.raises(Killed):
        world.ca.issue_now(officer_request(world, "officer-2"))
    world.keys.before = up
    after = world.again()
    assert after.orphans() == ()
    world.clock.advance(timedelta(minutes=11))
    orphans = {orphan.serial: orphan.signing for orphan in after.orphans()}
    assert orphans[prepared.serial] is False
    assert sorted(orphans.values()) == [False, True]
    for serial, signing in orphans.items():
        after.abandon(serial, OPERATOR)
        expected = CertificateState.REVOKED if signing else CertificateState.ABANDONED
        assert after.certificate(serial).state is expected
        with pytest.raises(TransitionRefused):
            after.abandon(serial, OPERATOR)
    assert after.orphans() == ()
    crl = x509.load_der_x509_crl(after.current_crl("issuing"))
    assert len(crl) == 1
    with pytest.raises(IssuanceTokenInvalid):
        after.issue(prepared.token)


def test_a_token_that_is_down_leaves_no_orphan(world: World) -> None:
    """The failure is told, the serial number is closed, and asking again works."""

    world.keys.before = down("sign")
    with pytest.raises(TokenUnavailable):
        world.ca.issue_now(officer_request(world))
    world.keys.before = up
    states = [record.state for record in world.ca.certificates()]
    assert states == [CertificateState.ABANDONED]
    world.ca.issue_now(officer_request(world))


def test_a_public_key_has_one_owner(world: World) -> None:
    """The same key for another owner is refused; for the same owner it may be certified again, unless compromised."""
    request = officer_request(world)
    issued = world.ca.issue_now(request)
    with pytest.raises(KeyInUse):
        world.ca.issue_now(replace(request, owner="officer-2"))
    world.ca.issue_now(request)
    world.ca.revoke(issued.serial, Reason.KEY_COMPROMISE, OPERATOR)
    with pytest.raises(KeyInUse):
        world.ca.issue_now(request)


def test_serial_numbers_are_never_used_twice(world: World) -> None:
    """The store refuses a serial number that it has, so a broken source of randomness cannot issue two."""
    issued = world.citizen()
    with world.database.read() as connection:
        row = connection.execute(select(certificates)).one()._asdict()
    with pytest.raises(Exception, match=r"(?i)unique"), world.database.unit_of_work() as connection:
        issuance_store.add_certificates(connection, [row])
    assert world.ca.certificate(issued.serial).state is CertificateState.ISSUED


def test_requests_give_the_key_and_nothing_else(small_world: World) -> None:
    """The subject comes from who asks, extensions from the profile; what the CSR says about itself is not looked at."""
    world = small_world
    issued = world.ca.issue_for_request("organisation-seal", csr(), SEAL, "organisation-1", OPERATOR)
    assert "what a request" not in issued.certificate.subject.rfc4514_string()
    with pytest.raises(x509.ExtensionNotFound):
        issued.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    officer = world.ca.issue_for_request("officer", csr(), OFFICER, "officer-1", OPERATOR)
    usage = officer.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_what_may_not_be_asked_for(small_world: World) -> None:
    """Citizens' and the service's own profiles, unknown ones, and those of another authority are refused."""
    world = small_world
    for profile in ("citizen-sign", "tsa", "ocsp-responder", "unheard-of"):
        with pytest.raises(ProfileRefused):
            world.ca.issue_for_request(profile, csr(), OFFICER, "officer-1", OPERATOR)
    with pytest.raises(ProfileUnknown):
        world.ca.prepare(replace(officer_request(world), profile="unheard-of"))
    with pytest.raises(ProfileRefused):
        world.ca.prepare(replace(officer_request(world), authority="tsa"))
    with pytest.raises(ProfileMismatch):
        world.ca.prepare(replace(officer_request(world), subject=(("C", "KH"), ("O", "Real Ltd"), ("CN", "Real"))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"\x30\x03\x02\x01\x00",
    ],
)
def test_malformed_requests(small_world: World, data: bytes) -> None:
    """What is not a CSR is told as such."""
    with pytest.raises(CsrInvalid):
        small_world.ca.issue_for_request("officer", data, OFFICER, "officer-1", OPERATOR)


def test_a_request_without_proof_of_possession(small_world: World) -> None:
    """A CSR whose signature was changed is refused."""
    der = bytearray(x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    with pytest.raises(CsrInvalid):
        small_world.ca.issue_for_request("officer", bytes(der), OFFICER, "officer-1", OPERATOR)


def _rsa(n: int, e: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e, n).public_key()


def _next_prime(number: int) -> int:
    number |= 1
    while not all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11)):
        number += 2
    return number


def test_weak_keys_are_refused() -> None:
    """Each check of a public key has its rule, and good keys pass."""
    good = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    check_public_key(good.public_key())
    check_public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    prime = _next_prime(1 << 1024 | 1 << 1000)
    close = _next_prime(prime + 2)
    cases = {
        "KEY-RSA-SIZE": _rsa(good.public_key().public_numbers().n >> 1024 | 1),
        "KEY-RSA-EXPONENT": _rsa(good.public_key().public_numbers().n, 3),
        "KEY-RSA-FACTOR": _rsa(good.public_key().public_numbers().n * 3),
        "KEY-RSA-FERMAT": _rsa(prime * close),
        "KEY-ALGORITHM": ec.generate_private_key(ec.SECP256K1()).public_key(),
    }
    for rule, key in cases.items():
        with pytest.raises(KeyRefused) as refused:
            check_public_key(key)
        assert refused.value.params == {"rule": rule}
