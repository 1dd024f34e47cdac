"""Bad input to the assembled services, one test a kind: told with code and hint, written down, and nothing lost.

Each refused request is sent in English and in Khmer. :func:`refused` checks what all have in common: the problem
document, the row in the audit trail, and that nothing that was sent got into the trail or into the log.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from camtrust.cli.main import run as command
from camtrust.documents import make_specimen_documents
from ekyc.registry_simulation.persons import specimens
from foundation.http.actor import ActorKind
from tests.story.installation import UPLOAD_MEBIBYTES, Applicant, Installation

KHMER = re.compile(r"[\u1780-\u17d3]{3}")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An answer, however it was asked for."""

    status: int
    headers: dict[str, str]
    body: bytes


def refused(
    assembled: Installation,
    ask: Callable[[str], httpx2.Response | Answer],
    status: int,
    code: str,
    secrets: Iterable[str] = (),
    actor: str | None = None,
) -> dict[str, Any]:
    """Send it in both languages; gives the English problem document. ``ask`` is given the value of Accept-Language.

    ``secrets``: what was sent and must be nowhere. ``actor``: whom the trail must name.
    """
    rows, lines = len(assembled.audit()), len(assembled.logs.kept)
    documents: dict[str, dict[str, Any]] = {}
    for language in ("en", "km"):
        given = ask(language)
        answer = given if isinstance(given, Answer) else Answer(given.status_code, dict(given.headers), given.content)
        problem = documents[language] = json.loads(answer.body)
        assert (answer.status, problem["code"], problem["status"]) == (status, code, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-language"] == language
        assert problem["type"] == f"/problems/{code}"
        assert bool(KHMER.search(problem["detail"])) == bool(KHMER.search(problem["hint"])) == (language == "km")
        assert len(problem["hint"]) >= 10
        assert answer.headers["x-trace-id"] == problem["trace_id"]
        recorded = assembled.refusal(problem["trace_id"])
        assert (recorded["code"], recorded["status"]) == (code, status)
        assert actor is None or recorded["actor"] == actor
    trail = "\n".join(str(row) for row in assembled.audit()[rows:])
    log = "\n".join(assembled.logs.kept[lines:])
    assert documents["en"]["trace_id"] in log, "the log has the request, so what is not in it was left out"
    for secret in secrets:
        told = re.compile(rf"(?<![0-9a-f]){re.escape(secret)}(?![0-9a-f])")  # six digits can stand in any digest
        assert not told.search(trail), f"{code}: in the audit trail"
        assert not told.search(log), f"{code}: in the log"
        assert not told.search(json.dumps(documents, ensure_ascii=False)), f"{code}: in the answer"
    return documents["en"]


def by(person: Applicant) -> str:
    return f"person:{person.person_id}"


def posted(person: Applicant, path: str, body: Any) -> Callable[[str], httpx2.Response]:
    """The request of a person, for :func:`refused`."""
    return lambda language: person.ask("POST", path, body, **{"Accept-Language": language})


@pytest.fixture(scope="session")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    from foundation.clock import SystemClock

    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


# --- certificates -------------------------------------------------------------------------------------------------


def test_a_malformed_csr(assembled: Installation) -> None:
    """No PKCS#10, a cut-off one, and one whose signature does not hold; the right one is certified afterwards."""
    officer = assembled.staff(ActorKind.OFFICER, "ca-issue")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SPECIMEN asked-for name")])
    good = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem, broken = good.public_bytes(Encoding.PEM).decode(), bytearray(good.public_bytes(Encoding.DER))
    broken[-1] ^= 1
    lines = pem.splitlines()
    forged = x509.load_der_x509_csr(bytes(broken)).public_bytes(Encoding.PEM).decode()
    subject = [{"name": "C", "value": "KH"}, {"name": "O", "value": "SPECIMEN Ministry of Tests"}]
    subject += [{"name": "organizationIdentifier", "value": "NTRKH-000041"}, {"name": "CN", "value": "SPECIMEN Seal"}]
    body = {"profile": "organisation-seal", "subject": subject, "owner": "organisation:specimen-41"}
    path = "/ca/v1/requests"
    for csr in ("not a request", "\n".join([*lines[:3], lines[-1]]), forged):
        problem = refused(
            assembled,
            lambda language, csr=csr: officer.ask("POST", path, body | {"csr": csr}, **{"Accept-Language": language}),  # type: ignore[misc]
            422,
            "foundation.csr_invalid",
            [lines[1], "SPECIMEN Ministry of Tests"],
            f"officer:{officer.id}",
        )
        assert problem["title"]
    issued = officer.ask("POST", path, body | {"csr": pem})
    assert issued.status_code == 201, issued.text
    certificate = x509.load_pem_x509_certificate(issued.json()["certificate"].encode())
    assert certificate.public_key() == key.public_key()
    assert "asked-for" not in certificate.subject.rfc4514_string()


# --- factors ------------------------------------------------------------------------------------------------------


def test_a_wrong_pin(assembled: Installation, letter: bytes) -> None:
    """The document is not signed and can be authorised again, with the same code: a wrong PIN does not use it up."""
    person = assembled.applicant().until("certificate")
    document = person.uploaded("SPECIMEN letter.pdf", letter)
    body = person.authorisation(document)
    wrong = body | {"pin": "860731942508"}
    problem = refused(
        assembled,
        posted(person, "/sign/v1/authorisations", wrong),
        403,
        "foundation.pin_incorrect",
        [wrong["pin"], person.pin, body["totp"]],
        by(person),
    )
    assert "PIN" in problem["detail"]
    assert person.get(f"/sign/v1/documents/{document}")["state"] == "uploaded"
    assert person.ask("GET", f"/sign/v1/documents/{document}/signed").json()["code"] == "signing.document_not_signed"
    assert person.post("/sign/v1/authorisations", body)["documents"][0]["signed"]


def test_a_replayed_totp(assembled: Installation, letter: bytes) -> None:
    """The code that confirmed the authenticator is refused for signing; the next one signs, and is then refused."""
    person = assembled.applicant().until("factors")
    used = person.next_code(lasting=60)  # else it would be told as wrong by the time it is shown again
    person.post(f"{person.base}/factors/confirmation", {"code": used})
    person.certificate()
    document = person.uploaded("SPECIMEN letter.pdf", letter)
    body = person.authorisation(document, totp=used)
    refused(
        assembled,
        posted(person, "/sign/v1/authorisations", body),
        403,
        "foundation.code_used",
        [person.pin, used],
        by(person),
    )
    right = person.authorisation(document)
    assert person.post("/sign/v1/authorisations", right)["documents"][0]["signed"]
    second = person.uploaded("SPECIMEN form.pdf", letter)
    replayed = right | {"documents": [second]}
    refused(assembled, posted(person, "/sign/v1/authorisations", replayed), 403, "foundation.code_used", [person.pin])
    assert person.get(f"/sign/v1/documents/{second}")["state"] == "uploaded"
    assert person.download(f"/sign/v1/documents/{document}/signed").startswith(b"%PDF")


def test_a_replayed_totp_does_not_log_in(assembled: Installation) -> None:
    """Logging in with a used code is refused with the words of a wrong PIN, and the trail has the cause."""
    person = assembled.applicant().until("factors")
    used = person.next_code(lasting=60)  # else it would be told as wrong by the time it is shown again
    person.post(f"{person.base}/factors/confirmation", {"code": used})
    body = {"person_id": person.person_id, "pin": person.pin, "totp": used}
    problem = refused(
        assembled,
        posted(person, "/identity/v1/sessions", body),
        401,
        "identity.login_refused",
        [person.pin, used, person.person_id],
    )
    assert assembled.refusal(problem["trace_id"])["rule"] == "foundation.code_used"
    opened = assembled.http.post("/identity/v1/sessions", json=body | {"totp": person.next_code()})
    assert opened.status_code == 201
    assert person.state() == "FACTOR_BOUND"


def test_a_replayed_otp(assembled: Installation) -> None:
    """The code that verified the phone is told as used, and the enrolment goes on where it was."""
    person = assembled.applicant().until("verify_code")
    refused(
        assembled,
        posted(person, f"{person.base}/contact/verification", {"code": person.otp}),
        409,
        "ekyc.otp_used",
        [person.otp, person.phone_number],
        by(person),
    )
    assert person.state() == "CONTACT_VERIFIED"
    assert person.document()["state"] == "DOCUMENT_VALIDATED"


# --- documents of identity ----------------------------------------------------------------------------------------


def test_an_expired_document(assembled: Installation) -> None:
    """Another card is asked for, and taken."""
    person = assembled.applicant().until("verify_code")
    expired = specimens()["expired-card"]
    refused(
        assembled,
        posted(person, f"{person.base}/document", person.card(expired)),
        422,
        "ekyc.document_expired",
        [expired.given_names, expired.given_names_km, expired.document_number, *expired.card()],
        by(person),
    )
    standing = person.get(person.base)
    assert (standing["state"], [one["code"] for one in standing["next"]]) == ("NEEDS_INPUT", ["document", "withdraw"])
    assert person.document()["state"] == "DOCUMENT_VALIDATED"


def test_a_typing_error_in_the_mrz(assembled: Installation) -> None:
    """The field that is wrong is named, nothing is kept; the repair that is proposed is the card, and it is taken."""
    person = assembled.applicant().until("verify_code")
    card = person.card()
    first = card["lines"][0]
    at = first.index(person.person.document_number) + 4
    typo = first[:at] + str((int(first[at]) + 3) % 10) + first[at + 1 :]
    wrong = card | {"lines": [typo, *card["lines"][1:]]}
    problem = refused(
        assembled,
        posted(person, f"{person.base}/document", wrong),
        422,
        "ekyc.mrz_check_digit_wrong",
        [typo, *card["lines"][1:], card["given_names_km"]],
        by(person),
    )
    assert "number" in problem["detail"]
    assert person.state() == "CONTACT_VERIFIED"
    proposal = person.post(f"{person.base}/document/proposal", {"lines": wrong["lines"]})
    assert proposal["fields"]
    assert proposal["lines"] in (None, card["lines"])
    assert person.document()["state"] == "DOCUMENT_VALIDATED"


# --- uploads ------------------------------------------------------------------------------------------------------

_TOO_MUCH = (UPLOAD_MEBIBYTES + 1) * MIB  # clearly over the limit: that of a document and some room for its form


def raw(url: str, head: Sequence[str], pieces: Iterable[bytes] = ()) -> Answer:
    """One request, octet for octet, and its answer: what a client would do that does not stop when it is told to."""
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, f"Host: {host}", "", ""]).encode())
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while part := connection.recv(65536):
            received += part
    top, _, body = received.partition(b"\r\n\r\n")
    first, *rest = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(int(first.split()[1]), headers, body)


