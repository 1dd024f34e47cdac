"""The CSC API beyond signHash: whole documents, later answers, passkeys, extended transactions, clients' tokens."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from foundation.http.actor import Actor, ActorKind
from identity.oauth.model import AccessGrant
from tests import programs
from tests.story.installation import Applicant, Installation
from tests.story.test_story_csc import ECDSA_SHA256, _ask, _digest
from tests.story.test_story_passkey import Phone, letter

__all__ = ["letter"]


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


@pytest.fixture
def holder(assembled: Installation) -> tuple[Applicant, Phone]:
    """A person whose only factor is a passkey."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    return person, phone


def entry(data: bytes, form: str = "P", level: str = "AdES-B-LT", envelope: str = "Revision") -> dict[str, str]:
    return {
        "document": base64.b64encode(data).decode(),
        "signature_format": form,
        "conformance_level": level,
        "signed_envelope_property": envelope,
        "signAlgo": ECDSA_SHA256,
    }


def sad_for(person: Applicant, documents: list[dict[str, str]]) -> str:
    body = {"credentialID": person.credential, "documents": documents, "numSignatures": len(documents)}
    proof = {"authData": [{"id": "PIN", "value": person.pin}, {"id": "OTP", "value": person.next_code()}]}
    status, answer = _ask(person, "v2/credentials/authorize", {**body, **proof})
    assert status == 200, answer
    return str(answer["SAD"])


def passkey_sad(person: Applicant, phone: Phone, wanted: dict[str, Any], **wrong: object) -> tuple[int, dict[str, Any]]:
    """An authorisation by the device's answer to the challenge for exactly what is wanted."""
    asking = {"credentialID": person.credential, "authObjectID": "PASSKEY", **wanted}
    status, told = _ask(person, "v2/credentials/getChallenge", asking)
    assert status == 200, told
    answer = phone.device.answer(told["challenge"], origin=Phone.ORIGIN)
    body = {"credentialID": person.credential, "authData": [{"id": "PASSKEY", "value": answer}], **wanted, **wrong}
    return _ask(person, "v2/credentials/authorize", body)


def test_documents_are_signed_whole(assembled: Installation, person: Applicant, letter: bytes, tmp_path: Path) -> None:
    """A PDF, CMS with and beside its document, XML and JSON, in one authorisation: each accepted by others. What
    was not authorised is not signed, and the documents' SAD signs no digests."""
    text = "SPECIMEN កិច្ចសន្យា".encode()
    wanted = [
        entry(letter),
        entry(text, "C", envelope="Attached"),
        entry(text, "C", envelope="Detached"),
        entry(b"<contract>SPECIMEN</contract>", "X", envelope="Enveloped"),
        entry(text, "J", envelope="Attached"),
    ]
    sad = sad_for(person, wanted)
    body = {"credentialID": person.credential, "SAD": sad}
    changed = [*wanted[:1], entry(text + b"!", "C", envelope="Attached"), *wanted[2:]]
    lower = [{**one, "conformance_level": "AdES-B-T"} for one in wanted]
    for other in (changed, lower, wanted[:4], wanted[::-1]):
        status, answer = _ask(person, "v2/signatures/signDoc", {**body, "documents": other})
        assert (status, answer["error"]) == (403, "invalid_hash"), answer
    digests = person.get("/sign/v1/history")["entries"][0]["digests"]
    raw = {**body, "hashes": [base64.b64encode(bytes.fromhex(digests[0])).decode()], "signAlgo": ECDSA_SHA256}
    status, answer = _ask(person, "v2/signatures/signHash", raw)
    assert (status, answer["error"]) == (400, "invalid_request")
    stranger = assembled.applicant().until("certificate")
    for credential in (person.credential, stranger.credential):
        theirs = {**body, "credentialID": credential, "documents": wanted}
        assert _ask(stranger, "v2/signatures/signDoc", theirs)[0] == 400

    status, answer = _ask(person, "v2/signatures/signDoc", {**body, "documents": wanted})
    assert status == 200, answer
    pdf, attached, xml, jws = (base64.b64decode(one) for one in answer["DocumentWithSignature"])
    (beside,) = (base64.b64decode(one) for one in answer["SignatureObject"])
    assert pdf.startswith(letter)
    files = {"a.pdf": pdf, "a.p7m": attached, "a.p7s": beside, "a.txt": text, "a.xml": xml}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert "Signature is Valid." in programs.run("pdfsig", "-nocert", tmp_path / "a.pdf").stdout
    verify = ("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-out", tmp_path / "out")
    programs.run(*verify, "-in", tmp_path / "a.p7m")
    assert (tmp_path / "out").read_bytes() == text
    programs.run(*verify, "-in", tmp_path / "a.p7s", "-content", tmp_path / "a.txt")
    assert b"SignatureValue" in xml
    assert "signatures" in json.loads(jws) or "signature" in json.loads(jws)
    again = _ask(person, "v2/signatures/signDoc", {**body, "documents": wanted})
    assert again == (200, answer)  # fetched once more, not signed once more
    used = [one for one in person.get("/sign/v1/history")["entries"] if one["act"] == "signature"]
    assert [(len(one["digests"]), one["door"]) for one in used] == [(5, "csc")]


