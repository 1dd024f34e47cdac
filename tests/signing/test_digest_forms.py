"""Signatures over documents that are known by their digest alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from foundation.errors import CamTrustError
from foundation.keys.port import KeyAlgorithm
from signing.cms_parts import SIGNATURE_TIMESTAMP, CmsParts
from signing.digests.errors import DigestsInvalid
from signing.errors import FormUnknown, LevelNotAllowed, SignatureNotAccepted
from signing.forms import CADES_DIGEST, DIGESTS, PADES_DIGEST, Form
from signing.model import Level
from signing.sign.digest_forms import Answer, accept_digest
from signing.sign.documents import AnyPrepared
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by

DIGEST = hashlib.sha256(TEXT).digest()


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT])
def test_every_level(desk: Desk, level: Level) -> None:
    """Over the digest alone a CAdES signature comes out that the verifier judges over the document, at its level."""
    answer = Answer.parse(sealed(desk, DIGEST, CADES_DIGEST, level))
    verdict = judged(desk, answer.signature, detached=TEXT)
    if level is Level.B_LT:
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert verdict.signatures[0].level == level.value
        assert set(CmsParts.parse(answer.signature).ocsps) == set(answer.ocsps)
    else:
        assert verdict.signatures[0].indication.value == "INDETERMINATE"  # whose status is not inside
    assert judged(desk, answer.signature, detached=TEXT + b"!").indication.value == "TOTAL-FAILED"


def test_for_a_pdf(desk: Desk) -> None:
    """No signing-time inside (EN 319 142-1 §6.3), and the status beside."""
    answer = Answer.parse(sealed(desk, DIGEST, PADES_DIGEST, Level.B_LT))
    parts = CmsParts.parse(answer.signature)
    assert bytes.fromhex("06092a864886f70d010905") not in parts.attributes
    assert parts.revocations == ()
    assert all((answer.ocsps, answer.crls, answer.certificates))
    assert Answer.parse(answer.encode()) == answer


@pytest.mark.parametrize("form", DIGESTS, ids=str)
def test_no_client_names_this_form(form: Form) -> None:
    """A document is never taken for a digest because its client says so; what is stored is read back."""
    with pytest.raises(FormUnknown):
        Form.named(form.format.value, "digest")
    assert Form.parse(str(form)) == form


@pytest.mark.parametrize("form", DIGESTS, ids=str)
def test_what_is_refused(desk: Desk, form: Form) -> None:
    """What is no digest; another hash than the one that goes with the key; an archive timestamp."""
    for wrong in (TEXT, b"", DIGEST[:31]):
        with pytest.raises(CamTrustError) as told:
            sealed(desk, wrong, form, Level.B_T)
        assert told.value.code in {"signing.digests_invalid", "signing.document_empty"}
    with pytest.raises(DigestsInvalid):
        sealed(desk, DIGEST, form, Level.B_T, algorithm=KeyAlgorithm.EC_P384)
    assert sealed(desk, hashlib.sha384(TEXT).digest(), form, Level.B_T, algorithm=KeyAlgorithm.EC_P384)
    with pytest.raises(LevelNotAllowed):
        signed_by(desk, desk.person(), DIGEST, form, Level.B_LTA)


def test_our_own_check_before_it_is_handed_out(desk: Desk) -> None:
    """A signature that is turned, over another digest, by another certificate, without its timestamp or its status, is
    not handed out."""
    person = desk.person()
    signatory = person.credential.signatory
    made: list[tuple[AnyPrepared, bytes]] = []
    complete = desk.service.signer.complete

    def keep(prepared: AnyPrepared, signature: bytes, parallel: bytes | None = None) -> bytes:
        done = complete(prepared, signature, parallel)
        made.append((prepared, done))
        return done

    desk.service.signer.complete = keep  # type: ignore[method-assign]
    signed_by(desk, person, DIGEST, CADES_DIGEST, Level.B_LT)
    ((prepared, done),) = made
    job = prepared.job  # type: ignore[union-attr]
    accept_digest(done, job, CADES_DIGEST, Level.B_LT)
    answer = Answer.parse(done)
    parts = CmsParts.parse(answer.signature)
    assert job.signatory.certificate == signatory.certificate
    stamp = next(one for one in parts.unsigned if one.kind == SIGNATURE_TIMESTAMP)
    without = replace(parts, unsigned=tuple(one for one in parts.unsigned if one != stamp))
    turned = bytearray(parts.signer[5])
    turned[-1] ^= 1
    for message, about in (
        (replace(parts, signer=(*parts.signer[:5], bytes(turned))), job),
        (parts, replace(job, data=bytes(32))),
        (parts, replace(job, signatory=replace(signatory, certificate=signatory.chain[0]))),
        (without, job),
        (replace(parts, revocations=()), job),
    ):
        changed = replace(answer, signature=message.encode()).encode()
        with pytest.raises(SignatureNotAccepted):
            accept_digest(changed, about, CADES_DIGEST, Level.B_LT)
