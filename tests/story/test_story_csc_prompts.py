"""A client asks, the person answers in their own session: the CSC API without PIN and code passing the client."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import httpx2
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import update

from foundation.http.actor import ActorKind
from identity.oauth.model import AccessGrant
from signing.csc.prompt_store import prompts
from signing.requests.api import OVERSIGHT_ROLE
from tests.story.installation import Applicant, Installation, Staff
from tests.story.oauth_client import WebClient, opened
from tests.story.test_story_csc import ECDSA_SHA256, _digest
from tests.story.test_story_csc_documents import entry, holder, letter
from tests.story.test_story_oauth_persons import SHA256_OID, details, digest
from tests.story.test_story_passkey import Phone

__all__ = ["holder", "letter"]  # fixtures


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


class App:
    """A client that a person let use the signing service, and nothing more (scope ``service``)."""

    def __init__(self, assembled: Installation, person: Applicant, staff: Staff | None = None) -> None:
        self.staff: Staff = staff or assembled.staff(ActorKind.CLIENT, "sign-seal")
        services, self.http, self.person = assembled.services, assembled.http, person
        expires = services.clock.now() + timedelta(minutes=10)
        grant = AccessGrant(self.staff.id, person.person_id, frozenset({"service"}), expires)
        with services.database.unit_of_work() as connection:
            self.token = services.identity.tokens.issue(connection, grant)

    def ask(self, method: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.post(f"/csc/v2/{method}", json=body, headers=headers)
        return answer.status_code, answer.json()

    def prompt(self, *digests: str, description: str = "SPECIMEN lease of stall 12") -> str:
        body = {"credentialID": self.person.credential, "hashes": list(digests), "numSignatures": len(digests)}
        status, told = self.ask("credentials/authorize", {**body, "description": description})
        assert status == 202, told
        return str(told["handle"])

    def prompt_for(self, *documents: dict[str, str], description: str = "SPECIMEN lease of stall 12") -> str:
        """Asks about whole documents."""
        body = {"credentialID": self.person.credential, "documents": list(documents), "numSignatures": len(documents)}
        status, told = self.ask("credentials/authorize", {**body, "description": description})
        assert status == 202, told
        return str(told["handle"])

    def check(self, handle: str) -> tuple[int, dict[str, Any]]:
        return self.ask("credentials/authorizeCheck", {"handle": handle})


def test_approved_in_the_person_s_own_session(assembled: Installation, person: Applicant) -> None:
    """The person sees who asks and what for; a wrong code leaves it waiting; approved, the client gets the SAD once and
    signs exactly these digests with it."""
    app, other = App(assembled, person), App(assembled, person)
    handle = app.prompt(_digest(1), _digest(2))
    (shown,) = person.get("/sign/v1/prompts")
    assert (shown["client"], shown["requester"]) == (app.staff.id, "SPECIMEN client")
    assert shown["digests"] == [base64.b64decode(_digest(number)).hex() for number in (1, 2)]
    assert shown["description"] == "SPECIMEN lease of stall 12"
    assert app.check(handle) == (202, {"handle": handle})
    path = f"/sign/v1/prompts/{handle}/approval"
    # not by the client's token: the person's own session alone
    delegated = {"Authorization": f"Bearer {app.token}"}
    proof = {"pin": person.pin, "totp": "000000"}
    assert assembled.http.post(path, json=proof, headers=delegated).status_code == 403
    assert assembled.http.get("/sign/v1/prompts", headers=delegated).status_code == 403
    assert person.ask("POST", path, proof).status_code == 403
    assert app.check(handle)[0] == 202
    assert person.ask("POST", path, {"pin": person.pin, "totp": person.next_code()}).status_code == 204
    assert person.ask("POST", path, proof).json()["code"] == "signing.prompt_closed"
    assert other.check(handle)[0] == 400  # another client of the same person
    status, told = app.check(handle)
    assert status == 200, told
    assert app.check(handle)[0] == 400  # once
    body = {"credentialID": person.credential, "SAD": told["SAD"], "signAlgo": ECDSA_SHA256}
    assert app.ask("signatures/signHash", {**body, "hashes": [_digest(3)]})[0] == 400
    assert app.ask("signatures/signHash", {**body, "hashes": [_digest(1), _digest(2)]})[0] == 200
    used = person.get("/sign/v1/history")["entries"]
    assert [(one["act"], one["client"]) for one in used if one["code"] is None] == [
        ("signature", app.staff.id),
        ("authorisation", app.staff.id),
    ]
    assert person.get("/sign/v1/prompts") == []


def test_approved_by_a_passkey(assembled: Installation) -> None:
    """The device is asked for exactly these digests."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    app = App(assembled, person)
    handle = app.prompt(_digest(1))
    options = person.post(f"/sign/v1/prompts/{handle}/passkey-options")["options"]
    answer = json.loads(phone.device.answer(json.dumps(options), origin=Phone.ORIGIN))
    assert person.ask("POST", f"/sign/v1/prompts/{handle}/passkey", {"assertion": answer}).status_code == 204
    status, told = app.check(handle)
    assert status == 200, told
    body = {"credentialID": person.credential, "SAD": told["SAD"], "signAlgo": ECDSA_SHA256, "hashes": [_digest(1)]}
    assert app.ask("signatures/signHash", body)[0] == 200


