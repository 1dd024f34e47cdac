"""The page for whoever was given a document or a print of one: a verdict in words, without a login."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from camtrust.organisations import ROLE, make_seal_credential
from foundation.http.actor import ActorKind
from signing.verify.sandbox import MIB, Bounds
from tests.story.installation import Installation, Staff
from tests.story.test_story_formats import post
from tests.story.test_story_paper import code_on
from tests.story.test_story_portal_chromium import ORIGIN, browsing
from tests.verify.verify_world import document
from tests.web.bombs import array_bomb


@pytest.fixture
def permit(assembled: Installation, tmp_path: Path) -> tuple[bytes, str]:
    """A sealed permit, and what a scanner reads off its print; the bundle knows the seal."""
    staff: Staff = assembled.staff(ActorKind.CLIENT, ROLE)
    made = make_seal_credential(
        assembled.services,
        "operator:test",
        staff.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000041",
        common_name="SPECIMEN Agency seal",
    )
    fields = {"credential": made.credential_id, "level": "B-LT", "visible": "auto qr size=260x90"}
    fields |= {"printed": json.dumps({"No.": "SPECIMEN-00417"})}
    answer = post(staff, assembled.http, "/sign/v1/seals", "permit.pdf", document("SPECIMEN permit"), **fields)
    assert answer.status_code == 200, answer.text
    page = tmp_path / "permit.pdf"
    page.write_bytes(answer.content)
    assembled.bundle()
    return answer.content, code_on(page, tmp_path).read_text().strip()


def sent(http: httpx2.Client, data: bytes, **headers: str) -> httpx2.Response:
    """The form with a file, as a browser sends it."""
    form = {"file": ("លិខិត <b>.pdf", data, "application/pdf")}
    return http.post("/verify", files=form, headers={"Accept-Language": "en", **headers})


def test_a_verdict_in_words(assembled: Installation, permit: tuple[bytes, str]) -> None:
    """Genuine, changed, unsigned; in both languages; the name of the file is text, whatever it holds."""
    data, _ = permit
    answer = sent(assembled.http, data)
    assert answer.status_code == 200
    assert 'class="card verdict yes"' in answer.text
    assert "SPECIMEN Agency seal" in answer.text
    assert "<b>.pdf" not in answer.text
    changed = data.replace(b"SPECIMEN permit", b"SPECIMEN p3rmit", 1)
    assert 'class="card verdict no"' in sent(assembled.http, changed if changed != data else data[:-40]).text
    assert 'class="card verdict yes"' not in sent(assembled.http, document("SPECIMEN unsigned")).text
    khmer = sent(assembled.http, data, **{"Accept-Language": "km"}).text
    assert '<html lang="km">' in khmer
    assert "មូលហេតុ" in khmer


def test_strangers_do_not_take_every_thread(
    assembled: Installation, permit: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While as many documents are judged as may be at once, others are told to come back, on the page and by API."""
    turns, judges = BoundedSemaphore(1), assembled.services.judges
    monkeypatch.setattr(judges, "turns", turns)
    monkeypatch.setattr(judges, "patience", 0.01)
    with turns:
        answer = assembled.http.post("/verify/v1/documents", content=permit[0])
        assert (answer.status_code, answer.json()["code"]) == (429, "camtrust.verifier_busy")
        assert answer.headers["Retry-After"]
        page = assembled.http.post("/verify", files={"file": ("permit.pdf", permit[0], "application/pdf")})
        assert page.status_code == 429
    assert assembled.http.post("/verify/v1/documents", content=permit[0]).status_code == 200


