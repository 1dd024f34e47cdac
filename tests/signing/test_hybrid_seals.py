"""Hybrid seals: a signature by ML-DSA-65 beside the one on a curve, each naming the other; neither can be taken away.

OpenSSL 3.0, which this machine has, knows no ML-DSA. The second judge is the text of the standards, read once more
here with asn1crypto and `cryptography`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.x509 import der
from signing import jws
from signing.asic_container import ASIC_S, META, read, write
from signing.cms_parts import CmsParts, join
from signing.errors import LevelNotAllowed, SealNotAllowed, SealPolicyInvalid
from signing.forms import PADES, Form
from signing.model import Credential, Level
from signing.parallel_signatures import MULTIPLE_SIGNATURES, PARALLEL_MESSAGE
from signing.seal_policy import SealPolicy, read_policy
from signing.verify.pdf import read_pdf
from signing.verify.policy import STRICT
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import AGENCY, TEXT, judged, outcome
from tests.signing.sample_pdf import sample

DETACHED, ATTACHED = Form.named("cades", "detached"), Form.named("cades", "attached")
JSON = Form.named("jades", "json")
FORMS = [PADES, DETACHED, ATTACHED, JSON, Form.named("asic-e", "cades"), Form.named("asic-s", "cades")]
ML_DSA_65, SHA512 = "2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.2.3"


def credential(desk: Desk, algorithm: KeyAlgorithm, name: str = "Agency") -> Credential:
    info = desk.keys.generate(f"seal-{os.urandom(8).hex()}", algorithm, KeyUse.ORGANISATION_SEAL)
    who = desk.pki.signatory(info, name)
    return desk.service.register_credential("system:test", AGENCY.id, info.key_id, who.certificate, who.chain)


def allow(desk: Desk, parallel: str | None) -> None:
    policy = SealPolicy(levels=tuple(one.value for one in Level), parallel=parallel)
    desk.service.seal_policies.set("system:test", AGENCY.id, policy, desk.clock.now())


def sealed(desk: Desk, form: Form, level: Level = Level.B_LT, data: bytes | None = None) -> bytes:
    """A hybrid seal by two keys of its own."""
    first, second = credential(desk, KeyAlgorithm.EC_P256), credential(desk, KeyAlgorithm.ML_DSA_65)
    allow(desk, second.credential_id)
    data = data or (sample() if form == PADES else TEXT)
    return desk.service.seal(AGENCY, first.credential_id, data, name="text.txt", form=form, level=level)


def outside(form: Form) -> bytes | None:
    return TEXT if form == DETACHED else None


def rules(desk: Desk, made: bytes, detached: bytes | None = None) -> set[str]:
    verdict = judged(desk, made, detached=detached)
    reasons = (*verdict.reasons, *(one for signature in verdict.signatures for one in signature.reasons))
    return {one.rule for one in reasons if one.sub_indication}


@pytest.mark.parametrize("level", [Level.B_B, Level.B_LT, Level.B_LTA])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_both_hold_and_say_so(desk: Desk, form: Form, level: Level) -> None:
    """Two verdicts, both at the level, each with the note that the other stands beside it."""
    if not form.highest.includes(level):
        with pytest.raises(LevelNotAllowed):
            sealed(desk, form, level)
        return
    verdict = judged(desk, sealed(desk, form, level), detached=outside(form))
    signatures = [one for one in verdict.signatures if one.kind.value == "signature"]
    assert len(signatures) == 2
    named = [
        reason.params.get("algorithm") for one in signatures for reason in one.reasons if "PARALLEL" in reason.rule
    ]
    assert {"ML-DSA-65"} < set(named)
    assert all(one.proved_at is not None for one in signatures) == level.includes(Level.B_T)
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert {one.level for one in signatures} == {level.value}
    else:
        assert {one.rule for each in signatures for one in each.reasons if one.sub_indication} == {"REV-UNKNOWN"}


def test_the_message_is_as_the_standards_have_it(desk: Desk) -> None:
    """RFC 9882 §3: SHA-512 and no parameters, the signature over the DER of the signed attributes; RFC 5752 §4.4.1: the
    hash of the other's attributes with its own hash left out; checked with asn1crypto and `cryptography`."""
    signed = cms.ContentInfo.load(sealed(desk, ATTACHED))["content"]
    by_algorithm = {one["signature_algorithm"]["algorithm"].dotted: one for one in signed["signer_infos"]}
    strong = by_algorithm[ML_DSA_65]
    (weak,) = (one for name, one in by_algorithm.items() if name != ML_DSA_65)
    assert strong["signature_algorithm"].dump() == der.sequence((der.oid(ML_DSA_65),))
    assert strong["digest_algorithm"]["algorithm"].dotted == SHA512
    certificates = [load_der_x509_certificate(one.chosen.dump()) for one in signed["certificates"]]
    serial = strong["sid"].chosen["serial_number"].native
    (signer,) = (one for one in certificates if one.serial_number == serial)
    key = signer.public_key()
    assert isinstance(key, mldsa.MLDSA65PublicKey)
    attributes = strong["signed_attrs"].untag().dump()
    key.verify(strong["signature"].native, attributes)
    digest = next(one for one in strong["signed_attrs"] if one["type"].native == "message_digest")
    assert digest["values"][0].native == hashlib.sha512(TEXT).digest()
    for own, other, hash_name in ((weak, strong, "sha256"), (strong, weak, "sha512")):
        (value,) = (one["values"][0].dump() for one in own["signed_attrs"] if one["type"].dotted.endswith("16.2.51"))
        body, algorithm, hashed, certificate = der.children(value)
        assert body == other["digest_algorithm"].dump()
        assert algorithm == other["signature_algorithm"].dump()
        assert der.children(hashed)[1][2:] == hashlib.new(hash_name, _without_hash(other)).digest()
        named = other["sid"].chosen["serial_number"].native
        (whole,) = (one for one in certificates if one.serial_number == named)
        assert hashlib.sha256(whole.public_bytes(Encoding.DER)).digest() in certificate


