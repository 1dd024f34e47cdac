"""The page of the authorisation server in Debian's Chromium: by passkey, by PIN and code, refused; framed by nobody."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests import programs
from tests.hsm.authenticator import Authenticator
from tests.story.installation import Installation
from tests.story.oauth_client import BACK, Pushed, WebClient
from tests.story.test_story_oauth_persons import ask, details, digest
from tests.story.test_story_passkey import Phone

ORIGIN = "http://localhost:8440"  # the one that passkeys of a home with the default settings are for
# Chromium would keep pages of elsewhere from a loopback address by itself: what is tried here is what our answers say.
_OWN_RULES = "--disable-features=LocalNetworkAccessChecks"
_PATIENCE = 60_000  # milliseconds: the machine may be busy


@contextmanager
def browsing(assembled: Installation, language: str, width: int = 1280, *, refusals: bool = False) -> Iterator[Page]:
    """A page of a new browser. The origin of the passkeys leads to the port of the test, the client's to an answer of
    the test where it is gone to at once, and every other one nowhere. An error of a script, or a refusal by the content
    security policy where ``refusals`` are not what is wanted, fails the test."""
    port = urlsplit(assembled.url).port
    rules = f"--host-resolver-rules=MAP localhost:8440 127.0.0.1:{port}, MAP * ~NOTFOUND"
    wrong: list[str] = []

    def at_client(route: Route) -> None:
        route.fulfill(status=200, content_type="text/plain", body="SPECIMEN bank")

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=programs.path("chromium"), args=["--no-sandbox", rules, _OWN_RULES]
        )
        try:
            size = {"width": width, "height": 900}
            context = chromium.new_context(locale=language, base_url=ORIGIN, viewport=size)  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(_PATIENCE)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
            page.route(f"{BACK}**", at_client)
            yield page
            assert refusals or wrong == []
        finally:
            chromium.close()


def give_passkey(page: Page, device: Authenticator) -> None:
    """Put the key of a test's device into a virtual authenticator of the browser."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    octets = device.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    credential = {
        "credentialId": base64.b64encode(device.credential_id).decode(),
        "isResidentCredential": False,
        "rpId": "localhost",
        "privateKey": base64.b64encode(octets).decode(),
        "signCount": device.count,
    }
    session.send("WebAuthn.addCredential", {"authenticatorId": made["authenticatorId"], "credential": credential})


def sent_back(page: Page) -> Any:
    """Expect that the browser asks the client's address: the policy of the page lets it."""
    return page.expect_request(lambda request: request.url.startswith(f"{BACK}?"))


def opened(page: Page, pushed: Pushed) -> None:
    page.goto(f"/oauth2/authorize?{pushed.query}")


def _picture(page: Page, name: str) -> None:
    """A picture to be looked at, where CAMTRUST_PICTURES names a folder."""
    folder = os.environ.get("CAMTRUST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("km", 390)])
def test_signing_with_a_passkey(assembled: Installation, language: str, width: int) -> None:
    """The person reads what would be signed, types who they are and uses the passkey; the client signs with what it
    gets. Nothing is loaded from elsewhere, and the page is as wide as the screen."""
    person, phone = assembled.applicant().until("review"), Phone()
    phone.enrol(person)
    person.certificate()
    app = WebClient(assembled)
    wanted = details(person.credential, digest(7), digest(8))
    pushed = app.push("credential", authorization_details=wanted, description="SPECIMEN loan agreement")
    with browsing(assembled, language, width) as page:
        give_passkey(page, phone.device)
        opened(page, pushed)
        assert page.locator("html").get_attribute("lang") == language
        expect(page.locator(".documents li")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        _picture(page, f"sign-{language}-{width}")
        page.locator("#person").fill(person.person_id)
        with sent_back(page) as came:
            page.locator("#passkey").click()
        told = app.redeem(pushed, came.value.url)
    hashes = [base64.b64encode(digest(7)).decode()]
    body: dict[str, Any] = {"credentialID": person.credential, "hashes": hashes, "signAlgo": "1.2.840.10045.4.3.2"}
    status, signed = ask(assembled, told["access_token"], "signatures/signHash", **body)
    assert status == 200, signed


def test_logging_in_with_pin_and_code(assembled: Installation) -> None:
    """A wrong PIN is told on the page, which keeps the identifier alone; then the person is in. The keyboard is enough,
    every field has its label, and a person without the passkey reads that it was not used."""
    person = assembled.applicant().until("certificate")
    bank = WebClient(assembled)
    pushed = bank.push("openid profile")
    with browsing(assembled, "en") as page:
        give_passkey(page, Authenticator())
        opened(page, pushed)
        _picture(page, "login-en-1280")
        page.get_by_label("Your identifier").fill(person.person_id)
        page.get_by_role("button", name="Allow with a passkey").click()
        expect(page.locator("#passkey-problem")).to_be_visible()
        page.get_by_label("PIN", exact=True).fill("000000")
        page.get_by_label("Code of your authenticator app").fill("000000")
        page.keyboard.press("Enter")
        expect(page.locator("#problem")).to_contain_text("is not right")
        _picture(page, "login-wrong-en-1280")
        assert page.get_by_label("Your identifier").input_value() == person.person_id
        assert page.get_by_label("PIN", exact=True).input_value() == ""
        page.get_by_label("Tell them my name").check()
        page.get_by_label("PIN", exact=True).fill(person.pin)
        page.get_by_label("Code of your authenticator app").fill(person.next_code())
        with sent_back(page) as came:
            page.keyboard.press("Enter")
        assert bank.redeem(pushed, came.value.url)["scope"] == "openid profile"


def test_refusing_by_keyboard(assembled: Installation) -> None:
    """Refusing needs no identifier and no factor; the client hears access_denied, and the page is over."""
    app = WebClient(assembled)
    pushed = app.push("service")
    with browsing(assembled, "km", 390) as page:
        opened(page, pushed)
        _picture(page, "service-km-390")
        page.locator("button[value=refuse]").focus()
        with sent_back(page) as came:
            page.keyboard.press("Enter")
        assert parse_qs(urlsplit(came.value.url).query)["error"] == ["access_denied"]
        again = page.context.new_page()
        opened(again, pushed)
        expect(again.locator("form")).to_have_count(0)
        _picture(again, "gone-km-390")


def test_the_page_is_in_nobody_s_frame(assembled: Installation) -> None:
    """Clickjacking: a page of another origin that frames it shows nothing of it."""
    app = WebClient(assembled)
    pushed = app.push("service")
    framing = f'<iframe src="{ORIGIN}/oauth2/authorize?{pushed.query}"></iframe>'
    with browsing(assembled, "en", refusals=True) as page:
        page.route(
            "http://localhost:9/**", lambda route: route.fulfill(status=200, content_type="text/html", body=framing)
        )
        failed: list[str | None] = []
        page.on("requestfailed", lambda request: failed.append(request.failure))
        with page.expect_event("requestfailed"):
            page.goto("http://localhost:9/")
        assert failed == ["net::ERR_BLOCKED_BY_RESPONSE"]
        assert all("Prove that it is you" not in frame.content() for frame in page.frames)
