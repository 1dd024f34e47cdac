"""A client asks, the person answers in their own session: the CSC API without PIN and code passing the client."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from foundation.http.actor import ActorKind
from identity.oauth.model import AccessGrant
from tests.story.installation import Applicant, Installation, Staff
from tests.story.test_story_csc import ECDSA_SHA256, _digest
from tests.story.test_story_passkey import Phone


@pytest.fixture
def person(assembled: Installation) -> Applicant:
    return assembled.applicant().until("certificate")


class App:
    """A client that a person let use the signing service, and nothing more (scope ``service``)."""

    def __init__(self, assembled: Installation, person: Applicant) -> None:
        self.staff: Staff = assembled.staff(ActorKind.CLIENT, "sign-seal")
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
    """Five wait; the sixth is refused until one is answered. Documents and long words are refused."""
    app = App(assembled, person)
    handles = [app.prompt(_digest(number)) for number in range(5)]
    body = {"credentialID": person.credential, "hashes": [_digest(6)], "numSignatures": 1}
    status, told = app.ask("credentials/authorize", body)
    assert (status, told["error"]) == (429, "temporarily_unavailable")
    assert person.ask("POST", f"/sign/v1/prompts/{handles[0]}/refusal", {}).status_code == 204
    for words in ("x" * 501, "SPECIMEN lease\nof stall 12", "SPECIMEN \u202e21 llats", "SPECIMEN \u2067lease"):
        assert app.ask("credentials/authorize", {**body, "description": words})[0] == 400, words
    assert app.ask("credentials/authorize", body)[0] == 202
    assert app.check("0" * 32)[0] == 400
