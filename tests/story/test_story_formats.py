"""Every format through the service: sealed over HTTP, verified by the command against a bundle that requires proofs of
the issuance log, and extended over HTTP and by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from camtrust.cli.main import run as command
from camtrust.organisations import ROLE, make_seal_credential
from foundation.http.actor import ActorKind
from tests.story.installation import Installation, Staff, new_key

DOCUMENT = '<contract xmlns="urn:x"><parties>កម្ពុជា SPECIMEN</parties></contract>'.encode()
NAME = "SPECIMEN កិច្ចសន្យា.xml"
FORMS = [
    ("cades", "detached", "B-LTA", ".p7s"),
    ("cades", "attached", "B-LTA", ".p7m"),
    ("xades", "enveloping", "B-LTA", ".xades.xml"),
    ("xades", "enveloped", "B-LTA", ".xades.xml"),
    ("xades", "detached", "B-LTA", ".xades.xml"),
    ("jades", "json", "B-LTA", ".jws.json"),
    ("asic-e", "cades", "B-LT", ".asice"),
    ("asic-e", "xades", "B-LTA", ".asice"),
    ("asic-s", "cades", "B-LTA", ".asics"),
]


def post(client: Staff, http: httpx2.Client, path: str, name: str, data: bytes, **fields: str) -> httpx2.Response:
    """A form under an assertion bound to its octets."""
    form = {"file": (name, data, "application/octet-stream")}
    request = http.build_request("POST", path, files=form, data=fields)
    request.headers["Authorization"] = client.authorization("POST", path, request.read())
    request.headers["Idempotency-Key"] = new_key()
    return http.send(request)


@pytest.fixture
def client(assembled: Installation) -> tuple[Staff, str]:
    """An agency's client with a credential."""
    staff = assembled.staff(ActorKind.CLIENT, ROLE)
    made = make_seal_credential(
        assembled.services,
        "operator:test",
        staff.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000041",
        common_name="SPECIMEN Agency seal",
    )
    return staff, made.credential_id


