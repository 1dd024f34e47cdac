"""Attacks on the authorisation server (RFC 9700 §4, RFC 9126, RFC 9207): each with what would let it through."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from foundation.clock import SetClock
from foundation.db.engine import Database
from tests.identity.oauth_browser import BACK, VERIFIER, Flow, challenge, sent_back, web_client
from tests.identity.oauth_world import CREDENTIAL, OAuthWorld, proof
from tests.web.world import ORIGIN

DIGEST = base64.urlsafe_b64encode(hashlib.sha256(b"SPECIMEN").digest()).decode()


@pytest.fixture
def world(sqlite_database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(sqlite_database, clock)


@pytest.fixture
def both_worlds(database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(database, clock)


@pytest.fixture
def flow(world: OAuthWorld) -> Flow:
    return Flow(world, web_client(world, "openid", "service", "credential"))


def test_a_code_is_good_once_and_ends_what_came_from_it(both_worlds: OAuthWorld) -> None:
    """Replayed, it gives nothing, and the token that it gave the first time is over."""
    flow = Flow(both_worlds, web_client(both_worlds, "service"), "service")
    code = flow.answer()["code"]
    _, told = flow.redeem(code)
    assert flow.get(told["access_token"], "/test/delegates").status_code == 200
    status, again = flow.redeem(code)
    assert (status, again["error"]) == (400, "invalid_grant")
    assert flow.get(told["access_token"], "/test/delegates").status_code == 401
    assert both_worlds.refusals()[-2]["rule"] == "OC-03"


def test_a_code_ends_what_came_from_it_also_when_it_has_run_out(flow: Flow) -> None:
    """A code that was stolen and is shown minutes later still tells that it was: the token does not live on."""
    code = flow.answer()["code"]
    _, told = flow.redeem(code)
    flow.world.clock.advance(timedelta(minutes=5))
    assert flow.redeem(code)[1]["error"] == "invalid_grant"
    assert flow.get(told["access_token"], "/test/delegates").status_code == 401
    assert "OC-03" in {one["rule"] for one in flow.world.refusals()}


def test_a_code_is_another_client_s(flow: Flow) -> None:
    """A client that got hold of another's code gets nothing, and does not use it up."""
    code = flow.answer()["code"]
    other = web_client(flow.world, "openid")
    assert flow.redeem(code, by=other)[1]["error"] == "invalid_grant"
    assert flow.world.refusals()[-1]["rule"] == "OC-02"
    assert flow.redeem(code)[0] == 200


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"code_verifier": "w" * 43}, "OC-05"),
        ({"code_verifier": challenge()}, "OC-05"),
        ({"redirect_uri": "https://bank.example/back"}, "OC-04"),
        ({"redirect_uri": BACK + "#"}, "OC-04"),
    ],
)
def test_a_wrong_verifier_or_address_burns_the_code(flow: Flow, changes: dict[str, str], rule: str) -> None:
    """Whoever injects a code into another session has not its verifier; and there is one try."""
    code = flow.answer()["code"]
    assert flow.redeem(code, **changes)[1]["error"] == "invalid_grant"
    assert flow.world.refusals()[-1]["rule"] == rule
    assert flow.redeem(code)[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("missing", ["code", "code_verifier", "redirect_uri"])
def test_nothing_of_the_exchange_may_be_missing(flow: Flow, missing: str) -> None:
    """No PKCE, no token."""
    code = flow.answer()["code"]
    assert flow.redeem(code, **{missing: None})[1]["error"] == "invalid_request"
    assert flow.redeem(code)[0] == 200


def test_a_code_does_not_wait(flow: Flow) -> None:
    """After a minute it is worth nothing."""
    code = flow.answer()["code"]
    flow.world.clock.advance(timedelta(seconds=60))
    assert flow.redeem(code)[1]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain", "code_challenge": VERIFIER},
        {"code_challenge_method": "s256"},
        {"code_challenge": "x"},
        {"redirect_uri": None},
        {"redirect_uri": "https://bank.example/back"},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": BACK.replace("bank", "Bank")},
        {"redirect_uri": "https://attacker.example/"},
        {"redirect_uri": BACK + "&next=https://attacker.example"},
        {"response_type": "token"},
        {"response_type": "code id_token"},
        {"response_mode": "fragment"},
        {"prompt": "none"},
        {"scope": None},
        {"scope": "openid identity-admin"},
        {"scope": "profile"},
        {"scope": "openid credential"},
        {"request": "eyJhbGciOiJub25lIn0.e30."},
        {"request_uri": "https://attacker.example/request"},
        {"claims": '{"userinfo": {"name": null}}'},
        {"state": "x" * 513},
        {"state": "é"},
    ],
)
def test_requests_that_are_not_taken(flow: Flow, changes: dict[str, Any]) -> None:
    """PKCE left out or downgraded, addresses that are not the registered one, other flows, scopes beyond: the client
    hears it at once, and there is nothing to send a person to."""
    answer = flow.push(**changes)
    assert answer.status_code == 400, answer.text
    assert "request_uri" not in answer.json()
    assert flow.push().status_code == 201


