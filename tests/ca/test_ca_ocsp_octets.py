"""Whatever an OCSP response says: spliced, it has the octets that the builder of `cryptography` gives it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.keys.port import Mechanism
from foundation.x509.algorithms import algorithm_identifier
from foundation.x509.names import subject_name
from issuing_ca import ocsp_message
from issuing_ca.model import Reason
from issuing_ca.ocsp_message import CertStatus, ResponseWriter
from issuing_ca.signer import Signer
from tests.ca.test_ca_ocsp import SHA1


class KeyOfThisTest:
    """What :class:`Signer` needs of a key store, for one key."""

    def sign_many(self, _key_id: str, _mechanism: Mechanism, inputs: list[bytes], **_: object) -> list[bytes]:
        return [RESPONDER_KEY.sign(data, ec.ECDSA(hashes.SHA256())) for data in inputs]


RESPONDER_KEY = ec.generate_private_key(ec.SECP256R1())
RESPONDER = (
    x509.CertificateBuilder()
    .subject_name(subject_name([("CN", "SPECIMEN Responder")]))
    .issuer_name(subject_name([("CN", "SPECIMEN Responder")]))
    .public_key(RESPONDER_KEY.public_key())
    .serial_number(1)
    .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    .sign(RESPONDER_KEY, hashes.SHA256())
)
IN_MEMORY = Signer(
    "key-1",
    RESPONDER_KEY.public_key(),
    Mechanism.ECDSA_SHA256,
    algorithm_identifier(RESPONDER_KEY.public_key()),
    KeyOfThisTest(),  # type: ignore[arg-type]
)


@given(
    serial=st.integers(1, (1 << 159) - 1),
    state=st.sampled_from(["good", "revoked", "unknown"]),
    reason=st.sampled_from([one for one in x509.ReasonFlags if one is not x509.ReasonFlags.unspecified]),
    ago=st.integers(0, 10**9),
    validity=st.integers(1, 10**7),
    nonce=st.none() | st.binary(min_size=1, max_size=128),
    sha256=st.booleans(),
)
@settings(max_examples=200)
def test_any_response_has_the_octets_of_the_builder(
    serial: int,
    state: str,
    reason: x509.ReasonFlags,
    ago: int,
    validity: int,
    nonce: bytes | None,
    sha256: bool,
) -> None:
    """Spliced or built: the same octets, whatever is told, for both hash algorithms."""
    algorithm = hashes.SHA256() if sha256 else SHA1
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        bytes(algorithm.digest_size), bytes(range(algorithm.digest_size)), serial, algorithm
    )
    cert_id = ocsp_message.read_request(builder.build().public_bytes(Encoding.DER)).asked[0]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end, at = begin + timedelta(seconds=validity), begin - timedelta(seconds=ago)
    revoked = state == "revoked"
    number = Reason(reason.value).number
    status = CertStatus(state == "unknown", at if revoked else None, number if revoked else None)
    ours = ResponseWriter(RESPONDER, IN_MEMORY).write([(cert_id, status)], begin, begin, end, nonce)
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            bytes(algorithm.digest_size),
            bytes(range(algorithm.digest_size)),
            serial,
            algorithm,
            ocsp.OCSPCertStatus[state.upper()],
            begin,
            end,
            at if revoked else None,
            reason if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, RESPONDER)
        .certificates([RESPONDER])
    )
    if nonce is not None:
        response = response.add_extension(x509.OCSPNonce(nonce), False)
    theirs = response.sign(RESPONDER_KEY, hashes.SHA256())
    stamp = theirs.produced_at_utc.strftime("%Y%m%d%H%M%SZ").encode()  # the builder takes the machine's time
    head, _, tail = theirs.tbs_response_bytes.partition(b"\x18\x0f" + stamp)
    expected = head + b"\x18\x0f20260101000000Z" + tail
    mine = ocsp.load_der_ocsp_response(ours)
    assert mine.tbs_response_bytes == expected
    RESPONDER_KEY.public_key().verify(mine.signature, mine.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert mine.certificates == [RESPONDER]


@st.composite
def _nearly_usual(draw: st.DrawFn) -> bytes:
    """A request as clients send it, or one with some octets changed, added or left out, lengths among them."""
    algorithm = hashes.SHA256() if draw(st.booleans()) else SHA1
    size = algorithm.digest_size
    serial = draw(st.integers(1, (1 << 159) - 1) | st.integers(1, 300))
    names = draw(st.binary(min_size=size, max_size=size)), draw(st.binary(min_size=size, max_size=size))
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*names, serial, algorithm)
    nonce = draw(st.none() | st.binary(min_size=1, max_size=128))
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), draw(st.booleans()))
    data = bytearray(builder.build().public_bytes(Encoding.DER))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        near = st.sampled_from([(data[at] + change) % 256 for change in (-1, 1, 128)]) | st.integers(0, 255)
        way = draw(st.sampled_from(["change", "insert", "remove"]))
        if way == "change":
            data[at] = draw(near)
        elif way == "insert":
            data.insert(at, draw(near))
        elif len(data) > 1:
            del data[at]
    return bytes(data)


@given(data=_nearly_usual())
@settings(max_examples=1500)
def test_the_quick_reader_of_requests_says_what_the_other_says(data: bytes) -> None:
    """Whatever it takes, the reader that goes element by element takes too, and reads the same in it."""
    usual = ocsp_message.usual_request(data)
    if usual is not None:
        assert usual == ocsp_message.any_request(data)


def test_the_quick_reader_takes_what_clients_send() -> None:
    """Both hashes, with and without a nonce, up to lengths of two octets, or the comparison above says nothing."""
    for algorithm in (SHA1, hashes.SHA256()):
        for size in (0, 1, 16, 32, 64):
            names = bytes(algorithm.digest_size), bytes(range(algorithm.digest_size))
            builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*names, 1 << 126, algorithm)
            if size:
                builder = builder.add_extension(x509.OCSPNonce(bytes(size)), False)
            request = ocsp_message.usual_request(builder.build().public_bytes(Encoding.DER))
            assert request is not None
            assert request.nonce == (bytes(size) or None)
            assert (request.asked[0].hash, request.asked[0].serial) == (algorithm.name, 1 << 126)
