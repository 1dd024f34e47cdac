"""OCSP: judged by openssl, by `cryptography`'s reader and builder, and by what a request can be made of."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from foundation.keys.handles import private_key
from foundation.x509 import der
from issuing_ca import ocsp_message
from issuing_ca.asgi import OcspEndpoint
from issuing_ca.errors import DerInvalid
from issuing_ca.model import CertificateRequest, CertificateState, Reason
from issuing_ca.ocsp_message import CertStatus, ResponseStatus, ResponseWriter
from tests.ca.asgi_call import call
from tests.ca.ca_world import OPERATOR, Root, World, down, served
from tests.programs import run

SHA1 = hashes.SHA1()  # noqa: S303 - it names certificates in CertIDs, and protects nothing
OFFICER = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer 1"))


def request(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    algorithm: hashes.HashAlgorithm | None = None,
    nonce: bytes | None = None,
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm or SHA1)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.build().public_bytes(Encoding.DER)


def raw_request(name_hash: bytes, key_hash: bytes, serial: int) -> bytes:
    """A request about a serial number that no builder would write."""
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    algorithm = der.sequence([der.oid(ocsp_message.SHA1), b"\x05\x00"])
    cert_id = [algorithm, der.octet_string(name_hash), der.octet_string(key_hash), der.tlv(der.INTEGER, number)]
    return der.sequence([der.sequence([der.sequence([der.sequence([der.sequence(cert_id)])])])])


def new_key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def ask(world: World, certificate: x509.Certificate, **more: Any) -> ocsp.OCSPResponse:
    issuer = world.ca.authorities.get("issuing").certificate
    answer = world.ca.ocsp.answer(request(certificate, issuer, **more))
    return ocsp.load_der_ocsp_response(answer.response)


def openssl_ocsp(world: World, certificate: x509.Certificate, issuer: x509.Certificate, *options: str) -> str:
    """`openssl ocsp` asks over HTTP, with a nonce, and judges the answer."""
    target = world.write("asked.pem", certificate)
    by = world.write("by.pem", issuer)
    root = world.write("root.pem", world.root.certificate)
    with served(world) as url:
        said = run(
            "openssl", "ocsp", *options, "-issuer", by, "-cert", target, "-url", f"{url}/ocsp",
            "-CAfile", root, "-verify_other", by,
        )  # fmt: skip
    return str(said.stdout + said.stderr)


@pytest.mark.parametrize("algorithm", ["-sha1", "-sha256"])
def test_openssl_accepts_good_and_revoked(world: World, algorithm: str) -> None:
    """A good certificate, the same when revoked with its reason, and one that nobody issued; both hash algorithms."""
    issued = world.citizen()
    issuer = world.ca.authorities.get("issuing").certificate
    said = openssl_ocsp(world, issued.certificate, issuer, algorithm)
    assert "Response verify OK" in said
    assert ": good" in said
    assert "WARNING" not in said
    world.ca.revoke(issued.serial, Reason.AFFILIATION_CHANGED, OPERATOR)
    said = openssl_ocsp(world, issued.certificate, issuer, algorithm)
    assert "Response verify OK" in said
    assert ": revoked" in said
    assert "Reason: affiliationChanged" in said


def test_states_as_answers(world: World) -> None:
    """Issued is good; held and revoked are revoked; prepared and never given unknown; another issuer unauthorized."""
    issued = world.citizen()
    assert ask(world, issued.certificate).certificate_status is ocsp.OCSPCertStatus.GOOD
    world.ca.revoke(issued.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    held = ask(world, issued.certificate)
    assert held.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert held.revocation_reason is x509.ReasonFlags.certificate_hold
    assert held.revocation_time_utc == world.clock.now()
    asked = ocsp.load_der_ocsp_request(request(issued.certificate, world.ca.authorities.get("issuing").certificate))
    prepared = world.ca.prepare(CertificateRequest("issuing", "officer", OFFICER, new_key(), "officer-1", OPERATOR))
    for serial in (1, 0, -5, asked.serial_number + 1, int(prepared.serial, 16), 1 << 400):
        if 0 < serial < 1 << 159:
            never = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
                asked.issuer_name_hash, asked.issuer_key_hash, serial, SHA1
            )
            data = never.build().public_bytes(Encoding.DER)
        else:
            data = raw_request(asked.issuer_name_hash, asked.issuer_key_hash, serial)
        answer = world.ca.ocsp.answer(data)
        assert answer.status is ResponseStatus.SUCCESSFUL
        if 0 < serial < 1 << 159:
            found = ocsp.load_der_ocsp_response(answer.response)
            assert found.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    stranger = Root(world.clock)
    answer = world.ca.ocsp.answer(request(issued.certificate, stranger.certificate))
    assert answer.status is ResponseStatus.UNAUTHORIZED
    # a certificate of the other authority is none of this one's
    tsa = ocsp.load_der_ocsp_request(
        request(world.ca.timestamps.certificate(), world.ca.authorities.get("tsa").certificate)
    )
    other = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        tsa.issuer_name_hash, tsa.issuer_key_hash, asked.serial_number, SHA1
    )
    answer = world.ca.ocsp.answer(other.build().public_bytes(Encoding.DER))
    assert ocsp.load_der_ocsp_response(answer.response).certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_dates_nonce_and_responder(world: World) -> None:
    """thisUpdate now, nextUpdate an hour later; the nonce comes back; the delegate is certified by the same CA."""
    issued = world.citizen()
    for nonce in (b"\x01", bytes(range(32)), b"n" * 128):
        response = ask(world, issued.certificate, nonce=nonce)
        assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    response = ask(world, issued.certificate)
    now = world.clock.now()
    assert (response.produced_at_utc, response.this_update_utc) == (now, now)
    assert response.next_update_utc == now + timedelta(hours=1)
    assert len(response.extensions) == 0
    responder = response.certificates[0]
    responder.verify_directly_issued_by(world.ca.authorities.get("issuing").certificate)
    usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert ask(world, responder).certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.parametrize("nonce", [b"", b"n" * 129])
def test_a_nonce_of_a_wrong_length_is_malformed(small_world: World, nonce: bytes) -> None:
    """RFC 9654 §2.1: 1 to 128 octets."""
    issued = small_world.citizen()
    issuer = small_world.ca.authorities.get("issuing").certificate
    answer = small_world.ca.ocsp.answer(request(issued.certificate, issuer, nonce=nonce))
    assert answer.status is ResponseStatus.MALFORMED_REQUEST


def test_the_cert_id_is_echoed_octet_by_octet(small_world: World) -> None:
    """With NULL parameters, with none, and for several certificates in one request."""
    world = small_world
    one, two = world.citizen(), world.citizen()
    issuer = world.ca.authorities.get("issuing").certificate
    asked = [ocsp_message.read_request(request(x.certificate, issuer)).asked[0].whole for x in (one, two)]
    bare = asked[0].replace(b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00", b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a")
    bare = bare[:1] + bytes((bare[1] - 2,)) + bare[2:]
    for cert_ids in ([asked[0]], [bare], asked, [asked[1], bare]):
        requests = der.sequence([der.sequence([cert_id]) for cert_id in cert_ids])
        answer = world.ca.ocsp.answer(der.sequence([der.sequence([requests])]))
        assert answer.status is ResponseStatus.SUCCESSFUL
        response = ocsp.load_der_ocsp_response(answer.response)
        singles = list(response.responses)
        assert [single.certificate_status for single in singles] == [ocsp.OCSPCertStatus.GOOD] * len(cert_ids)
        assert b"".join(cert_ids[0:1]) in answer.response
        assert all(cert_id in answer.response for cert_id in cert_ids)


@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("nonce", [None, b"n" * 16])
def test_octets_are_those_of_the_builder(small_world: World, revoked: bool, nonce: bytes | None) -> None:
    """What is signed is byte for byte what `cryptography`'s builder makes, where both can say it."""
    world = small_world
    issued = world.citizen()
    authority = world.ca.authorities.get("issuing")
    unit = world.ca.units.ocsp_responder(authority)
    parsed = ocsp_message.read_request(request(issued.certificate, authority.certificate, nonce=nonce))
    now = world.clock.now()
    at = now - timedelta(days=1) if revoked else None
    ours = ResponseWriter(unit.certificate, unit.signer).write(
        [(parsed.asked[0], CertStatus(revoked_at=at, reason=4 if revoked else None))],
        now, now, now + timedelta(hours=1), nonce,
    )  # fmt: skip
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            issued.certificate, authority.certificate, SHA1,
            ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            now, now + timedelta(hours=1), at, x509.ReasonFlags.superseded if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, unit.certificate)
        .certificates([unit.certificate])
    )  # fmt: skip
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    key = private_key(world.keys, world.keys.get(unit.signer.key_id))
    theirs = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    # the builder puts the time of the machine into producedAt
    mine = ocsp.load_der_ocsp_response(ours)
    stamp, machine = (x.produced_at_utc.strftime("%Y%m%d%H%M%SZ").encode() for x in (mine, theirs))
    head, _, tail = mine.tbs_response_bytes.partition(stamp)
    theirs_head, _, theirs_tail = theirs.tbs_response_bytes.partition(machine)
    assert (head, tail) == (theirs_head, theirs_tail)
    assert mine.signature_algorithm_oid == theirs.signature_algorithm_oid


