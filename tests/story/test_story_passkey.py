"""A citizen with a passkey, over HTTP and against the real CA: enrolled, signing, all lost, back in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from camtrust.documents import make_specimen_documents
from ekyc.authenticators.cool_off import cool_offs
from foundation.clock import SystemClock
from foundation.http.actor import Actor, ActorKind
from issuing_ca.model import CertificateState, Reason
from signing.errors import CredentialNotUsable, SigningStopped
from tests.hsm.authenticator import Authenticator
from tests.story.installation import Applicant, Installation, code_of


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    folder: Path = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


class Phone:
    """The person's device, in the browser at the origin that a home's settings stand for by default."""

    ORIGIN = "http://localhost:8440"

    def __init__(self) -> None:
        self.device = Authenticator()

    def enrol(self, person: Applicant) -> None:
        options = person.post("/ekyc/v1/authenticators/passkey-options")["options"]
        made = json.loads(self.device.register(json.dumps(options), origin=self.ORIGIN))
        assert person.post(f"{person.base}/passkey", {"credential": made})["state"] == "FACTOR_BOUND"

    def sign(self, person: Applicant, *documents: str) -> list[bytes]:
        asking = {"credential": person.credential, "documents": list(documents)}
        asked = person.post("/sign/v1/authorisations/passkey", asking)
        answer = json.loads(self.device.answer(json.dumps(asked["options"]), origin=self.ORIGIN))
        done = person.post(f"/sign/v1/authorisations/passkey/{asked['id']}", {"assertion": answer})
        assert all(one["signed"] for one in done["documents"]), done
        return [person.download(f"/sign/v1/documents/{one}/signed") for one in documents]


def test_logging_in_with_a_passkey(assembled: Installation) -> None:
    """The device's answer opens a session, once; another's, a wrong one and an unknown person are refused alike."""
    person, other, phone, strange = (
        *(assembled.applicant().until("review") for _ in range(2)),
        *(Phone(), Phone()),
    )
    phone.enrol(person)
    strange.enrol(other)

    def ask(who: str) -> httpx2.Response:
        return assembled.http.post("/identity/v1/sessions/passkey-options", json={"person_id": who})

    def answer(device: Phone, question: dict[str, Any], who: str) -> httpx2.Response:
        made = json.loads(device.device.answer(json.dumps(question["options"]), origin=Phone.ORIGIN))
        body = {"person_id": who, "id": question["id"], "assertion": made}
        return assembled.http.post("/identity/v1/sessions/passkey", json=body)

    question = ask(person.person_id).json()
    refused = [
        ask("KH-NOBODY"),
        answer(strange, question, person.person_id),
        answer(phone, question, other.person_id),
        answer(phone, ask(other.person_id).json(), person.person_id),
    ]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(401, "identity.login_refused")}
    opened = answer(phone, question, person.person_id)
    assert opened.status_code == 201, opened.text
    person._session = opened.json()["token"]
    assert person.state() == "FACTOR_BOUND"
    assert answer(phone, question, person.person_id).status_code == 401


def test_enrolled_signing_lost_and_back(assembled: Installation, letter: bytes) -> None:
    """With a passkey alone: two documents signed. Lost: the old certificate is revoked, its credential gone, an officer
    hands over a session. With a new passkey, a new key and certificate under the same person id, and it goes on."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    first = person.get(person.base)
    assert len(phone.sign(person, person.uploaded("one.pdf", letter), person.uploaded("two.pdf", letter))) == 2

    waiting, session = person.uploaded("three.pdf", letter), person.session
    led = assembled.officer.post(f"/ekyc/v1/reviews/{first['id']}/recovery", {"loss": "stolen"})
    assert led["enrolment"]["state"] == "APPROVED"
    assert person.ask("GET", person.base).status_code == 401
    record = assembled.services.ca.certificate(first["certificate_serial"])
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    assert assembled.services.ca.reconcile() == ()

    person._session = led["session_token"]
    assert person.session != session
    (credential,) = person.get("/sign/v1/credentials")
    assert credential["status"] == "withdrawn"
    refused = person.ask(
        "POST", "/sign/v1/authorisations/passkey", {"credential": person.credential, "documents": [waiting]}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "signing.credential_not_usable")

    new = Phone()
    new.enrol(person)
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    again = person.get(person.base)
    assert again["person_id"] == first["person_id"]
    assert again["certificate_serial"] != first["certificate_serial"]
    ask = {"credential": person.credential, "documents": [waiting]}
    held = person.ask("POST", "/sign/v1/authorisations/passkey", ask)
    assert (held.status_code, held.json()["code"]) == (403, "signing.held")
    with assembled.services.database.unit_of_work() as connection:  # three days later
        ended = {"ends_at": assembled.services.clock.now()}
        connection.execute(update(cool_offs).where(cool_offs.c.person_id == person.person_id).values(**ended))
    assert len(new.sign(person, waiting)) == 1


def test_whoever_is_reached_by_an_old_contact_stops_new_factors(
    assembled: Installation, letter: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody passes for a person at an officer's desk. The person has no session, no factors, and the code that their
    old contact was sent: sessions end, the certificate is put on hold, nothing is signed, now or in three days."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.post(f"{person.base}/certificate")
    led = assembled.officer.post(f"/ekyc/v1/reviews/{person.enrolment['id']}/recovery", {"loss": "lost"})
    code = code_of(assembled.services.outbox, person.person_id)
    person._session = led["session_token"]
    theirs = Phone()
    theirs.enrol(person)
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    waiting = person.uploaded("loan.pdf", letter)

    assert assembled.http.post("/ekyc/v1/stops", json={"code": "A" * 16}).json()["code"] == "ekyc.stop_unknown"
    assert assembled.http.post("/ekyc/v1/stops", json={"code": f" {code.lower()} "}).status_code == 204
    assert person.ask("GET", person.base).status_code == 401
    certificates = assembled.services.ca.certificates(owner=person.person_id)
    assert sorted(str(one.reason) for one in certificates) == sorted([Reason.CERTIFICATE_HOLD, Reason.SUPERSEDED])
    actor = Actor(ActorKind.PERSON, person.person_id)
    with pytest.raises(CredentialNotUsable):
        assembled.services.signing.ask_passkey(actor, person.credential, [waiting])
    # Were somebody to release the certificate, the stop would still hold.
    monkeypatch.setattr(assembled.services.signing, "credential", lambda *_: None)
    with pytest.raises(SigningStopped):
        assembled.services.signing.ask_passkey(actor, person.credential, [waiting])