def _without_hash(signer: Any) -> bytes:
    """The signed attributes, the hash inside multiple-signatures taken out by hand."""
    kept = []
    for attribute in der.children(signer["signed_attrs"].untag().dump()):
        kind, values = der.children(attribute)
        if kind == MULTIPLE_SIGNATURES:
            body, algorithm, hashed, certificate = der.children(der.children(values)[0])
            hashed = der.sequence((der.children(hashed)[0], b"\x04\x00"))
            value = der.sequence((body, algorithm, hashed, certificate))
            attribute = der.sequence((kind, der.tlv(der.SET, value)))
        kept.append(attribute)
    return der.set_of(kept)


def test_json_is_as_the_standards_have_it(desk: Desk) -> None:
    """RFC 9964: alg ML-DSA-65, the signature over header and payload; RFC 7515 §7.2.1: two entries in signatures."""
    value = json.loads(sealed(desk, JSON, Level.B_B))
    assert set(value) == {"payload", "signatures"}
    headers = [json.loads(jws.decode(one["protected"])) for one in value["signatures"]]
    assert [one["alg"] for one in headers] == ["ES256", "ML-DSA-65"]
    key = load_der_x509_certificate(base64.b64decode(headers[1]["x5c"][0])).public_key()
    assert isinstance(key, mldsa.MLDSA65PublicKey)
    entry = value["signatures"][1]
    key.verify(jws.decode(entry["signature"]), f"{entry['protected']}.{value['payload']}".encode())


@pytest.mark.parametrize("kept", [0, 1])
def test_one_that_was_taken_away_is_missed_in_cms(desk: Desk, kept: int) -> None:
    """With one SignerInfo alone, whichever, and alone in a container: TOTAL-FAILED by CMS-PARALLEL."""
    parts = CmsParts.split(sealed(desk, ATTACHED))
    assert rules(desk, join((parts[kept],))) == {"CMS-PARALLEL"}
    container = read(sealed(desk, Form.named("asic-s", "cades")), 2**20)
    name = f"{META}signature.p7s"
    alone = join((CmsParts.split(container.content(name))[kept],))
    files = {"text.txt": container.content("text.txt"), name: alone}
    assert rules(desk, write(ASIC_S, files)) == {"CMS-PARALLEL"}


def test_one_that_was_exchanged_is_missed(desk: Desk) -> None:
    """The second signature of another seal over the same document, in its place: both were good, neither is named."""
    one, two = (CmsParts.split(sealed(desk, DETACHED)) for _ in range(2))
    strong = [next(part for part in each if ML_DSA_65_DER in part.signer[4]) for each in (one, two)]
    weak = next(part for part in one if part is not strong[0])
    assert rules(desk, join((weak, strong[0])), TEXT) == set()
    assert rules(desk, join((weak, strong[1])), TEXT) == {"CMS-PARALLEL"}


ML_DSA_65_DER = der.oid(ML_DSA_65)


@pytest.mark.parametrize("kept", [0, 1])
def test_one_that_was_taken_away_is_missed_in_json(desk: Desk, kept: int) -> None:
    """With one entry alone, in either serialisation: TOTAL-FAILED by JWS-PARALLEL."""
    value = json.loads(sealed(desk, JSON))
    entry = value["signatures"][kept]
    for left in ({"payload": value["payload"], "signatures": [entry]}, {"payload": value["payload"], **entry}):
        assert rules(desk, jws.write(left)) == {"JWS-PARALLEL"}


def _hole(made: bytes) -> tuple[int, int]:
    (found,) = read_pdf(made, STRICT).signatures
    return found.byte_range[1], found.byte_range[2]