def test_answers_to_come_back_for(assembled: Installation, person: Applicant, letter: bytes) -> None:
    """operationMode A: a responseID, then the documents; another person's id is nobody's; a killed server's work is
    done by upkeep, once."""
    responses = assembled.services.csc_responses
    wanted = [entry(letter)]
    body = {"credentialID": person.credential, "SAD": sad_for(person, wanted), "documents": wanted}
    work = responses.work
    responses.work = lambda *_: False  # type: ignore[method-assign] # the server dies before it begins
    try:
        status, accepted = _ask(person, "v2/signatures/signDoc", {**body, "operationMode": "A"})
        assert status == 200, accepted
        asked = {"requestID": accepted["responseID"]}
        status, told = _ask(person, "v2/signatures/signPolling", asked)
        assert (status, told["error"]) == (202, "accepted_request")
    finally:
        responses.work = work  # type: ignore[method-assign]
    assert responses.resume() >= 1
    assert responses.work(accepted["responseID"]) is False
    status, told = _ask(person, "v2/signatures/signPolling", asked)
    assert status == 200, told
    assert base64.b64decode(told["DocumentWithSignature"][0]).startswith(letter)
    stranger = assembled.applicant().until("certificate")
    assert _ask(stranger, "v2/signatures/signPolling", asked)[0] == 400
    for wrong in ({"operationMode": "B"}, {"operationMode": "A", "response_uri": "https://a.example/"}):
        assert _ask(person, "v2/signatures/signDoc", {**body, **wrong})[0] == 400


def test_a_passkey_permits_exactly_these_digests(
    assembled: Installation, holder: tuple[Applicant, Phone], letter: bytes
) -> None:
    """The challenge is for these digests; its answer authorises no others, and not twice. Documents likewise."""
    person, phone = holder
    status, told = _ask(person, "v2/credentials/info", {"credentialID": person.credential})
    assert told["auth"]["expression"] == "PASSKEY"
    assert [one["type"] for one in told["auth"]["objects"]] == ["ChallengeResponse"]
    wanted = {"hashes": [_digest(1), _digest(2)], "numSignatures": 2}
    status, refused = passkey_sad(person, phone, wanted, hashes=[_digest(1), _digest(3)])
    assert (status, refused["error"]) == (400, "invalid_request")
    status, granted = passkey_sad(person, phone, wanted)
    assert status == 200, granted
    sign = {"credentialID": person.credential, "SAD": granted["SAD"], "signAlgo": ECDSA_SHA256}
    assert _ask(person, "v2/signatures/signHash", {**sign, "hashes": [_digest(3)]})[0] == 400
    extend = {"credentialID": person.credential, "SAD": granted["SAD"]}
    for hashes_ in ([_digest(2), _digest(1)], [_digest(3)], [_digest(1), _digest(1)]):
        assert _ask(person, "v2/credentials/extendTransaction", {**extend, "hashes": hashes_})[0] == 400, hashes_
    assert _ask(person, "v2/signatures/signHash", {**sign, "hashes": [_digest(1)]})[0] == 200
    assert _ask(person, "v2/credentials/extendTransaction", {**extend, "hashes": [_digest(1)]})[0] == 400
    status, again = _ask(person, "v1/credentials/extendTransaction", {**extend, "hash": [_digest(2)]})
    assert status == 200, again
    assert 0 < again["expiresIn"] <= granted["expiresIn"]
    assert _ask(person, "v2/signatures/signHash", {**sign, "SAD": again["SAD"], "hashes": [_digest(2)]})[0] == 200

    documents = {"documents": [entry(letter, level="AdES-B-T", envelope="Certification")], "numSignatures": 1}
    status, granted = passkey_sad(person, phone, documents)
    assert status == 200, granted
    body = {"credentialID": person.credential, "SAD": granted["SAD"], "documents": documents["documents"]}
    status, signed = _ask(person, "v2/signatures/signDoc", body)
    assert status == 200, signed
    assert b"/DocMDP" in base64.b64decode(signed["DocumentWithSignature"][0])


