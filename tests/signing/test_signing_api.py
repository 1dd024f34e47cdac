"""The same over HTTP: forms, limits, problem documents, and nobody's documents but one's own."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pikepdf
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated
from foundation.http.body import BodyLimit
from foundation.http.guard import Guard
from foundation.http.problems import FailureBoundary, install
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.api import body_limits, create_router
from signing.config import SigningConfig
from tests.signing.conftest import PIN, Desk, Person
from tests.signing.sample_pdf import encrypted, sample


class ByName:
    """Takes ``Test KIND ID ROLE`` for what it says: who may be whom is not what these tests are about."""

    def authenticate(self, credential: Credential) -> Actor:
        scheme, _, rest = credential.authorization.partition(" ")
        if scheme != "Test":
            raise Unauthenticated
        kind, name, *roles = rest.split(" ")
        return Actor(ActorKind(kind), name, frozenset(roles))


@pytest.fixture
def http(desk: Desk) -> Iterator[TestClient]:
    """The router in an application as the roof builds it: problem documents and body limits around it."""
    app = FastAPI()
    problems = install(app)
    app.include_router(create_router(desk.service, Guard(ByName(), "http://testserver")))
    app.add_middleware(FailureBoundary, problems=problems)
    small = SigningConfig(maximum_document_bytes=1024 * 1024)
    app.add_middleware(BodyLimit, problems=problems, limit=64 * 1024, larger=body_limits(small))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def as_person(person: Person) -> dict[str, str]:
    return {"Authorization": f"Test person {person.owner}"}


def send(http: TestClient, person: Person, data: bytes, **fields: str) -> Any:
    return http.post(
        "/sign/v1/documents",
        headers=as_person(person),
        files={"file": ("លិខិត.pdf", data, "application/pdf")},
        data=fields,
    )


def test_upload_authorise_fetch_delete(http: TestClient, desk: Desk) -> None:
    """The journey of a document, and what each answer says."""
    person = desk.person()
    head = as_person(person)
    answer = send(http, person, sample())
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert (document["name"], document["state"], document["pages"]) == ("លិខិត.pdf", "uploaded", 1)
    credentials = http.get("/sign/v1/credentials", headers=head).json()
    assert [(one["subject"], one["status"]) for one in credentials] == [("SPECIMEN Citizen", "active")]
    body = {
        "credential": credentials[0]["id"],
        "documents": [document["id"], "0" * 32],
        "pin": PIN,
        "totp": person.code(),
    }
    answer = http.post("/sign/v1/authorisations", headers=head | {"Accept-Language": "km"}, json=body)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["documents"]
    assert first == {"id": document["id"], "signed": True, "problem": None}
    assert (second["signed"], second["problem"]["code"]) == (False, "signing.document_not_found")
    assert second["problem"]["detail"] == "អ្នកគ្មានឯកសារនេះទេ។"
    answer = http.get(f"/sign/v1/documents/{document['id']}/signed", headers=head)
    assert answer.headers["content-type"] == "application/pdf"
    assert "filename*=UTF-8''%E1%9E%9B" in answer.headers["content-disposition"]
    assert answer.content.startswith(sample()[:8])
    listed = http.get("/sign/v1/documents", headers=head).json()
    assert [one["state"] for one in listed["documents"]] == ["signed"]
    assert listed["documents"][0] == http.get(f"/sign/v1/documents/{document['id']}", headers=head).json()
    assert http.delete(f"/sign/v1/documents/{document['id']}", headers=head).status_code == 204
    assert http.get(f"/sign/v1/documents/{document['id']}", headers=head).json()["code"] == "signing.document_not_found"


def test_wrong_pin_is_a_problem_and_the_document_stays(http: TestClient, desk: Desk) -> None:
    """403 with a code; nothing of PIN or code comes back."""
    person = desk.person()
    document = send(http, person, sample()).json()
    body = {
        "credential": person.credential.credential_id,
        "documents": [document["id"]],
        "pin": "194857",
        "totp": person.code(),
    }
    answer = http.post("/sign/v1/authorisations", headers=as_person(person), json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "foundation.pin_incorrect")
    answer = http.post("/sign/v1/authorisations", headers=as_person(person), json=body | {"level": "B-B"})
    assert answer.json()["code"] == "signing.level_not_allowed"
    answer = http.post("/sign/v1/authorisations", headers=as_person(person), json=body | {"pin": "194857" * 20})
    assert answer.status_code == 422
    assert "194857" not in answer.text
    shown = http.get(f"/sign/v1/documents/{document['id']}", headers=as_person(person)).json()
    assert shown["state"] == "uploaded"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "signing.document_empty"),
        (b"just some text", 422, "signing.document_not_pdf"),
        (sample()[:400], 422, "signing.document_damaged"),
        (encrypted("pw", "own"), 422, "signing.document_password_required"),
        (b"%PDF-1.7" + bytes(1200 * 1024), 413, "foundation.body_too_large"),
    ],
)
def test_what_cannot_be_signed_names_its_cause(
    http: TestClient, desk: Desk, data: bytes, status: int, code: str
) -> None:
    """Empty, text, cut off, protected, oversize: a problem document with the cause and a hint."""
    answer = send(http, desk.person(), data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["hint"]
    assert desk.blobs() == []


def test_an_upload_that_says_too_little_is_cut_off(http: TestClient, desk: Desk) -> None:
    """Without a Content-Length the octets are counted while they come."""
    person = desk.person()

    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7\n'
        for _ in range(64):
            yield bytes(64 * 1024)

    head = as_person(person) | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = http.post("/sign/v1/documents", headers=head, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "foundation.body_too_large")


def test_a_password_comes_with_the_form(http: TestClient, desk: Desk) -> None:
    """The right password opens the document, a wrong one is told as such."""
    person = desk.person()
    assert send(http, person, encrypted("pw", "own"), password="pw").json()["encrypted"] is True
    assert send(http, person, encrypted("pw", "own"), password="no").json()["code"] == "signing.document_password_wrong"


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"other": ("a.pdf", b"%PDF", "application/pdf")}},
        {"files": [("file", ("a.pdf", b"%PDF", "x/y")), ("file", ("b.pdf", b"%PDF", "x/y"))]},
        {"files": {"file": ("a.pdf", b"%PDF", "application/pdf")}, "data": {"owner": "somebody"}},
        {"files": {"file": ("a.pdf", b"%PDF", "application/pdf")}, "data": {"password": "x" * 2000}},
        {"data": {"file": "not a file"}},
        {"content": b"%PDF-1.7", "headers": {"Content-Type": "application/pdf"}},
        {"content": b"--y\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"--y\r\n", "headers": {"Content-Type": "multipart/form-data"}},
    ],
)
def test_forms_that_are_none_are_refused(http: TestClient, desk: Desk, form: dict[str, Any]) -> None:
    """Another field name, two files, a field that we do not know, no form at all, a broken one."""
    headers = as_person(desk.person()) | form.pop("headers", {})
    answer = http.post("/sign/v1/documents", headers=headers, **form)
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.upload_invalid")


def test_nobody_else_enters(http: TestClient, desk: Desk) -> None:
    """Every endpoint refuses no credential, another kind of actor, and another person's ids."""
    person, other = desk.person(), desk.person()
    document = send(http, person, sample()).json()
    one = f"/sign/v1/documents/{document['id']}"
    authorisation = {"credential": "0" * 32, "documents": [document["id"]], "pin": PIN, "totp": "000000"}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/sign/v1/credentials", {}),
        ("GET", "/sign/v1/documents", {}),
        ("POST", "/sign/v1/documents", {"files": {"file": ("a.pdf", sample(), "application/pdf")}}),
        ("GET", one, {}),
        ("GET", one + "/signed", {}),
        ("DELETE", one, {}),
        ("POST", "/sign/v1/authorisations", {"json": authorisation}),
        ("POST", "/sign/v1/seals", {"files": {"file": ("a.pdf", sample(), "application/pdf")}}),
    ]
    for method, path, more in calls:
        assert http.request(method, path, **more).status_code == 401, path
        for who in ("officer o1 sign-seal", "operator p1 sign-seal", "client c1 other-role", f"client {person.owner}"):
            answer = http.request(method, path, headers={"Authorization": f"Test {who}"}, **more)
            assert answer.status_code == 403, (path, who)
    for method, path, _ in calls[3:6]:
        assert http.request(method, path, headers=as_person(other)).status_code == 404
    assert http.get(one, headers=as_person(person)).json()["state"] == "uploaded"


