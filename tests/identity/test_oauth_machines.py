"""Machines get tokens for themselves: who they are, what the token opens, what it is bound to, how it ends."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from starlette.testclient import TestClient

from foundation.clock import SetClock
from foundation.db.audit import events
from foundation.db.engine import Database
from foundation.http.actor import ActorKind
from identity.errors import ClientInvalid
from identity.oauth.store import tokens
from tests.identity.oauth_world import OAuthWorld, certificate_over, client_assertion, proof, shown
from tests.web.world import ORIGIN, Officer


@pytest.fixture
def world(sqlite_database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(sqlite_database, clock)


@pytest.fixture
def both_worlds(database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(database, clock)


def ask(doors: TestClient, form: dict[str, str], **headers: str) -> tuple[int, dict[str, Any]]:
    answer = doors.post("/oauth2/token", data={"grant_type": "client_credentials"} | form, headers=headers)
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


def get(doors: TestClient, token: str, path: str = "/test/machines", **headers: str) -> tuple[int, dict[str, Any]]:
    answer = doors.get(path, headers={"Authorization": f"Bearer {token}"} | headers)
    return answer.status_code, answer.json()


def test_a_machine_gets_a_token_for_some_of_its_roles(both_worlds: OAuthWorld) -> None:
    """The token is the client, with the roles that it asked for and no others, for ten minutes; kept as a digest."""
    doors, client = both_worlds.doors(), both_worlds.oauth_client("may-read", "may-write")
    status, told = ask(doors, proof(both_worlds, client) | {"scope": "may-read"})
    assert status == 200
    assert {name: told[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "may-read",
    }
    assert get(doors, told["access_token"]) == (
        200,
        {"actor": f"client:{client.actor.id}", "roles": ["may-read"], "client": None},
    )
    with both_worlds.database.read() as connection:
        row = connection.execute(select(tokens)).one()
    assert told["access_token"] not in str(row)
    assert bytes(row.digest) == hashlib.sha256(told["access_token"].encode()).digest()
    _, other = ask(doors, proof(both_worlds, client) | {"scope": "may-write"})
    assert get(doors, other["access_token"])[0] == 403
    both_worlds.clock.advance(timedelta(seconds=601))
    assert get(doors, told["access_token"])[0] == 401


@pytest.mark.parametrize("scope", ["", "may-read admin", "openid", "*", "MAY-READ"])
def test_no_role_is_gained(world: OAuthWorld, scope: str) -> None:
    """A scope that the client was not registered with, or none at all, gives no token."""
    status, told = ask(world.doors(), proof(world, world.oauth_client("may-read")) | {"scope": scope})
    assert (status, told["error"]) == (400, "invalid_scope")


def test_a_role_that_the_actor_lost_is_lost(world: OAuthWorld) -> None:
    """Disabling the actor ends its tokens at once."""
    doors, client = world.doors(), world.oauth_client("may-read")
    _, told = ask(doors, proof(world, client) | {"scope": "may-read"})
    world.identity.disable_actor(None, client.actor.id)
    assert get(doors, told["access_token"])[0] == 401
    assert world.refusals()[-1]["rule"] == "AT-02"
    assert ask(doors, proof(world, client) | {"scope": "may-read"})[0] == 401


# What is wrong with an assertion, and the check that finds it. Each differs from a good one in one thing.
WRONG: dict[str, tuple[str, Callable[[OAuthWorld, Officer], dict[str, Any]]]] = {
    "another key": ("OA-03", lambda *_: {"key": ec.generate_private_key(ec.SECP256R1())}),
    "another issuer's audience": ("OA-04", lambda *_: {"aud": "https://other.example"}),
    "the endpoint as audience": ("OA-04", lambda *_: {"aud": f"{ORIGIN}/oauth2/token"}),
    "several audiences": ("OA-01", lambda *_: {"aud": [ORIGIN, "https://other.example"]}),
    "a long life": ("OA-05", lambda world, _: {"exp": int(world.clock.now().timestamp()) + 301}),
    "expired": (
        "OA-05",
        lambda world, _: {
            "iat": int(world.clock.now().timestamp()) - 120,
            "exp": int(world.clock.now().timestamp()) - 30,
        },
    ),
    "not yet": (
        "OA-05",
        lambda world, _: {
            "iat": int(world.clock.now().timestamp()) + 31,
            "exp": int(world.clock.now().timestamp()) + 90,
        },
    ),
    "never expires": ("OA-01", lambda *_: {"exp": None}),
    "no jti": ("OA-01", lambda *_: {"jti": None}),
    "a short jti": ("OA-01", lambda *_: {"jti": "1"}),
    "another subject": ("OA-01", lambda *_: {"sub": "act_other"}),
    "an unknown client": ("OA-02", lambda *_: {"iss": "act_none", "sub": "act_none"}),
    "a request's assertion": ("OA-01", lambda *_: {"header": {"typ": "camtrust-assertion+jwt"}}),
    "a header beyond": ("OA-01", lambda *_: {"header": {"jku": "https://attacker.example/keys"}}),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_assertions(world: OAuthWorld, case: str) -> None:
    """Each is refused with the same words; which check it was stands in the audit trail."""
    rule, change = WRONG[case]
    doors, client = world.doors(), world.oauth_client("may-read")
    assert ask(doors, proof(world, client) | {"scope": "may-read"})[0] == 200
    status, told = ask(doors, proof(world, client, **change(world, client)) | {"scope": "may-read"})
    assert (status, told["error"]) == (401, "invalid_client")
    assert told["error_description"] == "the client did not prove who it is"
    assert (world.refusals()[-1]["code"], world.refusals()[-1]["rule"]) == ("oauth.invalid_client", rule)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
def test_the_header_does_not_choose_the_algorithm(world: OAuthWorld, algorithm: str) -> None:
    """alg none, and HS256 with the public key for a secret, are refused whatever their signature is."""
    doors, client = world.doors(), world.oauth_client("may-read")
    header, payload, signature = client_assertion(world, client).split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()
    for last in ("", signature):
        form = proof(world, client) | {"client_assertion": f"{forged}.{payload}.{last}", "scope": "may-read"}
        assert ask(doors, form)[0] == 401
        assert world.refusals()[-1]["rule"] == "OA-01"
    assert header != forged


def test_an_assertion_is_good_once(both_worlds: OAuthWorld) -> None:
    """Shown again, to this or to another endpoint, it proves nothing; and an Idempotency-Key brings no token back."""
    doors, client = both_worlds.doors(), both_worlds.oauth_client("may-read")
    form, key = proof(both_worlds, client) | {"scope": "may-read"}, {"Idempotency-Key": "k" * 20}
    assert ask(doors, form, **key)[0] == 200
    assert ask(doors, form, **key)[0] == 401
    assert both_worlds.refusals()[-1]["rule"] == "OA-06"
    assert doors.post("/oauth2/revoke", data=form | {"token": "x"}).status_code == 401


def test_proofs_do_not_pass_for_each_other(world: OAuthWorld) -> None:
    """A client's assertion opens no endpoint, and one for a request proves no client."""
    doors, client = world.doors(), world.oauth_client("may-read")
    as_request = {"Authorization": f"Assertion {client_assertion(world, client)}"}
    assert doors.get("/test/machines", headers=as_request).status_code == 401
    compact = client.sign(world, "POST", "/oauth2/token").partition(" ")[2]
    assert ask(doors, proof(world, client) | {"client_assertion": compact, "scope": "may-read"})[0] == 401


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"client_secret": "secret"}, {}),
        ({}, {"Authorization": "Basic YTpi"}),
        ({"client_assertion": ""}, {}),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, {}),
        ({"client_id": "act_other"}, {}),
    ],
)
def test_one_proof_and_no_other(world: OAuthWorld, form: dict[str, str], headers: dict[str, str]) -> None:
    """Secrets, HTTP Basic, other assertions and another's id beside a good proof: refused."""
    client = world.oauth_client("may-read")
    assert ask(world.doors(), proof(world, client) | {"scope": "may-read"} | form, **headers)[0] == 401


