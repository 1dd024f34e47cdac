"""The portal's pages over HTTP: who gets in, which forms are taken, what is told, and what a page is made of."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest

from camtrust.documents import make_specimen_documents
from camtrust.web.portal.session import BROWSER_COOKIE, SESSION_COOKIE, form_token
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from signing.requests.api import ROLE
from tests.story.installation import Applicant, Installation
from tests.story.test_story_requests import asking
from tests.web.endpoint_walk import endpoints


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    folder: Path = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


class Browser:
    """A browser as far as HTTP goes: cookies, and forms with the token of the page."""

    def __init__(self, assembled: Installation, session: str = "") -> None:
        self._http = assembled.http
        self.cookies = {SESSION_COOKIE: session} if session else {}
        self.session = session

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self._http.get(path, headers=self._cookie() | headers)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        sent = {"form_token": form_token(self.session or self.cookies.get(BROWSER_COOKIE, ""))} | fields
        return self._http.post(path, data=sent, headers=self._cookie() | (headers or {}))

    def open_login(self) -> None:
        """Take the cookie of the login page."""
        found = re.search(rf"{BROWSER_COOKIE}=([^;]+)", self.get("/portal/login").headers["set-cookie"])
        assert found
        self.cookies[BROWSER_COOKIE] = found[1]

    def _cookie(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}


class Reader(HTMLParser):
    """What a page is made of, for those who do not see it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.language, self.headings, self.unnamed, self.inline = "", [], [], []  # type: ignore[var-annotated]
        self.loads: list[str] = []
        self._label = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        self.loads += [value for name, value in named.items() if name in ("src", "href", "action")]
        if tag == "html":
            self.language = named["lang"]
        if tag == "label":
            self._label += 1
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and "alt" not in named:
            self.unnamed.append("img")
        if tag in ("input", "select") and named.get("type") != "hidden" and not self._label:
            self.unnamed.append(named.get("name", tag))
        if tag == "script" and "src" not in named:
            self.inline.append("script")

    def handle_endtag(self, tag: str) -> None:
        self._label -= tag == "label"


def asked(assembled: Installation, person: Applicant, letter: bytes, **more: Any) -> dict[str, Any]:
    """A request to this person, by a client of its own."""
    client = assembled.staff(ActorKind.CLIENT, ROLE)
    made = client.ask("POST", "/sign/v1/requests", asking(person.person_id, letter, **more))
    assert made.status_code == 201, made.text
    return dict(made.json())


def test_pages_lead_to_the_login(assembled: Installation) -> None:
    """Without a session's cookie every page but the login leads there, also with a credential of the API; and the
    cookie opens nothing of the API."""
    person, walked = assembled.applicant(), 0
    for endpoint in endpoints(assembled.app):
        if not endpoint.path.startswith("/portal") or endpoint.path.startswith("/portal/login"):
            continue
        path = re.sub(r"\{[^}]*\}", "0" * 32, endpoint.path).replace("pages/" + "0" * 32, "pages/1")
        for headers in ({}, {"Authorization": f"Bearer {person.session}"}, {"Cookie": f"{SESSION_COOKIE}=cts_x"}):
            answer = assembled.http.request(endpoint.method, path, headers=headers)
            assert answer.status_code == 303, f"{endpoint.method} {endpoint.path}"
            assert answer.headers["location"].startswith("/portal/login?next=/portal")
        walked += 1
    assert walked >= 15
    page = Browser(assembled, person.session)
    assert page.get("/portal").status_code == 200
    assert page.get("/sign/v1/documents").status_code == 401


def test_a_form_from_elsewhere_is_refused(assembled: Installation, letter: bytes) -> None:
    """Without the token of this session, with another session's, or sent from another site: refused, nothing done."""
    person, other = assembled.applicant().until("certificate"), assembled.applicant()
    request, page = asked(assembled, person, letter), Browser(assembled, person.session)
    document = person.uploaded("SPECIMEN.pdf", letter)
    forms = [
        f"/portal/requests/{request['id']}/refusal",
        f"/portal/requests/{request['id']}/approval",
        f"/portal/requests/{request['id']}/passkey-options",
        f"/portal/documents/{document}/removal",
        f"/portal/documents/{document}/approval",
        "/portal/logout",
    ]
    for path in forms:
        for token in ("", "0" * 64, form_token(other.session)):
            answer = page.post(path, form_token=token)
            assert answer.status_code == 403, path
            assert "was not sent from a page of ours" in answer.text
        for site in ("cross-site", "same-site", "none"):
            assert page.post(path, headers={"Sec-Fetch-Site": site}).status_code == 403, path
    upload = assembled.http.post(
        "/portal/documents",
        files={"file": ("a.pdf", letter, "application/pdf")},
        data={"form_token": "0" * 64},
        headers={"Cookie": f"{SESSION_COOKIE}={person.session}"},
    )
    assert upload.status_code == 403
    assert person.get(f"/sign/v1/requests/{request['id']}")["state"] == "waiting"
    assert [one["id"] for one in person.get("/sign/v1/documents")["documents"]].count(document) == 1