DETAILS: dict[str, Any] = {
    "type": "credential",
    "credentialID": CREDENTIAL,
    "documentDigests": [{"hash": DIGEST, "label": "SPECIMEN"}],
}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "payment"},
        {"documentDigests": []},
        {"documentDigests": [{"hash": DIGEST[:20]}]},
        {"documentDigests": [{"hash": "*"}]},
        {"documentDigests": "x"},
        {"documentDigests": [{"hash": DIGEST, "label": "letter\u202efdp.exe"}]},
        {"documentDigests": [{"hash": DIGEST, "label": "x" * 201}]},
        {"documentDigests": [{"hash": DIGEST, "hidden": "x"}]},
        {"documentDigests": [{"hash": DIGEST}] * 1001},
        {"hashAlgorithmOID": "1.3.14.3.2.26"},
        {"hashAlgorithmOID": "2.16.840.1.101.3.4.2.3"},
        {"credentialID": ""},
        {"credentialID": ["x"]},
        {"more": "unknown"},
    ],
)
def test_nothing_is_signed_that_is_not_shown(flow: Flow, changes: dict[str, Any]) -> None:
    """A request to sign names its digests; without them, too many, of another length or hash, with labels that would
    mislead, or with anything that the page does not show, it is not taken."""
    flow.scope = "credential"
    assert flow.push(authorization_details=json.dumps([DETAILS | changes])).status_code == 400
    for whole in ("x", "{}", "[]", json.dumps([DETAILS, DETAILS]), "[" * 5000):
        assert flow.push(authorization_details=whole).status_code == 400
    assert flow.push(credentialID=CREDENTIAL, numSignatures="2", hashes=DIGEST).status_code == 400
    assert flow.push(credentialID=CREDENTIAL, numSignatures="1").status_code == 400
    assert flow.push(authorization_details=json.dumps([DETAILS])).status_code == 201


def test_a_request_cannot_be_made_in_the_browser(flow: Flow) -> None:
    """Parameters in the front channel are never looked at: without a pushed request there is no redirect."""
    query = flow.parameters() | {"client_id": flow.client.actor.id}
    answer = flow.doors.get("/oauth2/authorize", params=query, follow_redirects=False)
    assert answer.status_code == 404
    assert "location" not in answer.headers
    flow.push()
    page = flow.open(scope="openid credential", redirect_uri="https://attacker.example/")
    assert "attacker" not in page.text
    assert sent_back(flow.decide(redirect_uri="https://attacker.example/"))["code"]


def test_a_pushed_request_is_one_browser_s_and_one_answer_s(flow: Flow) -> None:
    """Opened in one browser, another sees nothing and can send nothing; answered, it is over; and it does not wait."""
    flow.push()
    assert flow.open().status_code == 200
    assert flow.open().status_code == 200
    stranger = flow.world.doors()
    page = flow.page
    assert flow.open(stranger).status_code == 404
    flow.page = page
    assert flow.decide(stranger).status_code == 403
    assert sent_back(flow.decide())["code"]
    assert flow.decide().status_code == 404
    flow.push()
    flow.world.clock.advance(timedelta(seconds=90))
    assert flow.open().status_code == 404
    flow.push()
    flow.open()
    flow.world.clock.advance(timedelta(minutes=10))
    assert flow.decide().status_code == 404


