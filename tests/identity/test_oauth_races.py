"""At the same time: of many who change a code, answer a request or show an assertion, one succeeds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from foundation.clock import SetClock
from foundation.db.engine import Database
from identity.errors import AuthorizationGone
from identity.oauth.authorization import Proof
from identity.oauth.errors import OAuthRefused
from tests.identity.oauth_browser import BACK, VERIFIER, Flow, web_client
from tests.identity.oauth_world import PERSON, PIN, OAuthWorld, proof

AT_ONCE = 6


@pytest.fixture
def world(database: Database, clock: SetClock) -> OAuthWorld:
    return OAuthWorld(database, clock)


def together(act: Callable[[int], Any]) -> list[Any]:
    """What each of several callers got; a refusal is a value."""

    def one(number: int) -> Any:
        try:
            return act(number)
        except (OAuthRefused, AuthorizationGone) as refused:
            return refused

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def test_a_code_is_changed_once(world: OAuthWorld) -> None:
    """One caller at most gets a token, and it is over: the others ended it, since nobody can say who was right."""
    flow = Flow(world, web_client(world, "service"), "service")
    code = flow.answer()["code"]
    proven = [
        world.oauth.clients.authenticate(proof(world, flow.client), None, other_proof=False) for _ in range(AT_ONCE)
    ]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
    got = together(lambda number: world.oauth.token(proven[number], form))
    made = [one for one in got if isinstance(one, dict)]
    assert len(made) <= 1
    assert {one.error for one in got if isinstance(one, OAuthRefused)} == {"invalid_grant"}
    for one in made:
        assert flow.get(one["access_token"], "/test/delegates").status_code == 401


def test_a_request_is_answered_once(world: OAuthWorld) -> None:
    """Of several forms at once, all with right factors, one gives a code."""
    flow = Flow(world, web_client(world, "openid"))
    flow.push()
    flow.open()
    name, browser = next(iter(flow.doors.cookies.items()))
    assert name.startswith("__Host-camtrust-oauth-")
    authorizations = world.oauth.authorizations
    opened = authorizations.resume(flow.client.actor.id, flow.request_uri, browser, flow.form()["form"])
    got = together(
        lambda number: authorizations.allow(opened, flow.request_uri, Proof(PERSON, PIN, str(700_000 + number)), False)
    )
    assert len([one for one in got if isinstance(one, str)]) == 1
    assert len([one for one in got if isinstance(one, AuthorizationGone)]) == AT_ONCE - 1


def test_a_request_is_opened_by_one_browser(world: OAuthWorld) -> None:
    """Of several browsers that come at once, one sees the request."""
    flow = Flow(world, web_client(world, "openid"))
    flow.push()
    got = together(lambda _: world.oauth.authorizations.open(flow.client.actor.id, flow.request_uri, None))
    assert len([one for one in got if not isinstance(one, AuthorizationGone)]) == 1


def test_an_assertion_proves_a_client_once(world: OAuthWorld) -> None:
    """Shown by several at once, it lets one in."""
    shown = proof(world, world.oauth_client("may-read"))
    got = together(lambda _: world.oauth.clients.authenticate(shown, None, other_proof=False))
    assert len([one for one in got if not isinstance(one, OAuthRefused)]) == 1
