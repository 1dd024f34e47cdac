"""The portal in Debian's Chromium, with a virtual passkey: what a person does on the pages, and what is refused.

The browser resolves the origin that the token's passkeys are for to the port that the test serves at, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect, sync_playwright
from pyhanko.pdf_utils.reader import PdfFileReader

from camtrust.web.portal.session import SESSION_COOKIE
from foundation.http.actor import ActorKind
from signing.requests.api import ROLE
from tests import programs
from tests.story.installation import Applicant, Installation
from tests.story.test_story_portal import letter
from tests.story.test_story_requests import asking

__all__ = ["letter"]  # a fixture

ORIGIN = "http://localhost:8440"  # the one that a home's settings stand for by default
_PATIENCE = 60_000  # milliseconds: the machine may be busy
expect.set_options(timeout=_PATIENCE)

REGISTER = """async (options) => {
  const octets = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
  const made = await navigator.credentials.create({ publicKey: {
    ...options, challenge: octets(options.challenge), user: { ...options.user, id: octets(options.user.id) },
    excludeCredentials: [] } });
  return { id: made.id, rawId: text(made.rawId), type: made.type, response: {
    clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) } };
}"""


@contextmanager
def browsing(assembled: Installation, language: str = "en") -> Iterator[Page]:
    """A page of a new browser with a virtual authenticator. AssertionError for a script's error or a refused load."""
    port = urlsplit(assembled.url).port
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP localhost:8440 127.0.0.1:{port}, MAP * ~NOTFOUND"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=programs.path("chromium"), args=arguments)
        try:
            page = chromium.new_context(locale=language, base_url=ORIGIN).new_page()
            page.set_default_timeout(_PATIENCE)
            wrong: list[str] = []
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("console", lambda said: wrong.append(said.text) if _refused(said.text) else None)
            devices = page.context.new_cdp_session(page)
            devices.send("WebAuthn.enable")
            options = {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
            devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
            yield page
            assert wrong == []
        finally:
            chromium.close()


def with_passkey(assembled: Installation, page: Page) -> Applicant:
    """A citizen whose first factor is the passkey of this browser, with a certificate."""
    person = assembled.applicant().until("review")
    options = person.post("/ekyc/v1/authenticators/passkey-options")["options"]
    page.goto("/portal/login")
    made = page.evaluate(REGISTER, options)
    assert person.post(f"{person.base}/passkey", {"credential": made})["state"] == "FACTOR_BOUND"
    person.credential = person.post(f"{person.base}/certificate")["credential_id"]
    return person


def log_in(page: Page, person: Applicant) -> None:
    """With the passkey, on the page."""
    page.goto("/portal/login")
    page.get_by_label("Your identifier").fill(person.person_id)
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/portal")


def asked(assembled: Installation, person: Applicant, *letters: bytes) -> tuple[object, dict[str, object]]:
    """A client, and its request to this person."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    made = client.ask("POST", "/sign/v1/requests", asking(person.person_id, *letters, passkey_only=True))
    assert made.status_code == 201, made.text
    return client, dict(made.json())


def test_a_request_signed_with_a_passkey(assembled: Installation, letter: bytes) -> None:
    """Logged in with a passkey, the person finds what waits, sees both documents' pages, signs both with one touch;
    the client gets both. What the script was tampered to send is refused first, and nothing is signed by it."""
    with browsing(assembled) as page:
        person = with_passkey(assembled, page)
        client, request = asked(assembled, person, letter, letter)
        log_in(page, person)
        page.get_by_role("link", name="SPECIMEN client").click()
        expect(page.get_by_role("heading", name="A request to sign")).to_be_visible()
        pictures = page.locator(".pages img")
        expect(pictures).not_to_have_count(0)
        for picture in pictures.all():
            picture.scroll_into_view_if_needed()
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("image => image.naturalWidth") > 400
        expect(page.get_by_role("button", name="Sign with PIN and code")).to_have_count(0)

        def tampered(route: Route) -> None:
            """What a script in the page could do: have the device approve another question."""
            answer = route.fetch(url=route.request.url.replace(ORIGIN, assembled.url))
            said = answer.json()
            options = json.loads(said["options"])
            options["challenge"] = "A" * 43
            route.fulfill(response=answer, json=said | {"options": json.dumps(options)})

        page.route("**/passkey-options", tampered)
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.get_by_role("alert").first).to_be_visible()
        where = f"/sign/v1/requests/{request['id']}"
        assert person.get(where)["state"] == "waiting"
        page.unroute("**/passkey-options")
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.locator(".state.signed")).to_be_visible()
        for document in person.get(where)["documents"]:
            got = client.ask("GET", f"{where}/documents/{document['id']}/signed")  # type: ignore[attr-defined]
            assert len(PdfFileReader(BytesIO(got.content)).embedded_signatures) == 1
        page.get_by_role("link", name="Look at it").first.click()
        expect(page.get_by_role("heading", name="Signed", exact=True)).to_be_visible()


def test_a_document_of_one_s_own(assembled: Installation, letter: bytes) -> None:
    """By keyboard, in Khmer: uploaded, looked at, signed with the passkey, the signed file fetched with its verdict."""
    assembled.bundle()
    with browsing(assembled, "km") as page:
        person = with_passkey(assembled, page)
        page.get_by_label("លេខសម្គាល់របស់អ្នក").fill(person.person_id)
        page.get_by_role("button", name="ចូលដោយ passkey").press("Enter")
        page.wait_for_url("**/portal")
        page.get_by_label("ឯកសារ PDF").set_input_files(
            {"name": "SPECIMEN លិខិត.pdf", "mimeType": "application/pdf", "buffer": letter}
        )
        page.get_by_role("button", name="បញ្ជូន").press("Enter")
        expect(page.get_by_role("heading", name="SPECIMEN លិខិត.pdf")).to_be_visible()
        page.get_by_role("button", name="ចុះហត្ថលេខាដោយ passkey").press("Enter")
        expect(page.locator("section.verdict.yes")).to_be_visible()
        with page.expect_download() as fetched:
            page.get_by_role("link", name="ទាញយក").click()
        signed = fetched.value.path().read_bytes()
        assert len(PdfFileReader(BytesIO(signed)).embedded_signatures) == 1


def test_not_expected_on_the_page(assembled: Installation, letter: bytes) -> None:
    """The person did not start it: one press, and the page says that it was reported; the device is never asked."""
    with browsing(assembled) as page:
        person = with_passkey(assembled, page)
        _, request = asked(assembled, person, letter)
        log_in(page, person)
        page.goto(f"/portal/requests/{request['id']}")
        page.get_by_label("Take no more requests from this sender").check()
        page.get_by_role("button", name="I did not expect this").click()
        expect(page.locator(".state.reported")).to_be_visible()
        assert person.get(f"/sign/v1/requests/{request['id']}")["state"] == "reported"


def test_a_passkey_beside_pin_and_code(assembled: Installation, letter: bytes) -> None:
    """A person with PIN and code adds this browser's device on the page, and signs a request that asks for a passkey.
    Before that, with a wrong code, nothing is added."""
    with browsing(assembled) as page:
        person = assembled.applicant().until("certificate")
        _, request = asked(assembled, person, letter)
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        page.goto(f"/portal/requests/{request['id']}")
        expect(page.get_by_text("None of your ways to approve is allowed here")).to_be_visible()
        page.goto("/portal/passkeys")
        for code, passkeys in (("000000", "0"), (person.next_code(), "1")):
            page.get_by_label("PIN").fill(person.pin)
            page.get_by_label("One-time code").fill(code)
            page.get_by_role("button", name="Add this device").click()
            expect(page.get_by_role("alert").locator("visible=true")).to_have_count(1 - int(passkeys))
            expect(page.get_by_text("Passkeys that you have:").locator("strong")).to_have_text(passkeys)
        page.goto(f"/portal/requests/{request['id']}")
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.locator(".state.signed")).to_be_visible()


@pytest.mark.parametrize(("language", "scheme", "width"), [("km", "light", 390), ("en", "dark", 1100)])
def test_axe_finds_nothing(assembled: Installation, letter: bytes, language: str, scheme: str, width: int) -> None:
    """axe-core, with the rules of WCAG 2.1 A and AA, finds nothing on any page: contrast, names, order, language."""
    person = assembled.applicant().until("certificate")
    _, request = asked(assembled, person, letter)
    document = person.uploaded("SPECIMEN.pdf", letter)
    with browsing(assembled, language) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/portal/login")
        found = {"/portal/login": violations(page)}
        page.evaluate("document.querySelector('label').replaceWith(document.querySelector('label input'))")
        assert any(one.startswith("label:") for one in violations(page))  # axe does look
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        for path in (
            "",
            f"/requests/{request['id']}",
            f"/documents/{document}",
            "/certificates",
            "/history",
            "/local",
            "/passkeys",
        ):
            page.goto(f"/portal{path}")
            found[path] = violations(page)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    assert not {path: one for path, one in found.items() if one}


def violations(page: Page) -> list[str]:
    run = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [f"{one['id']}: {node['html']:.100}" for one in run.response["violations"] for node in one["nodes"]]


def test_no_page_elsewhere_shows_ours(assembled: Installation) -> None:
    """In a frame of another page nothing of ours is drawn, so that no click on it can be stolen."""
    with browsing(assembled) as page:
        page.goto("/portal/login")
        with page.expect_console_message(lambda said: "frame-ancestors" in said.text):
            page.evaluate("""() => { const frame = document.createElement('iframe');
                frame.src = '/portal/login'; document.body.append(frame); }""")
        (frame,) = page.frames[1:]
        assert not frame.url.startswith(ORIGIN)


def _refused(text: str) -> bool:
    """Whether the browser tells that something of a page was not run or loaded; being framed is for its own test."""
    return "Content Security" in text and "frame-ancestors" not in text