def test_a_client_that_was_not_registered_for_it(world: OAuthWorld) -> None:
    """An actor is no client of the authorisation server until it is registered there, for what it is registered for."""
    doors, stranger = world.doors(), world.register(ActorKind.CLIENT, "may-read")
    assert ask(doors, proof(world, stranger) | {"scope": "may-read"})[0] == 401
    web = world.oauth_client(
        "may-read", grants=["authorization_code"], redirect_uris=["https://a.example/"], scopes=["openid"]
    )
    assert ask(doors, proof(world, web) | {"scope": "may-read"})[1]["error"] == "unauthorized_client"
    for grant in ("password", "implicit", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        assert ask(doors, proof(world, web) | {"grant_type": grant})[1]["error"] == "unsupported_grant_type"


def test_forms_are_read_strictly(world: OAuthWorld) -> None:
    """A parameter twice, another media type or octets that are no form are refused before anything is looked at."""
    doors, good = world.doors(), proof(world, world.oauth_client("may-read"))
    body = "&".join(f"{name}={value}" for name, value in (good | {"grant_type": "client_credentials"}).items())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content, headers in (
        (body + "&scope=may-read&scope=may-read", form),
        (body + "&scope=%00", form),
        (body + "&scope=%ff", form),
        (body + "&scope=é", form),
        (json.dumps(good), {"Content-Type": "application/json"}),
        ("&".join(f"a{number}=b" for number in range(50)), form),
    ):
        answer = doors.post("/oauth2/token", content=content.encode(), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), content
    assert doors.post("/oauth2/token", content=(body + "&scope=may-read").encode(), headers=form).status_code == 200


def test_a_token_is_bound_to_the_certificate(both_worlds: OAuthWorld) -> None:
    """mTLS: the client proves itself by a certificate over its registered key; its token opens nothing without that
    certificate, nor with another one over the same key, nor with one that somebody else than the proxy shows."""
    doors, client = both_worlds.doors(), both_worlds.oauth_client("may-read")
    certificate = certificate_over(client.key, both_worlds.clock.now())
    form = {"client_id": client.actor.id, "scope": "may-read"}
    status, told = ask(doors, form, **shown(certificate))
    assert status == 200, told
    token = told["access_token"]
    assert get(doors, token, **shown(certificate))[0] == 200
    assert get(doors, token)[0] == 401
    assert get(doors, token, **shown(certificate_over(client.key, both_worlds.clock.now())))[0] == 401
    assert get(doors, token, **shown(certificate, b"T" * 43))[0] == 401
    assert {event["rule"] for event in both_worlds.refusals()} == {"AT-03"}


def test_wrong_certificates(world: OAuthWorld) -> None:
    """Over another key, expired, from no proxy, or for another client: no token."""
    doors, client, other = world.doors(), world.oauth_client("may-read"), world.oauth_client("may-read")
    now, form = world.clock.now(), {"client_id": client.actor.id, "scope": "may-read"}
    good = certificate_over(client.key, now)
    assert ask(doors, form, **shown(good))[0] == 200
    wrong = certificate_over(ec.generate_private_key(ec.SECP256R1()), now)
    for headers, parameters in (
        (shown(wrong), form),
        (shown(certificate_over(client.key, now - timedelta(days=9))), form),
        (shown(good, b"T" * 43), form),
        (shown(good), form | {"client_id": other.actor.id}),
        (shown(good), {"scope": "may-read"}),
    ):
        assert ask(doors, parameters, **headers)[0] == 401


def test_registered_for_bound_tokens_alone(world: OAuthWorld) -> None:
    """A client that asked for bound tokens gets none without a certificate; with both proofs' keys it is bound."""
    doors, client = world.doors(), world.oauth_client("may-read", certificate_bound=True)
    assert ask(doors, proof(world, client) | {"scope": "may-read"})[0] == 401
    assert world.refusals()[-1]["rule"] == "OA-09"
    certificate = certificate_over(client.key, world.clock.now())
    _, told = ask(doors, proof(world, client) | {"scope": "may-read"}, **shown(certificate))
    assert get(doors, told["access_token"])[0] == 401
    assert get(doors, told["access_token"], **shown(certificate))[0] == 200


def test_revocation(both_worlds: OAuthWorld) -> None:
    """A client ends its own token, at once; another's stays, and is answered alike (RFC 7009 §2.2)."""
    doors = both_worlds.doors()
    client, other = both_worlds.oauth_client("may-read"), both_worlds.oauth_client("may-read")
    token = ask(doors, proof(both_worlds, client) | {"scope": "may-read"})[1]["access_token"]

    def revoke(by: Officer, what: str) -> int:
        form = proof(both_worlds, by) | {"token": what, "token_type_hint": "access_token"}
        return int(doors.post("/oauth2/revoke", data=form).status_code)

    assert revoke(other, token) == 200
    assert get(doors, token)[0] == 200
    assert revoke(client, token) == revoke(client, token) == revoke(client, "nonsense") == 200
    assert get(doors, token)[0] == 401


@pytest.mark.parametrize("shape", ["cta_", "cta_" + "A" * 43, "cta_" + "A" * 42, "cta_" + "A" * 43 + "\n", "cts_x"])
def test_made_up_tokens(world: OAuthWorld, shape: str) -> None:
    """What is none of ours opens nothing."""
    assert world.doors().get("/test/machines", headers={"Authorization": f"Bearer {shape.strip()}"}).status_code == 401


def test_metadata(world: OAuthWorld) -> None:
    """RFC 8414: the issuer is the origin, every address is ours and answers, and nothing weak is offered."""
    doors = world.doors()
    told = doors.get("/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == ORIGIN
    for name, address in told.items():
        if name.endswith("_endpoint"):
            assert doors.post(address.removeprefix(ORIGIN)).status_code in (400, 401, 403, 405), name
    assert set(told["token_endpoint_auth_methods_supported"]) == {"private_key_jwt", "self_signed_tls_client_auth"}
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["ES256"]
    assert not {"password", "implicit", "refresh_token"} & set(told["grant_types_supported"])


def test_registration_over_http(world: OAuthWorld) -> None:
    """An operator registers a client; what cannot be is refused with its field."""
    doors, operator = world.doors(), world.register(ActorKind.OPERATOR, "identity-admin")
    client = world.register(ActorKind.CLIENT, "may-read")

    def put(actor_id: str, body: dict[str, Any]) -> Any:
        path, octets = f"/identity/v1/actors/{actor_id}/oauth", json.dumps(body).encode()
        headers = {"Authorization": operator.sign(world, "PUT", path, octets), "Content-Type": "application/json"}
        return doors.put(path, content=octets, headers=headers)

    assert put(client.actor.id, {"grants": ["client_credentials"]}).status_code == 204
    assert ask(doors, proof(world, client) | {"scope": "may-read"})[0] == 200
    assert put("act_none", {"grants": ["client_credentials"]}).status_code == 404
    assert put(operator.actor.id, {"grants": ["client_credentials"]}).json()["code"] == "identity.client_invalid"
    assert put(client.actor.id, {"grants": ["password"]}).status_code == 422
    with world.database.read() as connection:
        actions = connection.execute(select(events.c.action)).scalars().all()
    assert actions.count("identity.oauth_client_registered") == 1


@pytest.mark.parametrize(
    "uri",
    [
        "http://a.example/",
        "https://a.example/#x",
        "https://user@a.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:///path",
        "//a.example/",
        "https://a.example/ x",
        "https://a.example\\@b.example/",
        "http://127.0.0.1.attacker.example/",
        "",
    ],
)
def test_redirect_addresses_that_cannot_be(world: OAuthWorld, uri: str) -> None:
    """https alone, or http on the loopback; no fragment, no credentials, nothing that browsers read otherwise."""
    client = world.register(ActorKind.CLIENT)
    clients = world.identity.clients
    wanted = {"grants": ["authorization_code"], "scopes": ["openid"]}
    for good in ("https://a.example/back?x=1", "http://127.0.0.1:8000/back", "http://localhost/back"):
        clients.register(None, client.actor.id, redirect_uris=[good], **wanted)
    with pytest.raises(ClientInvalid):
        clients.register(None, client.actor.id, redirect_uris=[uri], **wanted)
