"""Processes that are killed in the middle: told with code and hint, written down, and nothing lost.

The key daemon is killed under services that go on running; `camtrust serve` is killed as a whole and started again on
the same home. Both with SIGKILL: nobody gets to tidy up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from camtrust.documents import make_specimen_documents
from camtrust.home import Home
from camtrust.keys import SERVICES
from ekyc.registry_simulation.persons import series
from foundation.clock import SystemClock
from foundation.db.engine import open_database
from hsm_emulation.process import KeyDaemon
from tests.story.installation import (
    Applicant,
    Installation,
    Staff,
    audit_rows,
)
from tests.story.served import COMMAND, PATIENCE, Server, ended, newest_code, wait_until


@pytest.fixture(scope="module")
def letter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A PDF that can be signed."""
    folder = tmp_path_factory.mktemp("letter")
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    return min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()


# --- the key daemon -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def revive() -> Iterator[Callable[[Installation], None]]:
    """Starts a new daemon on an installation's token. The services log in to it by themselves."""
    with ExitStack() as daemons:

        def start(installation: Installation) -> None:
            daemons.enter_context(KeyDaemon.start(installation.home.path / SERVICES))

        yield start


def kill_daemon(installation: Installation) -> None:
    """SIGKILL to the key daemon of the services, by its id; comes back when it is gone."""
    pid = installation.services.token.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: ended(pid), "the killed daemon is gone")


def unavailable(installation: Installation, answer: httpx2.Response, by: str) -> None:
    """A 503 that names the token, says what to do, and is in the trail."""
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "foundation.token_unavailable"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(problem["hint"]) >= 10
    recorded = installation.refusal(problem["trace_id"])
    assert (recorded["code"], recorded["status"], recorded["actor"]) == (problem["code"], 503, by)


def test_the_key_daemon_is_killed_while_somebody_enrols(
    breakable: Installation, revive: Callable[[Installation], None], letter: bytes
) -> None:
    """Killed before each step that needs it: 503 each time, the enrolment stands where it stood, and with a new
    daemon the same step works; at its end the person signs."""
    installation = breakable
    person = installation.applicant().until("consent")
    by = f"person:{person.person_id}"

    kill_daemon(installation)
    unavailable(installation, person.ask("POST", f"{person.base}/contact", _sms(person)), by)
    assert installation.http.get("/readyz").json()["checks"]["key_store"] == "foundation.token_unavailable"
    assert installation.http.get("/healthz").status_code == 200
    assert person.state() == "CONSENTED"
    revive(installation)
    person.send_code()
    person.verify_code()

    kill_daemon(installation)
    unavailable(installation, person.ask("POST", f"{person.base}/document", person.card()), by)
    assert person.state() == "CONTACT_VERIFIED"
    revive(installation)
    person.until("review")

    kill_daemon(installation)
    unavailable(installation, person.ask("POST", f"{person.base}/factors", {"pin": person.pin}), by)
    assert person.state() == "APPROVED"
    revive(installation)
    person.factors()
    kill_daemon(installation)
    code = person.next_code(lasting=60)  # it has to outlive the daemon
    unavailable(installation, person.ask("POST", f"{person.base}/factors/confirmation", {"code": code}), by)
    revive(installation)
    assert person.post(f"{person.base}/factors/confirmation", {"code": code})["state"] == "FACTOR_BOUND"

    kill_daemon(installation)
    unavailable(installation, person.ask("POST", f"{person.base}/certificate"), by)
    assert person.state() == "FACTOR_BOUND"
    revive(installation)
    assert person.certificate()["state"] == "ACTIVATED"
    assert person.sign(person.uploaded("SPECIMEN letter.pdf", letter))
    installation.services.trail.verify(installation.services.database)


