"""Several signers in one CAdES message, and signatures over signatures: made, judged by openssl and by us."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from signing.cms_parts import COUNTER_SIGNATURE, CmsParts, join
from signing.errors import DocumentDamaged
from signing.forms import Form
from signing.model import Level
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by

ATTACHED, DETACHED = Form.named("cades", "attached"), Form.named("cades", "detached")
PARALLEL, COUNTER = Form.named("cades", "parallel"), Form.named("cades", "counter")


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT])
def test_a_further_signer(desk: Desk, tmp_path: Path, level: Level) -> None:
    """Two and three signers over one content: a verdict for each, and ``openssl cms -verify`` takes them all."""
    made = sealed(desk, TEXT, ATTACHED, Level.B_LT)
    for count in (2, 3):
        made = sealed(desk, made, PARALLEL, level, "text.p7m")
        verdict = judged(desk, made)
        assert len(verdict.signatures) == count
        assert len({one.signer.sha256 for one in verdict.signatures if one.signer}) == count
        if level is Level.B_LT:
            assert outcome(verdict) == ("TOTAL-PASSED", None)
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "three").write_bytes(made)
    check = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile"]
    run(*check, tmp_path / "root.pem", "-in", tmp_path / "three", "-out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == TEXT


def test_one_false_signer_spoils_the_message(desk: Desk) -> None:
    """A signature value of another signer, and a signer over other content: TOTAL-FAILED."""
    first, second = CmsParts.split(sealed(desk, sealed(desk, TEXT, ATTACHED, Level.B_LT), PARALLEL, Level.B_LT))
    exchanged = replace(first, signer=(*first.signer[:5], second.signer[5]))
    assert outcome(judged(desk, join((exchanged, second))))[0] == "TOTAL-FAILED"
    (stranger,) = CmsParts.split(sealed(desk, b"other", ATTACHED, Level.B_LT))
    assert outcome(judged(desk, join((first, stranger)))) == ("TOTAL-FAILED", "HASH_FAILURE")


@pytest.mark.parametrize("form", [ATTACHED, DETACHED], ids=str)
@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT])
def test_a_counter_signature(desk: Desk, form: Form, level: Level) -> None:
    """A verdict of its own, of its own kind; the signature below is as it was. A person signs like an agency."""
    outside = TEXT if form == DETACHED else None
    below = sealed(desk, TEXT, form, Level.B_LT)
    made = sealed(desk, below, COUNTER, level, "text.p7m")
    assert CmsParts.parse(made).signer == CmsParts.parse(below).signer
    verdict = judged(desk, made, detached=outside)
    assert [one.kind.value for one in verdict.signatures] == ["signature", "counter-signature"]
    if level is Level.B_LT:
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert [one.level for one in verdict.signatures] == ["B-LT", "B-LT"]
        again = signed_by(desk, desk.person(), made, COUNTER, Level.B_LT, "text.p7m")
        verdict = judged(desk, again, detached=outside)
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert len(verdict.signatures) == 3


def test_a_counter_signature_is_as_the_standard_has_it(desk: Desk, tmp_path: Path) -> None:
    """RFC 5652 §11.4, read with asn1crypto: no content type, the digest of the signature value below; openssl takes the
    message as ever."""
    made = sealed(desk, sealed(desk, TEXT, ATTACHED, Level.B_B), COUNTER, Level.B_B)
    signed = cms.ContentInfo.load(made)["content"]
    (signer,) = signed["signer_infos"]
    (attribute,) = (one for one in signer["unsigned_attrs"] if one["type"].dotted == "1.2.840.113549.1.9.6")
    counter = cms.SignerInfo.load(attribute["values"][0].dump())
    stated = {one["type"].native: one["values"][0] for one in counter["signed_attrs"]}
    assert "content_type" not in stated
    assert stated["message_digest"].native == hashlib.sha256(signer["signature"].native).digest()
    serial = counter["sid"].chosen["serial_number"].native
    certificates = [load_der_x509_certificate(one.chosen.dump()) for one in signed["certificates"]]
    (own,) = (one for one in certificates if one.serial_number == serial)
    key = own.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(counter["signature"].native, counter["signed_attrs"].untag().dump(), ec.ECDSA(hashes.SHA256()))
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "made").write_bytes(made)
    check = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile"]
    run(*check, tmp_path / "root.pem", "-in", tmp_path / "made", "-out", tmp_path / "out")


def test_a_counter_signature_of_another_signature_fails(desk: Desk) -> None:
    """Moved to another message, and one with a content type: TOTAL-FAILED; garbage in its place too."""
    made = CmsParts.parse(sealed(desk, sealed(desk, TEXT, ATTACHED, Level.B_LT), COUNTER, Level.B_LT))
    other = CmsParts.parse(sealed(desk, TEXT, ATTACHED, Level.B_LT))
    (counter,) = made.of_kind(COUNTER_SIGNATURE)
    moved = replace(other, certificates=(*other.certificates, *made.certificates))
    assert outcome(judged(desk, moved.with_unsigned(COUNTER_SIGNATURE, counter).encode()))[0] == "TOTAL-FAILED"
    assert outcome(judged(desk, other.with_unsigned(COUNTER_SIGNATURE, b"\x30\x00").encode()))[0] == "TOTAL-FAILED"
    ordinary = other.with_unsigned(COUNTER_SIGNATURE, made.signer_info)
    assert outcome(judged(desk, replace(ordinary, certificates=moved.certificates).encode()))[0] == "TOTAL-FAILED"


def test_what_has_no_place_for_it_is_refused(desk: Desk) -> None:
    """No message, a detached one for a further signer, several signers for one counter signature: refused with the
    cause."""
    two = sealed(desk, sealed(desk, TEXT, ATTACHED, Level.B_B), PARALLEL, Level.B_B)
    refused = [(TEXT, PARALLEL), (TEXT, COUNTER), (sealed(desk, TEXT, DETACHED, Level.B_B), PARALLEL), (two, COUNTER)]
    for data, form in refused:
        with pytest.raises(DocumentDamaged):
            sealed(desk, data, form, Level.B_B)


def test_a_signature_over_a_signed_message(desk: Desk) -> None:
    """In turn: the signed message is the content of the next one, which is judged as over that file."""
    inner = sealed(desk, TEXT, ATTACHED, Level.B_LT)
    outer = sealed(desk, inner, ATTACHED, Level.B_LT)
    assert outcome(judged(desk, outer)) == ("TOTAL-PASSED", None)
    assert CmsParts.parse(outer).content == inner
