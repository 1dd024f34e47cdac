"""Timestamps: judged by `openssl ts`, by a second encoder (asn1crypto), and by what a request can be made of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyAlgorithm, KeyStore
from issuing_ca import der_reader, timestamp_message
from issuing_ca.asgi import TimestampEndpoint
from issuing_ca.config import IssuingCaSettings
from issuing_ca.errors import ClockUntrusted, DerInvalid, TimestampRefused
from issuing_ca.model import Reason
from issuing_ca.timestamp_message import Failure
from tests.ca.asgi_call import call
from tests.ca.ca_world import OPERATOR, World, down, make_world, up
from tests.programs import run

DOCUMENT = b"a document of the ministry\n"


def query(world: World, *options: str) -> Path:
    document, asked = world.folder / "document.txt", world.folder / "request.tsq"
    document.write_bytes(DOCUMENT)
    run("openssl", "ts", "-query", "-data", document, *options, "-out", asked)
    return asked


def failure(response: bytes) -> str | None:
    """The failure that a response names, None when it grants (asn1crypto insists on a token, which refusals lack)."""
    status, *token = der_reader.read_all(der_reader.read_one(response, der_reader.SEQUENCE).content)
    parsed = tsp.PKIStatusInfo.load(status.whole, strict=True)
    assert parsed["status"].native == ("granted" if token else "rejection")
    found = parsed["fail_info"].native
    return None if token else next(iter(found))


def signed_data(response: bytes) -> cms.SignedData:
    return tsp.TimeStampResp.load(response, strict=True)["time_stamp_token"]["content"]


@pytest.mark.parametrize("algorithm", ["-sha256", "-sha384", "-sha512"])
@pytest.mark.parametrize("options", [("-cert",), ("-no_nonce",)])
def test_openssl_verifies(world: World, algorithm: str, options: tuple[str, ...]) -> None:
    """`openssl ts -verify` accepts the answer for the request and for the document, to the root."""
    asked = query(world, algorithm, *options)
    answer = world.folder / "answer.tsr"
    answer.write_bytes(world.ca.timestamps.timestamp(asked.read_bytes()))
    root = world.write("root.pem", world.root.certificate)
    chain = world.folder / "chain.pem"
    path = (world.ca.timestamps.certificate(), world.ca.authorities.get("tsa").certificate)
    chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in path))
    judged = ("-in", answer, "-CAfile", root, "-untrusted", chain)
    said = run("openssl", "ts", "-verify", *judged, "-queryfile", asked)
    assert "Verification: OK" in said.stdout + said.stderr
    run("openssl", "ts", "-verify", *judged, "-data", world.folder / "document.txt")
    text = run("openssl", "ts", "-reply", "-in", answer, "-text").stdout
    assert "Status: Granted." in text
    assert "Policy OID: 2.999.116.2.2" in text
    assert "Accuracy: 0x01 seconds" in text
    (world.folder / "document.txt").write_bytes(DOCUMENT + b"!")
    refused = run("openssl", "ts", "-verify", *judged, "-data", world.folder / "document.txt", check=False)
    assert refused.returncode != 0


def test_an_rsa_unit(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path) -> None:
    """Older members of the exchange layer read RSA alone: the same service with an RSA-3072 unit."""
    settings = IssuingCaSettings(unit_algorithm=KeyAlgorithm.RSA_3072)
    world = make_world(sqlite_database, clock, token, tmp_path, settings)
    asked = query(world, "-sha512", "-cert")
    answer = world.folder / "answer.tsr"
    answer.write_bytes(world.ca.timestamps.timestamp(asked.read_bytes()))
    root = world.write("root.pem", world.root.certificate)
    run("openssl", "ts", "-verify", "-in", answer, "-CAfile", root, "-queryfile", asked)


def test_certificates_go_along_when_asked_for(small_world: World) -> None:
    """With certReq the unit's and its issuer's certificates, without it none; the nonce comes back."""
    world = small_world
    with_them = signed_data(world.ca.timestamps.timestamp(query(world, "-cert").read_bytes()))
    assert len(with_them["certificates"]) == 2
    without = world.ca.timestamps.timestamp(query(world).read_bytes())
    assert not signed_data(without)["certificates"]
    nonce = tsp.TimeStampReq.load((world.folder / "request.tsq").read_bytes())["nonce"].native
    assert signed_data(without)["encap_content_info"]["content"].parsed["nonce"].native == nonce


def test_the_token_is_der_and_what_a_second_encoder_writes(small_world: World) -> None:
    """asn1crypto, encoding the same values afresh with its SET OF sorted, gives the same octets."""
    world = small_world
    digest = hashlib.sha384(DOCUMENT).digest()
    token = world.ca.timestamps.token(digest, "sha384")
    parsed = cms.ContentInfo.load(token, strict=True)
    signed = parsed["content"]
    info = signed["encap_content_info"]["content"].parsed
    signer = signed["signer_infos"][0]
    again = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": "2.999.116.2.2",
            "message_imprint": info["message_imprint"].native,
            "serial_number": info["serial_number"].native,
            "gen_time": world.clock.now(),
            "accuracy": {"seconds": 1},
        }
    )
    assert again.dump(force=True) == info.dump()
    assert info["message_imprint"]["hashed_message"].native == digest
    unit = world.ca.timestamps.certificate()
    attributes = {attribute["type"].native: attribute["values"] for attribute in signer["signed_attrs"]}
    assert attributes["message_digest"].native == [hashlib.sha256(info.dump()).digest()]
    assert attributes["content_type"].native == ["tst_info"]
    certificate_id = attributes["signing_certificate_v2"][0]["certs"][0]
    assert certificate_id["cert_hash"].native == hashlib.sha256(unit.public_bytes(Encoding.DER)).digest()
    assert certificate_id["hash_algorithm"]["algorithm"].native == "sha256"
    assert certificate_id["issuer_serial"]["serial_number"].native == unit.serial_number
    for members in (
        [one.dump() for one in signer["signed_attrs"]],
        [one.dump() for one in signed["certificates"]],
    ):
        assert members == sorted(members)
    assert signed["version"].native == "v3"
    assert parsed.dump(force=True) == token


def test_fractions_and_serial_numbers(small_world: World) -> None:
    """Milliseconds without trailing zeros; every serial number is another one."""
    world = small_world
    world.clock.advance(timedelta(microseconds=250_999))
    tokens = [world.ca.timestamps.token(hashlib.sha256(DOCUMENT).digest(), "sha256") for _ in range(20)]
    assert b".25Z" in tokens[0]
    infos = [cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed for token in tokens]
    assert len({info["serial_number"].native for info in infos}) == 20


def test_refusals_say_why(small_world: World) -> None:
    """Each kind of refusal has its PKIFailureInfo (RFC 3161 §2.4.2)."""
    world = small_world
    service = world.ca.timestamps
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
    good = {"version": "v1", "message_imprint": imprint}

    def asked(**changes: object) -> bytes:
        return bytes(tsp.TimeStampReq({**good, **changes}).dump())

    assert failure(service.timestamp(asked())) is None
    sha1 = {"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": bytes(20)}
    assert failure(service.timestamp(asked(message_imprint=sha1))) == "bad_alg"
    short = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(31)}
    assert failure(service.timestamp(asked(message_imprint=short))) == "bad_data_format"
    assert failure(service.timestamp(asked(version=2))) == "bad_request"
    extension = [{"extn_id": "2.999.1", "critical": False, "extn_value": b"\x05\x00"}]
    assert failure(service.timestamp(asked(extensions=extension))) == "unaccepted_extensions"
    assert failure(service.timestamp(b"\x30\x00")) == "bad_data_format"
    world.keys.before = down("sign")
    assert failure(service.timestamp(asked())) == "system_failure"
    world.keys.before = up
    world.clock.advance(-timedelta(seconds=2))
    assert failure(service.timestamp(asked())) == "time_not_available"
    with pytest.raises(ClockUntrusted):
        service.token(bytes(32), "sha256")
    world.clock.advance(timedelta(seconds=2))
    assert failure(service.timestamp(asked())) is None


def test_another_policy_is_refused(small_world: World) -> None:
    """A request may name our policy, or none."""
    world = small_world
    for policy, expected in (("2.999.116.2.2", None), ("1.2.3", "unaccepted_policy")):
        asked = query(world, "-tspolicy", policy).read_bytes()
        assert failure(world.ca.timestamps.timestamp(asked)) == expected


def test_what_a_caller_may_ask(small_world: World) -> None:
    """In process: an unknown hash or a digest of another length is told, not stamped."""
    with pytest.raises(TimestampRefused) as refused:
        small_world.ca.timestamps.token(bytes(16), "md5")
    assert refused.value.failure is Failure.BAD_ALG
    with pytest.raises(TimestampRefused) as refused:
        small_world.ca.timestamps.token(bytes(20), "sha256")
    assert refused.value.failure is Failure.BAD_DATA_FORMAT


def test_a_revoked_unit_is_replaced(world: World) -> None:
    """Its key is off in the token; the next timestamp comes from another unit; the old certificate stays revoked."""
    first = world.ca.timestamps.certificate()
    world.ca.timestamps.token(bytes(32), "sha256")
    world.ca.revoke(f"{first.serial_number:x}", Reason.KEY_COMPROMISE, OPERATOR)
    token = world.ca.timestamps.token(bytes(32), "sha256")
    second = world.ca.timestamps.certificate()
    assert second.serial_number != first.serial_number
    serials = {one.chosen.serial_number for one in cms.ContentInfo.load(token)["content"]["certificates"]}
    assert second.serial_number in serials
    assert first.serial_number not in serials
    assert replace(world, ca=world.again()).ca.timestamps.certificate() == second


def test_the_unit_has_one_use_and_it_is_critical(small_world: World) -> None:
    """RFC 3161 §2.3: timeStamping alone, critical; issued by the TSA CA."""
    world = small_world
    unit = world.ca.timestamps.certificate()
    unit.verify_directly_issued_by(world.ca.authorities.get("tsa").certificate)
    usage = unit.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert list(usage.value) == [x509.ExtendedKeyUsageOID.TIME_STAMPING]


@given(data=st.binary(max_size=300))
def test_arbitrary_octets_are_refused(data: bytes) -> None:
    """Random octets never become a request, nor an exception of another kind."""
    with pytest.raises((DerInvalid, TimestampRefused)):
        timestamp_message.read_request(data)


def test_mutated_requests(small_world: World) -> None:
    """Every octet of a request, changed or cut off: a response that can be read each time."""
    world = small_world
    asked = query(world, "-cert").read_bytes()
    for position in range(len(asked)):
        for value in (0x00, 0xFF, asked[position] ^ 0x01):
            changed = asked[:position] + bytes((value,)) + asked[position + 1 :]
            failure(world.ca.timestamps.timestamp(changed))
        assert failure(world.ca.timestamps.timestamp(asked[:position])) == "bad_data_format"


def test_over_http(small_world: World) -> None:
    """POST gives a reply that nobody may keep; other methods and oversize bodies are refused."""
    world = small_world
    app = TimestampEndpoint(world.ca.timestamps)
    status, headers, body = call(app, "POST", "/tsa", query(world).read_bytes())
    assert (status, headers["content-type"]) == (200, "application/timestamp-reply")
    assert headers["cache-control"] == "no-store"
    assert failure(body) is None
    assert call(app, "GET", "/tsa")[0] == 405
    assert call(app, "POST", "/tsa", b"x" * 20_000)[0] == 413