def test_the_key_daemon_is_killed_before_signing(
    breakable: Installation, revive: Callable[[Installation], None], letter: bytes
) -> None:
    """Killed before the upload and before the authorisation: 503, nothing signed, the document stays; with a new
    daemon the same document is signed with the same code. Logging in meanwhile is a 503, never a wrong PIN."""
    installation = breakable
    person = installation.applicant().until("certificate")
    by = f"person:{person.person_id}"

    kill_daemon(installation)
    unavailable(installation, person.send_pdf("SPECIMEN letter.pdf", letter), by)
    login = {"person_id": person.person_id, "pin": person.pin, "totp": "000000"}
    unavailable(installation, person.http.post("/identity/v1/sessions", json=login), "anonymous")
    revive(installation)
    assert person.get("/sign/v1/documents")["documents"] == []
    document = person.uploaded("SPECIMEN letter.pdf", letter)

    body = person.authorisation(document, totp=person.next_code(lasting=60))  # it has to outlive the daemon
    kill_daemon(installation)
    unavailable(installation, person.ask("POST", "/sign/v1/authorisations", body), by)
    unavailable(installation, person.ask("GET", f"/sign/v1/documents/{document}"), by)
    revive(installation)
    assert person.get(f"/sign/v1/documents/{document}")["state"] == "uploaded"
    assert person.post("/sign/v1/authorisations", body)["documents"][0]["signed"]
    assert person.download(f"/sign/v1/documents/{document}/signed").startswith(letter)

    kill_daemon(installation)
    unavailable(installation, person.ask("GET", f"/sign/v1/documents/{document}/signed"), by)
    revive(installation)
    assert person.download(f"/sign/v1/documents/{document}/signed").startswith(letter)
    installation.services.trail.verify(installation.services.database)


def _sms(person: Applicant) -> dict[str, str]:
    return {"channel": "sms", "address": person.phone_number}


# --- the server ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(900)  # it starts the whole of `camtrust serve` five times
def test_the_server_and_its_key_daemon_are_killed(
    server: tuple[Server, Callable[[httpx2.Client], Staff]], letter: bytes
) -> None:
    """Killed after consent, after the code was sent, after the registry's answer, and between the factors and the
    certificate. Each time its children end, it starts again on the same home, and the same session goes on. Then its
    key daemon alone is killed: it gets a new one. At the end the enrolment is ACTIVATED, the document is signed, the
    audit chain holds, and no process is left."""
    running, staff = server
    running.start()
    with httpx2.Client(base_url=running.url, timeout=60, trust_env=False) as http:
        person = Applicant(http, staff(http), lambda who: newest_code(running.home, who), series(7), "012900007")
        states = []
        for last in ("consent", "send_code", "match", "confirm"):
            person.until(last)
            states.append(person.state())
            running.kill()
            with pytest.raises(httpx2.TransportError):
                http.get("/healthz")
            running.start()
            assert person.state() == states[-1]
        assert states == ["CONSENTED", "CONSENTED", "REGISTRY_MATCHED", "FACTOR_BOUND"]
        assert person.certificate()["state"] == person.state() == "ACTIVATED"
        document = person.uploaded("SPECIMEN letter.pdf", letter)
        running.kill_daemon()
        assert person.sign(document)
        assert len(person.get("/sign/v1/credentials")) == 1

    before = len(audit(running.home))
    checked = _audited(running)
    # Meanwhile the upkeep makes its first CRLs and its OCSP responder, at night the archive renews its evidence,
    # and nobody else does anything.
    assert checked["events"] >= before
    alone = [row for row in audit(running.home)[before:] if row["actor"] != "service:issuing_ca"]
    assert {(row["actor"], row["action"]) for row in alone} <= {("service:signing", "signing.archive_renewed")}
    assert checked["orphans"] == checked["waiting"] == []
    assert running.stop() == 130  # interrupted, in good order
    assert all(map(ended, running.started))
    checked = _audited(running)
    assert checked["events"] == len(audit(running.home))  # nobody is at work any more
    assert checked["orphans"] == checked["waiting"] == []
    log = running.log.read_text(encoding="utf-8")
    assert log.count("http.answered") > 20
    for secret in (person.pin, person.otp, person.phone_number[1:], *person.card()["lines"], person.session):
        assert secret not in log


def audit(home: Home) -> list[dict[str, Any]]:
    """The audit rows of a home on SQLite, read beside whoever serves it."""
    database = open_database(f"sqlite:///{home.path / 'camtrust.sqlite'}")
    try:
        return audit_rows(database)
    finally:
        database.close()


def _audited(server: Server) -> dict[str, Any]:
    """What `camtrust ca audit` says of its home, under the address that it serves, which names its log."""
    command = [*COMMAND, "ca", "audit", "--json", "--home", str(server.home.path)]
    environment = os.environ | {"CAMTRUST_PUBLIC_URL": server.url}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document