def test_refused_and_reported(assembled: Installation, person: Applicant) -> None:
    """The client learns that it was refused and no more; a report is in the history and the audit trail, and told to
    the person. Another person's prompt is as absent as none."""
    app, stranger = App(assembled, person), assembled.applicant().until("consent")
    first, second = app.prompt(_digest(1)), app.prompt(_digest(2))
    assert stranger.ask("POST", f"/sign/v1/prompts/{first}/refusal", {}).status_code == 404
    assert person.ask("POST", f"/sign/v1/prompts/{first}/refusal", {}).status_code == 204
    assert person.ask("POST", f"/sign/v1/prompts/{second}/refusal", {"unexpected": True}).status_code == 204
    answers = [app.check(one) for one in (first, second)]
    assert {(status, told["error"]) for status, told in answers} == {(400, "access_denied")}
    (entry,) = person.get("/sign/v1/history")["entries"]
    assert (entry["act"], entry["client"]) == ("report", app.staff.id)
    rows = [row for row in assembled.audit() if row["action"] == "signing.csc_prompt_reported"]
    assert json.loads(rows[-1]["details"])["client"] == app.staff.id
    assembled.services.signing.history.notify()
    operator = assembled.staff(ActorKind.OPERATOR, "ekyc-outbox")
    messages = operator.ask("GET", f"/ekyc/v1/outbox?person_id={person.person_id}").json()
    assert any("reported" in one["text"] or "រាយការណ៍" in one["text"] for one in messages)


def test_nobody_is_buried_in_prompts(assembled: Installation, person: Applicant) -> None:
    """Three of one client wait, five in all; the next is refused until one is answered. Long words are refused."""
    app, other = App(assembled, person), App(assembled, person)
    handles = [app.prompt(_digest(number)) for number in range(3)]
    body = {"credentialID": person.credential, "hashes": [_digest(6)], "numSignatures": 1}
    assert app.ask("credentials/authorize", body)[0] == 429
    for number in range(2):
        other.prompt(_digest(number))
    status, told = other.ask("credentials/authorize", body)
    assert (status, told["error"]) == (429, "temporarily_unavailable")
    assert person.ask("POST", f"/sign/v1/prompts/{handles[0]}/refusal", {}).status_code == 204
    for words in ("x" * 501, "SPECIMEN lease\nof stall 12", "SPECIMEN \u202e21 llats", "SPECIMEN \u2067lease"):
        assert app.ask("credentials/authorize", {**body, "description": words})[0] == 400, words
    assert app.ask("credentials/authorize", body)[0] == 202
    assert app.check("0" * 32)[0] == 400


