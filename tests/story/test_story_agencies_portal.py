"""Representatives of organisations on the portal's pages, and seals that they release with their own keys."""

from __future__ import annotations

import hashlib
import re
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pyhanko.pdf_utils.reader import PdfFileReader

from camtrust.web.portal.session import SESSION_COOKIE
from signing.seal_policy import SealPolicy
from tests import programs
from tests.story.installation import Applicant, Installation, Staff
from tests.story.test_story_agencies import BATCHES, HELD, Organisation, form, letter
from tests.story.test_story_portal import Browser, Reader
from tests.story.test_story_portal_chromium import browsing, log_in, violations, with_passkey

__all__ = ["letter"]  # a fixture

_STEP = 30  # seconds that a one-time code is shown for


def next_code(person: Applicant) -> str:
    """The next code of the person's app, once the token takes it."""
    assert person.phone is not None
    for _ in range(2 * _STEP):
        if person.phone._last <= int(time.time()) // _STEP:
            break
        time.sleep(1)
    return person.next_code()


def held_by(
    site: Installation, one: Organisation, letter: bytes, *releasers: str
) -> tuple[Staff, dict[str, Any], dict[str, Any]]:
    """A client of an approved organisation whose seals wait for these, itself, and a seal that it asked for."""
    client, made = one.client()
    services = site.services
    policy = SealPolicy(releasers=releasers or ("representatives",))
    services.signing.seal_policies.set("test", client.id, policy, services.clock.now())
    answer = form(client, site.http, HELD, made["credential"], letter)
    assert answer.status_code == 201, answer.text
    return client, made, answer.json()