def test_a_response_proves_the_certificate_and_tells_since_when(world: World) -> None:
    """certHash is SHA-256 of the very certificate, good or revoked, and absent for unknown; archiveCutoff is the CA's
    own beginning; neither is critical."""
    issued = world.citizen()
    expected = hashlib.sha256(issued.certificate.public_bytes(Encoding.DER)).digest()
    issuer = world.ca.authorities.get("issuing").certificate
    for _ in ("good", "revoked"):
        extensions = {one.oid.dotted_string: one for one in ask(world, issued.certificate).single_extensions}
        assert list(extensions) == ["1.3.6.1.5.5.7.48.1.6", "1.3.36.8.3.13"]
        assert not any(one.critical for one in extensions.values())
        algorithm = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
        value = extensions["1.3.36.8.3.13"].value.public_bytes()
        assert value == der.sequence((algorithm, der.octet_string(expected)))
        cutoff = extensions["1.3.6.1.5.5.7.48.1.6"].value.public_bytes()
        assert cutoff == der.generalized_time(issuer.not_valid_before_utc)
        world.ca.revoke(issued.serial, Reason.SUPERSEDED, OPERATOR)
    never = ocsp.OCSPRequestBuilder().add_certificate(issued.certificate, issuer, SHA1).build()
    data = raw_request(never.issuer_name_hash, never.issuer_key_hash, 77)
    unknown = ocsp.load_der_ocsp_response(world.ca.ocsp.answer(data).response)
    found = [one.oid.dotted_string for one in unknown.single_extensions]
    assert found == ["1.3.6.1.5.5.7.48.1.6"]


