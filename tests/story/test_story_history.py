"""Persons and their keys: every use in their history, proved by the log; told to them; stopped in one step."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from foundation.http.actor import Actor, ActorKind
from foundation.keys.errors import KeyDisabled
from foundation.keys.port import Mechanism
from foundation.signed_note import NoteKey
from foundation.use_record import check_use
from issuing_ca.model import CertificateState
from tests.story.installation import Applicant, Installation
from tests.story.test_story_csc import ECDSA_SHA256, SHA256, _ask, _digest
from tests.story.test_story_passkey import letter

__all__ = ["letter"]


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


def _certificate(assembled: Installation, person: Applicant) -> x509.Certificate:
    (record,) = assembled.services.ca.certificates(owner=person.person_id)
    assert record.certificate is not None
    return x509.load_der_x509_certificate(record.certificate)


def _authorised(person: Applicant, *hashes_: str) -> str:
    body = {"credentialID": person.credential, "hash": list(hashes_), "numSignatures": len(hashes_)}
    status, answer = _ask(person, "v1/credentials/authorize", {**body, "PIN": person.pin, "OTP": person.next_code()})
    assert status == 200, answer
    return str(answer["SAD"])


def _sign(person: Applicant, sad: str, *hashes_: str) -> tuple[int, dict[str, Any]]:
    body = {"credentialID": person.credential, "SAD": sad, "signAlgo": ECDSA_SHA256, "hashAlgo": SHA256}
    return _ask(person, "v1/signatures/signHash", {**body, "hash": list(hashes_)})


def test_every_use_is_in_the_history_and_the_log_proves_it(
    assembled: Installation, person: Applicant, letter: bytes
) -> None:
    """Digests through the CSC API by one person, a document by another: newest first, each proved with no network by
    what the person holds; a record that was changed, or shown as another's, is not."""
    sad = _authorised(person, _digest(1))
    assert _sign(person, sad, _digest(1))[0] == 200
    told = person.get("/sign/v1/history")
    acts = [(one["act"], one["door"]) for one in told["entries"]]
    assert acts == [("signature", "csc"), ("authorisation", "csc")]
    assert told["entries"][0]["digests"] == [base64.b64decode(_digest(1)).hex()]
    key, certificate = NoteKey.parse(told["log_key"]), _certificate(assembled, person)
    assert told["log_key"] == str(assembled.services.log.verifier_key())
    for one in told["entries"]:
        record, proof = one["record"].encode(), one["proof"].encode()
        assert check_use(record, proof, key, certificate) == ()
        changed = json.dumps(json.loads(record) | {"door": "else"}, sort_keys=True, separators=(",", ":"))
        assert "LOG-OPENS" in [rule.rule for rule in check_use(changed.encode(), proof, key, certificate)]
    other = assembled.applicant().until("certificate")
    assert other.get("/sign/v1/history")["entries"] == []
    document = other.uploaded("SPECIMEN letter.pdf", letter)
    other.sign(document)
    (signed,) = other.get("/sign/v1/history")["entries"]
    assert (signed["act"], signed["door"], signed["code"]) == ("signature", "sign", None)
    assert (signed["documents"][0]["name"], signed["documents"][0]["id"]) == ("SPECIMEN letter.pdf", document)
    assert check_use(signed["record"].encode(), signed["proof"].encode(), key, _certificate(assembled, other)) == ()
    foreign = check_use(record, proof, key, _certificate(assembled, other))
    assert [one.rule for one in foreign] == ["LOG-USE-CERTIFICATE", "LOG-LABEL"]
    # proofs of uses are not for everybody, not even for who knows the digest
    published = assembled.http.get(f"/log/proof/key-use/{hashlib.sha256(record).hexdigest()}")
    assert published.status_code == 404
    assert "letter" not in str(assembled.audit())


def test_the_person_is_told_without_names(assembled: Installation, person: Applicant, letter: bytes) -> None:
    """One message for a batch, over the contact that they proved; no name of a document in it."""
    person.sign(*(person.uploaded(f"secret {number}.pdf", letter) for number in range(3)))
    assembled.services.signing.history.notify()
    operator = assembled.staff(ActorKind.OPERATOR, "ekyc-outbox")
    messages = operator.ask("GET", f"/ekyc/v1/outbox?person_id={person.person_id}").json()
    about = [one["text"] for one in messages if "Suspend" in one["text"] or "ផ្អាក" in one["text"]]
    assert len(about) == 1, messages
    assert "3" in about[0]
    assert "secret" not in str(messages)


def test_stopped_in_one_step(assembled: Installation, person: Applicant, letter: bytes) -> None:
    """With the session alone, while an authorisation is open: OCSP and CRL say so at once, the service refuses, and so
    does the token for whoever holds the authorisation and the wrapped key. An officer releases it; no holder does."""
    services, certificate = assembled.services, _certificate(assembled, person)
    document, (first, second) = person.uploaded("SPECIMEN letter.pdf", letter), (_digest(1), _digest(2))
    sad = _authorised(person, first, second)
    assert _sign(person, sad, first)[0] == 200
    stranger = assembled.applicant().until("certificate")
    path = f"/sign/v1/credentials/{person.credential}/suspension"
    assert stranger.ask("POST", path).status_code == 404
    answer = person.ask("POST", path)
    assert (answer.status_code, answer.json()["status"]) == (200, "suspended")

    status, refused = _sign(person, sad, second)
    assert (status, refused["error"]) == (400, "invalid_request")
    assert "signing.credential_not_usable" in refused["error_description"]
    (credential,) = services.signing.credentials(_actor(person))
    token = base64.urlsafe_b64decode(sad + "=" * (-len(sad) % 4))
    wrapped = credential.signatory.wrapped
    assert wrapped is not None
    with pytest.raises(KeyDisabled):
        services.token.sign_wrapped(wrapped, Mechanism.ECDSA, [base64.b64decode(second)], activation=token)
    refused = person.ask("POST", "/sign/v1/authorisations", person.authorisation(document, totp="000000")).json()
    assert refused["code"] == "signing.credential_not_usable"
    status, told = _ask(person, "v1/credentials/info", {"credentialID": person.credential})
    assert (status, told["key"]["status"]) == (200, "disabled")

    (record,) = services.ca.certificates(owner=person.person_id)
    assert record.state is CertificateState.HELD
    fresh = services.ca.fresh_ocsp(certificate)
    assert fresh is not None
    assert ocsp.load_der_ocsp_response(fresh).certificate_status is ocsp.OCSPCertStatus.REVOKED
    crl = x509.load_der_x509_crl(services.ca.current_crl("issuing"))
    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    assert person.get("/sign/v1/history")["entries"][0]["act"] == "suspension"

    own = {"reason": "removeFromCRL", "pin": person.pin, "totp": "000000"}
    assert person.ask("POST", f"/ca/v1/own-certificates/{record.serial}/revocation", own).status_code >= 400
    officer = assembled.staff(ActorKind.OFFICER, "ca-revoke")
    released = officer.ask("POST", f"/ca/v1/certificates/{record.serial}/revocation", {"reason": "removeFromCRL"})
    assert released.status_code == 200, released.text
    assert _sign(person, sad, second)[0] == 200
    assert certificate.fingerprint(hashes.SHA256()).hex() in person.get("/sign/v1/history")["entries"][0]["record"]


def _actor(person: Applicant) -> Actor:
    return Actor(ActorKind.PERSON, person.person_id)