def test_an_answer_that_is_none_is_told(assembled: Installation, letter: bytes) -> None:
    """What a passkey cannot have said, nested without end or no JSON at all, is an answer to no question: a page."""
    person = assembled.applicant().until("certificate")
    request, page = asked(assembled, person, letter), Browser(assembled, person.session)
    document = person.uploaded("SPECIMEN.pdf", letter)
    for path in (f"/portal/requests/{request['id']}/passkey", f"/portal/documents/{document}/passkey"):
        for assertion in ("[" * 10_000, "{", "null", ""):
            answer = page.post(path, question="0" * 32, assertion=assertion)
            assert answer.status_code == 404, (path, assertion[:4], answer.status_code)


def test_logging_in_and_out(assembled: Installation) -> None:
    """A wrong PIN is told on the page; the right one gives a new session in a cookie that scripts and other sites
    never see; a place outside the portal is not led to; after logging out the session is over."""
    person, page = assembled.applicant().until("certificate"), Browser(assembled)
    assert page.post("/portal/login", person=person.person_id, pin="1", code="000000").status_code == 403
    page.open_login()
    wrong = page.post("/portal/login", person=person.person_id, pin="000000", code="000000")
    assert wrong.status_code == 401
    assert "The identifier, the PIN or the code is not right." in wrong.text
    right = {"person": person.person_id, "pin": person.pin, "code": person.next_code()}
    done = page.post("/portal/login", next="https://evil.example/portal", **right)
    assert (done.status_code, done.headers["location"]) == (303, "/portal")
    cookie = next(one for one in done.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE))
    for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    session = cookie.partition("=")[2].partition(";")[0]
    assert session != person.session
    inside = Browser(assembled, session)
    assert inside.get("/portal").status_code == 200
    assert inside.post("/portal/logout").status_code == 303
    assert inside.get("/portal").status_code == 303


def test_nobody_else_s_pages(assembled: Installation, letter: bytes) -> None:
    """Another person's request, document and pictures are as absent as those that never were; told as a page."""
    owner, other = (assembled.applicant().until("certificate") for _ in range(2))
    request, document = asked(assembled, owner, letter), owner.uploaded("SPECIMEN secret.pdf", letter)
    page, held = Browser(assembled, other.session), request["documents"][0]["id"]
    for path in (
        f"/portal/requests/{request['id']}",
        f"/portal/documents/{document}",
        f"/portal/documents/{document}/pages/1",
        f"/portal/documents/{document}/signed",
        f"/portal/documents/{held}/pages/1",
    ):
        answer = page.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert "SPECIMEN secret" not in answer.text
    for path in (
        f"requests/{request['id']}/refusal",
        f"requests/{request['id']}/approval",
        f"documents/{document}/removal",
    ):
        assert page.post(f"/portal/{path}", credential=other.credential, pin="1", code="1").status_code == 404, path