def test_the_responder_rolls_over_by_itself(world: World) -> None:
    """Before its certificate expires a new key and certificate take over; a revoked one is replaced at once."""
    issued = world.citizen()
    first = ask(world, issued.certificate).certificates[0]
    world.clock.advance(timedelta(days=20))
    assert ask(world, issued.certificate).certificates[0] == first
    world.clock.advance(timedelta(days=5))
    second = ask(world, issued.certificate).certificates[0]
    assert second.public_key() != first.public_key()
    assert ask(replace(world, ca=world.again()), issued.certificate).certificates[0] == second
    world.ca.revoke(f"{second.serial_number:x}", Reason.KEY_COMPROMISE, OPERATOR)
    third = ask(world, issued.certificate).certificates[0]
    assert third.public_key() != second.public_key()


def test_no_guess_when_the_token_is_down(small_world: World) -> None:
    """Without the token there is tryLater, which is not a status."""
    world = small_world
    issued = world.citizen()

    ask(world, issued.certificate)
    world.keys.before = down("sign")
    issuer = world.ca.authorities.get("issuing").certificate
    answer = world.ca.ocsp.answer(request(issued.certificate, issuer))
    assert (answer.status, answer.response) == (ResponseStatus.TRY_LATER, b"\x30\x03\x0a\x01\x03")
    assert world.ca.fresh_ocsp(issued.certificate) is None
    assert world.ca.certificate(issued.serial).state is CertificateState.ISSUED


