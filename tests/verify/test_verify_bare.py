"""Timestamps and certificates that come alone, told by their content and judged as of now."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from signing.verify.model import FileVerdict, Indication, SignatureKind
from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import verify_file
from tests.verify.verify_world import NOW, World, issue, usage

DATA = b"SPECIMEN data that was timestamped"


def judged(data: bytes, trust: Trust, detached: bytes | None = None) -> FileVerdict:
    return verify_file(data, "anything.bin", trust, NOW, detached=detached)


@pytest.fixture(scope="module")
def response(world: World) -> bytes:
    """A TimeStampResp over DATA, by the world's unit."""
    stamper: DummyTimeStamper = world.timestamper(NOW - timedelta(days=2))
    _, request = stamper.request_cms(hashlib.sha256(DATA).digest(), "sha256")
    octets: bytes = stamper.request_tsa_response(request).dump()
    return octets


def test_a_timestamp_and_the_file_that_it_is_about(response: bytes, trust: Trust) -> None:
    """A response and the token inside say the same; another file does not match; without one nothing is said."""
    token = tsp.TimeStampResp.load(response)["time_stamp_token"].dump()
    for octets in (response, token):
        verdict = judged(octets, trust, DATA)
        assert (verdict.format, verdict.indication) == ("timestamp", Indication.TOTAL_PASSED)
        assert verdict.signatures[0].proved_at is not None
        wrong = judged(octets, trust, DATA + b".")
        assert wrong.indication is Indication.TOTAL_FAILED
        assert "TST-IMPRINT" in {one.rule for one in wrong.signatures[0].reasons}
        alone = judged(octets, trust)
        assert [one.rule for one in alone.signatures[0].reasons] == ["TST-DETACHED"]
    assert judged(token[:-1] + bytes((token[-1] ^ 1,)), trust, DATA).indication is Indication.TOTAL_FAILED
    untrusted = build_trust(None, frozenset(), [], NOW, STRICT)
    assert judged(token, untrusted, DATA).indication is Indication.INDETERMINATE


def test_a_certificate(world: World, trust: Trust) -> None:
    """Good by path and status, DER and PEM alike; a root is an anchor; strangers and expired ones do not pass."""
    for encoding in (Encoding.DER, Encoding.PEM):
        verdict = judged(world.signer.certificate.public_bytes(encoding), trust)
        assert (verdict.format, verdict.indication) == ("certificate", Indication.TOTAL_PASSED)
        assert verdict.signatures[0].kind is SignatureKind.CERTIFICATE
        assert {one.kind for one in verdict.signatures[0].relied_on} >= {"certificate", "anchor", "crl"}
    anchor = judged(world.root.certificate.public_bytes(Encoding.DER), trust)
    assert [one.rule for one in anchor.signatures[0].reasons] == ["PATH-ANCHOR"]
    stranger = issue("SPECIMEN Stranger", None, [(usage("digital_signature"), True)])
    assert judged(stranger.certificate.public_bytes(Encoding.DER), trust).indication is not Indication.TOTAL_PASSED
    late = verify_file(world.signer.certificate.public_bytes(Encoding.DER), "x", trust, NOW + timedelta(days=4000))
    assert late.indication is not Indication.TOTAL_PASSED


def test_what_looks_like_either_and_is_neither(trust: Trust) -> None:
    """Cut short, padded, two in one file: no verdict that passes, and no exception."""
    for octets in (b"\x30", b"\x30\x80\x00\x00", b"\x30\x82\xff\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
        assert judged(octets, trust).indication is not Indication.TOTAL_PASSED