def test_released_by_a_representative(assembled: Installation, letter: bytes, tmp_path: Path) -> None:
    """A second representative signs the mandate on the page, sees what waits, and releases it with PIN and code by a
    statement that names exactly this document, which OpenSSL verifies. Who registered the client that asks releases
    nothing, nor does whoever has left; a wrong code, another document or another's form release nothing either."""
    second, stranger = (assembled.applicant().until("certificate") for _ in range(2))
    one = Organisation(assembled, second.person_id)
    assert one.sign().status_code == 200
    agency = f"/portal/agencies/{one.told['id']}"
    page, first, other = (Browser(assembled, who.session) for who in (second, one.person, stranger))
    shown = page.get(agency, **{"Accept-Language": "en"}).text
    assert "registration number: " + one.number in shown
    assert page.post(f"{agency}/mandate/approval", pin=second.pin, code=next_code(second)).status_code == 303
    assert one.approve("production").status_code == 200
    client, made, held = held_by(assembled, one, letter)
    where, path = f"/portal/held-seals/{held['id']}", f"{HELD}/{held['id']}"
    assert where in page.get(agency).text
    assert agency in page.get("/portal/agencies").text
    for language in ("km", "en"):
        for at in (agency, where, f"{agency}/clients/{client.id}", "/portal/agencies"):
            read = Reader(page.get(at, **{"Accept-Language": language}).text)
            assert (read.language, read.unnamed, read.inline) == (language, [], []), at
    for at in (agency, where, f"{where}/document", f"{where}/pages/1", f"{agency}/clients/{client.id}"):
        assert other.get(at).status_code == 404, at
    assert second.get(HELD)["items"][0]["id"] == held["id"]
    assert stranger.get(HELD)["items"] == []
    for endpoint in ("", "/document", "/statement"):
        assert stranger.ask("GET", path + endpoint).status_code == 404
        assert second.ask("GET", path + endpoint).status_code == 200

    kept = len(one.person.get("/sign/v1/documents")["documents"])
    refused = first.post(f"{where}/approval", pin=one.person.pin, code="000000")  # their client asks
    assert (refused.status_code, "may not release this seal" in refused.text.lower()) == (403, True)
    assert len(one.person.get("/sign/v1/documents")["documents"]) == kept
    for path_of_form in ("approval", "passkey-options", "passkey", "refusal"):
        assert page.post(f"{where}/{path_of_form}", form_token="0" * 64).status_code == 403
        assert page.post(f"{where}/{path_of_form}", headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert page.post(f"{where}/approval", pin=second.pin, code="000000").status_code == 403
    assert [each["name"] for each in second.get("/sign/v1/documents")["documents"]] == ["mandate.txt"]
    mandate = second.get("/sign/v1/documents")["documents"][0]["id"]
    for document in (mandate, "0" * 32):
        answer = second.ask("POST", f"{path}/statement", {"document": document})
        assert answer.json()["code"] == "signing.release_not_signed"
    assert second.get(path)["state"] == "waiting"

    assert page.post(f"{where}/approval", pin=second.pin, code=next_code(second)).status_code == 303
    told = second.get(path)
    assert (told["state"], told["decided_by"]) == ("sealed", f"person:{second.person_id}")
    sealed = client.ask("GET", f"{path}/sealed").content
    assert len(PdfFileReader(BytesIO(sealed)).embedded_signatures) == 1
    statement, signature = client.ask("GET", f"{path}/statement"), client.ask("GET", f"{path}/statement/signature")
    assert f"document (SHA-256): {hashlib.sha256(letter).hexdigest()}" in statement.text
    (tmp_path / "release.txt").write_bytes(statement.content)
    (tmp_path / "release.p7s").write_bytes(signature.content)
    check = ("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-out", tmp_path / "out")
    programs.run(*check, "-in", tmp_path / "release.p7s", "-content", tmp_path / "release.txt")
    used = second.get("/sign/v1/history")["entries"]
    assert any(each["act"] == "signature" and "release.txt" in str(each["documents"]) for each in used)
    signed = next(one for one in second.get("/sign/v1/documents")["documents"] if one["name"] == "release.txt")
    again = second.ask("POST", f"{path}/statement", {"document": signed["id"]})
    assert again.json()["code"] == "signing.held_seal_closed"

    later = form(client, assembled.http, HELD, made["credential"], letter).json()["id"]
    reused = second.ask("POST", f"{HELD}/{later}/statement", {"document": signed["id"]})
    assert reused.json()["code"] == "signing.release_not_signed"  # it names the other seal
    assert page.post(f"/portal/held-seals/{later}/refusal", reason="content").status_code == 303
    assert second.get(f"{HELD}/{later}")["state"] == "refused"
    assert first.post(f"{agency}/representatives", person=second.person_id).status_code == 303
    for at in (agency, where):
        assert page.get(at).status_code == 404
    assert second.ask("GET", path).status_code == 404


def test_who_may_release_is_said_by_the_policy(assembled: Installation, letter: bytes) -> None:
    """A policy that names a client alone lets no representative release; one that names the person does. Who has no
    good certificate any more releases nothing."""
    second = assembled.applicant().until("certificate")
    one = Organisation(assembled, second.person_id)
    assert one.sign().status_code == 200
    signature = one.signature(second)
    assert second.ask("POST", f"{one.at}/mandate", {"signature": signature}).status_code == 200
    assert one.approve("sandbox").status_code == 200
    client, _, held = held_by(assembled, one, letter, "act_" + "a" * 24)
    page, where = Browser(assembled, second.session), f"/portal/held-seals/{held['id']}"
    assert "may not release" in page.get(where, **{"Accept-Language": "en"}).text
    assert page.post(f"{where}/approval", pin=second.pin, code="000000").status_code == 403
    services = assembled.services
    policy = SealPolicy(releasers=(second.person_id,))
    services.signing.seal_policies.set("test", client.id, policy, services.clock.now())
    assert "may not release" not in page.get(where, **{"Accept-Language": "en"}).text
    assert second.ask("POST", f"/sign/v1/credentials/{second.credential}/suspension").status_code < 300
    assert "may not release" in page.get(where, **{"Accept-Language": "en"}).text


def test_an_organisation_in_the_browser(assembled: Installation, letter: bytes) -> None:
    """With a passkey alone: a representative signs the mandate, sees clients, batches and messages, looks at the pages
    of what waits and releases it; then leaves. By keyboard where it decides."""
    with browsing(assembled) as page:
        person = with_passkey(assembled, page)
        one, client, held = _organisation(assembled, page, person, letter)
        page.goto(f"/portal/agencies/{one.told['id']}")
        page.get_by_role("link", name="permits").last.click()
        expect(page.get_by_text("each seal waits for one of:")).to_be_visible()
        page.get_by_role("link", name="sealed 0 / 1").click()
        expect(page.get_by_text("permit-1.pdf")).to_be_visible()
        page.goto(f"/portal/held-seals/{held['id']}")
        picture = page.locator(".pages img").first
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 400
        page.get_by_role("button", name="Sign with a passkey").press("Enter")
        expect(page.locator(".state.signed")).to_have_text("sealed")
        assert client.ask("GET", f"{HELD}/{held['id']}").json()["decided_by"] == f"person:{person.person_id}"
        page.goto(f"/portal/agencies/{one.told['id']}")
        page.get_by_role("button", name="I leave").press("Enter")
        expect(page.get_by_text("You represent no organisation.")).to_be_visible()


@pytest.mark.parametrize(("language", "scheme", "width"), [("km", "light", 390), ("en", "dark", 1100)])
def test_axe_finds_nothing(assembled: Installation, letter: bytes, language: str, scheme: str, width: int) -> None:
    """axe-core finds nothing on any page of an organisation, and none is wider than a telephone."""
    with browsing(assembled, language) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        person = assembled.applicant().until("certificate")
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        for path in pages_of(assembled, person, letter):
            answer = page.goto(path)
            assert answer is not None
            assert answer.ok, path
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def pages_of(assembled: Installation, person: Applicant, letter: bytes) -> list[str]:
    """Pages of an organisation that waits for its mandate, of an approved one, its client, batch and held seal."""
    waits = Organisation(assembled, person.person_id)
    one = Organisation(assembled, person.person_id)
    assert one.sign().status_code == 200
    signature = one.signature(person)
    assert person.ask("POST", f"{one.at}/mandate", {"signature": signature}).status_code == 200
    assert one.approve("sandbox").status_code == 200
    client, made, held = held_by(assembled, one, letter)
    batch = _batch(assembled, client, made["credential"], letter)
    base = f"/portal/agencies/{one.told['id']}"
    seen = ["/portal/agencies", base, f"/portal/agencies/{waits.told['id']}", f"{base}/clients/{client.id}"]
    return [*seen, f"{base}/clients/{client.id}/batches/{batch}", f"/portal/held-seals/{held['id']}"]


def _organisation(
    assembled: Installation, page: Page, person: Applicant, letter: bytes
) -> tuple[Organisation, Staff, dict[str, Any]]:
    """An approved one, whose mandate the person signed on the page; its client has a batch and asked for a seal."""
    one = Organisation(assembled, person.person_id)
    assert one.sign().status_code == 200
    log_in(page, person)
    page.get_by_role("link", name="My organisations").click()
    page.get_by_role("link", name=re.compile(one.number)).click()
    page.get_by_role("button", name="Sign with a passkey").press("Enter")
    expect(page.get_by_text("signed the mandate")).to_have_count(2)
    assert one.approve("sandbox").status_code == 200
    client, made, held = held_by(assembled, one, letter)
    _batch(assembled, client, made["credential"], letter)
    return one, client, held


def _batch(assembled: Installation, client: Staff, credential: str, letter: bytes) -> str:
    """A batch with a document that was not started, and an address that is told of it."""
    made = client.ask("POST", BATCHES, {"credential": credential})
    assert made.status_code == 201, made.text
    batch = str(made.json()["id"])
    path = f"{BATCHES}/{batch}/documents/permit-1.pdf"
    headers = {"Authorization": client.authorization("PUT", path, letter)}
    answer = assembled.http.put(path, content=letter, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    hook = {"url": "http://127.0.0.1:9/hook", "events": ["batch.finished"]}
    client.ask("POST", "/sign/v1/webhooks", hook)
    return batch
