"""signatures/signDoc with documentDigests: whole signatures over documents that the service never sees."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from signing.cms_parts import CmsParts
from tests import programs
from tests.story.installation import Applicant, Installation
from tests.story.test_story_csc import ECDSA_SHA256, _ask, _digest
from tests.story.test_story_csc_documents import holder, passkey_sad
from tests.story.test_story_formats import verified
from tests.story.test_story_passkey import Phone

__all__ = ["holder"]

SHA256 = "2.16.840.1.101.3.4.2.1"
TEXT = "SPECIMEN កិច្ចសន្យាសម្ងាត់ that stays where it is\n".encode()


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


def digests(form: str, *contents: bytes, level: str = "Ades-B-LT", **changes: Any) -> dict[str, Any]:
    """One entry of documentDigests."""
    return {
        "hashes": [base64.b64encode(hashlib.sha256(one).digest()).decode() for one in contents],
        "hashAlgorithmOID": SHA256,
        "signature_format": form,
        "conformance_level": level,
        "signAlgo": ECDSA_SHA256,
    } | changes


def authorised(person: Applicant, entries: list[dict[str, Any]], count: int) -> str:
    proof = {"authData": [{"id": "PIN", "value": person.pin}, {"id": "OTP", "value": person.next_code()}]}
    body = {"credentialID": person.credential, "documentDigests": entries, "numSignatures": count, **proof}
    status, answer = _ask(person, "v2/credentials/authorize", body)
    assert status == 200, answer
    return str(answer["SAD"])


def test_documents_that_stay_with_the_client(
    assembled: Installation, person: Applicant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three digests under one SAD, bound to exactly them: two CAdES signatures that openssl and the verifier accept
    over the files, one message for a PDF with the status beside; asked again, the same; all three in the history."""
    other = TEXT + b"other"
    entries = [digests("C", TEXT, other), digests("P", b"octets of a byte range", signed_envelope_property="Revision")]
    sad = authorised(person, entries, 3)
    body = {"credentialID": person.credential, "SAD": sad}
    lower = [{**one, "conformance_level": "Ades-B-T"} for one in entries]
    changed = [digests("C", TEXT, TEXT), entries[1]]
    swapped = [{**entries[0], "signature_format": "P"}, {**entries[1], "signature_format": "C"}]
    for one in swapped:
        one.pop("signed_envelope_property", None)
    for wrong in (lower, changed, entries[:1], entries[::-1], swapped):
        status, answer = _ask(person, "v2/signatures/signDoc", {**body, "documentDigests": wrong})
        assert (status, answer["error"]) == (403, "invalid_hash"), answer
    approved = person.get("/sign/v1/history")["entries"][0]["digests"]
    raw = {**body, "hashes": [base64.b64encode(bytes.fromhex(approved[0])).decode()], "signAlgo": ECDSA_SHA256}
    assert _ask(person, "v2/signatures/signHash", raw)[0] == 400

    status, answer = _ask(person, "v2/signatures/signDoc", {**body, "documentDigests": entries})
    assert status == 200, answer
    assert "DocumentWithSignature" not in answer
    first, second, for_pdf = (base64.b64decode(one) for one in answer["SignatureObject"])
    for number, (content, signature) in enumerate(((TEXT, first), (other, second))):
        file, beside = tmp_path / f"{number}.txt", tmp_path / f"{number}.txt.p7s"
        file.write_bytes(content)
        beside.write_bytes(signature)
        programs.run(
            *("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", beside),
            *("-content", file, "-out", tmp_path / "out"),
        )
        status, verdict = verified(assembled, capsys, beside, "--detached", str(file))
        assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
        assert verdict["signatures"][0]["level"] == "B-LT"
    told, inside = answer["validationInfo"], CmsParts.parse(for_pdf)
    assert inside.revocations == ()  # of a PDF, they go into the file
    assert all(told[name] for name in ("ocsp", "crl", "certificates"))
    assert set(CmsParts.parse(first).ocsps) <= {base64.b64decode(one) for one in told["ocsp"]}
    assert _ask(person, "v2/signatures/signDoc", {**body, "documentDigests": entries}) == (200, answer)
    used = [one for one in person.get("/sign/v1/history")["entries"] if one["act"] == "signature"]
    assert [(len(one["digests"]), one["door"]) for one in used] == [(3, "csc")]