def test_documents_are_kept_until_the_person_has_answered(
    assembled: Installation,
    holder: tuple[Applicant, Phone],
    letter: bytes,
) -> None:
    """The client sends documents: the person sees their names, digests and pages; a passkey permits exactly them, and
    the client fetches them signed with what it sent. Refused or run out, the documents are gone."""
    person, phone = holder
    app, stranger = App(assembled, person), assembled.applicant().until("consent")
    wanted = [entry(letter) | {"document_name": f"SPECIMEN {number}.pdf"} for number in (1, 2)]
    handle = app.prompt_for(*wanted)
    (shown,) = person.get("/sign/v1/prompts")
    assert shown["digests"] == []
    assert [one["name"] for one in shown["documents"]] == ["SPECIMEN 1.pdf", "SPECIMEN 2.pdf"]
    assert {one["sha256"] for one in shown["documents"]} == {hashlib.sha256(letter).hexdigest()}
    for one in shown["documents"]:
        where = f"/sign/v1/documents/{one['id']}/pages/1"
        assert person.download(where).startswith(b"\x89PNG")
        assert stranger.ask("GET", where).status_code == 404
    # asked twice, answered wrongly in between: what the prompt waits with stays
    person.post(f"/sign/v1/prompts/{handle}/passkey-options")
    wrong = {"assertion": {"id": "x", "response": {}}}
    assert person.ask("POST", f"/sign/v1/prompts/{handle}/passkey", wrong).status_code in (400, 403)
    options = person.post(f"/sign/v1/prompts/{handle}/passkey-options")["options"]
    answer = json.loads(phone.device.answer(json.dumps(options), origin=Phone.ORIGIN))
    assert person.ask("POST", f"/sign/v1/prompts/{handle}/passkey", {"assertion": answer}).status_code == 204
    status, told = app.check(handle)
    assert status == 200, told
    body = {"credentialID": person.credential, "SAD": told["SAD"]}
    assert app.ask("signatures/signDoc", {**body, "documents": wanted[:1]})[0] == 403
    status, signed = app.ask("signatures/signDoc", {**body, "documents": wanted})
    assert status == 200, signed
    for text in signed["DocumentWithSignature"]:
        assert len(PdfFileReader(BytesIO(base64.b64decode(text))).embedded_signatures) == 1

    refused, late = app.prompt_for(wanted[0]), app.prompt_for(wanted[1])
    kept = {one["id"]: one["documents"][0]["id"] for one in person.get("/sign/v1/prompts")}
    assert person.ask("POST", f"/sign/v1/prompts/{refused}/refusal", {}).status_code == 204
    assert person.ask("GET", f"/sign/v1/documents/{kept[refused]}").status_code == 404
    assert person.ask("GET", f"/sign/v1/documents/{kept[late]}").status_code == 200
    past = assembled.services.clock.now() - timedelta(seconds=1)
    with assembled.services.database.unit_of_work() as connection:
        connection.execute(update(prompts).where(prompts.c.handle == late).values(expires=past))
    assembled.services.csc_prompts.sweep()
    assert person.ask("GET", f"/sign/v1/documents/{kept[late]}").status_code == 404


def test_by_pin_and_code_for_documents(assembled: Installation, person: Applicant, letter: bytes) -> None:
    """A wrong code leaves documents and prompt; the right one permits exactly these documents."""
    app, wanted = App(assembled, person), entry(letter)
    handle = app.prompt_for(wanted)
    path, proof = f"/sign/v1/prompts/{handle}/approval", {"pin": person.pin, "totp": "000000"}
    assert person.ask("POST", path, proof).status_code == 403
    assert len(person.get("/sign/v1/prompts")[0]["documents"]) == 1
    assert person.ask("POST", path, {"pin": person.pin, "totp": person.next_code()}).status_code == 204
    status, told = app.check(handle)
    assert status == 200, told
    body = {"credentialID": person.credential, "SAD": told["SAD"], "documents": [wanted]}
    assert app.ask("signatures/signDoc", body)[0] == 200


