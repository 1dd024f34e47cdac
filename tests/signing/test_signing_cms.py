"""Spliced structures are those of the readable builder; what is read back is refused for every octet that changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.clock import SetClock
from foundation.keys.port import Mechanism
from foundation.log_proof import PROOF_ATTRIBUTE
from signing.errors import TimestampUnavailable
from signing.model import Signatory
from signing.sign.cms import signed_attributes, signed_data
from signing.sign.signed_message import DATA, check, read, read_token
from signing.sign.token_signer import SigningAlgorithm, asn1
from tests.signing.specimen_pki import SpecimenPki, name

NOW = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


@cache
def specimen(kind: str) -> tuple[Any, Signatory, SigningAlgorithm]:
    """A key of this process with a certificate and two above it."""
    pki = SpecimenPki(SetClock(NOW))
    key: Any = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    certificate = pki.issuing.certify(key.public_key(), name("Citizen"), NOW)
    mechanism = Mechanism.RSA_PKCS if kind == "rsa" else Mechanism.ECDSA
    algorithm = SigningAlgorithm("sha384" if kind == "p384" else "sha256", mechanism)
    return key, Signatory("key", certificate, (pki.issuing.certificate, pki.root.certificate)), algorithm


def built(
    digest: bytes, signature: bytes, signatory: Signatory, hash_name: str, token: bytes | None, proof: bytes | None
) -> tuple[bytes, bytes]:
    """Signed attributes and ContentInfo as asn1crypto builds them, object by object."""
    certificate = asn1(signatory.certificate)
    identifier = tsp.ESSCertIDv2(
        {
            "cert_hash": certificate.sha256,
            "issuer_serial": tsp.IssuerSerial(
                {
                    "issuer": [asn1_x509.GeneralName("directory_name", certificate.issuer)],
                    "serial_number": certificate.serial_number,
                }
            ),
        }
    )
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["data"]},
            {"type": "message_digest", "values": [digest]},
            {"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [identifier]})]},
        ]
    )
    unsigned: list[Any] = []
    if token is not None:
        unsigned.append({"type": "signature_time_stamp_token", "values": [cms.ContentInfo.load(token)]})
    if proof is not None:
        unsigned.append({"type": PROOF_ATTRIBUTE, "values": [core.OctetString(proof)]})
    algorithm = algos.DigestAlgorithm({"algorithm": hash_name})
    del algorithm["parameters"]
    scheme = "rsassa_pkcs1v15" if certificate.public_key.algorithm == "rsa" else "ecdsa"
    signature_algorithm: Any = {"algorithm": f"{hash_name}_{'rsa' if scheme != 'ecdsa' else 'ecdsa'}"}
    if scheme != "ecdsa":
        signature_algorithm["parameters"] = core.Null()
    signer = {
        "version": "v1",
        "sid": {"issuer_and_serial_number": {"issuer": certificate.issuer, "serial_number": certificate.serial_number}},
        "digest_algorithm": algorithm,
        "signed_attrs": attributes,
        "signature_algorithm": signature_algorithm,
        "signature": signature,
    }
    if unsigned:
        signer["unsigned_attrs"] = unsigned
    carried = [certificate, *(asn1(one) for one in signatory.chain if one.subject != one.issuer)]
    content = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [algorithm],
            "encap_content_info": {"content_type": "data"},
            "certificates": carried,
            "signer_infos": [signer],
        }
    )
    return attributes.dump(), cms.ContentInfo({"content_type": "signed_data", "content": content}).dump()


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
@settings(max_examples=25, deadline=None)
@given(
    digest=st.binary(min_size=32, max_size=64),
    signature=st.binary(min_size=1, max_size=600),
    proof=st.none() | st.binary(min_size=1, max_size=3000),
)
def test_spliced_octets_are_those_of_the_builder(
    kind: str, digest: bytes, signature: bytes, proof: bytes | None
) -> None:
    """Signed attributes and SignedData, for every kind of key, whatever goes in: the same as asn1crypto's."""
    _, signatory, algorithm = specimen(kind)
    attributes, message = built(digest, signature, signatory, algorithm.hash_name, None, proof)
    assert signed_attributes(digest, signatory.certificate) == attributes
    assert signed_data(attributes, signature, signatory, algorithm, None, proof) == message


