"""A client of the authorisation server that shares no code with ours, Authlib with requests; and a person's browser."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import ECKey

from foundation.http.actor import ActorKind
from tests.story.installation import Applicant, Installation, Staff

BACK = "https://bank.example/back"


class _Proof(PrivateKeyJWT):
    """A new assertion each time; Authlib's keeps the claims that it was given, and its first jti among them."""

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        now = int(time.time())
        self.claims = {"exp": now + 120, "iat": now}
        return super().sign(auth, token_endpoint)


def session(assembled: Installation, client: Staff, **arguments: Any) -> OAuth2Session:
    """Authlib's session of a registered client, which proves itself by private_key_jwt to the issuer."""
    key = ECKey.import_key(client._key)
    made = OAuth2Session(client.id, key, token_endpoint_auth_method="private_key_jwt", **arguments)
    made.register_client_auth_method(_Proof(assembled.services.settings.public_url, alg="ES256"))
    made.trust_env = False
    return made


def machine_token(assembled: Installation, client: Staff, scope: str) -> str:
    """An access token of a machine, asked for by Authlib over HTTP."""
    with session(assembled, client, scope=scope) as one:
        told = one.fetch_token(f"{assembled.url}/oauth2/token", grant_type="client_credentials")
        return str(told["access_token"])


@dataclass(frozen=True)
class Pushed:
    """A request that was pushed: the page's query, and the client's secrets about it."""

    query: str
    verifier: str
    state: str


@dataclass
class WebClient:
    """A client that asks persons."""

    assembled: Installation
    scopes: tuple[str, ...] = ("openid", "profile", "service", "credential")
    staff: Staff = field(init=False)

    def __post_init__(self) -> None:
        self.staff = self.assembled.staff(ActorKind.CLIENT)
        clients = self.assembled.services.identity.clients
        clients.register(None, self.staff.id, ["authorization_code"], [BACK], self.scopes)

    def push(self, scope: str, **more: str) -> Pushed:
        """Push a request: where to send the person, and what to change the code with."""
        verifier, state = generate_token(48), generate_token(16)
        wanted = {"response_type": "code", "redirect_uri": BACK, "scope": scope, "state": state} | more
        wanted |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        with session(self.assembled, self.staff, redirect_uri=BACK) as one:
            pushed = _push(one, f"{self.assembled.url}/oauth2", wanted)
        return Pushed(f"client_id={self.staff.id}&request_uri={pushed['request_uri']}", verifier, state)

    def redeem(self, pushed: Pushed, location: str) -> dict[str, Any]:
        """Change the code in the address that the person came back to; who answered is looked at first (RFC 9207)."""
        assert location.startswith(BACK + "?")
        assert parse_qs(urlsplit(location).query)["iss"] == [self.assembled.services.settings.public_url]
        with session(self.assembled, self.staff, redirect_uri=BACK) as one:
            at, verifier = f"{self.assembled.url}/oauth2/token", pushed.verifier
            told = one.fetch_token(at, authorization_response=location, state=pushed.state, code_verifier=verifier)
            return dict(told)

    def ask(self, scope: str, person: Callable[[httpx2.Client, str], httpx2.Response], **more: str) -> dict[str, Any]:
        """Push a request, let the person decide, and change the code for a token."""
        pushed = self.push(scope, **more)
        with httpx2.Client(base_url=self.assembled.url, timeout=60, trust_env=False) as browser:
            sent = person(browser, pushed.query)
        assert sent.status_code == 303, sent.text
        return self.redeem(pushed, sent.headers["location"])


def _push(one: OAuth2Session, at: str, wanted: dict[str, str]) -> dict[str, Any]:
    auth = one.client_auth("private_key_jwt")
    answer = one.request("POST", f"{at}/par", withhold_token=True, data=wanted, auth=auth)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def opened(browser: httpx2.Client, query: str) -> dict[str, str]:
    """Open the page; the hidden fields of its form."""
    page = browser.get(f"/oauth2/authorize?{query}")
    assert page.status_code == 200, page.text
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page.text)
    return {name: unescape(value) for name, value in found}


def by_pin(person: Applicant, **changes: str) -> Callable[[httpx2.Client, str], httpx2.Response]:
    """The person allows with PIN and code."""

    def decide(browser: httpx2.Client, query: str) -> httpx2.Response:
        filled = {"decision": "allow", "person_id": person.person_id, "pin": person.pin, "totp": person.next_code()}
        return browser.post("/oauth2/authorize", data=opened(browser, query) | filled | changes)

    return decide


def by_passkey(
    person: Applicant, device: Callable[[str], str], **changes: str
) -> Callable[[httpx2.Client, str], httpx2.Response]:
    """The person allows with a passkey: ``device`` answers the options (JSON)."""

    def decide(browser: httpx2.Client, query: str) -> httpx2.Response:
        form = opened(browser, query) | {"person_id": person.person_id}
        asked = browser.post("/oauth2/authorize/passkey", data=form)
        assert asked.status_code == 200, asked.text
        answer = device(json.dumps(asked.json()["options"]))
        return browser.post("/oauth2/authorize", data=form | {"decision": "allow", "assertion": answer} | changes)

    return decide
