"""An agency's own seal on the page: proposed, approved by its digest, sealed with in every way, withdrawn at once."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pikepdf
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from camtrust.cli.main import run as command
from camtrust.documents import make_specimen_documents
from camtrust.job_handlers import worked_off
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from signing.seal_policy import SealPolicy
from tests import programs
from tests.signing.seal_images import SECRET, specimen
from tests.story.installation import Installation, Staff, new_key
from tests.story.served import wait_until
from tests.story.test_story_agencies import BATCHES, HELD, SEALS, Organisation, officer_of, told, verdict

LOOK: dict[str, Any] = {
    "lines": [
        {"text": "ព្រះរាជាណាចក្រកម្ពុជា", "bold": True},
        {"text": "បោះត្រាដោយ {organisation}"},
        {"text": "Sealed by {name} ({number})"},
        {"text": "{time}", "share": 80},
    ],
    "size": [300, 100],
    "ink": "#7a1010",
    "border": "#b41414",
}


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be sealed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


class Sealing(Organisation):
    """An organisation in production with a client."""

    def __init__(self, site: Installation, stage: str = "production") -> None:
        super().__init__(site)
        self.approved(stage)
        self.system, made = self.client()
        self.credential = made["credential"]
        self.templates = f"{self.at}/templates"

    def propose(self, image: bytes | None, who: Any = None, name: str = "official", **look: Any) -> httpx2.Response:
        picture = None if image is None else base64.b64encode(image).decode()
        body = {"name": name, "appearance": LOOK | look, "picture": picture}
        answer: httpx2.Response = (who or self.person).ask("POST", self.templates, body)
        return answer

    def approve_look(self, proposed: dict[str, Any], officer: Staff | None = None) -> httpx2.Response:
        path = f"{self.templates}/{proposed['id']}/approval"
        return (officer or self.officer).ask("POST", path, {"digest": proposed["digest"]})

    def form(self, document: bytes, visible: str = "template=official", path: str = SEALS) -> httpx2.Response:
        file = {"file": ("SPECIMEN permit.pdf", document, "application/pdf")}
        data = {"credential": self.credential, "visible": visible}
        request = self.site.http.build_request("POST", path, files=file, data=data)
        request.headers["Authorization"] = self.system.authorization("POST", path, request.read())
        request.headers["Idempotency-Key"] = new_key()
        return self.site.http.send(request)


def text_of(folder: Path, data: bytes) -> str:
    (folder / "read.pdf").write_bytes(data)
    return programs.run("pdftotext", "-layout", folder / "read.pdf", "-").stdout.replace("\u200b", "")


def image_in(data: bytes) -> tuple[bytes, Image.Image]:
    """The seal image in the newest signature's appearance: its octets, and what it shows."""
    with pikepdf.open(io.BytesIO(data)) as pdf:
        [seen] = [one for page in pdf.pages for one in page.get("/Annots", []) if "/AP" in one]
        [image] = seen.AP.N.Resources.XObject.values()
        octets = image.read_raw_bytes()
    return octets, Image.open(io.BytesIO(octets))


