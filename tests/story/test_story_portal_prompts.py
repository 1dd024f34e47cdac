"""Prompts of the CSC API on the portal's pages: over HTTP, and in Chromium with a virtual passkey."""

from __future__ import annotations

import base64
from io import BytesIO

import pytest
from playwright.sync_api import expect
from pyhanko.pdf_utils.reader import PdfFileReader

from camtrust.web.portal.session import SESSION_COOKIE
from foundation.words import words
from tests.story.installation import Applicant, Installation
from tests.story.test_story_csc import ECDSA_SHA256, _digest
from tests.story.test_story_csc_documents import entry
from tests.story.test_story_csc_prompts import App
from tests.story.test_story_portal import Browser, Reader, letter
from tests.story.test_story_portal_chromium import browsing, log_in, violations, with_passkey

__all__ = ["letter"]  # a fixture


def test_who_what_for_how_many_and_which(assembled: Installation) -> None:
    """The page names the registered client, quotes its words as its own, counts the digests and says each in words; a
    wrong code leaves it waiting, the right one gives the client what it asked for. Nobody else has this page."""
    person, stranger = assembled.applicant().until("certificate"), assembled.applicant()
    app, page = App(assembled, person), Browser(assembled, person.session)
    handle = app.prompt(_digest(1), _digest(2), description="SPECIMEN <b>lease</b>")
    where = f"/portal/prompts/{handle}"
    assert where in page.get("/portal").text
    other = Browser(assembled, stranger.session)
    assert where not in other.get("/portal").text
    shown = page.get(where, **{"Accept-Language": "en"})
    assert shown.status_code == 200
    for text in ("SPECIMEN client", "&lt;b&gt;lease&lt;/b&gt;", "nobody has checked them", "<dd>2</dd>"):
        assert text in shown.text
    for number in (1, 2):
        digest = base64.b64decode(_digest(number))
        assert digest.hex() in shown.text
        assert all(f"<li>{word}</li>" in shown.text for word in words(digest[:8]))
    for language in ("km", "en"):
        read = Reader(page.get(where, **{"Accept-Language": language}).text)
        assert (read.language, read.unnamed, read.inline) == (language, [], [])
    assert other.get(where).status_code == 404
    assert other.post(f"{where}/refusal").status_code == 404
    for path in ("approval", "passkey-options", "passkey", "refusal"):
        assert page.post(f"{where}/{path}", form_token="0" * 64).status_code == 403
        assert page.post(f"{where}/{path}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    told = page.post(f"{where}/approval", pin=person.pin, code="000000")
    assert told.status_code == 403
    assert 'role="alert"' in told.text
    assert app.check(handle)[0] == 202
    assert page.post(f"{where}/approval", pin=person.pin, code=person.next_code()).status_code == 303
    assert "approved" in page.get(where, **{"Accept-Language": "en"}).text
    assert app.check(handle)[0] == 200


def test_approved_with_a_passkey_in_the_browser(assembled: Installation, letter: bytes) -> None:
    """The client's documents are seen as pages; what a script makes of the question permits nothing; one touch, and the
    client fetches both signed. Another prompt is reported with one press, and its client blocked."""
    with browsing(assembled) as page:
        person = with_passkey(assembled, page)
        app = App(assembled, person)
        wanted = [entry(letter) | {"document_name": f"SPECIMEN {number}.pdf"} for number in (1, 2)]
        handle = app.prompt_for(*wanted)
        log_in(page, person)
        page.get_by_role("link", name="SPECIMEN client").click()
        expect(page.get_by_role("heading", name="SPECIMEN 2.pdf")).to_be_visible()
        pictures = page.locator(".pages img")
        expect(pictures).not_to_have_count(0)
        for picture in pictures.all():
            picture.scroll_into_view_if_needed()
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("image => image.naturalWidth") > 400
        page.get_by_role("button", name="Sign with a passkey").press("Enter")
        expect(page.locator(".state.signed")).to_have_text("approved")
        status, told = app.check(handle)
        assert status == 200, told
        body = {"credentialID": person.credential, "SAD": told["SAD"], "documents": wanted}
        status, signed = app.ask("signatures/signDoc", body)
        assert status == 200, signed
        for text in signed["DocumentWithSignature"]:
            assert len(PdfFileReader(BytesIO(base64.b64decode(text))).embedded_signatures) == 1

        handle = app.prompt(_digest(1))
        page.goto(f"/portal/prompts/{handle}")
        page.get_by_label("Take no more requests from this sender").check()
        page.get_by_role("button", name="I did not expect this").click()
        expect(page.locator(".state.reported")).to_be_visible()
        assert app.check(handle)[1]["error"] == "access_denied"
        body = {"credentialID": person.credential, "hashes": [_digest(2)], "numSignatures": 1}
        assert app.ask("credentials/authorize", body)[0] == 403


def test_a_passkey_permits_what_its_page_shows(assembled: Installation) -> None:
    """The answer to one prompt's question is refused for another prompt: each stands for its own digests."""
    with browsing(assembled) as page:
        person = with_passkey(assembled, page)
        app = App(assembled, person)
        shown, other = app.prompt(_digest(1)), app.prompt(_digest(2))
        log_in(page, person)
        page.goto(f"/portal/prompts/{shown}")
        form = "form => form.dataset.passkey = form.dataset.passkey.replace(/prompts\\/[0-9a-f]+/, 'prompts/%s')"
        page.locator("form[data-passkey]").evaluate(form % other)
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.get_by_role("alert").locator("visible=true").first).to_be_visible()
        assert (app.check(shown)[0], app.check(other)[0]) == (202, 202)
        body = {"credentialID": person.credential, "SAD": "AAAA", "signAlgo": ECDSA_SHA256, "hashes": [_digest(1)]}
        assert app.ask("signatures/signHash", body)[0] == 400


@pytest.mark.parametrize(("language", "scheme", "width"), [("km", "light", 390), ("en", "dark", 1100)])
def test_axe_finds_nothing(assembled: Installation, letter: bytes, language: str, scheme: str, width: int) -> None:
    """axe-core finds nothing on the pages of prompts, of digests and of documents, waiting and answered."""
    person: Applicant = assembled.applicant().until("certificate")
    app = App(assembled, person)
    handles = [app.prompt(_digest(1), _digest(2)), app.prompt_for(entry(letter)), app.prompt(_digest(3))]
    assert person.ask("POST", f"/sign/v1/prompts/{handles[2]}/refusal", {}).status_code == 204
    with browsing(assembled, language) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        for path in ("", *(f"/prompts/{one}" for one in handles)):
            page.goto(f"/portal{path}")
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
