"""Files that are signed on a page and never leave the browser: in Debian's Chromium, behind a relay that keeps every
octet that the browser sends."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pikepdf
import pytest
from playwright.sync_api import Page, Route, expect

from camtrust.cli.main import run as command
from camtrust.web.portal.session import SESSION_COOKIE
from tests import programs
from tests.story.installation import Applicant, Installation
from tests.story.test_story_formats import verified
from tests.story.test_story_local import recorded
from tests.story.test_story_portal import letter
from tests.story.test_story_portal_chromium import browsing, log_in, violations, with_passkey
from tests.verify.verify_world import document

__all__ = ["letter"]

_WINDOW = 16  # octets of the document that must not be seen together
TEXT = ("SPECIMEN កិច្ចសន្យាសម្ងាត់ " + "".join(f"clause {number}: confidential; " for number in range(200))).encode()


@dataclass
class Sitting:
    """A page behind the relay, and what it sent."""

    page: Page
    sent: list[bytes]

    def assert_kept(self, data: bytes) -> None:
        """No part of the document is in what was sent: as it is, percent-encoded, in hexadecimal, or in Base64."""
        sent = b"".join(self.sent)
        assert len(sent) > 2000  # something was recorded at all
        everything = sent + unquote_to_bytes(sent.replace(b"+", b" "))
        parts = {data[start : start + _WINDOW] for start in range(0, len(data) - _WINDOW, _WINDOW // 2)}
        parts = {one for one in parts if len(set(one)) > 7}  # more than white space and zeros
        assert parts
        _assert_absent(everything, parts)
        _assert_absent(everything.lower(), {one.hex().encode() for one in parts})
        for shift in range(3):
            encoded = base64.b64encode(data[shift:])
            whole = {encoded[start : start + 24] for start in range(0, len(encoded) - 24, 24)}
            _assert_absent(everything, {one for one in whole if len(set(one)) > 9})


def _assert_absent(everything: bytes, parts: set[bytes]) -> None:
    size = len(next(iter(parts)))
    found = [start for start in range(len(everything) - size) if everything[start : start + size] in parts]
    assert not found, everything[found[0] : found[0] + size]


@contextmanager
def sitting(assembled: Installation, language: str = "en") -> Iterator[Sitting]:
    """A browser that reaches the service through the relay alone, and nothing else."""
    with recorded(assembled.url) as (url, sent):
        relayed: Any = SimpleNamespace(url=url)
        with browsing(relayed, language) as page:
            yield Sitting(page, sent)


def known(page: Page, person: Applicant) -> None:
    """The person's session in the browser."""
    session = {"name": SESSION_COOKIE, "value": person.session, "url": "https://localhost:8440"}
    page.context.add_cookies([session | {"secure": True, "httpOnly": True, "sameSite": "Strict"}])  # type: ignore[list-item]


def choose(page: Page, name: str, data: bytes, where: str = "inside") -> None:
    page.goto("/portal/local")
    page.get_by_label("File", exact=True).set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    )
    page.get_by_label("Where the signature goes").select_option(where)
    page.get_by_role("button", name="Compute the fingerprint").click()


def download(page: Page) -> tuple[str, bytes]:
    expect(page.get_by_role("heading", name="Signed", exact=True)).to_be_visible()
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Download").click()
    return fetched.value.suggested_filename, fetched.value.path().read_bytes()


def approve(page: Page, person: Applicant) -> None:
    """With PIN and the next code."""
    page.get_by_label("PIN").fill(person.pin)
    page.get_by_label("One-time code").fill(person.next_code())
    page.get_by_role("button", name="Sign with PIN and code").click()


