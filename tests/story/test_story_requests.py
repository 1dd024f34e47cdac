"""A signing request over HTTP: an agency's client asks, a person answers, the client fetches, operators see reports."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from camtrust.documents import make_specimen_documents
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from foundation.clock import SystemClock
from foundation.http.actor import Actor, ActorKind
from signing.requests.api import OVERSIGHT_ROLE, ROLE
from tests.story.installation import Installation, new_key

REQUESTS = "/sign/v1/requests"
OPERATOR = Actor(ActorKind.OPERATOR, "test", frozenset({OUTBOX_ROLE}))


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    folder: Path = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


def asking(person: str, *documents: bytes, **more: Any) -> dict[str, Any]:
    """The body of a request."""
    named = [
        {"name": f"SPECIMEN permit {place}.pdf", "content": base64.b64encode(data).decode()}
        for place, data in enumerate(documents)
    ]
    return {"person": person, "purpose": "SPECIMEN permit for a market stall", "documents": named} | more


def test_asked_approved_fetched(assembled: Installation, letter: bytes) -> None:
    """Asked twice with one Idempotency-Key it is one request; approved with PIN and code; the client gets the file."""
    client, person = assembled.staff(ActorKind.CLIENT, ROLE), assembled.applicant().until("certificate")
    body, key = asking(person.person_id, letter, reference="A-17"), {"Idempotency-Key": new_key()}
    made = client.ask("POST", REQUESTS, body, **key)
    assert made.status_code == 201, made.text
    request = made.json()
    assert client.ask("POST", REQUESTS, body, **key).json() == request
    (notice,) = [
        one for one in assembled.services.outbox.read(OPERATOR, person.person_id, 5) if "requester" in one.params
    ]
    assert notice.params["requester"] == "SPECIMEN client"
    assert "SPECIMEN client" in notice.text
    assert "permit" not in notice.text
    (seen,) = person.get(REQUESTS)["requests"]
    assert seen == request
    assert (seen["requester"]["label"], seen["state"]) == ("SPECIMEN client", "waiting")
    assert len(seen["documents"][0]["words_km"]) == len(seen["documents"][0]["words_en"]) == 8
    where = f"{REQUESTS}/{request['id']}"
    fetch = f"{where}/documents/{request['documents'][0]['id']}/signed"
    assert client.ask("GET", fetch).json()["code"] == "signing.document_not_signed"
    factors = {"credential": person.credential, "pin": person.pin, "totp": person.next_code()}
    answered = person.post(f"{where}/approval", factors)
    assert (answered["request"]["state"], answered["documents"][0]["signed"]) == ("signed", True)
    got = client.ask("GET", fetch)
    assert (got.status_code, got.headers["content-type"]) == (200, "application/pdf")
    assert got.content == person.download(f"/sign/v1/documents/{request['documents'][0]['id']}/signed")
    assert client.ask("GET", where).json()["reference"] == "A-17"


def test_refused_reported_blocked(assembled: Installation, letter: bytes) -> None:
    """A person refuses one request, reports another and blocks the client; an operator sees the report, stops it."""
    client, person = assembled.staff(ActorKind.CLIENT, ROLE), assembled.applicant().until("certificate")
    operator = assembled.staff(ActorKind.OPERATOR, OVERSIGHT_ROLE)
    first, second = (client.ask("POST", REQUESTS, asking(person.person_id, letter)).json()["id"] for _ in range(2))
    assert person.post(f"{REQUESTS}/{first}/refusal", {})["state"] == "refused"
    assert person.post(f"{REQUESTS}/{second}/refusal", {"unexpected": True})["state"] == "reported"
    assert person.ask("POST", f"{REQUESTS}/{second}/refusal", {}).json()["code"] == "signing.request_closed"
    reports = operator.ask("GET", "/sign/v1/request-reports").json()["reports"]
    assert [one["client"] for one in reports if one["request"] == second] == [client.id]
    assert person.person_id not in str(reports)
    assert person.ask("POST", "/sign/v1/request-blocks", {"client": client.id}).status_code == 204
    refused = client.ask("POST", REQUESTS, asking(person.person_id, letter))
    assert (refused.status_code, refused.json()["code"]) == (403, "signing.request_not_deliverable")
    assert [one["id"] for one in person.get("/sign/v1/request-blocks")] == [client.id]
    assert person.ask("DELETE", f"/sign/v1/request-blocks/{client.id}").status_code == 204
    assert operator.ask("POST", "/sign/v1/request-stops", {"client": client.id}).status_code == 204
    assert client.ask("POST", REQUESTS, asking(person.person_id, letter)).json()["code"] == "signing.requester_stopped"
    assert client.id in [one["client"] for one in operator.ask("GET", "/sign/v1/request-stops").json()]
    assert operator.ask("DELETE", f"/sign/v1/request-stops/{client.id}").status_code == 204
    assert client.ask("POST", REQUESTS, asking(person.person_id, letter)).status_code == 201


def test_nobody_else_s_request(assembled: Installation, letter: bytes) -> None:
    """Another person and another client find nothing; a client without the role may not ask."""
    client, rival = (assembled.staff(ActorKind.CLIENT, ROLE) for _ in range(2))
    person, other = assembled.applicant().until("certificate"), assembled.applicant()
    made = client.ask("POST", REQUESTS, asking(person.person_id, letter)).json()
    where = f"{REQUESTS}/{made['id']}"
    fetch = f"{where}/documents/{made['documents'][0]['id']}/signed"
    answers = [
        other.ask("GET", where),
        rival.ask("GET", where),
        rival.ask("DELETE", where),
        rival.ask("GET", fetch),
        other.ask("POST", f"{where}/refusal", {}),
        other.ask("POST", f"{where}/passkey", {"credential": "0" * 32}),
    ]
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "signing.request_not_found")}
    assert client.ask("DELETE", where).json()["state"] == "withdrawn"
    sealer = assembled.staff(ActorKind.CLIENT, "sign-seal")
    assert sealer.ask("POST", REQUESTS, asking(person.person_id, letter)).status_code == 403


@pytest.mark.parametrize("content", ["", "not Base64!", "AAAA"])
def test_what_is_no_document(assembled: Installation, content: str) -> None:
    """Content that is no Base64, or no PDF, is refused with its cause; the answer quotes nothing of it."""
    client, person = assembled.staff(ActorKind.CLIENT, ROLE), assembled.applicant().until("certificate")
    body = asking(person.person_id) | {"documents": [{"name": "SPECIMEN.pdf", "content": content}]}
    answer = client.ask("POST", REQUESTS, body)
    codes = {"": "foundation.input_invalid", "AAAA": "signing.document_not_pdf"}
    assert (answer.status_code, answer.json()["code"]) == (422, codes.get(content, "signing.upload_invalid"))