def _upload_head(person: Applicant, language: str, *more: str) -> list[str]:
    return [
        "POST /sign/v1/documents HTTP/1.1",
        f"Authorization: Bearer {person.session}",
        f"Accept-Language: {language}",
        "Content-Type: multipart/form-data; boundary=SPECIMEN",
        *more,
    ]


def test_an_upload_that_announces_too_much(assembled: Installation, letter: bytes) -> None:
    """Refused by its Content-Length, before an octet of it was sent; the connection is closed."""
    person = assembled.applicant().until("certificate")

    def ask(language: str) -> Answer:
        return raw(assembled.url, _upload_head(person, language, f"Content-Length: {_TOO_MUCH}"))

    refused(assembled, ask, 413, "foundation.body_too_large", [person.session])
    assert person.get("/sign/v1/documents")["documents"] == []
    assert person.sign(person.uploaded("SPECIMEN letter.pdf", letter))


def test_an_upload_that_does_not_end(assembled: Installation, letter: bytes) -> None:
    """Chunked, without a length: cut off at the limit; who goes on sending beyond it can still read the answer."""
    person = assembled.applicant().until("certificate")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    def ask(language: str) -> Answer:
        head = _upload_head(person, language, "Transfer-Encoding: chunked")
        return raw(assembled.url, head, [chunk] * (_TOO_MUCH // 0x10000))

    refused(assembled, ask, 413, "foundation.body_too_large", [person.session])
    assert person.get("/sign/v1/documents")["documents"] == []
    assert person.sign(person.uploaded("SPECIMEN letter.pdf", letter))


def test_a_document_that_is_too_large(assembled: Installation, letter: bytes) -> None:
    """A request within the limit whose document is not: the limit for documents is told."""
    person = assembled.applicant()
    large = letter + b"\n" * (UPLOAD_MEBIBYTES * MIB)
    problem = refused(
        assembled, _sends(person, "SPECIMEN large.pdf", large), 413, "signing.document_too_large", actor=by(person)
    )
    assert str(UPLOAD_MEBIBYTES) in problem["detail"]
    assert person.get("/sign/v1/documents")["documents"] == []
    person.uploaded("SPECIMEN letter.pdf", letter)


def test_what_is_not_a_pdf(assembled: Installation, letter: bytes) -> None:
    """A picture, a text, and a page that says it is a PDF: refused by content, and the file name is told nowhere."""
    person, name = assembled.applicant(), "SPECIMEN-private-matter.pdf"
    for data in (b"\x89PNG\r\n\x1a\n" + bytes(64), b"SPECIMEN text " * 20, b"<html>%PDF</html>"):
        send = _sends(person, name, data)
        refused(assembled, send, 422, "signing.document_not_pdf", ["private-matter"], by(person))
    assert person.get("/sign/v1/documents")["documents"] == []
    person.uploaded(name, letter)


def test_a_truncated_pdf(assembled: Installation, letter: bytes) -> None:
    """Cut off in the middle and near its end: refused as damaged, nothing is kept; the whole one is taken."""
    person, before = assembled.applicant(), _blobs(assembled)
    for size in (len(letter) // 2, len(letter) - 40):
        send = _sends(person, "SPECIMEN-private-matter.pdf", letter[:size])
        refused(assembled, send, 422, "signing.document_damaged", ["private-matter"], by(person))
    assert person.get("/sign/v1/documents")["documents"] == []
    assert _blobs(assembled) == before
    person.uploaded("SPECIMEN letter.pdf", letter)
    assert len(_blobs(assembled)) == len(before) + 1


def _sends(person: Applicant, name: str, data: bytes, **fields: str) -> Callable[[str], httpx2.Response]:
    def ask(language: str) -> httpx2.Response:
        form = {"file": (name, data, "application/pdf")}
        headers = {"Authorization": f"Bearer {person.session}", "Accept-Language": language}
        return person.http.post("/sign/v1/documents", files=form, data=fields, headers=headers)

    return ask


def _blobs(assembled: Installation) -> set[Path]:
    """Every file that is kept for documents."""
    return {file for file in assembled.home.path.glob("blobs/**/*") if file.is_file()}


# --- the password-protected document ------------------------------------------------------------------------------


def test_a_protected_document_is_signed_once_its_password_is_given(
    assembled: Installation, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without, and with a wrong password it is refused with the cause; with the right one it is signed through the
    API, stays encrypted, and `camtrust verify --password-file` gives TOTAL-PASSED against an exported bundle."""
    person = assembled.applicant().until("certificate")
    data = (test_data / "pdfs/libreoffice-writer-password.pdf").read_bytes()
    name, wrong = "SPECIMEN protected.pdf", "closedpassword"
    refused(assembled, _sends(person, name, data), 422, "signing.document_password_required", actor=by(person))
    send = _sends(person, name, data, password=wrong)
    refused(assembled, send, 422, "signing.document_password_wrong", [wrong], by(person))

    uploaded = person.send_pdf(name, data, password="openpassword")
    assert uploaded.status_code == 201, uploaded.text
    assert uploaded.json()["encrypted"] is True
    [signed] = person.sign(uploaded.json()["id"])
    assert signed.startswith(data)
    assert "openpassword" not in str(assembled.audit()) + "\n".join(assembled.logs.kept)

    file, password = tmp_path / "protected.signed.pdf", tmp_path / "password.txt"
    file.write_bytes(signed)
    password.write_text("openpassword\n", encoding="ascii")
    bundle, pin = assembled.bundle()
    arguments = ["verify", "--json", "--bundle", str(bundle), "--bundle-signer", pin, str(file)]
    capsys.readouterr()
    assert command([*arguments, "--password-file", str(password)]) == 0
    verdict = json.loads(capsys.readouterr().out)["files"][0]
    assert verdict["indication"] == "TOTAL-PASSED"
    assert verdict["signatures"][0]["level"] == "B-LT"
    assert command(arguments) != 0  # sealed to whoever has no password
    assert json.loads(capsys.readouterr().out)["files"][0]["indication"] != "TOTAL-PASSED"
