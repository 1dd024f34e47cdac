"""CAdES of documents: every level made, judged by openssl and by us; what is tampered with does not pass."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from asn1crypto import cms, tsp
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from signing.cms_parts import ARCHIVE_TIMESTAMP_V3, HASH_INDEX_V3, SIGNATURE_TIMESTAMP, CmsParts
from signing.errors import LevelNotAllowed
from signing.forms import Form
from signing.model import Level
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by

DETACHED, ATTACHED = Form.named("cades", "detached"), Form.named("cades", "attached")


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("form", [DETACHED, ATTACHED], ids=str)
def test_every_level(desk: Desk, form: Form, level: Level) -> None:
    """A seal at each level carries what the level asks for, and passes with the root alone from B-LT."""
    made = sealed(desk, TEXT, form, level)
    outside = TEXT if form == DETACHED else None
    verdict = judged(desk, made, detached=outside)
    (found,) = verdict.signatures
    assert verdict.format == "CMS"
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert found.level == level.value
    else:
        unknown = {"REV-UNKNOWN"} if level is Level.B_B else {"REV-UNKNOWN", "PATH-NO-ISSUER"}
        assert {one.rule for one in found.reasons if one.sub_indication} == unknown


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT, Level.B_LTA])
def test_openssl_verifies(desk: Desk, tmp_path: Path, level: Level) -> None:
    """``openssl cms -verify -cades`` accepts both packagings, and refuses another document."""
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "text").write_bytes(TEXT)
    (tmp_path / "other").write_bytes(TEXT + b"!")
    check = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any"]
    check += ["-CAfile", tmp_path / "root.pem", "-out", tmp_path / "out"]
    (tmp_path / "detached").write_bytes(sealed(desk, TEXT, DETACHED, level))
    run(*check, "-in", tmp_path / "detached", "-content", tmp_path / "text")
    with pytest.raises(AssertionError):
        run(*check, "-in", tmp_path / "detached", "-content", tmp_path / "other")
    (tmp_path / "attached").write_bytes(sealed(desk, TEXT, ATTACHED, level))
    run(*check, "-in", tmp_path / "attached")
    assert (tmp_path / "out").read_bytes() == TEXT


def test_pyhanko_accepts_the_timestamp(desk: Desk) -> None:
    """pyHanko's CMS validator finds signature and signature timestamp intact and valid."""
    import asyncio

    from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
    from pyhanko_certvalidator import ValidationContext
    from pyhanko_certvalidator.registry import SimpleCertificateStore  # noqa: F401

    from signing.sign.token_signer import asn1

    made = sealed(desk, TEXT, DETACHED, Level.B_LT)
    context = ValidationContext(
        trust_roots=[asn1(desk.pki.root.certificate)],
        other_certs=[asn1(one) for one in (desk.pki.issuing.certificate, desk.pki.tsa_ca.certificate)],
        revocation_mode="soft-fail",
        moment=desk.clock.now(),
    )
    signed = cms.ContentInfo.load(made)["content"]
    status = asyncio.run(async_validate_detached_cms(TEXT, signed, signer_validation_context=context))
    assert status.intact
    assert status.valid
    assert status.timestamp_validity.intact
    assert status.timestamp_validity.valid


def test_a_person_signs_at_the_service(desk: Desk) -> None:
    """Upload, PIN and code, download: for a person, from B-T; below, and in a form without the level, refused."""
    person = desk.person()
    made = signed_by(desk, person, TEXT, DETACHED, None)
    assert outcome(judged(desk, made, detached=TEXT)) == ("TOTAL-PASSED", None)
    with pytest.raises(LevelNotAllowed):
        signed_by(desk, person, TEXT, DETACHED, Level.B_B)


