"""Documents signed where they are: the service gets digests, and its key signs; no octet of a document leaves."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from camtrust.cli.main import run as command
from camtrust.organisations import ROLE, make_seal_credential
from foundation.clock import SystemClock
from foundation.errors import CamTrustError
from foundation.http.actor import ActorKind
from foundation.keys.errors import SignatureInvalid
from foundation.randomness import SystemRandomness
from signing.errors import LevelNotAllowed, TimestampUnavailable
from signing.model import Level
from signing.remote.client import Draft, Factors, RemoteSigner
from signing.remote.errors import CredentialUnknown, ServiceUnreachable
from signing.remote.link import Link
from signing.seal_policy import DEFAULT, SealPolicy
from tests.story.installation import Applicant, Installation, Staff
from tests.story.test_story_formats import verified
from tests.verify.verify_world import document

EVERY_LEVEL = replace(DEFAULT, levels=tuple(one.value for one in Level))
PDF = document("SPECIMEN កិច្ចសន្យាសម្ងាត់ " + "confidential " * 2000)
BY = "operator:test"


@contextmanager
def recorded(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """A relay before the service that keeps every octet on its way there; gives its address, and what was sent."""
    to, sent, ends = urlsplit(url), [], []
    door = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                if keep:
                    sent.append(part)
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = door.accept()
                far = socket.create_connection((str(to.hostname), int(to.port or 80)), timeout=60)
                ends.extend((near, far))
                for ways in ((near, far, True), (far, near, False)):
                    threading.Thread(target=pass_on, args=ways, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}", sent
    finally:
        for one in (door, *ends):
            with suppress(OSError):
                one.close()


def assert_kept(data: bytes, sent: list[bytes]) -> None:
    """Nothing of the document is in what was sent, neither as it is nor in Base64."""
    everything = b"".join(sent)
    assert len(everything) > 500  # something was recorded at all
    for start in range(0, len(data) - 24, 8):
        part = data[start : start + 24]
        assert part not in everything
        assert base64.b64encode(part) not in everything
    assert len(everything) < 16_000


@pytest.fixture
def agency(assembled: Installation, tmp_path: Path) -> tuple[Staff, str, Path]:
    """An agency's client that may seal what the service does not see; its credential and its key file."""
    staff = assembled.staff(ActorKind.CLIENT, ROLE)
    made = make_seal_credential(
        assembled.services,
        BY,
        staff.id,
        organisation="SPECIMEN Agency",
        identifier="GO:KH-000041",
        common_name="SPECIMEN Agency seal",
    )
    assembled.services.signing.seal_policies.set(BY, staff.id, EVERY_LEVEL, SystemClock().now())
    key: ec.EllipticCurvePrivateKey = staff._key
    file = tmp_path / "client.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return staff, made.credential_id, file


@contextmanager
def signer(url: str, person: Applicant, client: httpx2.Client | None = None) -> Iterator[RemoteSigner]:
    """A person's open client, with their session."""
    headers = person._headers()

    def ask() -> Factors:
        return Factors(person.pin, person.next_code())

    with Link(url, lambda *_: headers, client) as link:
        yield RemoteSigner(link, person.credential, SystemClock(), SystemRandomness(), ask)


