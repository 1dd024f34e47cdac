"""A sealed permit on paper: its QR code is read off the page and judged offline, with and without the file."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.generic import NumberObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from camtrust.organisations import ROLE, make_seal_credential
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from issuing_ca.model import Reason
from signing import paper_code
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests import programs
from tests.story.installation import Installation, Staff
from tests.story.test_story_formats import post, verified
from tests.verify.verify_world import document

PRINTED = {"លេខ / No.": "SPECIMEN-00417", "ម្ចាស់ / Holder": "SPECIMEN សុខ ដារា", "Area": "120 m²"}


@pytest.fixture
def agency(assembled: Installation) -> tuple[Staff, str, str]:
    """An agency's client, its credential, and the serial number of the seal's certificate."""
    staff = assembled.staff(ActorKind.CLIENT, ROLE)
    made = make_seal_credential(
        assembled.services,
        "operator:test",
        staff.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000041",
        common_name="SPECIMEN Agency seal",
    )
    return staff, made.credential_id, made.serial


def sealed(assembled: Installation, agency: tuple[Staff, str, str], **changes: str) -> Any:
    fields = {"credential": agency[1], "level": "B-LT", "visible": "auto qr size=260x90"}
    fields |= {"printed": json.dumps(PRINTED, ensure_ascii=False)} | changes
    return post(agency[0], assembled.http, "/sign/v1/seals", "permit.pdf", document("SPECIMEN permit"), **fields)


def code_on(page: Path, folder: Path) -> Path:
    """What a telephone reads off the printed page, at 200 dots to the inch, as a text file."""
    programs.run("pdftoppm", "-png", "-r", "200", "-singlefile", page, folder / "page")
    text = programs.run("zbarimg", "--raw", "-q", folder / "page.png").stdout
    file = folder / "code.txt"
    file.write_text(text, encoding="ascii")
    return file


def test_a_print_is_checked_offline(
    assembled: Installation, agency: tuple[Staff, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read off the page: the seal holds and says what must be printed; with the file, that it is the document."""
    answer = sealed(assembled, agency)
    assert answer.status_code == 200, answer.text
    page = tmp_path / "permit.pdf"
    page.write_bytes(answer.content)
    status, verdict = verified(assembled, capsys, page)
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
    code = code_on(page, tmp_path)
    address = assembled.services.settings.public_url.rstrip("/") + "/verify#"
    assert code.read_text().startswith(address)
    status, verdict = verified(assembled, capsys, code)
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
    (judged,) = verdict["signatures"]
    assert (judged["kind"], judged["signer"]) == ("paper", "SPECIMEN Agency seal")
    told = next(one["message_km"] for one in judged["reasons"] if one["rule"] == "PAPER-FIELDS")
    for label, value in PRINTED.items():
        assert f"{label}: {value}" in told
    status, verdict = verified(assembled, capsys, code, "--detached", str(page))
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
    other = tmp_path / "other.pdf"
    other.write_bytes(document("SPECIMEN another permit"))
    status, verdict = verified(assembled, capsys, code, "--detached", str(other))
    assert (status, verdict["sub_indication"]) == (1, "HASH_FAILURE"), verdict


