"""Handles: a token's key where `cryptography` wants a private key."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from foundation.keys.errors import (
    ActivationRequired,
    DataInvalid,
    KeyUnextractable,
    MechanismInvalid,
    SignatureInvalid,
)
from foundation.keys.handles import private_key, public_key
from foundation.keys.mechanisms import (
    MU_LENGTH,
    authorised_digest,
    mechanism_for,
    message_representative,
    verify_signature,
)
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from tests.keys.contract import fresh
from tests.keys.structures import request_info

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN handle")])
FROM, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


def hash_of(algorithm: KeyAlgorithm) -> Any:
    return hashes.SHA256() if algorithm.startswith(("ec", "rsa")) else None


def certificate(
    key: CertificateIssuerPrivateKeyTypes, hash_algorithm: Any, rsa_padding: Any = None
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key())
    builder = builder.serial_number(2**64 + 1).not_valid_before(FROM).not_valid_after(UNTIL)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    return builder.sign(key, hash_algorithm, rsa_padding=rsa_padding)


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("use", [KeyUse.ROOT_CA, KeyUse.AUDIT])
def test_builders_sign_with_a_handle(token: KeyStore, algorithm: KeyAlgorithm, use: KeyUse) -> None:
    """Certificate, CSR, CRL and OCSP response are made with a handle of every algorithm, and verify."""
    info = token.generate(fresh("builders"), algorithm, use)
    key, chosen = private_key(token, info), hash_of(algorithm)
    made = certificate(key, chosen)
    made.verify_directly_issued_by(made)
    request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, chosen)
    assert request.is_signature_valid
    revoked = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(FROM).build()
    crl = x509.CertificateRevocationListBuilder().issuer_name(NAME).last_update(FROM).next_update(UNTIL)
    assert (
        crl.add_revoked_certificate(revoked)
        .add_extension(x509.CRLNumber(1), False)
        .sign(key, chosen)
        .is_signature_valid(public_key(info))
    )
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(made, made, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, FROM, UNTIL, None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, made)
        .sign(key, chosen)
    )
    mechanism = mechanism_for(info, chosen, False)
    verify_signature(public_key(info), mechanism, response.signature, response.tbs_response_bytes)


def test_pss_with_the_usual_parameters(token: KeyStore) -> None:
    """RSA-PSS with MGF1 of the same hash and a salt of its length signs a certificate that verifies."""
    key = private_key(token, token.generate(fresh("pss"), KeyAlgorithm.RSA_2048, KeyUse.ROOT_CA))
    for salt in (32, padding.PSS.DIGEST_LENGTH):
        made = certificate(key, hashes.SHA256(), padding.PSS(padding.MGF1(hashes.SHA256()), salt))
        made.verify_directly_issued_by(made)


def test_other_paddings_and_hashes_are_refused(token: KeyStore) -> None:
    """Another salt, another mask hash, SHA-1, raw RSA, ECDH: no token mechanism stands for them."""
    key = private_key(token, token.generate(fresh("odd"), KeyAlgorithm.RSA_2048, KeyUse.AUDIT))
    assert isinstance(key, rsa.RSAPrivateKey)
    odd: list[Any] = [
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH),
        padding.PSS(padding.MGF1(hashes.SHA256()), 20),
        padding.PSS(padding.MGF1(hashes.SHA512()), 32),
        padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    ]
    for scheme in odd:
        with pytest.raises(MechanismInvalid):
            key.sign(b"data", scheme, hashes.SHA256())
    with pytest.raises(MechanismInvalid):
        key.sign(b"data", padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    with pytest.raises(MechanismInvalid):
        key.decrypt(b"data", padding.PKCS1v15())
    curve = private_key(token, token.generate(fresh("odd"), KeyAlgorithm.EC_P256, KeyUse.AUDIT))
    assert isinstance(curve, ec.EllipticCurvePrivateKey)
    with pytest.raises(MechanismInvalid):
        curve.exchange(ec.ECDH(), curve.public_key())
    with pytest.raises(MechanismInvalid):
        mechanism_for(token.generate(fresh("odd"), KeyAlgorithm.ED25519, KeyUse.AUDIT), hashes.SHA512(), False)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.ED25519, KeyAlgorithm.ML_DSA_65])
def test_a_handle_gives_nothing_away(token: KeyStore, algorithm: KeyAlgorithm) -> None:
    """Serialising, copying and pickling a handle raise KeyUnextractable."""
    key: Any = private_key(token, token.generate(fresh("away"), algorithm, KeyUse.AUDIT))
    ways: list[Callable[[], object]] = [
        lambda: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        lambda: key.private_bytes_raw(),
        lambda: key.private_numbers(),
        lambda: copy.copy(key),
        lambda: copy.deepcopy(key),
        lambda: pickle.dumps(key),
    ]
    for way in ways:
        with pytest.raises(KeyUnextractable):
            way()


def test_a_digest_goes_as_a_digest_unless_the_key_certifies(token: KeyStore) -> None:
    """A document key signs a digest that was made outside; a key that certifies refuses one."""
    digest = hashlib.sha256(b"document").digest()
    document: Any = private_key(token, token.generate(fresh("digest"), KeyAlgorithm.EC_P256, KeyUse.AUDIT))
    signature = document.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    document.public_key().verify(signature, b"document", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(ValueError, match="length"):
        document.sign(digest[:-1], ec.ECDSA(Prehashed(hashes.SHA256())))
    authority: Any = private_key(token, token.generate(fresh("digest"), KeyAlgorithm.EC_P256, KeyUse.ROOT_CA))
    with pytest.raises(MechanismInvalid):
        authority.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_the_error_of_the_store_comes_through_a_builder(token: KeyStore) -> None:
    """A citizen's key without activation: the builder raises ActivationRequired, not something of its own."""
    info = token.generate(fresh("through"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, fresh("owner"))
    with pytest.raises(ActivationRequired):
        certificate(private_key(token, info), hashes.SHA256())


@dataclass
class GarbageStore:
    """A token gone mad: it answers with the same octets, whatever it is asked."""

    answer: bytes

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        del key_id, mechanism, data, activation, content
        return self.answer


def test_a_garbage_signature_never_leaves_the_handle(token: KeyStore) -> None:
    """A wrong signature, or one over other data, raises SignatureInvalid; the builder alone would have taken it."""
    info: KeyInfo = token.generate(fresh("garbage"), KeyAlgorithm.EC_P256, KeyUse.ROOT_CA)
    other = token.sign(info.key_id, Mechanism.ECDSA_SHA256, request_info(info))
    for answer in (b"", b"garbage", other):
        broken: Any = GarbageStore(answer)
        with pytest.raises(SignatureInvalid):
            certificate(private_key(broken, info), hashes.SHA256())


@pytest.mark.parametrize(
    ("mechanism", "hash_name"),
    [
        (Mechanism.ECDSA_SHA384, "sha384"),
        (Mechanism.SHA256_RSA_PKCS, "sha256"),
        (Mechanism.EDDSA, "sha512"),
        (Mechanism.ML_DSA, "sha512"),
    ],
)
def test_what_an_activation_must_name(mechanism: Mechanism, hash_name: str) -> None:
    """The digest that permits a whole message is that of the mechanism's hash; SHA-512 where it has none."""
    assert authorised_digest(mechanism, b"message") == hashlib.new(hash_name, b"message").digest()
    assert authorised_digest(Mechanism.ECDSA, bytes(32)) == bytes(32)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_65, KeyAlgorithm.ML_DSA_87])