def test_the_archive_timestamp_is_over_what_the_standard_says(desk: Desk) -> None:
    """The imprint computed once more from the text of EN 319 122-1 §5.5, by asn1crypto's reading of the message."""
    made = sealed(desk, TEXT, DETACHED, Level.B_LTA)
    signed = cms.ContentInfo.load(made)["content"]
    signer = signed["signer_infos"][0]
    tokens = [one for one in signer["unsigned_attrs"] if one["type"].dotted == "0.4.0.1733.2.4"]
    (token,) = tokens[0]["values"]
    info = cms.ContentInfo.load(token.dump())["content"]
    index = next(one for one in info["signer_infos"][0]["unsigned_attrs"] if one["type"].dotted == "0.4.0.19122.1.5")
    index_der = index["values"][0].dump()
    over = [signed["encap_content_info"]["content_type"].dump(), hashlib.sha256(TEXT).digest()]
    names = ("version", "sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature")
    over += [signer[name].dump() for name in names]
    imprint = tsp.TSTInfo.load(bytes(info["encap_content_info"]["content"]))["message_imprint"]["hashed_message"]
    assert imprint.native == hashlib.sha256(b"".join([*over, index_der])).digest()
    _, certificates, crls, attributes = der.children(index_der)
    assert {one[2:] for one in der.children(certificates)} == {
        hashlib.sha256(one.dump()).digest() for one in signed["certificates"]
    }
    assert {one[2:] for one in der.children(crls)} == {hashlib.sha256(one.dump()).digest() for one in signed["crls"]}
    stamped = next(one for one in signer["unsigned_attrs"] if one["type"].dotted == "1.2.840.113549.1.9.16.2.14")
    named = hashlib.sha256(stamped["type"].dump() + stamped["values"][0].dump()).digest()
    assert named in {one[2:] for one in der.children(attributes)}


def _without(made: bytes, kind: bytes) -> bytes:
    from dataclasses import replace

    parts = CmsParts.parse(made)
    return replace(parts, unsigned=tuple(one for one in parts.unsigned if one.kind != kind)).encode()


def test_another_document_or_octet_fails(desk: Desk) -> None:
    """Another document, a changed content, a changed attribute: TOTAL-FAILED."""
    made = sealed(desk, TEXT, DETACHED, Level.B_LT)
    assert outcome(judged(desk, made, detached=TEXT + b"!")) == ("TOTAL-FAILED", "HASH_FAILURE")
    inside = sealed(desk, TEXT, ATTACHED, Level.B_LT)
    changed = inside.replace(TEXT, TEXT.swapcase())
    assert outcome(judged(desk, changed)) == ("TOTAL-FAILED", "HASH_FAILURE")
    attributes = CmsParts.parse(made).signer[3]
    twisted = made.replace(attributes, attributes[:-1] + bytes((attributes[-1] ^ 1,)))
    assert outcome(judged(desk, twisted, detached=TEXT))[0] != "TOTAL-PASSED"


@pytest.mark.parametrize("part", ["certificates", "revocations"])
def test_evidence_that_was_taken_out_breaks_the_archive_timestamp(desk: Desk, part: str) -> None:
    """A hash index that names what is not there: the archive timestamp does not hold."""
    from dataclasses import replace

    parts = CmsParts.parse(sealed(desk, TEXT, DETACHED, Level.B_LTA))
    kept = getattr(parts, part)[1:]
    verdict = judged(desk, replace(parts, **{part: kept}).encode(), detached=TEXT)
    assert outcome(verdict)[0] != "TOTAL-PASSED"


def test_evidence_that_was_added_later_is_not_archived(desk: Desk) -> None:
    """Certificates that the last archive timestamp does not cover take the level back to B-LT, not the verdict."""
    parts = CmsParts.parse(sealed(desk, TEXT, DETACHED, Level.B_LTA))
    stranger = desk.pki.timestamps.unit.public_bytes(Encoding.DER)
    grown = parts.with_evidence([stranger, desk.pki.status.responder.public_bytes(Encoding.DER)], [], [])
    assert grown != parts
    verdict = judged(desk, grown.encode(), detached=TEXT)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LT"


def test_an_archive_timestamp_of_another_signature_does_not_count(desk: Desk) -> None:
    """A token from elsewhere, a token without its index, and one whose index was swapped."""
    own = CmsParts.parse(sealed(desk, TEXT, DETACHED, Level.B_LT))
    other = CmsParts.parse(sealed(desk, b"other", DETACHED, Level.B_LTA))
    (token,) = other.of_kind(ARCHIVE_TIMESTAMP_V3)
    for value in (token, _without(token, HASH_INDEX_V3)):
        verdict = judged(desk, own.with_unsigned(ARCHIVE_TIMESTAMP_V3, value).encode(), detached=TEXT)
        assert outcome(verdict) == ("INDETERMINATE", "NO_POE")
    (stamp,) = other.of_kind(SIGNATURE_TIMESTAMP)
    verdict = judged(desk, own.with_unsigned(SIGNATURE_TIMESTAMP, stamp).encode(), detached=TEXT)
    assert outcome(verdict) == ("INDETERMINATE", "NO_POE")