def _refilled(made: bytes, parts: CmsParts) -> bytes:
    start, end = _hole(made)
    return made[: start + 1] + parts.encode().hex().encode().ljust(end - start - 2, b"0") + made[end - 1 :]


def test_one_that_was_taken_away_is_missed_in_a_pdf(desk: Desk) -> None:
    """Out of the unsigned attribute, or damaged there: TOTAL-FAILED, though no octet of the byte range was changed."""
    made = sealed(desk, PADES, Level.B_LT)
    (found,) = read_pdf(made, STRICT).signatures
    parts = CmsParts.parse(found.contents[: der.read(found.contents)[2]])
    assert rules(desk, _refilled(made, parts)) == set()
    without = replace(parts, unsigned=tuple(one for one in parts.unsigned if one.kind != PARALLEL_MESSAGE))
    assert rules(desk, _refilled(made, without)) == {"CMS-PARALLEL"}
    (inner,) = parts.of_kind(PARALLEL_MESSAGE)
    value = CmsParts.parse(inner).signature
    damaged = inner.replace(value, value[:-1] + bytes((value[-1] ^ 1,)))
    assert "CMS-SIGNATURE" in rules(desk, _refilled(made, without.with_unsigned(PARALLEL_MESSAGE, damaged)))


def test_pdfsig_and_pyhanko_judge_the_first(desk: Desk, tmp_path: Path) -> None:
    """In a PDF others see one signature, the one on the curve, and find it valid: poppler, and pyHanko's validator."""
    from io import BytesIO

    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    from signing.sign.token_signer import asn1

    made = sealed(desk, PADES, Level.B_T)
    (tmp_path / "sealed.pdf").write_bytes(made)
    told = run("pdfsig", tmp_path / "sealed.pdf").stdout
    assert told.count("Signature Validation: Signature is Valid.") == 1
    assert "Signature #2" not in told
    context = ValidationContext(
        trust_roots=[asn1(desk.pki.root.certificate)],
        other_certs=[asn1(desk.pki.issuing.certificate), asn1(desk.pki.tsa_ca.certificate)],
        moment=desk.clock.now(),
        revocation_mode="soft-fail",
    )
    (embedded,) = PdfFileReader(BytesIO(made)).embedded_signatures
    status = validate_pdf_signature(embedded, context)
    assert status.intact
    assert status.valid


@pytest.mark.parametrize("form", [PADES, ATTACHED, JSON], ids=str)
def test_ml_dsa_alone(desk: Desk, form: Form) -> None:
    """A credential by ML-DSA-65 seals alone too, where no pair is asked for."""
    own = credential(desk, KeyAlgorithm.ML_DSA_65)
    allow(desk, None)
    data = sample() if form == PADES else TEXT
    made = desk.service.seal(AGENCY, own.credential_id, data, name="text.txt", form=form, level=Level.B_LT)
    verdict = judged(desk, made)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert len(verdict.signatures) == 1


def test_extending_a_hybrid_pdf(desk: Desk) -> None:
    """From B-B to B-LTA, evidence for both signers."""
    extended = desk.service.extend("test", sealed(desk, PADES, Level.B_B))
    verdict = judged(desk, extended)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert [one.level for one in verdict.signatures if one.kind.value == "signature"] == ["B-LTA", "B-LTA"]


def test_what_is_not_fit_beside_is_refused(desk: Desk) -> None:
    """A curve, another subject, a withdrawn credential, one that is not there, a form without a place: SP-PARALLEL, and
    nothing is sealed by half."""
    first = credential(desk, KeyAlgorithm.EC_P256)
    withdrawn = credential(desk, KeyAlgorithm.ML_DSA_65)
    desk.service.withdraw_credential("system:test", withdrawn.credential_id)
    unfit = [
        credential(desk, KeyAlgorithm.EC_P384).credential_id,
        credential(desk, KeyAlgorithm.ML_DSA_65, "Other agency").credential_id,
        withdrawn.credential_id,
        "0" * 32,
    ]
    for one in unfit:
        allow(desk, one)
        with pytest.raises(SealNotAllowed) as refused:
            desk.service.seal(AGENCY, first.credential_id, TEXT, form=ATTACHED, level=Level.B_T)
        assert refused.value.params["rule"] == "SP-PARALLEL"
    allow(desk, credential(desk, KeyAlgorithm.ML_DSA_65).credential_id)
    for form in (Form.named("xades"), Form.named("jades", "compact"), Form.named("asic-e", "xades")):
        with pytest.raises(SealNotAllowed):
            desk.service.seal(AGENCY, first.credential_id, TEXT, form=form, level=Level.B_B)
    with pytest.raises(SealPolicyInvalid):
        read_policy({"parallel": "elsewhere"})
