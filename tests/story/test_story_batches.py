"""An agency's batch over HTTP: opened, filled, started, worked off by the job engine, fetched and removed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from camtrust.cli.main import run as command
from camtrust.documents import make_specimen_documents
from camtrust.job_handlers import worked_off
from camtrust.organisations import make_seal_credential
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from foundation.keys.port import KeyAlgorithm
from foundation.x509 import der
from signing.cms_parts import CmsParts
from signing.seal_policy import ROLE, read_policy
from signing.verify.pdf import read_pdf
from signing.verify.policy import STRICT
from tests import programs
from tests.story.installation import Installation, Staff
from tests.story.served import wait_until
from tests.story.test_story_seal import seal_credential

BATCHES = "/sign/v1/batches"


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be sealed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


class Agency:
    """A client with a seal, and how it asks."""

    def __init__(self, site: Installation, **policy: Any) -> None:
        self.site, self.client = site, site.staff(ActorKind.CLIENT, ROLE)
        self.credential = seal_credential(site, self.client.id).credential_id
        if policy:
            policies = site.services.signing.seal_policies
            policies.set("test", self.client.id, read_policy(policy), SystemClock().now())

    def send(self, method: str, path: str, data: bytes, who: Staff | None = None) -> httpx2.Response:
        """Octets as the body, under an assertion bound to them."""
        client = who or self.client
        headers = {"Authorization": client.authorization(method, path, data)}
        return self.site.http.request(method, path, content=data, headers=headers)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.ask(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def opened(self, **options: Any) -> str:
        made = self.ask("POST", BATCHES, {"credential": self.credential} | options)
        return f"{BATCHES}/{made['id']}"

    def filled(self, documents: dict[str, bytes], **options: Any) -> str:
        batch = self.opened(**options)
        for name, data in documents.items():
            answer = self.send("PUT", f"{batch}/documents/{name}", data)
            assert answer.status_code == 201, answer.text
        return batch

    def finished(self, batch: str) -> dict[str, Any]:
        """Start it, run jobs until it is over; what it says then."""
        self.ask("POST", f"{batch}/start")
        with worked_off(self.site.services):
            wait_until(lambda: self.ask("GET", batch)["state"] == "finished", "the batch is over")
        told: dict[str, Any] = self.ask("GET", batch)
        return told

    def documents(self, batch: str) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            answer = self.client.ask("GET", f"{batch}/documents", **{})
            page = answer.json()
            yield from page["documents"]
            cursor = page["next"]
            if cursor is None:
                return


def zip_of(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file as any program writes it."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return into.getvalue()


def test_a_batch_from_the_beginning_to_its_removal(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Documents one by one and as a ZIP, among them one that is no PDF: each has its result, sealed ones pass
    verification, the ZIP has all of them, and the trail one event for each. Removed, nothing of it is left."""
    agency = Agency(assembled)
    batch = agency.filled({"permit-1": letter, "broken": b"%PDF-1.7 cut off"})
    answer = agency.send("POST", f"{batch}/archive", zip_of({f"permit-{number}": letter for number in range(1, 8)}))
    assert answer.json() == {"added": 6}, answer.text  # permit-1 is there already, and is the same
    assert agency.ask("GET", batch) | {"state": "open", "documents": 8, "waiting": 8} == agency.ask("GET", batch)

    told = agency.finished(batch)
    assert (told["documents"], told["waiting"], told["sealed"], told["refused"]) == (8, 0, 7, 1)
    found = {one["id"]: one for one in agency.documents(batch)}
    assert found["broken"]["state"] == "refused"
    assert found["broken"]["problem"]["code"] == "signing.document_damaged"
    assert len(found["broken"]["problem"]["detail"]) > 10
    assert found["permit-3"]["sha256"] == hashlib.sha256(letter).hexdigest()

    one = agency.client.ask("GET", f"{batch}/documents/permit-3/sealed")
    assert (one.status_code, one.headers["content-type"]) == (200, "application/pdf")
    assert one.content.startswith(letter)
    assert hashlib.sha256(one.content).hexdigest() == found["permit-3"]["sealed_sha256"]
    with zipfile.ZipFile(io.BytesIO(agency.client.ask("GET", f"{batch}/sealed").content)) as archive:
        assert archive.testzip() is None
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(contents) == [f"permit-{number}.signed.pdf" for number in range(1, 8)]
    assert contents["permit-3.signed.pdf"] == one.content
    assert len(set(contents.values())) == 7
    assert agency.client.ask("GET", f"{batch}/documents/broken/sealed").status_code == 409

    files = [tmp_path / name for name in contents]
    for file in files:
        file.write_bytes(contents[file.name])
    bundle, pin = assembled.bundle()
    named = ["--bundle", str(bundle), "--bundle-signer", pin]
    assert command(["verify", "--json", *named, *(str(file) for file in files)]) == 0
    capsys.readouterr()
    sealed = [row for row in assembled.audit() if row["action"] == "signing.sealed"]
    mine = [row for row in sealed if row["actor"] == f"client:{agency.client.id}"]
    assert len(mine) == 7

    kept = [path for path in (assembled.home.path / "blobs" / "batches").rglob("*") if path.is_file()]
    assert len(kept) >= 15
    assert not any(letter[:64] in path.read_bytes() for path in kept)
    agency.ask("DELETE", batch)
    assert agency.client.ask("GET", batch).status_code == 404
    left = list((assembled.home.path / "blobs" / batch.replace("/sign/v1/", "")).rglob("*"))
    assert not any(path.is_file() for path in left)