def verified(
    assembled: Installation, capsys: pytest.CaptureFixture[str], file: Path, *more: str
) -> tuple[int, dict[str, Any]]:
    bundle, pin = assembled.bundle()
    capsys.readouterr()
    status = command(["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, *more, str(file)])
    verdict: dict[str, Any] = json.loads(capsys.readouterr().out)["files"][0]
    return status, verdict


@pytest.mark.parametrize(("format_", "packaging", "level", "suffix"), FORMS)
def test_every_format_is_sealed_and_passes(
    assembled: Installation,
    client: tuple[Staff, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    format_: str,
    packaging: str,
    level: str,
    suffix: str,
) -> None:
    """TOTAL-PASSED at the level asked for, with the proof of the log; the name and media type say the format."""
    staff, credential = client
    fields = {"credential": credential, "format": format_, "packaging": packaging, "level": level}
    answer = post(staff, assembled.http, "/sign/v1/seals", NAME, DOCUMENT, **fields)
    assert answer.status_code == 200, answer.text
    assert f'{suffix}"' in answer.headers["content-disposition"]
    file = tmp_path / f"signed{suffix}"
    file.write_bytes(answer.content)
    (tmp_path / "document").write_bytes(DOCUMENT)
    more = ["--detached", str(tmp_path / "document")] if packaging == "detached" else []
    status, verdict = verified(assembled, capsys, file, *more)
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
    (signature,) = verdict["signatures"]
    assert signature["level"] == level
    assert "LOG-PROVED" in {one["rule"] for one in signature["reasons"]}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"format": "pdf"}, "signing.form_unknown"),
        ({"format": "cades", "packaging": "json"}, "signing.form_unknown"),
        ({"format": "jades", "packaging": "compact", "level": "B-T"}, "signing.level_not_allowed"),
        ({"format": "asic-e", "level": "B-LTA"}, "signing.level_not_allowed"),
        ({"format": "pades"}, "signing.document_not_pdf"),
    ],
)
def test_what_there_is_not_is_refused(
    assembled: Installation, client: tuple[Staff, str], fields: dict[str, str], code: str
) -> None:
    """Unknown formats and packagings, and levels that a form does not have: nothing is lowered silently."""
    staff, credential = client
    answer = post(staff, assembled.http, "/sign/v1/seals", NAME, DOCUMENT, credential=credential, **fields)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_extending_over_http_and_by_the_command(
    assembled: Installation,
    client: tuple[Staff, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B-T becomes B-LTA over HTTP; the command renews it; what does not hold is told. A container keeps its type."""
    staff, credential = client
    fields = {"credential": credential, "format": "cades", "packaging": "attached", "level": "B-T"}
    sealed = post(staff, assembled.http, "/sign/v1/seals", NAME, DOCUMENT, **fields).content
    answer = post(staff, assembled.http, "/sign/v1/extensions", "contract.p7m", sealed, level="B-LTA")
    assert answer.status_code == 200, answer.text
    file = tmp_path / "contract.p7m"
    file.write_bytes(answer.content)
    status, verdict = verified(assembled, capsys, file)
    assert (status, verdict["signatures"][0]["level"]) == (0, "B-LTA")
    changed = post(staff, assembled.http, "/sign/v1/extensions", "a.p7m", sealed.replace(b"SPECIMEN", b"SPECIMAN", 1))
    assert changed.json()["code"] == "signing.extension_refused"
    container = post(
        staff, assembled.http, "/sign/v1/seals", NAME, DOCUMENT, credential=credential, format="asic-e"
    ).content
    answer_ = post(staff, assembled.http, "/sign/v1/extensions", "a.asice", container, level="B-LTA")
    assert (answer_.status_code, answer_.json()["code"]) == (422, "signing.level_not_allowed")
    xml = post(
        staff,
        assembled.http,
        "/sign/v1/seals",
        NAME,
        DOCUMENT,
        credential=credential,
        format="asic-e",
        packaging="xades",
    ).content
    raised = post(staff, assembled.http, "/sign/v1/extensions", "a.asice", xml)
    assert raised.headers["content-type"] == "application/vnd.etsi.asic-e+zip"
    (tmp_path / "a.asice").write_bytes(raised.content)
    status, verdict = verified(assembled, capsys, tmp_path / "a.asice")
    assert (status, verdict["signatures"][0]["level"]) == (0, "B-LTA")
    url = assembled.services.settings.database.url
    if url is not None:
        monkeypatch.setenv("CAMTRUST_DATABASE__URL", str(url))
    assert command(["extend", "--home", str(assembled.home.path), str(file)]) == 0
    renewed = tmp_path / "contract.extended.p7m"
    status, verdict = verified(assembled, capsys, renewed)
    assert (status, verdict["signatures"][0]["level"]) == (0, "B-LTA")
    assert len(renewed.read_bytes()) > len(answer.content)
    assert command(["extend", "--home", str(assembled.home.path), str(file)]) == 4  # nothing is overwritten


def test_the_command_puts_several_documents_into_one_container(
    assembled: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`camtrust sign A B --format asic-e -o X.asice`: one signature over both, which passes; in another format, and
    under one name, usage errors."""
    person = assembled.applicant().until("certificate")
    url = assembled.services.settings.database.url
    if url is not None:
        monkeypatch.setenv("CAMTRUST_DATABASE__URL", str(url))
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(DOCUMENT + name.encode())
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"x")
    monkeypatch.setenv("CAMTRUST_SIGN_PIN", person.pin)
    monkeypatch.setenv("CAMTRUST_SIGN_CODE", person.next_code())
    out = tmp_path / "both.asice"
    sign = ["sign", "--home", str(assembled.home.path), "--credential", person.credential, "-o", str(out)]
    both = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert command([*sign, *both]) == 2
    assert command([*sign, "--format", "asic-e", both[0], str(folder / "a.txt")]) == 2
    assert not out.exists()
    assert command([*sign, "--format", "asic-e", *both]) == 0
    status, verdict = verified(assembled, capsys, out)
    assert (status, verdict["signatures"][0]["coverage"]) == (0, "every file")
