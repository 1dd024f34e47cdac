"""A person lets a client know them, see their name, use the signing service or sign: what it gets, and what not."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select

from foundation.clock import SetClock
from foundation.db.audit import events
from foundation.db.engine import Database
from foundation.http.actor import Unauthenticated
from foundation.words import khmer_words, words
from identity.oauth.store import codes, tokens
from tests.identity.oauth_browser import BACK, Flow, sent_back, web_client
from tests.identity.oauth_world import CREDENTIAL, PERSON, OAuthWorld, certificate_over, shown
from tests.web.world import ORIGIN

DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(3)]


@pytest.fixture
def world(sqlite_database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(sqlite_database, clock)


@pytest.fixture
def both_worlds(database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(database, clock)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def details(*labels: str, **changes: Any) -> str:
    """authorization_details for as many of DIGESTS as there are labels."""
    documents = [{"hash": base64url(digest), "label": label} for digest, label in zip(DIGESTS, labels, strict=False)]
    one = {"type": "credential", "credentialID": CREDENTIAL, "documentDigests": documents}
    return json.dumps([one | {"hashAlgorithmOID": "2.16.840.1.101.3.4.2.1"} | changes])


def test_logging_in(both_worlds: OAuthWorld) -> None:
    """OpenID Connect: an ID token that verifies with the published key, for this client, with its nonce, and a subject
    that is the same next time, another for another client, and nothing of the person."""
    flow = Flow(both_worlds, web_client(both_worlds, "openid"))
    told = flow.token(nonce="n-1")
    assert told["scope"] == "openid"
    published = KeySet.import_key_set(flow.doors.get("/oauth2/jwks").json())
    token = jwt.decode(told["id_token"], published, algorithms=["ES256"])
    now = int(both_worlds.clock.now().timestamp())
    assert token.header["kid"]
    assert {name: token.claims[name] for name in ("iss", "aud", "iat", "exp", "auth_time", "nonce", "amr")} == {
        "iss": ORIGIN,
        "aud": flow.client.actor.id,
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "nonce": "n-1",
        "amr": ["pin", "otp"],
    }
    half = hashlib.sha256(told["access_token"].encode()).digest()[:16]
    assert token.claims["at_hash"] == base64url(half)
    assert PERSON not in json.dumps(token.claims)
    userinfo = flow.get(told["access_token"], "/oauth2/userinfo")
    assert userinfo.json() == {"sub": token.claims["sub"]}
    again = jwt.decode(flow.token()["id_token"], published, algorithms=["ES256"]).claims
    assert again["sub"] == token.claims["sub"]
    assert "nonce" not in again
    other = Flow(both_worlds, web_client(both_worlds, "openid"))
    assert jwt.decode(other.token()["id_token"], published, algorithms=["ES256"]).claims["sub"] != token.claims["sub"]


def test_reporting(world: OAuthWorld) -> None:
    """Refused and reported: the client hears the same; the audit trail names the client and what it asked for."""
    flow = Flow(world, web_client(world, "credential"), "credential")
    flow.push(authorization_details=details("one"))
    flow.open()
    answer = sent_back(flow.decide(decision="report", person_id=None, pin=None, totp=None))
    assert answer == {"error": "access_denied", "state": "st-1", "iss": ORIGIN}
    with world.database.read() as connection:
        row = connection.execute(select(events).where(events.c.action == "identity.oauth_reported")).one()
    assert (row.subject, json.loads(row.details)["digests"]) == (flow.client.actor.id, [DIGESTS[0].hex()])


@pytest.mark.parametrize("shared", [True, False])
def test_a_name_is_told_by_consent(world: OAuthWorld, shared: bool) -> None:
    """The box is not ticked by itself; unticked, the token has no scope profile and userinfo no name."""
    flow = Flow(world, web_client(world, "openid", "profile"), "openid profile")
    flow.push()
    page = flow.open().text
    assert 'name="share_name"' in page
    assert "checked" not in page
    answer = sent_back(flow.decide(share_name="yes" if shared else None))
    _, told = flow.redeem(answer["code"])
    userinfo = flow.get(told["access_token"], "/oauth2/userinfo").json()
    assert told["scope"] == ("openid profile" if shared else "openid")
    assert ("name" in userinfo) == ("given_name" in userinfo) == shared


def test_a_client_acts_for_a_person_where_a_scope_says_so(both_worlds: OAuthWorld) -> None:
    """A token of scope service is the person at endpoints that ask for that scope, says which client acts, and opens
    nothing else of the person's; nor does one of scope openid open what asks for service."""
    flow = Flow(both_worlds, web_client(both_worlds, "service", "openid"), "service")
    token = flow.token()["access_token"]
    acting = flow.get(token, "/test/delegates")
    assert acting.json() == {"actor": f"person:{PERSON}", "roles": [], "client": flow.client.actor.id}
    assert flow.get(token, "/test/persons").status_code == 403
    assert flow.get(token, "/test/machines").status_code == 403
    assert flow.get(token, "/oauth2/userinfo").status_code == 403
    assert flow.get(token, "/identity/v1/sessions").status_code in (403, 405)
    assert flow.doors.delete("/identity/v1/sessions", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    login = Flow(both_worlds, flow.client, "openid").token()["access_token"]
    assert flow.get(login, "/test/delegates").status_code == 403
    both_worlds.clock.advance(timedelta(minutes=30))
    assert flow.get(token, "/test/delegates").status_code == 401


def test_a_session_is_no_client(world: OAuthWorld) -> None:
    """userinfo is for clients: the person's own session is refused there."""
    token = world.identity.open(PERSON)
    assert Flow(world, web_client(world, "openid")).get(token, "/oauth2/userinfo").status_code == 403


@pytest.mark.parametrize(("language", "said"), [("en", words), ("km", khmer_words)])
def test_the_page_shows_what_would_be_signed(world: OAuthWorld, language: str, said: Any) -> None:
    """Every document with its label and its digest as words, in the language of the reader; who asks, what for, and
    where they go back to; what the law excepts; and values of the client cannot become markup."""
    flow = Flow(world, web_client(world, "credential"), "credential")
    pushed = flow.push(
        authorization_details=details("SPECIMEN <b>lease</b>", "", "កិច្ចសន្យា"), description='"><script>x</script>'
    )
    assert pushed.status_code == 201, pushed.text
    page = flow.open(lang=language)
    assert page.headers["content-language"] == language
    for digest in DIGESTS:
        assert " ".join(said(digest[:8])) in page.text
        assert digest.hex() in page.text
    assert "<script>x" not in page.text
    assert "<b>lease" not in page.text
    for text in ("SPECIMEN &lt;b&gt;lease", "កិច្ចសន្យា", "SPECIMEN client", "bank.example"):
        assert text in page.text
    assert ("immovable property" if language == "en" else "អចលនវត្ថុ") in page.text


def test_signing_is_permitted_for_exactly_these_digests(both_worlds: OAuthWorld) -> None:
    """The factors are proved for what the page showed, for this client; the token stands for it, lasts as long as the
    activation, gives it back to this client and credential alone, and neither database nor log have it."""
    flow = Flow(both_worlds, web_client(both_worlds, "credential"), "credential")
    before = both_worlds.clock.now()
    told = flow.token(authorization_details=details("one", "two"))
    token, client_id = told["access_token"], flow.client.actor.id
    ((activation, permitted),) = both_worlds.approvals.permitted.items()
    assert permitted == (client_id, tuple(DIGESTS[:2]))
    assert told["credentialID"] == CREDENTIAL
    assert told["authorization_details"][0]["type"] == "credential"
    assert told["expires_in"] == 300
    grant = both_worlds.identity.tokens.grant(token)
    assert (grant.person_id, grant.client_id, grant.credential_id) == (PERSON, client_id, CREDENTIAL)
    assert grant.digests == tuple(DIGESTS[:2])
    assert grant.expires_at == before + timedelta(minutes=5)
    assert both_worlds.identity.tokens.activation(token, client_id, PERSON, CREDENTIAL) == activation
    for other in (("act_x", PERSON, CREDENTIAL), (client_id, "person-2", CREDENTIAL), (client_id, PERSON, "cred-2")):
        with pytest.raises(Unauthenticated):
            both_worlds.identity.tokens.activation(token, *other)
    with both_worlds.database.read() as connection:
        kept = [row for table in (codes, tokens, events) for row in connection.execute(select(table)).all()]
    stored = b"".join(bytes(value) for row in kept for value in row if isinstance(value, bytes | memoryview))
    assert activation not in stored
    assert token not in str(kept)


def test_the_vocabulary_of_version_1(world: OAuthWorld) -> None:
    """credentialID, hashes with commas and numSignatures mean the same as authorization_details."""
    flow = Flow(world, web_client(world, "credential"), "credential")
    flow.token(credentialID=CREDENTIAL, numSignatures="3", hashes=",".join(map(base64url, DIGESTS)))
    ((_, permitted),) = world.approvals.permitted.items()
    assert permitted == (flow.client.actor.id, tuple(DIGESTS))


def test_refusing(both_worlds: OAuthWorld) -> None:
    """The client hears access_denied, without the person having proved anything; the request is over."""
    flow = Flow(both_worlds, web_client(both_worlds, "openid"))
    flow.push()
    flow.open()
    answer = flow.decide(decision="refuse", person_id=None, pin=None, totp=None)
    assert sent_back(answer) == {"error": "access_denied", "state": "st-1", "iss": ORIGIN}
    assert flow.decide().status_code == 404
    assert flow.open().status_code == 404


def test_a_wrong_pin_can_be_tried_again_until_it_locks(world: OAuthWorld) -> None:
    """The page comes back with what is wrong, and without what was typed but the identifier; after five wrong PINs the
    token locks; a person who does not exist is refused with the same words."""
    flow = Flow(world, web_client(world, "openid"))
    flow.push()
    flow.open()
    refused = flow.decide(pin="000000")
    assert refused.status_code == 401
    assert "The identifier, the PIN or the code is not right." in refused.text
    assert "000000" not in refused.text
    assert f'value="{PERSON}"' in refused.text
    stranger = flow.decide(person_id="person-nobody")
    assert "The identifier, the PIN or the code is not right." in stranger.text
    for _ in range(4):
        flow.decide(pin="000000")
    locked = flow.decide()
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) > 0