def test_each_document_is_held_against_the_policy(assembled: Installation, letter: bytes) -> None:
    """A day's number of five: of eight documents five are sealed and three refused with SP-QUOTA; a level that the
    policy does not have refuses every one with SP-LEVEL. What is refused uses nothing up."""
    agency = Agency(assembled, per_day=5, levels=["B-T"])
    documents = {f"permit-{number}": letter for number in range(8)}
    told = agency.finished(agency.filled(documents, level="B-LT"))
    assert (told["sealed"], told["refused"]) == (0, 8)
    batch = agency.filled(documents, level="B-T")
    told = agency.finished(batch)
    assert (told["sealed"], told["refused"]) == (5, 3)
    assert {one["rule"] for one in agency.documents(batch) if one["state"] == "refused"} == {"SP-QUOTA"}


def test_what_a_batch_refuses(assembled: Installation, letter: bytes) -> None:
    """Another client's batch is 404; an empty one does not start; another document under an id, and any document after
    the start, is a conflict; the same one again is not. A cancelled batch seals nothing more and can be removed."""
    agency, other = Agency(assembled), Agency(assembled)
    batch = agency.opened()

    def code(answer: httpx2.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["code"]

    assert code(agency.client.ask("POST", f"{batch}/start")) == (409, "signing.batch_empty")
    place = f"{batch}/documents/one"
    assert agency.send("PUT", place, letter).status_code == 201
    assert agency.send("PUT", place, letter).status_code == 200
    assert code(agency.send("PUT", place, letter + b"\n")) == (409, "signing.batch_document_differs")
    assert code(agency.send("PUT", f"{batch}/documents/-one", letter)) == (422, "signing.batch_document_id_invalid")
    assert code(agency.send("PUT", f"{batch}/documents/two", b"")) == (422, "signing.document_empty")
    for method, path in (("GET", batch), ("POST", f"{batch}/start"), ("GET", f"{batch}/sealed"), ("DELETE", batch)):
        assert code(other.client.ask(method, path)) == (404, "signing.batch_not_found")
    assert code(other.send("PUT", place, letter)) == (404, "signing.batch_not_found")

    agency.ask("POST", f"{batch}/start")
    assert code(agency.send("PUT", f"{batch}/documents/two", letter)) == (409, "signing.batch_not_open")
    assert code(agency.client.ask("DELETE", batch)) == (409, "signing.batch_not_open")
    assert agency.ask("POST", f"{batch}/cancel")["state"] == "cancelled"
    assert code(agency.client.ask("POST", f"{batch}/start")) == (409, "signing.batch_over")
    with worked_off(assembled.services) as jobs:
        wait_until(lambda: jobs.waiting() == 0, "the job of the cancelled batch")
    assert agency.ask("GET", batch)["sealed"] == 0
    agency.ask("DELETE", batch)


@pytest.mark.parametrize(
    ("entries", "rule"),
    [
        ({"../one": b"%PDF"}, "BA-NAME"),
        ({"folder/one": b"%PDF"}, "BA-NAME"),
        ({"folder/": b""}, "BA-NAME"),
        ({"a": b"%PDF", "/etc/passwd": b"x"}, "BA-NAME"),
        ({"bomb": b"\0" * (60 * 1024 * 1024)}, "BA-SIZE"),
        (None, "BA-ZIP"),
    ],
)
def test_archives_that_are_not_taken(assembled: Installation, entries: dict[str, bytes] | None, rule: str) -> None:
    """Names that lead elsewhere, a small file that unpacks to more than a document may be, and what is no ZIP: refused
    with the rule, and nothing of it is in the batch."""
    agency = Agency(assembled)
    batch = agency.opened()
    data = b"no archive" if entries is None else zip_of(entries)
    assert len(data) < 1_000_000
    answer = agency.send("POST", f"{batch}/archive", data)
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.batch_archive_invalid")
    assert rule in answer.json()["detail"]
    assert agency.ask("GET", batch)["documents"] == 0


@pytest.mark.parametrize("pss", [False, True])
def test_batches_seal_with_the_padding_of_the_policy(
    assembled: Installation, letter: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], pss: bool
) -> None:
    """An RSA key seals a batch with PSS where the client's policy asks for it, else with PKCS#1 v1.5; both pass, and
    pdfsig says so too."""
    agency = Agency(assembled, rsa_pss=pss)
    names = ("SPECIMEN Agency", "GO:KH-000041", "SPECIMEN Agency RSA")
    made = make_seal_credential(assembled.services, "test", agency.client.id, *names, KeyAlgorithm.RSA_3072)
    batch = agency.filled({"one": letter, "two": letter}, credential=made.credential_id)
    assert agency.finished(batch)["sealed"] == 2
    bundle, pin = assembled.bundle()
    for name in ("one", "two"):
        file = tmp_path / f"{name}.pdf"
        file.write_bytes(agency.client.ask("GET", f"{batch}/documents/{name}/sealed").content)
        [signature] = read_pdf(file.read_bytes(), STRICT).signatures
        signed_data = signature.contents[: der.read(signature.contents)[2]]
        assert (bytes.fromhex("2a864886f70d01010a") in CmsParts.parse(signed_data).signer[4]) is pss
        assert "Signature is Valid" in programs.run("pdfsig", "-nocert", file).stdout
        assert command(["verify", "--bundle", str(bundle), "--bundle-signer", pin, str(file)]) == 0


def test_a_client_that_may_no_longer_seals_nothing(assembled: Installation, letter: bytes) -> None:
    """Disabled after the start, before its turn: every document is refused, none is sealed."""
    agency = Agency(assembled)
    batch = agency.filled({"one": letter, "two": letter})
    agency.ask("POST", f"{batch}/start")
    services = assembled.services
    services.identity.disable_actor(None, agency.client.id)
    with worked_off(services) as jobs:
        wait_until(lambda: jobs.waiting() == 0, "the job")
    actions = [row["action"] for row in assembled.audit() if row["actor"] == f"client:{agency.client.id}"]
    assert "signing.sealed" not in actions
