"""What a person sees and does on the portal's pages about what is theirs: certificates, log, data, PIN and passkeys."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from camtrust.web.portal.session import SESSION_COOKIE
from tests.story.installation import Installation
from tests.story.test_story_agencies_portal import next_code
from tests.story.test_story_portal import Browser, Reader
from tests.story.test_story_portal_chromium import browsing, violations

OWN = "/portal/own"


def test_certificates_in_my_name(assembled: Installation) -> None:
    """Every certificate in the person's name, as the log has it, with the proof that the API gives; revoked with both
    factors, not with a wrong code, and never another's. A renewal that is too early is told on the page."""
    person, stranger = assembled.applicant().until("certificate"), assembled.applicant().until("consent")
    page, other = Browser(assembled, person.session), Browser(assembled, stranger.session)
    logged = person.get("/ca/v1/own-certificates/log")
    entry = next(one for one in logged["entries"] if one["kind"] == "certificate")
    shown = page.get(f"{OWN}/certificates", **{"Accept-Language": "en"}).text
    assert logged["subject"] in shown
    assert entry["serial"] in shown
    proof = f"{OWN}/certificates/proofs/{entry['digest']}"
    assert proof in shown
    assert page.get(proof).text == entry["proof"]
    assert other.get(proof).status_code == 404
    assert entry["serial"] not in other.get(f"{OWN}/certificates").text
    form = f"{OWN}/certificates/{entry['serial']}/revocation"
    wrong = {"reason": "keyCompromise", "pin": person.pin, "code": "000000"}
    assert other.post(form, **wrong).status_code == 404
    assert page.post(form, **wrong, form_token="0" * 64).status_code == 403
    told = page.post(form, **wrong)
    assert (told.status_code, 'role="alert"' in told.text) == (403, True)
    assert page.post(f"{OWN}/renewal", pin=person.pin, code="000000").status_code in (403, 409)
    assert person.get("/ca/v1/own-certificates")[0]["state"] == "issued"
    right = wrong | {"code": next_code(person)}
    assert page.post(form, **right).status_code == 303
    assert person.get("/ca/v1/own-certificates")[0]["state"] == "revoked"
    assert "revoked" in page.get(f"{OWN}/certificates", **{"Accept-Language": "en"}).text


def test_who_looked_at_my_data_and_what_is_kept(assembled: Installation) -> None:
    """The officer who reviewed the person stands there, as the API has it; the file to take away is the API's, is asked
    for with a form of ours alone, and asking is written down."""
    person = assembled.applicant().until("review")
    page = Browser(assembled, person.session)
    looked = person.get(f"{person.base}/accesses")
    assert looked
    shown = page.get(f"{OWN}/data").text
    assert all(one["who"] in shown for one in looked)
    assert page.post(f"{OWN}/data/copy", form_token="0" * 64).status_code == 403
    copied = page.post(f"{OWN}/data/copy")
    assert "attachment" in copied.headers["content-disposition"]
    assert person.enrolment["id"] in json.dumps(copied.json())
    exported = [
        row for row in assembled.audit() if row["subject"] == person.enrolment["id"] and "export" in row["action"]
    ]
    assert exported or len(person.get(f"{person.base}/accesses")) > len(looked)


def test_a_new_pin(assembled: Installation) -> None:
    """With PIN and code the PIN is changed: the new one logs in. With a wrong code nothing changes."""
    person = assembled.applicant().until("certificate")
    page, new = Browser(assembled, person.session), "582930174461"
    change = f"{OWN}/factors/pin"
    assert page.post(change, pin=person.pin, code="000000", new_pin=new).status_code == 403
    assert page.post(change, pin=person.pin, code=next_code(person), new_pin=new).status_code == 303
    login = {"person_id": person.person_id, "pin": new, "totp": next_code(person)}
    answer = assembled.http.post("/identity/v1/sessions", json=login)
    assert answer.status_code in (200, 201), answer.text


def test_a_passkey_is_taken_away_in_the_browser(assembled: Installation) -> None:
    """A passkey that was added beside PIN and code is taken away by itself, with one touch."""
    with browsing(assembled) as page:
        person = assembled.applicant().until("certificate")
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        page.goto("/portal/passkeys")
        page.get_by_label("PIN").fill(person.pin)
        page.get_by_label("One-time code").fill(next_code(person))
        page.get_by_role("button", name="Add this device").click()
        expect(page.get_by_text("Passkeys that you have:").locator("strong")).to_have_text("1")
        page.goto(f"{OWN}/factors")
        page.locator("summary").click()
        page.get_by_role("button", name="Take it away, by a passkey").press("Enter")
        expect(page.get_by_text("Passkeys that you have:").locator("strong")).to_have_text("0")


@pytest.mark.parametrize(("language", "scheme", "width"), [("km", "light", 390), ("en", "dark", 1100)])
def test_axe_finds_nothing(assembled: Installation, language: str, scheme: str, width: int) -> None:
    """axe-core finds nothing on these pages, they fit a telephone, and every heading, field and picture has a name."""
    person = assembled.applicant().until("certificate")
    with browsing(assembled, language) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        for path in ("certificates", "data", "factors"):
            answer = page.goto(f"{OWN}/{path}")
            assert answer is not None
            assert answer.ok, path
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
            read = Reader(page.content())
            assert (read.language, read.unnamed, read.inline) == (language, [], []), path