def test_a_document_key_signs_a_mu_that_was_made_outside(token: KeyStore, algorithm: KeyAlgorithm) -> None:
    """FIPS 204: the signature over mu is the signature over the message; an activation would name the mu. The handle
    makes the mu by itself, so the message does not go to the token; a key that certifies takes the message alone.
    """
    info = token.generate(fresh("mu"), algorithm, KeyUse.AUDIT)
    public: Any = public_key(info)
    mu = message_representative(public, b"document")
    assert len(mu) == MU_LENGTH
    assert authorised_digest(Mechanism.ML_DSA_EXTERNAL_MU, mu) == mu
    assert mechanism_for(info, None, prehashed=True) is Mechanism.ML_DSA_EXTERNAL_MU
    public.verify(token.sign(info.key_id, Mechanism.ML_DSA_EXTERNAL_MU, mu), b"document")
    asked: list[Mechanism] = []

    class Watched:
        def sign(self, key_id: str, mechanism: Mechanism, data: bytes, *, activation: bytes | None = None) -> bytes:
            asked.append(mechanism)
            assert b"document" not in data or info.use.certifies
            return token.sign(key_id, mechanism, data, activation=activation)

    watched: Any = Watched()
    handle: Any = private_key(watched, info)
    public.verify(handle.sign(b"document"), b"document")
    public.verify(handle.sign_mu(mu), b"document")
    assert asked == [Mechanism.ML_DSA_EXTERNAL_MU] * 2
    for wrong in (mu[:-1], mu + b"\0", mu[:32], mu[:48], b""):
        with pytest.raises(DataInvalid):
            token.sign(info.key_id, Mechanism.ML_DSA_EXTERNAL_MU, wrong)
    authority = token.generate(fresh("mu"), algorithm, KeyUse.ROOT_CA)
    with pytest.raises(MechanismInvalid):
        token.sign(authority.key_id, Mechanism.ML_DSA_EXTERNAL_MU, mu)
    whole: Any = private_key(token, authority)
    with pytest.raises(MechanismInvalid):
        whole.sign_mu(mu)