def test_with_a_timestamp_too() -> None:
    """The token goes in as it came, in the order that DER gives to a set."""
    _, signatory, algorithm = specimen("p256")
    token = SpecimenPki(SetClock(NOW)).timestamps.token(bytes(32), "sha256")
    for proof in (None, b"proof"):
        attributes, message = built(bytes(32), bytes(70), signatory, "sha256", token, proof)
        assert signed_data(attributes, bytes(70), signatory, algorithm, token, proof) == message


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_our_own_signature_is_read_back(kind: str) -> None:
    """It verifies; over other content, under other attributes or with another signature it does not."""
    key, signatory, algorithm = specimen(kind)
    message = signed(key, signatory, algorithm, bytes(32))
    check(read(message), bytes(32), DATA)
    with pytest.raises(ValueError, match="digest"):
        check(read(message), bytes(31) + b"\x01", DATA)
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 0x04
        if accepted(bytes(altered), signatory):
            pytest.fail(f"octet {position} is not covered")


def accepted(message: bytes, signatory: Signatory) -> bool:
    """Whether a message counts as the signatory's, with its certificates as they were."""
    try:
        found = read(message)
        check(found, bytes(32), DATA)
    except (ValueError, KeyError, TypeError, StopIteration):
        return False
    return found.signer == signatory.certificate and set(found.certificates) == {
        signatory.certificate,
        signatory.chain[0],
    }


def signed(key: Any, signatory: Signatory, algorithm: SigningAlgorithm, digest: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import padding

    attributes = signed_attributes(digest, signatory.certificate)
    hash_algorithm: Any = hashes.SHA384() if algorithm.hash_name == "sha384" else hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(attributes, padding.PKCS1v15(), hash_algorithm)
    else:
        signature = key.sign(attributes, ec.ECDSA(hash_algorithm))
    return signed_data(attributes, signature, signatory, algorithm, None)


def test_a_token_with_any_octet_changed_is_no_token() -> None:
    """What is inside a token but outside its signature is the certificate, and that is named by its digest."""
    tsa = SpecimenPki(SetClock(NOW)).timestamps
    token = tsa.token(bytes(32), "sha256")
    found = read_token(token, bytes(32), "sha256", NOW)
    assert (found.time, found.unit) == (NOW, tsa.unit)
    for position in range(len(token)):
        altered = bytearray(token)
        altered[position] ^= 0x04
        with pytest.raises(TimestampUnavailable):
            read_token(bytes(altered), bytes(32), "sha256", NOW)
    for octets in (token[:-1], token + b"\x00", b"", b"\x30\x80\x00\x00"):
        with pytest.raises(TimestampUnavailable):
            read_token(octets, bytes(32), "sha256", NOW)


def test_a_token_is_for_one_imprint_and_about_now() -> None:
    """Another imprint, another hash, five minutes and a second away: no token."""
    token = SpecimenPki(SetClock(NOW)).timestamps.token(bytes(32), "sha256")
    for imprint, hash_name, now in (
        (bytes(31) + b"\x01", "sha256", NOW),
        (bytes(32), "sha384", NOW),
        (bytes(32), "sha256", NOW + timedelta(seconds=301)),
        (bytes(32), "sha256", NOW - timedelta(seconds=301)),
    ):
        with pytest.raises(TimestampUnavailable):
            read_token(token, imprint, hash_name, now)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_whatever_comes_is_refused_as_such(octets: bytes) -> None:
    """Octets that are no token never raise anything else."""
    with pytest.raises(TimestampUnavailable):
        read_token(octets, bytes(32), "sha256", NOW)


def test_the_signer_is_named_by_its_certificate() -> None:
    """Another certificate over the same key, with the same name and serial number, is not the one that signed."""
    key, signatory, algorithm = specimen("p256")
    pki = SpecimenPki(SetClock(NOW))
    other = (
        x509.CertificateBuilder()
        .issuer_name(signatory.certificate.issuer)
        .subject_name(name("Somebody"))
        .public_key(key.public_key())
        .serial_number(signatory.certificate.serial_number)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(pki.issuing.key, hashes.SHA256())
    )
    attributes = signed_attributes(bytes(32), signatory.certificate)
    signature = key.sign(attributes, ec.ECDSA(hashes.SHA256()))
    swapped = signed_data(attributes, signature, Signatory("key", other, signatory.chain), algorithm, None)
    with pytest.raises(ValueError, match="certificate"):
        check(read(swapped), bytes(32), DATA)