def test_a_client_signs_with_the_token_that_a_person_gave_it(assembled: Installation, person: Applicant) -> None:
    """The access token of scope credential is the SAD: for its digests, its credential, its client, once; the client
    stands in the person's history. Of scope service it signs nothing, and it opens nothing of /sign/v1."""
    services = assembled.services
    client = assembled.staff(ActorKind.CLIENT, "sign-seal")
    (credential,) = services.signing.credentials(Actor(ActorKind.PERSON, person.person_id))
    digests = [base64.b64decode(_digest(number)) for number in (1, 2)]
    key_id, audience = credential.signatory.key_id, services.settings.public_url
    activation = services.token.activate(key_id, digests, person.pin, person.next_code(), audience)

    def token(scope: str) -> dict[str, str]:
        grant = AccessGrant(
            client.id,
            person.person_id,
            frozenset({scope}),
            services.clock.now() + timedelta(minutes=5),
            credential_id=person.credential,
            digests=tuple(digests),
        )
        with services.database.unit_of_work() as connection:
            made = services.identity.tokens.issue(
                connection, grant, activation=activation.token if scope == "credential" else None
            )
        return {"Authorization": f"Bearer {made}"}

    signing, service = token("credential"), token("service")
    body = {"credentialID": person.credential, "hashes": [_digest(1)], "signAlgo": ECDSA_SHA256}

    def ask(path: str, given: dict[str, Any], headers: dict[str, str]) -> Any:
        return assembled.http.post(f"/csc/v2/{path}", json=given, headers=headers)

    assert ask("signatures/signHash", body, service).status_code == 400
    assert ask("signatures/signHash", {**body, "hashes": [_digest(3)]}, signing).status_code == 400
    assert ask("credentials/list", {}, signing).status_code == 403
    assert ask("credentials/list", {}, service).json()["credentialIDs"] == [person.credential]
    for path in ("/sign/v1/history", "/sign/v1/documents"):
        assert assembled.http.get(path, headers=signing).status_code == 403
    told = ask("signatures/signHash", body, signing)
    assert told.status_code == 200, told.text
    signature = base64.b64decode(told.json()["signatures"][0])
    key = credential.signatory.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, digests[0], ec.ECDSA(Prehashed(hashes.SHA256())))
    assert ask("signatures/signHash", body, signing).status_code == 400  # once
    sad = signing["Authorization"].removeprefix("Bearer ")
    second = {**body, "hashes": [_digest(2)], "SAD": sad}
    assert _ask(person, "v2/signatures/signHash", second)[0] == 400  # not by the person's own session
    assert ask("signatures/signHash", second, service).status_code == 200
    entry_ = person.get("/sign/v1/history")["entries"][0]
    assert (entry_["act"], entry_["door"], entry_["client"]) == ("signature", "csc", client.id)
    assert ask("auth/revoke", {"token": sad}, signing).status_code == 204
    assert ask("signatures/signHash", body, signing).status_code == 401


def test_a_session_is_ended_by_its_own_person(assembled: Installation, person: Applicant) -> None:
    """auth/revoke: another's token is none; one's own is over."""
    stranger = assembled.applicant().until("consent")
    assert _ask(person, "v1/auth/revoke", {"token": stranger.session})[0] == 400
    assert stranger.get(stranger.base)["id"] == stranger.enrolment["id"]
    answer = person.http.post("/csc/v1/auth/revoke", json={"token": person.session}, headers=person._headers())
    assert answer.status_code == 204
    assert person.ask("GET", "/sign/v1/history").status_code == 401


def test_what_cannot_be_is_refused_in_the_api_s_own_form(
    assembled: Installation, person: Applicant, letter: bytes
) -> None:
    """Formats, levels, envelopes, algorithms, and a broken document: nothing is kept of it."""
    good = entry(letter)
    proof = {"authData": [{"id": "PIN", "value": person.pin}, {"id": "OTP", "value": "000000"}]}
    before = len(person.get("/sign/v1/documents")["documents"])
    for wrong in (
        {"signature_format": "Q"},
        {"conformance_level": "AdES-B-X"},
        {"conformance_level": "AdES-B-B"},  # sub-decree 246: with the time
        {"signed_envelope_property": "Parallel"},
        {"signed_props": [{"attribute_name": "Reason"}]},
        {"document": "*"},
        {"document": base64.b64encode(b"no PDF").decode()},
    ):  # fmt: skip
        body = {"credentialID": person.credential, "documents": [{**good, **wrong}], "numSignatures": 1, **proof}
        status, answer = _ask(person, "v2/credentials/authorize", body)
        assert (status, set(answer)) == (400, {"error", "error_description"}), (wrong, answer)
    for wrong_body in (
        {"documents": [good], "hashes": [_digest(1)]},
        {"documents": [good] * 21},
        {"documents": [good]},  # a wrong code
    ):
        body = {"credentialID": person.credential, "numSignatures": 1, **wrong_body, **proof}
        assert _ask(person, "v2/credentials/authorize", body)[0] == 400, wrong_body
    assert len(person.get("/sign/v1/documents")["documents"]) == before
    signing = {"credentialID": person.credential, "SAD": "AAAA", "documents": [{**good, "signAlgo": "1.2.3"}]}
    assert _ask(person, "v2/signatures/signDoc", signing)[0] == 400
    asking = {"credentialID": person.credential, "authObjectID": "OTP", "hashes": [_digest(1)]}
    assert _ask(person, "v2/credentials/getChallenge", asking)[0] == 400