def test_what_is_seen_before_signing(assembled: Installation, letter: bytes) -> None:
    """The page of a request says who, what for, each document's fingerprint and words, the law's exclusions, the limit
    of PIN and code, and shows its pages; all of it in both languages, and nothing of it is kept by a browser."""
    person = assembled.applicant().until("certificate")
    purpose = "SPECIMEN <script>alert(1)</script> តូបផ្សារ"
    request = asked(assembled, person, letter, purpose=purpose)
    page, (document,) = Browser(assembled, person.session), request["documents"]
    where = f"/portal/requests/{request['id']}"
    for language, words, law in (("en", "words_en", "powers of attorney"), ("km", "words_km", "មតកសាសន៍")):
        answer = page.get(f"{where}?lang={language}")
        text = unescape(answer.text)
        assert "<script>alert" not in answer.text
        for said in (purpose, "SPECIMEN client", document["sha256"], law, *document[words]):
            assert said in text
        assert "no-store" in answer.headers["cache-control"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    picture = page.get(f"/portal/documents/{document['id']}/pages/1")
    assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/png", "no-store")
    assert picture.content.startswith(b"\x89PNG")
    assert page.get(f"/portal/documents/{document['id']}/pages/99").status_code == 404


def test_refusing_on_the_page(assembled: Installation, letter: bytes) -> None:
    """Refused and reported with the sender blocked; the page then says so, and offers nothing more to decide."""
    person = assembled.applicant().until("certificate")
    request, page = asked(assembled, person, letter), Browser(assembled, person.session)
    where = f"/portal/requests/{request['id']}"
    assert page.post(f"{where}/refusal", unexpected="yes", block="yes").status_code == 303
    text = page.get(where).text
    assert "refused and reported" in text
    assert "<input name=" not in text
    assert person.get(f"/sign/v1/requests/{request['id']}")["state"] == "reported"
    assert len(person.get("/sign/v1/request-blocks")) == 1
    again = page.post(f"{where}/refusal")
    assert again.status_code == 409
    assert "closed" in again.text


def test_a_document_of_a_request_leads_to_it(assembled: Installation, letter: bytes) -> None:
    """While a request holds a document, its page says so and leads there, in both languages, and has no form to sign or
    remove it, which would be refused; what is refused is told on that page. Afterwards the document is the person's."""
    person = assembled.applicant().until("certificate")
    request, page = asked(assembled, person, letter), Browser(assembled, person.session)
    document = request["documents"][0]["id"]
    where = f"/portal/documents/{document}"
    for language, said in (("en", "You are asked to sign this document"), ("km", "មានគេស្នើឱ្យអ្នកចុះហត្ថលេខាលើឯកសារនេះ")):
        text = page.get(f"{where}?lang={language}").text
        assert said in text
        assert f'href="/portal/requests/{request["id"]}"' in text
        assert f'action="{where}' not in text
        read = Reader(text)
        assert (read.unnamed, read.inline, read.headings.count(1)) == ([], [], 1)
    refused = page.post(f"{where}/approval", credential=person.credential, pin=person.pin, code="000000")
    assert refused.status_code == 409
    assert f'href="/portal/requests/{request["id"]}"' in refused.text
    assert page.post(f"/portal/requests/{request['id']}/refusal").status_code == 303
    other = person.uploaded("SPECIMEN own.pdf", letter)
    assert f'action="/portal/documents/{other}/removal"' in page.get(f"/portal/documents/{other}").text


def test_pages_for_those_who_do_not_see_them(assembled: Installation, letter: bytes) -> None:
    """Every page says its language, has one first heading and no level left out, labels every field and picture, and
    runs and loads nothing but our own files."""
    person = assembled.applicant().until("certificate")
    request, document = asked(assembled, person, letter), person.uploaded("SPECIMEN.pdf", letter)
    page = Browser(assembled, person.session)
    paths = (f"/portal/requests/{request['id']}", f"/portal/documents/{document}", "/portal", "/portal/certificates")
    paths += ("/portal/history", "/portal/passkeys")
    for path in (*paths, "/portal/login", "/portal/requests/" + "0" * 32):
        for language in ("km", "en"):
            read = Reader(page.get(f"{path}?lang={language}").text)
            assert read.language == language
            assert (read.unnamed, read.inline) == ([], []), path
            assert read.headings.count(1) == 1, path
            steps = zip(read.headings, read.headings[1:], strict=False)
            assert all(later - earlier <= 1 for earlier, later in steps), (path, read.headings)
            assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in read.loads), path


def test_expired_on_the_page(assembled: Installation, letter: bytes) -> None:
    """A request that ran out is signed no more, and says so."""
    from sqlalchemy import update

    from signing.requests.store import requests

    person = assembled.applicant().until("certificate")
    request, page = asked(assembled, person, letter), Browser(assembled, person.session)
    with assembled.services.database.unit_of_work() as connection:  # the services' clock is the real one
        mine = update(requests).where(requests.c.request_id == request["id"])
        connection.execute(mine.values(expires_at=assembled.services.clock.now()))
    where = f"/portal/requests/{request['id']}"
    late = page.post(f"{where}/approval", credential=person.credential, pin=person.pin, code=person.next_code())
    assert late.status_code == 409
    assert "ran out" in page.get(where).text
    assert page.get(f"/portal/documents/{request['documents'][0]['id']}/pages/1").status_code == 404


def test_stopping_one_s_certificate_on_the_page(assembled: Installation, letter: bytes) -> None:
    """One press stops the certificate: nothing can be signed any more, and the history says so. Another person's
    cannot be stopped."""
    person, other = (assembled.applicant().until("certificate") for _ in range(2))
    page, document = Browser(assembled, person.session), person.uploaded("SPECIMEN.pdf", letter)
    assert page.post(f"/portal/certificates/{other.credential}/suspension").status_code == 404
    assert page.post(f"/portal/certificates/{person.credential}/suspension").status_code == 303
    assert '<span class="state refused">stopped' in page.get("/portal/certificates").text
    assert "Stopped" in page.get("/portal/history").text
    assert "no certificate with which you can sign" in page.get(f"/portal/documents/{document}").text
    refused = person.ask("POST", "/sign/v1/authorisations", person.authorisation(document))
    assert (refused.status_code, refused.json()["code"]) == (409, "signing.credential_not_usable")
    assert [one["status"] for one in other.get("/sign/v1/credentials")] == ["active"]