def test_a_file_that_grew_is_not_the_document(
    assembled: Installation, agency: tuple[Staff, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another page put behind the sealed document, or behind the one before the seal: the code vouches for neither."""
    page = tmp_path / "permit.pdf"
    page.write_bytes(sealed(assembled, agency).content)
    code = code_on(page, tmp_path)
    before = page.read_bytes()[: paper_code.read(code.read_text()).claim.size]
    grown = tmp_path / "grown.pdf"
    for octets in (page.read_bytes(), before):
        grown.write_bytes(_shown_otherwise(octets))
        assert grown.read_bytes().startswith(octets)
        status, verdict = verified(assembled, capsys, code, "--detached", str(grown))
        assert (status, verdict["indication"]) == (3, "INDETERMINATE"), verdict
        assert "PAPER-DOCUMENT" in {one["rule"] for one in verdict["signatures"][0]["reasons"]}
    grown.write_bytes(before)
    status, verdict = verified(assembled, capsys, code, "--detached", str(grown))
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict


def _shown_otherwise(data: bytes) -> bytes:
    """An incremental update that turns the first page on its side: what is shown is another page."""
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    page = writer.root["/Pages"]["/Kids"][0]
    page[pdf_name("/Rotate")] = NumberObject(90)
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_changed_code_never_passes(
    assembled: Installation, agency: tuple[Staff, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any octet of it, a longer one, another's code: none passes, and none crashes."""
    page = tmp_path / "permit.pdf"
    page.write_bytes(sealed(assembled, agency).content)
    code = code_on(page, tmp_path)
    head, _, text = code.read_text().strip().partition("#")
    octets = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    for place in (0, 2, 5, 12, 30, 60, 110, len(octets) - 70, len(octets) - 1):
        changed = bytearray(octets)
        changed[place] ^= 1
        code.write_text(f"{head}#{base64.urlsafe_b64encode(changed).decode().rstrip('=')}")
        status, verdict = verified(assembled, capsys, code)
        assert status in (1, 3), (place, verdict)
        assert verdict["indication"] != "TOTAL-PASSED"
    for bad in (f"{head}#", f"{head}#{text}AAAA", f"{head}#{'A' * 900}", f"{text}"):
        code.write_text(bad)
        assert verified(assembled, capsys, code)[1]["indication"] != "TOTAL-PASSED"


def test_a_revoked_seal_is_told_from_the_bundle(
    assembled: Installation, agency: tuple[Staff, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the seal is revoked, a bundle that knows it says so."""
    page = tmp_path / "permit.pdf"
    page.write_bytes(sealed(assembled, agency).content)
    code = code_on(page, tmp_path)
    assembled.services.ca.revoke(agency[2], Reason.KEY_COMPROMISE, "operator:test")
    status, verdict = verified(assembled, capsys, code)
    assert status in (1, 3), verdict
    assert "REVOKED" in str(verdict["signatures"][0]["sub_indication"])


@pytest.mark.parametrize(
    "changes",
    [
        {"printed": "[]"},
        {"printed": "{"},
        {"printed": "[" * 1000},
        {"printed": json.dumps({"a": "x" * 61})},
        {"printed": json.dumps({str(n): "x" for n in range(7)})},
        {"printed": json.dumps({"line": "one\ntwo"})},
        {"printed": json.dumps({f"{n}" + "l" * 38: "x" * 60 for n in range(6)})},
        {"visible": "auto"},
    ],
)
def test_what_no_code_can_hold_is_refused(
    assembled: Installation, agency: tuple[Staff, str, str], changes: dict[str, str]
) -> None:
    """No object, no JSON, too long, too many, more than a line, too large together, no QR code to hold it."""
    answer = sealed(assembled, agency, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.option_invalid"), answer.text


def test_too_small_to_be_read_is_refused(assembled: Installation, agency: tuple[Staff, str, str]) -> None:
    """A code whose squares no printer of an office draws is no code."""
    answer = sealed(assembled, agency, visible="auto qr size=100x30")
    assert answer.json()["code"] == "signing.no_place", answer.text


def test_the_newest_bundle_is_needed(assembled: Installation, tmp_path: Path) -> None:
    """A seal that the bundle does not know yet is INDETERMINATE, never a pass."""
    bundle, pin = assembled.bundle()
    older = bundle.read_bytes()
    staff = assembled.staff(ActorKind.CLIENT, ROLE)
    made = make_seal_credential(
        assembled.services,
        "operator:test",
        staff.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000041",
        common_name="SPECIMEN New seal",
    )
    page = tmp_path / "permit.pdf"
    page.write_bytes(sealed(assembled, (staff, made.credential_id, made.serial)).content)
    text = code_on(page, tmp_path).read_bytes()
    at = SystemClock().now()
    trust = build_trust(older, frozenset({pin}), (), at, STRICT)
    verdict = verify_file(text, "code.txt", trust, at)
    assert (verdict.indication.value, str(verdict.sub_indication)) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")