def test_a_file_that_is_no_pdf(assembled: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hashed in the browser, approved by the passkey, which takes no other digest; a signature beside it that openssl
    and the verifier accept, and not over one octet more; nothing is kept at the service but the history."""
    with sitting(assembled) as here:
        page = here.page
        person = with_passkey(assembled, page)
        log_in(page, person)
        page.get_by_role("link", name="Sign a file that does not leave this browser").click()
        choose(page, "letter លិខិតសម្ងាត់.txt", TEXT)
        expect(page.locator("#how")).to_have_text(re.compile("^This is not a PDF"))
        expect(page.locator("#words li")).not_to_have_count(0)

        def tampered(route: Route) -> None:
            """What a script in the page could do: send another digest with the device's answer."""
            body = re.sub(
                r"digest=[^&]*", "digest=" + quote(base64.b64encode(bytes(32))), route.request.post_data or ""
            )
            route.continue_(post_data=body)

        page.route("**/portal/local/passkey", tampered)
        page.get_by_role("button", name="Sign with a passkey").click()
        expect(page.locator("#trouble")).to_be_visible()
        page.unroute("**/portal/local/passkey")
        page.get_by_role("button", name="Sign with a passkey").click()
        name, signature = download(page)
    here.assert_kept(TEXT)
    with pytest.raises(AssertionError):
        here.assert_kept("letter លិខិតសម្ងាត់.txt".encode())  # the name is sent, and the check sees what is
    assert name == "letter លិខិតសម្ងាត់.txt.p7s"
    file, beside = tmp_path / "a.txt", tmp_path / "a.txt.p7s"
    file.write_bytes(TEXT)
    beside.write_bytes(signature)
    verify = ("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", beside, "-content", file)
    programs.run(*verify, "-out", tmp_path / "out")
    status, verdict = verified(assembled, capsys, beside, "--detached", str(file))
    assert (status, verdict["signatures"][0]["level"]) == (0, "B-LT"), verdict
    file.write_bytes(TEXT + b"!")
    assert verified(assembled, capsys, beside, "--detached", str(file))[0] == 1
    assert person.get("/sign/v1/documents")["documents"] == []
    used = [one for one in person.get("/sign/v1/history")["entries"] if one["act"] == "signature"]
    assert [(one["door"], one["documents"][0]["name"]) for one in used] == [("sign", "letter លិខិតសម្ងាត់.txt")]


def test_real_pdfs(
    assembled: Installation, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each real document is signed inside by the page, or beside where it cannot be, and the page says why; pdfsig and
    qpdf accept what comes out, the verifier passes it at B-LT, and no part of any document was sent."""
    beside, pdfs = [], sorted((test_data / "pdfs").glob("*.pdf"))
    with sitting(assembled) as here:
        page = here.page
        person = with_passkey(assembled, page)
        log_in(page, person)
        made: dict[str, bytes] = {}
        for pdf in pdfs:
            choose(page, pdf.name, pdf.read_bytes())
            page.get_by_role("button", name="Sign with a passkey").click()
            name, data = download(page)
            if name.endswith(".p7s"):
                expect(page.locator("#kept")).to_have_text(re.compile("^This PDF is encrypted"))
                beside.append(pdf.name)
            made[pdf.name] = data
    for pdf in pdfs:
        here.assert_kept(pdf.read_bytes())
    assert beside == ["libreoffice-writer-password.pdf"]
    (alone,) = (one for one in pdfs if one.name in beside)
    signature = tmp_path / "alone.p7s"
    signature.write_bytes(made.pop(alone.name))
    status, verdict = verified(assembled, capsys, signature, "--detached", str(alone))
    assert (status, verdict["signatures"][0]["level"]) == (0, "B-LT"), verdict
    folder = tmp_path / "inside"
    folder.mkdir()
    for pdf in pdfs:
        if pdf.name in made:
            out = folder / pdf.name
            out.write_bytes(made[pdf.name])
            assert made[pdf.name].startswith(pdf.read_bytes())
            assert "Signature is Valid." in programs.run("pdfsig", "-nocert", out).stdout
            programs.run("qpdf", "--check", out)
    bundle, pin = assembled.bundle()
    arguments = ["verify", str(folder), "--bundle", str(bundle), "--bundle-signer", pin, "--json"]
    assert command(arguments) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert len(files) == len(pdfs) - 1 > 10
    for one in files:
        assert (one["indication"], one["signatures"][0]["level"]) == ("TOTAL-PASSED", "B-LT"), one


def test_the_verdict_is_that_of_the_service_s_own(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document signed by the service for one person, and by another on the page with PIN and code: the verdicts
    have the same level, coverage and reasons."""
    person, other = (assembled.applicant().until("certificate") for _ in range(2))
    (uploaded,) = other.sign(other.uploaded("letter.pdf", letter))
    with sitting(assembled) as here:
        page = here.page
        known(page, person)
        choose(page, "letter.pdf", letter)
        expect(page.locator("#approve")).to_be_visible()
        assert violations(page) == []
        approve(page, person)
        name, local = download(page)
        assert name == "letter.signed.pdf"
    here.assert_kept(letter)
    told = []
    for number, data in enumerate((uploaded, local)):
        file = tmp_path / f"{number}.pdf"
        file.write_bytes(data)
        status, verdict = verified(assembled, capsys, file)
        assert status == 0, verdict
        (one,) = verdict["signatures"]
        told.append((one["level"], one["coverage"], [reason["rule"] for reason in one["reasons"]]))
    assert told[0] == told[1]


def changed(data: bytes, change: Callable[[pikepdf.Pdf], None], **options: Any) -> bytes:
    """Another document."""
    out = BytesIO()
    with pikepdf.open(BytesIO(data)) as pdf:
        change(pdf)
        pdf.save(out, **options)
    return out.getvalue()


def certified(pdf: pikepdf.Pdf) -> pikepdf.Dictionary:
    """What the catalog of a certified document has."""
    return pikepdf.Dictionary(DocMDP=pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name("/Sig"))))