def test_documents_that_stay_with_the_client(assembled: Installation, person: Applicant) -> None:
    """documentDigests without a proof: the person is shown the digests themselves, and no document; what they approve
    is what signDoc signs."""
    app, entry = App(assembled, person), {"signature_format": "C", "conformance_level": "AdES-B-T"}
    entry |= {"hashes": [_digest(1), _digest(2)], "hashAlgorithmOID": SHA256_OID, "signAlgo": ECDSA_SHA256}
    body = {"credentialID": person.credential, "documentDigests": [entry], "numSignatures": 2}
    status, told = app.ask("credentials/authorize", body)
    assert status == 202, told
    (shown,) = person.get("/sign/v1/prompts")
    assert shown["documents"] == []
    assert shown["digests"] == [base64.b64decode(_digest(number)).hex() for number in (1, 2)]
    proof = {"pin": person.pin, "totp": person.next_code()}
    assert person.ask("POST", f"/sign/v1/prompts/{told['handle']}/approval", proof).status_code == 204
    status, granted = app.check(told["handle"])
    assert status == 200, granted
    sign = {"credentialID": person.credential, "SAD": granted["SAD"], "documentDigests": [entry]}
    status, signed = app.ask("signatures/signDoc", sign)
    assert status == 200, signed
    assert len(signed["SignatureObject"]) == 2


def test_too_many_reports_stop_a_client(assembled: Installation) -> None:
    """Three people did not expect a client's prompts: it asks nobody, what waits of it is not granted, readiness says
    so, and operators see the reports, without names, until they release it. A person who blocks one is asked no more;
    a report on the authorisation page, by nobody knows whom, is seen and counts for nothing."""
    people = [assembled.applicant().until("certificate") for _ in range(3)]
    web = WebClient(assembled)
    apps = [App(assembled, person, web.staff) for person in people]
    operator = assembled.staff(ActorKind.OPERATOR, OVERSIGHT_ROLE)
    for _ in range(4):  # whoever opens the client's page can do this
        pushed = web.push("credential", authorization_details=details(people[0].credential, digest(1)))
        with httpx2.Client(base_url=assembled.url, timeout=60, trust_env=False) as browser:
            form = opened(browser, pushed.query) | {"decision": "report"}
            assert browser.post("/oauth2/authorize", data=form).status_code == 303

    def stopped() -> list[str]:
        return [one["client"] for one in operator.ask("GET", "/sign/v1/request-stops").json()]

    waiting = apps[0].prompt(_digest(1))
    for number, (person, app) in enumerate(zip(people, apps, strict=True)):
        assert web.staff.id not in stopped()
        handle = app.prompt(_digest(2))
        answer = {"unexpected": True, "block": number == 2}
        assert person.ask("POST", f"/sign/v1/prompts/{handle}/refusal", answer).status_code == 204
    assert assembled.http.get("/readyz").json()["advisories"]["requesters"] == "signing.requesters_stopped"
    body = {"credentialID": people[0].credential, "hashes": [_digest(3)], "numSignatures": 1}
    assert apps[0].ask("credentials/authorize", body)[0] == 403
    proof = {"pin": people[0].pin, "totp": people[0].next_code()}
    refused = people[0].ask("POST", f"/sign/v1/prompts/{waiting}/approval", proof)
    assert refused.json()["code"] == "signing.requester_stopped"
    with pytest.raises(AssertionError, match="unauthorized_client"):
        web.push("credential", authorization_details=details(people[0].credential, digest(1)))
    reports = operator.ask("GET", "/sign/v1/request-reports?limit=20").json()["reports"]
    mine = [one["kind"] for one in reports if one["client"] == web.staff.id]
    assert mine == ["prompt"] * 3 + ["authorisation"] * 4
    assert not any(person.person_id in json.dumps(reports) for person in people)
    assert operator.ask("DELETE", f"/sign/v1/request-stops/{web.staff.id}").status_code == 204
    assert web.staff.id not in stopped()
    assert people[0].ask("POST", f"/sign/v1/prompts/{waiting}/approval", proof).status_code == 204
    body["credentialID"] = people[2].credential
    assert apps[2].ask("credentials/authorize", body)[0] == 403  # blocked by this person
    assert people[2].ask("DELETE", f"/sign/v1/request-blocks/{web.staff.id}").status_code == 204
    assert apps[2].ask("credentials/authorize", body)[0] == 202