@pytest.mark.parametrize(("form", "level", "suffix"), [("pades", "B-LT", ".pdf"), ("cades", "B-LTA", ".p7s")])
def test_an_agency_seals_what_stays_with_it(
    assembled: Installation,
    agency: tuple[Staff, str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    form: str,
    level: str,
    suffix: str,
) -> None:
    """By the command: the verdict is that of any seal, and no octet of the document went over the wire."""
    staff, credential, key = agency
    file, out = tmp_path / "secret.pdf", tmp_path / f"sealed{suffix}"
    file.write_bytes(PDF)
    with recorded(assembled.url) as (url, sent):
        arguments = ["sign", str(file), "--service", url, "--public-url", assembled.services.settings.public_url]
        arguments += ["--client", staff.id, "--client-key", str(key), "--credential", credential]
        assert command([*arguments, "--format", form, "--level", level, "-o", str(out)]) == 0
    assert_kept(PDF, sent)
    more = [] if form == "pades" else ["--detached", str(file)]
    status, verdict = verified(assembled, capsys, out, *more)
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
    assert level in {one["level"] for one in verdict["signatures"]}
    assert "LOG-PROVED" in {one["rule"] for one in verdict["signatures"][0]["reasons"]}


def test_a_person_signs_what_stays_with_them(
    assembled: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two documents under one authorisation, through the CSC API; B-B is not for persons."""
    person = assembled.applicant().until("certificate")
    with recorded(assembled.url) as (url, sent), signer(url, person) as mine:
        with pytest.raises(LevelNotAllowed):
            mine.sign([Draft("first.pdf", PDF)], level=Level.B_B)
        signed = mine.sign([Draft("first.pdf", PDF), Draft("second.pdf", document("SPECIMEN second"))])
    assert_kept(PDF, sent)
    for number, octets in enumerate(signed):
        file = tmp_path / f"{number}.pdf"
        file.write_bytes(octets)
        status, verdict = verified(assembled, capsys, file)
        assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict
        assert verdict["signatures"][0]["level"] == "B-LT"
    stranger = assembled.applicant().until("certificate")
    stranger.credential = person.credential
    with pytest.raises(CredentialUnknown), signer(assembled.url, stranger):
        pass


def test_by_the_command_as_a_person(
    assembled: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session, PIN and code come by the environment; a wrong code writes nothing and says why."""
    person = assembled.applicant().until("certificate")
    file = tmp_path / "letter.pdf"
    file.write_bytes(document("SPECIMEN letter"))
    monkeypatch.setenv("CAMTRUST_SIGN_SESSION", person.session)
    monkeypatch.setenv("CAMTRUST_SIGN_PIN", person.pin)
    monkeypatch.setenv("CAMTRUST_SIGN_CODE", "000000")
    arguments = ["sign", str(file), "--service", assembled.url, "--credential", person.credential]
    assert command(arguments) == 4
    assert "invalid_pin" in capsys.readouterr().err
    assert not (tmp_path / "letter.signed.pdf").exists()
    monkeypatch.setenv("CAMTRUST_SIGN_CODE", person.next_code())
    assert command(arguments) == 0
    status, verdict = verified(assembled, capsys, tmp_path / "letter.signed.pdf")
    assert (status, verdict["indication"]) == (0, "TOTAL-PASSED"), verdict


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (DEFAULT, "signing.seal_not_allowed"),
        (replace(EVERY_LEVEL, most_octets=10**9), "signing.seal_not_allowed"),
        (replace(EVERY_LEVEL, per_day=1), "signing.seal_not_allowed"),
        (replace(EVERY_LEVEL, releasers=("act-other",)), "signing.seal_needs_release"),
    ],
)
def test_policies_about_what_is_not_seen(
    assembled: Installation, agency: tuple[Staff, str, Path], policy: SealPolicy, code: str
) -> None:
    """Levels with a time, sizes, numbers and second pairs of eyes cannot be left to the client: refused."""
    staff, credential, _ = agency
    assembled.services.signing.seal_policies.set(BY, staff.id, policy, SystemClock().now())
    body = {
        "credential": credential,
        "digests": [base64.b64encode(bytes([number]) * 32).decode() for number in range(2)],
        "digest_algorithm": "2.16.840.1.101.3.4.2.1",
        "signature_algorithm": "1.2.840.10045.4.3.2",
    }
    answer = staff.ask("POST", "/sign/v1/digests", body)
    assert (answer.status_code, answer.json()["code"]) == (403, code), answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"digests": ["AAAA"]},
        {"digests": ["!" * 44]},
        {"digest_algorithm": "1.3.14.3.2.26"},
        {"signature_algorithm": "1.2.840.113549.1.1.11"},
    ],
)
def test_digests_that_are_none(
    assembled: Installation, agency: tuple[Staff, str, Path], changes: dict[str, Any]
) -> None:
    """Another length, no Base64, SHA-1, an algorithm of other keys: refused, and nothing is signed."""
    staff, credential, _ = agency
    body: dict[str, Any] = {
        "credential": credential,
        "digests": [base64.b64encode(bytes(32)).decode()],
        "digest_algorithm": "2.16.840.1.101.3.4.2.1",
        "signature_algorithm": "1.2.840.10045.4.3.2",
    }
    answer = staff.ask("POST", "/sign/v1/digests", body | changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "signing.digests_invalid"), answer.text


class Lying(httpx2.BaseTransport):
    """Passes requests on, and turns one octet of the answers of one path."""

    def __init__(self, path: str) -> None:
        self._path, self._real = path, httpx2.HTTPTransport()

    def close(self) -> None:
        self._real.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._real.handle_request(request)
        octets = answer.read()
        if request.url.path == self._path:
            if octets[:1] == b"{":
                said = json.loads(octets)
                first = bytearray(base64.b64decode(said["signatures"][0]))
                first[-1] ^= 1
                octets = json.dumps({"signatures": [base64.b64encode(first).decode()]}).encode()
            else:
                octets = octets[:-1] + bytes([octets[-1] ^ 1])
        return httpx2.Response(answer.status_code, content=octets)


@pytest.mark.parametrize(
    ("path", "error"),
    [("/csc/v2/signatures/signHash", SignatureInvalid), ("/tsa", TimestampUnavailable), ("/ocsp", CamTrustError)],
)
def test_what_the_service_says_is_checked(assembled: Installation, path: str, error: type[Exception]) -> None:
    """A signature, a timestamp and a status that were touched: no signed file comes out."""
    person = assembled.applicant().until("certificate")
    client = httpx2.Client(transport=Lying(path), trust_env=False)
    with signer(assembled.url, person, client) as mine, pytest.raises(error):
        mine.sign([Draft("letter.pdf", document("SPECIMEN"))])


def test_who_does_not_answer_or_asks_openly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No service, and one that would be asked in the clear: told, and nothing is written."""
    with Link("http://127.0.0.1:9", lambda *_: {}) as link:
        with pytest.raises(ServiceUnreachable):
            link.look("/")
        with pytest.raises(ServiceUnreachable):
            link.ask("/", {})
    file = tmp_path / "letter.pdf"
    file.write_bytes(PDF)
    assert command(["sign", str(file), "--service", "http://service.invalid", "--credential", "0" * 32]) == 2
    assert "https" in capsys.readouterr().err