def test_the_roots_own_responder(world: World) -> None:
    """openssl accepts good and revoked for subordinates, from the root's CRL; an expired CRL gives no answer."""
    ca, root = world.ca, world.root
    name = [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Root OCSP")]
    csr = ca.init("root-ocsp", name, OPERATOR)
    issuing = ca.authorities.get("issuing").certificate
    assert ca.fresh_ocsp(issuing) is None
    ca.install("root-ocsp", root.sign_responder(csr), [root.certificate], OPERATOR)
    assert ca.fresh_ocsp(issuing) is None
    ca.install_root_crl(root.crl(1), OPERATOR)
    said = openssl_ocsp(world, issuing, root.certificate, "-sha256")
    assert "Response verify OK" in said
    assert ": good" in said
    never = root.sign_ca(csr)
    assert ca.fresh_ocsp(never) is not None
    unknown = ocsp.load_der_ocsp_response(ca.fresh_ocsp(never) or b"")
    assert unknown.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    tsa = ca.authorities.get("tsa").certificate
    ca.install_root_crl(root.crl(2, tsa), OPERATOR)
    said = openssl_ocsp(world, tsa, root.certificate)
    assert ": revoked" in said
    assert "cACompromise" in said
    world.clock.advance(timedelta(days=301))
    assert ca.fresh_ocsp(tsa) is None


# --- over HTTP ----------------------------------------------------------------------------------------------------


def test_get_and_post_with_caching_headers(small_world: World) -> None:
    """RFC 5019 §6: a GET may be cached for a while; not so with a nonce, by POST, or when it is an error."""
    world = small_world
    app = OcspEndpoint(world.ca.kept_ocsp, world.clock)
    issued = world.citizen()
    issuer = world.ca.authorities.get("issuing").certificate
    asked = request(issued.certificate, issuer)
    path = "/ocsp/" + unquote(quote(base64.b64encode(asked).decode(), safe=""))
    status, headers, body = call(app, "GET", path)
    assert status == 200
    assert headers["content-type"] == "application/ocsp-response"
    assert headers["cache-control"] == "max-age=300, public, no-transform, must-revalidate"
    assert headers["etag"] == f'"{hashlib.sha256(body).hexdigest()}"'
    assert {"last-modified", "expires"} <= headers.keys()
    assert ocsp.load_der_ocsp_response(body).certificate_status is ocsp.OCSPCertStatus.GOOD
    head = call(app, "HEAD", path)
    assert (head[0], head[2]) == (200, b"")
    status, headers, body = call(app, "POST", "/ocsp", asked)
    assert headers["cache-control"] == "no-store"
    assert ocsp.load_der_ocsp_response(body).certificate_status is ocsp.OCSPCertStatus.GOOD
    nonced = base64.b64encode(request(issued.certificate, issuer, nonce=b"n" * 16)).decode()
    assert call(app, "GET", f"/ocsp/{nonced}")[1]["cache-control"] == "no-store"
    for wrong in ("/ocsp/", "/ocsp/%%%", "/ocsp/AAAA", "/ocsp/" + "A" * 20_000):
        status, headers, body = call(app, "GET", wrong)
        assert (status, body) == (200, b"\x30\x03\x0a\x01\x01")
        assert headers["cache-control"] == "no-store"
    assert call(app, "DELETE", "/ocsp")[0] == 405
    assert call(app, "POST", "/ocsp", b"x" * 20_000)[0] == 413
    assert call(app, "POST", "/ocsp", b"")[2] == b"\x30\x03\x0a\x01\x01"


@given(data=st.binary(max_size=300))
def test_arbitrary_octets_are_malformed_and_nothing_else(data: bytes) -> None:
    """Random octets never become a request, nor an exception of another kind."""
    with pytest.raises(DerInvalid):
        ocsp_message.read_request(data)


def test_mutated_requests(small_world: World) -> None:
    """Every octet of a request, changed or cut off in several ways: an answer each time, never an exception."""
    world = small_world
    issued = world.citizen()
    issuer = world.ca.authorities.get("issuing").certificate
    asked = request(issued.certificate, issuer, nonce=b"n" * 16)
    allowed = {ResponseStatus.SUCCESSFUL, ResponseStatus.MALFORMED_REQUEST, ResponseStatus.UNAUTHORIZED}
    for position in range(len(asked)):
        for value in (0x00, 0xFF, asked[position] ^ 0x01, asked[position] ^ 0x80):
            changed = asked[:position] + bytes((value,)) + asked[position + 1 :]
            assert world.ca.ocsp.answer(changed).status in allowed
        assert world.ca.ocsp.answer(asked[:position]).status is ResponseStatus.MALFORMED_REQUEST
    assert world.ca.ocsp.answer(asked + b"\x00").status is ResponseStatus.MALFORMED_REQUEST