def test_a_passkey_permits_exactly_these_documents(
    assembled: Installation, holder: tuple[Applicant, Phone], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The device's answer is for these digests in this form: none other is authorised by it; fetched by polling."""
    person, phone = holder
    wanted = {"documentDigests": [digests("C", TEXT)], "numSignatures": 1}
    status, refused = passkey_sad(person, phone, wanted, documentDigests=[digests("C", TEXT + b"!")])
    assert (status, refused["error"]) == (400, "invalid_request"), refused
    status, granted = passkey_sad(person, phone, wanted)
    assert status == 200, granted
    stranger = assembled.applicant().until("certificate")
    body = {"SAD": granted["SAD"], "documentDigests": wanted["documentDigests"], "operationMode": "A"}
    for credential in (person.credential, stranger.credential):
        assert _ask(stranger, "v2/signatures/signDoc", {**body, "credentialID": credential})[0] == 400
    status, accepted = _ask(person, "v2/signatures/signDoc", {**body, "credentialID": person.credential})
    assert status == 200, accepted
    assembled.services.csc_responses.work(accepted["responseID"])
    told: dict[str, Any] = {}
    status = 202
    for _ in range(200):
        status, told = _ask(person, "v2/signatures/signPolling", {"requestID": accepted["responseID"]})
        if status != 202:
            break
        time.sleep(0.1)
    assert status == 200, told
    file, beside = tmp_path / "a.txt", tmp_path / "a.txt.p7s"
    file.write_bytes(TEXT)
    beside.write_bytes(base64.b64decode(told["SignatureObject"][0]))
    assert verified(assembled, capsys, beside, "--detached", str(file))[0] == 0
    file.write_bytes(TEXT + b"!")
    assert verified(assembled, capsys, beside, "--detached", str(file))[0] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature_format": "X"},
        {"conformance_level": "Ades-B-LTA"},
        {"conformance_level": "Ades-B-B"},
        {"signed_envelope_property": "Attached"},
        {"signed_props": [{"attribute_name": "Reason"}]},
        {"hashAlgorithmOID": "1.3.14.3.2.26"},
        {"hashAlgorithmOID": "2.16.840.1.101.3.4.2.3"},
        {"hashAlgorithmOID": None},
        {"hashes": []},
        {"hashes": ["AAAA"]},
        {"hashes": [_digest(1)] * 21},
    ],
)
def test_what_cannot_be_signed_by_its_digest(assembled: Installation, person: Applicant, wrong: dict[str, Any]) -> None:
    """Forms, levels, lengths and numbers that there are not: refused in the API's own form, and nothing is kept."""
    proof = {"authData": [{"id": "PIN", "value": person.pin}, {"id": "OTP", "value": "000000"}]}
    good = digests("C", TEXT)
    body = {"credentialID": person.credential, "numSignatures": 1, **proof}
    status, answer = _ask(person, "v2/credentials/authorize", {**body, "documentDigests": [{**good, **wrong}]})
    assert (status, set(answer)) == (400, {"error", "error_description"}), answer
    assert answer["error"] != "invalid_pin"
    assert person.get("/sign/v1/documents")["documents"] == []


def test_another_hash_than_the_key_s(assembled: Installation, person: Applicant) -> None:
    """SHA-384 with a key that signs by SHA-256, and a signAlgo of another key: refused; a wrong code keeps nothing."""
    proof = {"authData": [{"id": "PIN", "value": person.pin}, {"id": "OTP", "value": "000000"}]}
    longer = base64.b64encode(hashlib.sha384(TEXT).digest()).decode()
    sha384 = {**digests("C", TEXT), "hashes": [longer], "hashAlgorithmOID": "2.16.840.1.101.3.4.2.2"}
    body = {"credentialID": person.credential, "numSignatures": 1, **proof}
    status, answer = _ask(person, "v2/credentials/authorize", {**body, "documentDigests": [sha384]})
    assert (status, "digests_invalid" in json.dumps(answer)) == (400, True), answer
    twice: tuple[dict[str, Any], ...] = ({"hashes": [_digest(1)]}, {"documents": []})
    for both in twice:
        status, answer = _ask(
            person, "v2/credentials/authorize", {**body, "documentDigests": [digests("C", TEXT)], **both}
        )
        assert (status, answer["error"]) == (400, "invalid_request")
    status, answer = _ask(person, "v2/credentials/authorize", {**body, "documentDigests": [digests("C", TEXT)]})
    assert (status, answer["error"]) == (400, "invalid_pin")
    assert person.get("/sign/v1/documents")["documents"] == []
    signing = {"credentialID": person.credential, "SAD": "AAAA"}
    entry = digests("C", TEXT, signAlgo="1.2.840.113549.1.1.11")
    assert _ask(person, "v2/signatures/signDoc", {**signing, "documentDigests": [entry]})[0] == 400