def test_behind_another_signature(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page signs what it signed, behind the first signature and its status; both pass. A certified document, an XFA
    form, a broken file and one that is chosen so get a signature beside, with the reason; an empty one gets none."""
    beside = {
        "cannot read the structure": letter[: len(letter) - 40],
        "restricts what may be added": changed(letter, lambda pdf: pdf.Root.__setattr__("Perms", certified(pdf))),
        "is an XFA form": changed(letter, lambda pdf: pdf.Root.__setattr__("AcroForm", pikepdf.Dictionary(XFA=[]))),
    }
    with sitting(assembled) as here:
        page = here.page
        person = with_passkey(assembled, page)
        log_in(page, person)
        data = letter
        for _ in range(2):
            choose(page, "letter.pdf", data)
            page.get_by_role("button", name="Sign with a passkey").click()
            data = download(page)[1]
        choose(page, "letter.pdf", letter, "beside")
        expect(page.locator("#how")).to_have_text(re.compile("^The signature is a file of its own"))
        for reason, other in beside.items():
            choose(page, "letter.pdf", other)
            expect(page.locator("#how")).to_have_text(re.compile(reason))
        choose(page, "empty.pdf", b"")
        expect(page.locator("#trouble")).to_have_text(re.compile("The file is empty"))
        expect(page.locator("#approve")).to_be_hidden()
    file = tmp_path / "twice.pdf"
    file.write_bytes(data)
    status, verdict = verified(assembled, capsys, file)
    assert (status, [one["level"] for one in verdict["signatures"]]) == (0, ["B-LT", "B-LT"]), verdict
    assert programs.run("pdfsig", "-nocert", file).stdout.count("Signature is Valid.") == 2


def test_every_layout(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cross-references as tables and as streams, objects in streams, linearised; form and list of annotations that are
    objects of their own, and pages in a deep tree: each is signed inside and passes, also by qpdf and pdfsig."""
    streams = pikepdf.ObjectStreamMode
    layouts: dict[str, tuple[Callable[[pikepdf.Pdf], None], dict[str, Any]]] = {
        "table": (lambda pdf: None, {"object_stream_mode": streams.disable}),  # noqa: ARG005
        "streams": (lambda pdf: None, {"object_stream_mode": streams.generate}),  # noqa: ARG005
        "linear": (lambda pdf: None, {"linearize": True}),  # noqa: ARG005
        "own-objects": (with_own_objects, {"object_stream_mode": streams.generate}),
        "deep": (with_deep_pages, {"object_stream_mode": streams.disable}),
    }
    folder = tmp_path / "layouts"
    folder.mkdir()
    with sitting(assembled) as here:
        page = here.page
        person = with_passkey(assembled, page)
        log_in(page, person)
        for name, (change, options) in layouts.items():
            choose(page, f"{name}.pdf", changed(letter, change, **options))
            page.get_by_role("button", name="Sign with a passkey").click()
            called, data = download(page)
            assert called == f"{name}.signed.pdf"
            (folder / called).write_bytes(data)
            assert "Signature is Valid." in programs.run("pdfsig", "-nocert", folder / called).stdout
            programs.run("qpdf", "--check", folder / called)
    bundle, pin = assembled.bundle()
    assert command(["verify", str(folder), "--bundle", str(bundle), "--bundle-signer", pin, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [one["indication"] for one in files] == ["TOTAL-PASSED"] * len(layouts)


def with_own_objects(pdf: pikepdf.Pdf) -> None:
    """Annotations, form and its fields as objects of their own."""
    pdf.pages[0].Annots = pdf.make_indirect(pikepdf.Array())
    fields = pdf.make_indirect(pikepdf.Array())
    pdf.Root.AcroForm = pdf.make_indirect(pikepdf.Dictionary(Fields=fields))
    pdf.Root.Extensions = pdf.make_indirect(pikepdf.Dictionary())


def with_deep_pages(pdf: pikepdf.Pdf) -> None:
    """One more node between the root of the pages and each page."""
    pages = pdf.Root.Pages
    for number, kid in enumerate(list(pages.Kids)):
        between = pdf.make_indirect(
            pikepdf.Dictionary(Type=pikepdf.Name.Pages, Kids=pikepdf.Array([kid]), Count=1, Parent=pages)
        )
        kid.Parent = between
        pages.Kids[number] = between


MUTATE = """async ([text, rounds]) => {
  const { prepare } = await import("/static/local_pdf.js");
  const letter = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  let state = 20261126;
  const below = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const counts = {};
  for (let round = 0; round < rounds; round += 1) {
    const data = letter.slice(0, below(4) ? letter.length : below(letter.length));
    for (let change = below(6); change >= 0 && data.length; change -= 1) {
      const near = below(2) ? data.length - 1 - below(Math.min(2000, data.length)) : below(data.length);
      data[near] = below(2) ? below(256) : 48 + below(10);
    }
    const made = await prepare(data, new Date());
    counts[made.refused ?? "ready"] = (counts[made.refused ?? "ready"] ?? 0) + 1;
    if (made.refused !== undefined) continue;
    const answer = { signature: letter.slice(0, 99), certificates: [letter.slice(0, 9)], ocsp: [], crl: [] };
    const parts = await made.complete(answer);
    if (parts.length !== 3 || parts[0].some((one, at) => one !== data[at])) throw new Error("the document was changed");
  }
  return counts;
}"""


def test_broken_files_in_the_browser(assembled: Installation, letter: bytes) -> None:
    """300 files with changed octets and lost ends: each is refused with a reason or made ready, and none is changed."""
    with sitting(assembled) as here:
        here.page.goto("/portal/login")
        counts = here.page.evaluate(MUTATE, [base64.b64encode(letter).decode(), 300])
    assert sum(counts.values()) == 300
    assert set(counts) <= {"ready", "damaged", "not_pdf", "encrypted", "restricted", "form", "hybrid"}
    assert counts["damaged"] > 20
    assert counts["ready"] > 20


def test_a_file_that_is_too_large(assembled: Installation, tmp_path: Path) -> None:
    """Above the limit the page says so, and which command takes it; it reads nothing of the file."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)
    with sitting(assembled) as here:
        page = here.page
        known(page, assembled.applicant().until("certificate"))
        page.goto("/portal/local")
        page.get_by_label("File", exact=True).set_input_files(large)
        page.get_by_role("button", name="Compute the fingerprint").click()
        expect(page.locator("#trouble")).to_have_text(re.compile("larger than 256 MiB.*camtrust sign --service"))
        expect(page.locator("#approve")).to_be_hidden()


def test_a_service_that_lies(assembled: Installation) -> None:
    """A wrong code signs nothing and says so; a signature over something else, and no answer at all, make no file."""
    pdf = document("SPECIMEN letter")
    with sitting(assembled) as here:
        page = here.page
        person = assembled.applicant().until("certificate")
        known(page, person)
        choose(page, "letter.pdf", pdf)
        page.get_by_label("PIN").fill(person.pin)
        page.get_by_label("One-time code").fill("000000")
        page.get_by_role("button", name="Sign with PIN and code").click()
        expect(page.locator("#trouble")).to_be_visible()

        def lying(route: Route) -> None:
            other = {"signature": base64.b64encode(bytes(4000)).decode(), "certificates": [], "ocsp": [], "crl": []}
            route.fulfill(status=200, content_type="application/json", body=json.dumps(other))

        page.route("**/portal/local/approval", lying)
        page.get_by_role("button", name="Sign with PIN and code").click()
        expect(page.locator("#trouble")).to_have_text(re.compile("does not fit this file"))
        page.unroute("**/portal/local/approval")
        page.route("**/portal/local/approval", lambda route: route.abort())
        page.get_by_role("button", name="Sign with PIN and code").click()
        expect(page.locator("#trouble")).to_have_text(re.compile("gave no answer"))
        expect(page.locator("#done")).to_be_hidden()
    assert [one for one in person.get("/sign/v1/history")["entries"] if one["act"] == "signature"] == []
