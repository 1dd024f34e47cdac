"""Representatives propose how seals look, see it and end it on the portal's pages, and ask for credentials there."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect

from camtrust.web.portal.session import SESSION_COOKIE, form_token
from tests.signing.seal_images import specimen
from tests.story.installation import Applicant, Installation
from tests.story.test_story_agencies import Organisation
from tests.story.test_story_credential_requests import REQUESTS, approve, officer, two
from tests.story.test_story_portal import Browser, Reader
from tests.story.test_story_portal_chromium import browsing, violations

__all__ = ["two"]  # a fixture

KHMER = "ត្រាផ្លូវការ ក្រសួងគំរូ"
FORM = {
    "name": "official",
    "line_1": KHMER,
    "bold_1": "on",
    "line_2": "{organisation}",
    "line_3": "{time}",
    "share_3": "80",
    "ink": "#7A1010",
    "paper": "#fffdf5",
    "border": "#7a1010",
    "bordered": "on",
    "width": "260",
    "height": "90",
    "place": "auto",
    "align": "left",
    "picture_at": "left",
}


def send(
    site: Installation, person: Applicant, path: str, fields: Mapping[str, str], image: bytes = b"", **headers: str
) -> tuple[int, str]:
    """The form with a file, as a browser sends it: without a choice an empty part."""
    sent, line = {"form_token": form_token(person.session)} | dict(fields), "SPECIMEN-LINE"
    parts = [f'--{line}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{one}\r\n' for key, one in sent.items()]
    name = "seal.png" if image else ""
    head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    body = f"{''.join(parts)}{head}Content-Type: application/octet-stream\r\n\r\n".encode() + image
    said = {"Cookie": f"{SESSION_COOKIE}={person.session}", "Accept-Language": "en"}
    said["Content-Type"] = f"multipart/form-data; boundary={line}"
    answer = site.http.post(path, content=body + f"\r\n--{line}--\r\n".encode(), headers=said | headers)
    return answer.status_code, answer.text


def test_from_the_form_to_an_approved_look(assembled: Installation) -> None:
    """A representative proposes a template with an image on the page, sees its picture and state, and ends it once it
    is approved; the API says the same. Without script, style or an unnamed field, in both languages."""
    one = Organisation(assembled).approved("sandbox")
    path, page = f"/portal/agencies/{one.told['id']}/templates", Browser(assembled, one.person.session)
    assert path in page.get(f"/portal/agencies/{one.told['id']}").text
    assert "There is none yet." in page.get(path, **{"Accept-Language": "en"}).text
    assert send(assembled, one.person, path, FORM, specimen())[0] == 303
    [proposed] = one.person.get(f"{one.at}/templates")["items"]
    assert (proposed["state"], proposed["name"]) == ("proposed", "official")
    look = proposed["appearance"]
    assert [line["text"] for line in look["lines"]] == [KHMER, "{organisation}", "{time}"]
    assert (look["ink"], look["border"], look["size"], look["qr"]) == ("#7a1010", "#7a1010", [260, 90], False)
    assert (look["lines"][0]["bold"], look["lines"][2]["share"]) == (True, 80)
    assert proposed["picture"] is not None
    for language in ("km", "en"):
        text = page.get(path, **{"Accept-Language": language}).text
        read = Reader(text)
        assert (read.language, read.unnamed, read.inline) == (language, [], [])
        assert proposed["digest"] in text
    picture = page.get(f"{path}/{proposed['id']}/picture")
    assert picture.headers["content-type"] == "image/png"
    drawn = Image.open(BytesIO(picture.content)).convert("RGB")
    assert drawn.width > drawn.height > 100
    colours = {colour for _, colour in drawn.getcolors(1_000_000) or []}
    assert any(red > 100 > 60 > green for red, green, _ in colours)  # of image, text and border
    approval = {"digest": proposed["digest"]}
    one.officer.ask("POST", f"{one.at}/templates/{proposed['id']}/approval", approval)
    assert "approved" in page.get(path, **{"Accept-Language": "en"}).text
    assert page.post(f"{path}/{proposed['id']}/withdrawal").status_code == 303
    assert one.person.get(f"{one.at}/templates")["items"][0]["state"] == "withdrawn"
    assert page.post(f"{path}/{proposed['id']}/withdrawal").status_code == 409


def test_what_the_form_refuses(assembled: Installation) -> None:
    """What cannot be is told on the page, with what was written; a form without its token or from elsewhere, a file
    that is no image, and strangers get nothing, and nothing is kept."""
    one = Organisation(assembled).approved("sandbox")
    path, stranger = f"/portal/agencies/{one.told['id']}/templates", assembled.applicant().until("certificate")
    wrong: list[tuple[dict[str, str], str]] = [
        ({"line_2": ""}, "TP-NAMED"),
        ({"width": "12x"}, "width"),
        ({"height": "5"}, "size"),
        ({"ink": "red"}, "ink"),
        ({"place": "everywhere"}, "place"),
        ({"name": "Official"}, "name"),
        ({"align": "up"}, "lines"),
    ]
    for change, field in wrong:
        status, text = send(assembled, one.person, path, FORM | change)
        assert (status, f"like this: {field}" in text, KHMER in text) == (422, True, True), change
    status, text = send(assembled, one.person, path, FORM, b"no image")
    assert (status, "seal image cannot be used" in text) == (422, True)
    assert send(assembled, one.person, path, FORM | {"form_token": "0" * 64})[0] == 403
    assert send(assembled, one.person, path, FORM, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert send(assembled, one.person, path, FORM | {"more": "x"})[0] == 422
    assert send(assembled, stranger, path, FORM)[0] == 404
    assert one.person.get(f"{one.at}/templates")["items"] == []
    assert send(assembled, one.person, path, FORM)[0] == 303
    [kept] = one.person.get(f"{one.at}/templates")["items"]
    other = Browser(assembled, stranger.session)
    for each in (path, f"{path}/{kept['id']}/picture"):
        assert other.get(each).status_code == 404
    assert other.post(f"{path}/{kept['id']}/withdrawal").status_code == 404


def test_a_credential_is_asked_for_on_the_client_s_page(two: Installation) -> None:
    """Where officers approve credentials the client's page asks, shows what is certified and everything that was done,
    takes a request back, and says which credential came of it."""
    one = Organisation(two).approved("production")
    client, _ = one.client()
    page, path = Browser(two, one.person.session), f"/portal/agencies/{one.told['id']}/clients/{client.id}"
    english = {"Accept-Language": "en"}
    assert "Ask for a certificate" in page.get(path, **english).text
    assert page.post(f"{path}/credential-requests", reason="").status_code == 422
    assert page.post(f"{path}/credential-requests", reason="SPECIMEN permits").status_code == 303
    shown = page.get(path, **english).text
    assert "waits for officers" in shown
    assert "SPECIMEN permits" in shown
    assert "Ask for a certificate" not in shown
    [first] = one.person.get(REQUESTS)["items"]
    back = f"{path}/credential-requests/{first['id']}/withdrawal"
    assert page.post(back, reason="too early").status_code == 303
    assert page.post(back, reason="too early").status_code == 409
    assert page.post(f"{path}/credential-requests", reason="SPECIMEN again").status_code == 303
    second = one.person.get(f"{REQUESTS}?state=waiting")["items"][0]
    approve(officer(two), second)
    made = approve(officer(two), second).json()["credential"]
    for language in ("km", "en"):
        text = page.get(path, **{"Accept-Language": language}).text
        read = Reader(text)
        assert (read.language, read.unnamed, read.inline, made in text) == (language, [], [], True)
        assert f"client: {client.id}" in text


@pytest.mark.parametrize(("language", "scheme", "width"), [("km", "light", 390), ("en", "dark", 1100)])
def test_in_the_browser(assembled: Installation, language: str, scheme: str, width: int) -> None:
    """In Chromium a representative fills in the form by its labels, chooses an image, and sees the picture of the seal
    that was proposed; axe-core finds nothing, and the page is not wider than a telephone."""
    with browsing(assembled, language) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        one = Organisation(assembled).approved("sandbox")
        session = {"name": SESSION_COOKIE, "value": one.person.session, "url": "https://localhost:8440"}
        page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])
        page.goto(f"/portal/agencies/{one.told['id']}/templates")
        page.locator("input[name=line_1]").fill(KHMER)
        page.locator("input[name=line_2]").fill("{organisation}")
        page.locator("input[name=line_3]").fill("{time}")
        page.locator("input[name=file]").set_input_files(
            {"name": "seal.png", "mimeType": "image/png", "buffer": specimen()}
        )
        page.get_by_label("With a border" if language == "en" else "មានស៊ុម").check()
        page.get_by_role("button", name="Propose a template" if language == "en" else "ស្នើគំរូត្រា").press("Enter")
        picture = page.locator(".look img")
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 300
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert one.person.get(f"{one.at}/templates")["items"][0]["picture"] is not None
        page.get_by_text("Use it no more" if language == "en" else "ឈប់ប្រើ").first.click()
        page.locator("button.warn").click()
        expect(page.locator(".look .state.refused")).to_be_visible()