def test_an_agency_seals_in_one_request(http: TestClient, desk: Desk) -> None:
    """The client's own seal at the level asked for; another's credential, or a level that is none, is refused."""
    client = "agency-1"
    key = desk.keys.generate(f"seal-{id(desk)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    signatory = desk.pki.signatory(key, "Agency")
    credential = desk.service.register_credential(
        "system:test", client, key.key_id, signatory.certificate, signatory.chain
    ).credential_id
    head = {"Authorization": f"Test client {client} sign-seal"}
    file = {"file": ("a.pdf", sample(), "application/pdf")}
    answer = http.post("/sign/v1/seals", headers=head, files=file, data={"credential": credential, "level": "B-T"})
    assert answer.status_code == 200, answer.text
    assert b"ETSI.CAdES.detached" in answer.content
    wishes = {"credential": credential, "lock": "all close", "visible": "auto qr"}
    closed = http.post("/sign/v1/seals", headers=head, files=file, data=wishes).content
    with pikepdf.open(BytesIO(closed)) as pdf:
        (seal,) = pdf.Root.AcroForm.Fields
        assert (seal.Lock.Action, seal.Lock.P) == ("/All", 1)
        assert seal.AP.N.Subtype == "/Form"
    again = http.post(
        "/sign/v1/seals",
        headers=head,
        files={"file": ("a.pdf", closed, "application/pdf")},
        data={"credential": credential},
    )
    assert again.json()["code"] == "signing.document_locked"
    for data, code in (
        ({"credential": credential, "visible": "everywhere"}, "signing.option_invalid"),
        ({"credential": credential, "certify": "maybe"}, "signing.option_invalid"),
        ({}, "signing.upload_invalid"),
        ({"credential": "0" * 32}, "signing.credential_not_found"),
        ({"credential": credential, "level": "B-X"}, "signing.level_not_allowed"),
    ):
        assert http.post("/sign/v1/seals", headers=head, files=file, data=data).json()["code"] == code


def test_the_openapi_document_shows_the_forms(http: TestClient) -> None:
    """What the framework does not read is still described."""
    paths = http.get("/openapi.json").json()["paths"]
    form = paths["/sign/v1/documents"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        *("file", "password", "format", "packaging"),
        *("field", "lock", "certify", "visible"),
    }
    form = paths["/sign/v1/seals"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["file", "credential"]