def test_a_credential_of_another_is_refused_as_a_wrong_pin_is(world: OAuthWorld) -> None:
    """Whose a credential is, nobody learns here."""
    flow = Flow(world, web_client(world, "credential"), "credential")
    flow.push(authorization_details=details("one", credentialID="cred-2"))
    flow.open()
    assert "The identifier, the PIN or the code is not right." in flow.decide().text
    assert not world.approvals.permitted


def test_logging_out_everywhere_ends_what_clients_hold(both_worlds: OAuthWorld) -> None:
    """Tokens that stand for the person end at once, and codes that were not changed yet are worth nothing."""
    flow = Flow(both_worlds, web_client(both_worlds, "service"), "service")
    token, waiting = flow.token()["access_token"], flow.answer()["code"]
    both_worlds.identity.close_all(PERSON)
    assert flow.get(token, "/test/delegates").status_code == 401
    assert flow.redeem(waiting)[0] == 400


def test_a_person_s_token_is_bound_to_the_certificate(world: OAuthWorld) -> None:
    """Stolen from the client, it opens nothing without the client's certificate."""
    flow = Flow(world, web_client(world, "service"), "service")
    code = flow.answer()["code"]
    certificate = certificate_over(flow.client.key, world.clock.now())
    status, told = flow.redeem(code, headers=shown(certificate))
    assert status == 200
    assert flow.get(told["access_token"], "/test/delegates").status_code == 401
    assert flow.get(told["access_token"], "/test/delegates", **shown(certificate)).status_code == 200


def test_the_page_is_for_nobody_s_frame_and_leads_nowhere_else(world: OAuthWorld) -> None:
    """It cannot be framed, runs its own script alone, is not kept, and its form leads here and to the client alone."""
    flow = Flow(world, web_client(world, "openid"))
    flow.push()
    page = flow.open()
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://bank.example;" in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    (cookie,) = page.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-camtrust-oauth-")
    for attribute in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert attribute in cookie
    assert "form-action 'self';" in flow.doors.get("/").headers["content-security-policy"]
    assert BACK not in page.text


def test_discovery(world: OAuthWorld) -> None:
    """Both documents agree, name addresses of ours, and promise nothing that is not done."""
    doors = world.doors()
    plain = doors.get("/.well-known/oauth-authorization-server").json()
    told = doors.get("/.well-known/openid-configuration").json()
    assert plain.items() <= told.items()
    assert told["subject_types_supported"] == ["pairwise"]
    assert told["id_token_signing_alg_values_supported"] == ["ES256"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["response_types_supported"] == ["code"]
    keys = doors.get(told["jwks_uri"].removeprefix(ORIGIN)).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]