def test_from_a_proposal_to_a_seal_on_the_page(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A representative's image loses what it said of its place; an officer who looked at the preview approves it by its
    digest; the seal shows it, reads back in both scripts and passes. Another organisation's client, a person, and the
    client itself after the withdrawal get none."""
    one, other = Sealing(assembled), Sealing(assembled)
    image = specimen(colour=(190, 30, 10))
    assert SECRET.encode() in image
    proposed = one.propose(image)
    assert proposed.status_code == 201, proposed.text
    kept = base64.b64decode(proposed.json()["picture"])
    assert kept.startswith(b"\xff\xd8\xff")
    assert SECRET.encode() not in kept
    assert told(one.form(letter)) == (422, "signing.template_unknown")

    at = f"{one.templates}/{proposed.json()['id']}"
    preview = one.officer.ask("GET", f"{at}/preview")
    assert preview.headers["Content-Type"] == "application/pdf"
    assert "SPECIMEN Agency" in text_of(tmp_path, preview.content)
    involved = officer_of(assembled, one.person.person_id)
    assert told(one.approve_look(proposed.json(), involved)) == (403, "signing.agency_officer_involved")
    assert told(one.approve_look(proposed.json() | {"digest": "0" * 64})) == (409, "signing.template_other")
    for stranger in (one.person, one.system):
        assert stranger.ask("POST", f"{at}/approval", {"digest": proposed.json()["digest"]}).status_code == 403
    assert one.approve_look(proposed.json()).json()["state"] == "approved"

    sealed = one.form(letter)
    assert sealed.status_code == 200, sealed.text
    octets, shown = image_in(sealed.content)
    assert (octets, shown.format) == (kept, "JPEG")
    read = text_of(tmp_path, sealed.content)
    for said in ("ព្រះរាជាណាចក្រកម្ពុជា", "បោះត្រាដោយ", "SPECIMEN Agency", one.number, "+07:00"):
        assert said in read
    assert verdict(assembled, tmp_path, capsys, sealed.content)["indication"] == "TOTAL-PASSED"

    assert told(other.form(letter)) == (422, "signing.template_unknown")
    refused = one.person.send_pdf("SPECIMEN letter.pdf", letter, visible="template=official")
    assert told(refused) == (422, "signing.template_unknown")
    for reader in (other.person, other.system):
        assert told(reader.ask("GET", one.templates)) == (404, "signing.agency_not_found")
        assert told(reader.ask("POST", f"{at}/withdrawal")) == (404, "signing.agency_not_found")
    assert told(other.propose(image)) == (409, "signing.seal_image_taken")
    assert one.system.ask("POST", f"{at}/withdrawal").json()["state"] == "withdrawn"
    assert told(one.form(letter)) == (422, "signing.template_unknown")


@pytest.mark.parametrize("kind", ["a bomb", "cut off", "a page", "WEBP"])
def test_images_that_are_not_taken(assembled: Installation, kind: str) -> None:
    """What is no image, is broken, or grows too large when it is unpacked is refused by the confined process."""
    one = Sealing(assembled, "sandbox")
    bomb = io.BytesIO()
    Image.new("1", (4_900, 4_900)).save(bomb, "PNG")
    data, cause = {
        "a bomb": (bomb.getvalue(), "too-large"),
        "cut off": (specimen()[:400], "broken"),
        "a page": (b"<html><script>alert(1)</script>", "format"),
        "WEBP": (specimen("WEBP"), "format"),
    }[kind]
    answer = one.propose(data)
    assert told(answer) == (422, "signing.seal_image_refused")
    assert cause in answer.json()["detail"]


def test_batches_held_seals_and_the_command(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch and a held seal look so, and so does what the command seals where the document stays. A batch that is
    worked on when the template is withdrawn refuses each document from then on."""
    one = Sealing(assembled)
    proposed = one.propose(specimen("JPEG", colour=(12, 34, 56)), one.system).json()
    assert one.approve_look(proposed).status_code == 200
    kept = base64.b64decode(proposed["picture"])

    def batch() -> str:
        made = one.system.ask("POST", BATCHES, {"credential": one.credential, "visible": "template=official"})
        assert made.status_code == 201, made.text
        path = f"{BATCHES}/{made.json()['id']}"
        place = f"{path}/documents/one"
        headers = {"Authorization": one.system.authorization("PUT", place, letter)}
        assert assembled.http.put(place, content=letter, headers=headers).status_code == 201
        return path

    def finished(path: str) -> dict[str, Any]:
        assert one.system.ask("POST", f"{path}/start").is_success
        with worked_off(assembled.services):
            wait_until(lambda: one.system.ask("GET", path).json()["state"] == "finished", "the batch is over")
        [document] = one.system.ask("GET", f"{path}/documents").json()["documents"]
        found: dict[str, Any] = document
        return found

    path, late = batch(), batch()
    assert finished(path)["state"] == "sealed"
    assert image_in(one.system.ask("GET", f"{path}/documents/one/sealed").content)[0] == kept

    file, out, key = tmp_path / "letter.pdf", tmp_path / "sealed.pdf", tmp_path / "client.pem"
    file.write_bytes(letter)
    key.write_bytes(one.system._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    policies, now = assembled.services.signing.seal_policies, assembled.services.clock.now()
    policies.set("operator:test", one.system.id, SealPolicy(levels=("B-B", "B-LT")), now)
    arguments = ["sign", str(file), "--service", assembled.url, "--client", one.system.id, "--client-key", str(key)]
    arguments += ["--public-url", assembled.services.settings.public_url, "--credential", one.credential]
    assert command([*arguments, "--visible", "template=official", "-o", str(out)]) == 0
    assert image_in(out.read_bytes())[0] == kept
    assert verdict(assembled, tmp_path, capsys, out.read_bytes())["indication"] == "TOTAL-PASSED"
    assert command([*arguments, "--visible", "template=other", "-o", str(tmp_path / "no.pdf")]) == 4
    assert not (tmp_path / "no.pdf").exists()

    releaser = assembled.staff(ActorKind.CLIENT, "sign-release")
    policy = SealPolicy(releasers=(releaser.id,))
    policies.set("operator:test", one.system.id, policy, now)
    held = one.form(letter, path=HELD)
    assert held.status_code == 201, held.text
    again = one.form(letter, path=HELD).json()
    release = {"sha256": held.json()["sha256"]}
    assert releaser.ask("POST", f"{HELD}/{held.json()['id']}/release", release).json()["state"] == "sealed"
    assert image_in(one.system.ask("GET", f"{HELD}/{held.json()['id']}/sealed").content)[0] == kept
    policies.set("operator:test", one.system.id, replace(policy, appearances=("plain",)), now)
    assert told(one.form(letter, path=HELD)) == (403, "signing.seal_not_allowed")

    policies.set("operator:test", one.system.id, policy, now)
    assert one.officer.ask("POST", f"{one.templates}/{proposed['id']}/withdrawal").status_code == 200
    failed = releaser.ask("POST", f"{HELD}/{again['id']}/release", {"sha256": again["sha256"]}).json()
    assert (failed["state"], failed["problem"]) == ("failed", "signing.template_unknown")
    policies.set("operator:test", one.system.id, SealPolicy(), now)
    result = finished(late)
    assert (result["state"], result["problem"]["code"]) == ("refused", "signing.template_unknown")