def test_a_bomb_takes_nobody_along(
    assembled: Installation, permit: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that needs more than is allowed is INDETERMINATE, by the API and on the page; without the bound it
    would be judged. While one is under way that never ends, others are answered; and when its sender hangs up, it is
    ended."""
    judges, bomb, slow = assembled.services.judges, array_bomb(700_000), array_bomb(2_000_000)

    def verdict() -> dict[str, Any]:
        answer = assembled.http.post("/verify/v1/documents", content=bomb, timeout=120)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["files"][0]
        return found

    monkeypatch.setattr(judges, "bounds", Bounds(120, 192 * MIB))
    told = verdict()
    assert (told["indication"], [one["rule"] for one in told["reasons"]]) == ("INDETERMINATE", ["FMT-LIMIT"])
    assert 'class="card verdict not-yet"' in sent(assembled.http, bomb).text
    monkeypatch.setattr(judges, "bounds", Bounds(120, 2048 * MIB))
    assert [one["rule"] for one in verdict()["reasons"]] == ["FMT-UNSIGNED"]

    waited = threading.Event()
    head = f"POST /verify/v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: {len(slow)}\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"
    monkeypatch.setattr(judges, "bounds", Bounds(600, 2048 * MIB))
    url = urlsplit(assembled.url)
    _soon(waited, lambda: not _judging(judges.pid))  # those before have ended
    with socket.create_connection((url.hostname, url.port), timeout=60) as stranger:
        stranger.sendall(head.encode() + slow)
        (stuck,) = _soon(waited, lambda: _judging(judges.pid))
        os.kill(stuck, signal.SIGSTOP)
        assert 'class="card verdict yes"' in sent(assembled.http, permit[0]).text
        assert assembled.http.get("/healthz").status_code == 200
        assert stuck in _judging(judges.pid)
    _soon(waited, lambda: not _judging(judges.pid))


def _soon(waited: threading.Event, condition: Callable[[], Any]) -> Any:
    for _ in range(400):
        if found := condition():
            return found
        waited.wait(0.05)
    raise AssertionError("it did not come")


def _judging(pid: int | None) -> list[int]:
    """The processes that judge now: children of the one that is copied, but for those that ended."""
    found = []
    for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            if Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(one))
    return found


def test_a_code_in_words(assembled: Installation, permit: tuple[bytes, str]) -> None:
    """The code proves its words; a changed one, and none at all, are told."""
    _, code = permit

    def asked(text: str) -> httpx2.Response:
        return assembled.http.post("/verify/paper", data={"paper": text}, headers={"Accept-Language": "en"})

    answer = asked(code)
    assert 'class="card verdict yes"' in answer.text
    assert "No.: SPECIMEN-00417" in answer.text
    assert "The code is genuine. The paper is, if it says the same." in answer.text
    assert "you can rely on this document" not in answer.text
    assert 'class="card verdict yes"' not in asked(code[:-8] + "AAAAAAAA").text
    for text in ("", "x" * 2000):
        answer = asked(text)
        assert answer.status_code in (400, 422)
        assert 'role="alert"' in answer.text


@pytest.mark.parametrize("body", [b"", b"--x", bytes(2000)])
def test_bad_forms_are_told_on_the_page(assembled: Installation, body: bytes) -> None:
    """No form, half a form: a page with a reason, never an error of ours."""
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept-Language": "en"}
    answer = assembled.http.post("/verify", content=body, headers=headers)
    assert (answer.status_code, 'role="alert"' in answer.text) == (422, True)
    assert assembled.http.post("/verify", headers=headers | {"Sec-Fetch-Site": "cross-site"}).status_code in (403, 422)


def test_what_the_address_carries_is_sent_by_the_reader_alone(
    assembled: Installation, permit: tuple[bytes, str]
) -> None:
    """In the browser: the code behind the # is in the form, and no request before the button has it."""
    _, code = permit
    hidden = code.partition("#")[2]
    with browsing(assembled) as page:
        asked: list[Any] = []
        page.on("request", lambda request: asked.append((request.url, request.post_data)))
        page.goto(f"{ORIGIN}/verify#{hidden}")
        field = page.get_by_label("What the scanner reads")
        assert field.input_value().endswith(hidden)
        assert not any(hidden in (url.partition("#")[0] + str(data)) for url, data in asked)
        page.locator("form[action='/verify/paper'] button").click()
        page.wait_for_selector(".verdict.yes")
        assert "SPECIMEN-00417" in page.inner_text(".verdict")