def test_a_request_is_its_client_s(flow: Flow) -> None:
    """Another client's id with it, or made-up addresses: nothing is shown."""
    flow.push()
    other = web_client(flow.world, "openid")
    assert flow.open(client_id=other.actor.id).status_code == 404
    for made_up in ("", "x", flow.request_uri[:-1], flow.request_uri + "A", "https://attacker.example/"):
        assert flow.open(request_uri=made_up).status_code == 404
    assert flow.open().status_code == 200


def test_forms_of_others_are_refused(flow: Flow) -> None:
    """CSRF: without the cookie, without the form's token, with another request's, or sent from another site, nothing is
    allowed, however right the factors are."""
    flow.push()
    flow.open()
    form = flow.form()
    other = Flow(flow.world, flow.client)
    other.doors = flow.doors
    other.push()
    other.open()
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert flow.doors.post("/oauth2/authorize", data=form, headers=cross).status_code == 403
    assert flow.doors.post("/oauth2/authorize", data=form, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    for spoilt in (
        {"form": ""},
        {"form": other.form()["form"]},
        {"form": "0" * 64},
        {"request_uri": other.request_uri},
    ):
        assert flow.doors.post("/oauth2/authorize", data=form | spoilt).status_code in (403, 404)
    bare = flow.world.doors()
    assert bare.post("/oauth2/authorize", data=form).status_code == 403
    assert bare.post("/oauth2/authorize/passkey", data=form).status_code == 403
    assert flow.doors.post("/oauth2/authorize", json=form).status_code == 403
    assert flow.doors.post("/oauth2/authorize", data=form, follow_redirects=False).status_code == 303


def test_a_cookie_cannot_be_planted(flow: Flow) -> None:
    """Session fixation: what a browser brings to a new request is not taken over; the secret is made here."""
    flow.push()
    planted = "A" * 43
    flow.doors.cookies.set("__Host-camtrust-oauth-0", planted)
    name = flow.open().headers["set-cookie"].partition("=")[0]
    fresh = Flow(flow.world, flow.client)
    fresh.push()
    fresh.doors.cookies.set(name, planted)
    assert planted not in fresh.open().headers["set-cookie"]


def test_the_answer_says_who_gives_it(flow: Flow) -> None:
    """Mix-up: success and refusal carry the issuer (RFC 9207), which the metadata promises."""
    assert flow.answer()["iss"] == ORIGIN
    metadata = flow.doors.get("/.well-known/oauth-authorization-server").json()
    assert metadata["authorization_response_iss_parameter_supported"] is True


def test_a_client_that_was_stopped_asks_nobody(flow: Flow) -> None:
    """Disabled between the request and the page: the page says so and leads nowhere. Its codes are worth nothing."""
    code = flow.answer()["code"]
    flow.push()
    flow.world.identity.disable_actor(None, flow.client.actor.id)
    answer = flow.open()
    assert answer.status_code == 403
    assert "bank.example" not in answer.text
    assert flow.redeem(code)[0] == 401


def test_an_address_that_was_taken_back_is_not_used(flow: Flow) -> None:
    """A redirect address that is not registered any more is nobody's, even for a request from before."""
    flow.push()
    flow.world.identity.clients.register(
        None, flow.client.actor.id, ["authorization_code"], ["https://bank.example/other"], ["openid"]
    )
    assert flow.open().status_code == 403


def test_a_machine_s_registration_asks_no_person(world: OAuthWorld) -> None:
    """A client for client credentials alone cannot push a request."""
    doors, client = world.doors(), world.oauth_client("may-read")
    flow = Flow(world, client)
    answer = doors.post("/oauth2/par", data=proof(world, client) | flow.parameters())
    assert answer.json()["error"] == "unauthorized_client"
