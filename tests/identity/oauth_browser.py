"""A client and a person's browser, as the tests of the authorisation server drive them: each step can be spoilt."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.testclient import TestClient

from tests.identity.oauth_world import PERSON, PIN, OAuthWorld, proof
from tests.web.world import ORIGIN, Officer

BACK = "https://bank.example/back?from=camtrust"
VERIFIER = "v" * 43
_codes = itertools.count(100_000)


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def web_client(world: OAuthWorld, *scopes: str, **changes: Any) -> Officer:
    """A client that may ask persons."""
    registration = {"grants": ["authorization_code"], "redirect_uris": [BACK], "scopes": scopes} | changes
    return world.oauth_client(**registration)


@dataclass
class Flow:
    """One authorisation from beginning to end. ``doors`` is the person's browser too: it has the cookies."""

    world: OAuthWorld
    client: Officer
    scope: str = "openid"
    doors: TestClient = field(init=False)
    request_uri: str = ""
    page: str = ""

    def __post_init__(self) -> None:
        self.doors = self.world.doors()

    def parameters(self, **changes: Any) -> dict[str, str]:
        wanted = {
            "response_type": "code",
            "redirect_uri": BACK,
            "scope": self.scope,
            "state": "st-1",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (wanted | changes).items() if value is not None}

    def push(self, **changes: Any) -> Any:
        """The pushed request; ``changes`` to its parameters."""
        form = proof(self.world, self.client) | self.parameters(**changes)
        answer = self.doors.post("/oauth2/par", data=form)
        if answer.status_code == 201:
            self.request_uri = answer.json()["request_uri"]
        return answer

    def open(self, doors: TestClient | None = None, **query: str) -> Any:
        """The page, as the browser comes to it."""
        asked = {"client_id": self.client.actor.id, "request_uri": self.request_uri} | query
        answer = (doors or self.doors).get("/oauth2/authorize", params=asked)
        self.page = answer.text
        return answer

    def form(self, **changes: Any) -> dict[str, str]:
        """The page's own hidden fields, and what the person fills in."""
        hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', self.page))
        filled = {"decision": "allow", "person_id": PERSON, "pin": PIN, "totp": str(next(_codes))}
        return {name: unescape(value) for name, value in (hidden | filled | changes).items() if value is not None}

    def decide(self, doors: TestClient | None = None, headers: dict[str, str] | None = None, **changes: Any) -> Any:
        """Send the form."""
        where = doors or self.doors
        return where.post("/oauth2/authorize", data=self.form(**changes), headers=headers, follow_redirects=False)

    def answer(self, **changes: Any) -> dict[str, str]:
        """Push, open, decide: the parameters that the client gets back."""
        assert self.push(**changes).status_code == 201
        assert self.open().status_code == 200
        return sent_back(self.decide())

    def redeem(self, code: str, /, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Change a code for a token."""
        by = changes.pop("by", self.client)
        headers = changes.pop("headers", {})
        wanted = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        form = proof(self.world, by) | {name: value for name, value in (wanted | changes).items() if value}
        answer = self.doors.post("/oauth2/token", data=form, headers=headers)
        return answer.status_code, answer.json()

    def token(self, **changes: Any) -> dict[str, Any]:
        """All of it: the token endpoint's answer."""
        status, told = self.redeem(self.answer(**changes)["code"])
        assert status == 200, told
        return told

    def get(self, token: str, path: str, **headers: str) -> Any:
        return self.doors.get(path, headers={"Authorization": f"Bearer {token}"} | headers)


def sent_back(answer: Any) -> dict[str, str]:
    """The parameters in the address that a browser is sent to, which must be the registered one."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(BACK + "&"), location
    found = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    assert found.pop("from") == "camtrust"
    assert found["iss"] == ORIGIN
    return found
