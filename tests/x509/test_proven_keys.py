"""The key of a request, and the octets in which it goes into a certificate."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der
from foundation.x509.algorithms import throwaway_key
from foundation.x509.csr import ProvenKey, build_csr, proven_key, proven_keys, read_csr
from foundation.x509.errors import CsrInvalid
from foundation.x509.names import subject_name

NAME = subject_name([("C", "KH"), ("O", "SPECIMEN"), ("CN", "SPECIMEN")])


@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
def test_a_proven_key_is_the_request_s_as_the_library_writes_it(algorithm: KeyAlgorithm) -> None:
    """The octets beside a key, of whatever length the subject before it is, are those that the library writes."""
    key = throwaway_key(algorithm)
    for name in (
        NAME,
        subject_name([("CN", "S")]),
        subject_name([("O", "S" * 64), ("OU", "ក" * 60), ("CN", "S" * 64)]),
    ):
        proven = proven_key(build_csr(name, key))
        assert proven.public_key == key.public_key()
        assert proven.encoded == key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_compressed_point_is_written_in_full() -> None:
    """A key may come with a compressed point (RFC 5480 §2.2); what goes into a certificate is never compressed."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    request = _signed_by_hand(NAME.public_bytes(), point, key)
    proven = proven_key(request)
    assert point in request
    assert proven.encoded == key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_subject_that_cannot_be_read_is_refused_each_time() -> None:
    """A subject of a request is looked at although nobody takes it; to have seen one does not make it readable."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    readable = NAME.public_bytes()
    broken, empty = readable.replace(b"SPECIMEN", b"SPECIM\xff\xfe"), b"\x30\x02\x31\x00"  # an RDN without attributes
    every = (readable, True), (broken, False), (readable, True), (broken, False), (empty, False)
    for subject, good in every:
        request = _signed_by_hand(subject, point, key)
        for read in (read_csr, proven_key):
            if good:
                read(request)
            else:
                with pytest.raises(CsrInvalid):
                    read(request)


def test_each_of_many_is_its_own() -> None:
    """Of many at once each has its key or its own refusal, in their order."""
    keys = [throwaway_key(one) for one in (KeyAlgorithm.EC_P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA_2048)]
    good = [x509.load_pem_x509_csr(build_csr(NAME, key)).public_bytes(Encoding.DER) for key in keys]
    unproven = good[0][:-1] + bytes((good[0][-1] ^ 1,))
    read = proven_keys((good[0], b"no request", good[1], unproven, good[2]))
    assert [one.public_key for one in read if isinstance(one, ProvenKey)] == [key.public_key() for key in keys]
    reasons = [one.params["reason"] if isinstance(one, CsrInvalid) else None for one in read]
    unread, forged = "it does not hold exactly one request", "its signature does not prove possession of the key"
    assert reasons == [None, unread, None, forged, None]
    assert proven_keys(()) == []


def _signed_by_hand(subject: bytes, point: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    algorithm = der.sequence([der.oid("1.2.840.10045.2.1"), der.oid("1.2.840.10045.3.1.7")])
    info = der.sequence([algorithm, der.bit_string(point)])
    tbs = der.sequence([der.integer(0), subject, info, b"\xa0\x00"])
    signed = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return der.sequence([tbs, der.sequence([der.oid("1.2.840.10045.4.3.2")]), der.bit_string(signed)])


KEY = ec.generate_private_key(ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
_LONG = subject_name([("C", "KH"), ("O", "SPECIMEN ក្រសួង"), ("OU", "u" * 64), ("serialNumber", "A-1")]).public_bytes()


@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")  # which the library reads all the same
@given(
    at=st.integers(2, len(_LONG) - 1), octet=st.integers(0, 255), more=st.integers(0, 255), second=st.integers(2, 99)
)
@settings(max_examples=300, deadline=None)
def test_a_subject_is_refused_where_the_library_cannot_read_it(at: int, octet: int, more: int, second: int) -> None:
    """With any octets changed, and whichever shape comes of it: refused by both, or by none."""
    subject = bytearray(_LONG)
    subject[at], subject[second] = octet, more
    request = _signed_by_hand(bytes(subject), POINT, KEY)
    try:
        read = x509.load_der_x509_csr(request)
        read.public_key()
        _ = read.subject
        readable = True
    except ValueError:
        readable = False
    try:
        proven_key(request)
        taken = True
    except CsrInvalid:
        taken = False
    assert taken == readable
