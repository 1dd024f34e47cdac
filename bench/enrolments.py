"""Scripted enrolments from end to end over HTTP, while the server is killed again and again.

    python -m bench.enrolments [enrolments, 1000 unless said otherwise] [kills, 20 unless said otherwise]

Each person goes from the first call to a certificate that can sign: consent, contact, card, registry, officer, factors,
key, certificate; a client that meets a dead server waits for it and goes on from where its enrolment stands. Meanwhile
`camtrust serve` is ended by SIGKILL, by its id, and started again on the same home. It fails when anybody is lost or
certified twice, when a ledger or a decision does not hold, or when the audit trail or the CA's books are not whole.
Prints the rate, the time of one enrolment (median, p99), and both as multiples of a bare request in the same run.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from camtrust.assembly import Services
from camtrust.demo import authorities
from camtrust.demo.client import Citizen, Officer, Refused
from camtrust.demo.story import Station, Story
from camtrust.home import Home
from camtrust.server import opened
from camtrust.settings import Settings
from ekyc import store
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.evidence.record import verify_chain
from ekyc.model import State
from ekyc.registry_simulation.persons import Specimen, series
from ekyc.review.desk import ROLE as REVIEW_ROLE
from foundation.clock import SystemClock
from foundation.http.actor import ActorKind
from foundation.terminal import Terminal
from issuing_ca.model import CertificateState

CLIENTS = 4
PATIENCE = 180.0  # seconds that a client waits for a server, and a server has to start
PIN = "739218465017"
_COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]


@dataclass
class Server:
    """`camtrust serve` on a home, killed and started again."""

    home: Home
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it is ready; AssertionError when it is not in time."""
        with self.log.open("ab") as log:
            command = [*_COMMAND, "serve", "--home", str(self.home.path), "--port", str(self.port)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL, by its id; its children see that it is gone and end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)


@dataclass
class Outcome:
    """What a run came to; times in seconds."""

    enrolments: int
    kills: int
    seconds: float
    times: list[float] = field(default_factory=list)
    retries: int = 0
    bare: float = 0.0

    def lines(self) -> list[str]:
        """For reading."""
        times = sorted(self.times)
        median, late = statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.99))]
        return [
            f"{self.enrolments} enrolments in {self.seconds:.0f} s by {CLIENTS} clients, the server killed {self.kills}"
            f" times: {self.enrolments / self.seconds:.2f} a second",
            f"one enrolment: median {median:.2f} s, p99 {late:.2f} s, longest {times[-1]:.2f} s (waiting for a killed"
            " server among it)",
            f"a bare request in the same run: {self.bare * 1000:.1f} ms; the median is as long as"
            f" {median / self.bare:.0f} of them",
            f"steps that met no server and went on later: {self.retries}; lost: 0; certified twice: 0",
        ]


class SessionLost(Exception):
    """The answer that had the token of the new session never came."""


class Person:
    """A client that goes on from wherever its enrolment stands."""

    def __init__(
        self, http: httpx2.Client, officer: Officer, operator: Officer, specimen: Specimen, phone: str
    ) -> None:
        self._http, self._officer, self._operator = http, officer, operator
        self._specimen, self._phone = specimen, phone
        self._citizen = Citizen(http)
        self._totp: pyotp.TOTP | None = None
        self._base, self._id, self.person_id = "", "", ""
        self._shown = False  # whether there is more to lose than a proof of the contact
        self._again = False  # whether an enrolment of before may have proved the phone
        self.retries = 0

    def enrol(self) -> str:
        """From the first call to ACTIVATED; gives the enrolment's id. Where the answer with the new session is lost as
        the contact is proved, they start anew, as a person would: nothing but consent and contact was shown yet.
        """
        while True:
            try:
                return self._enrol()
            except SessionLost:
                self._base, self._again = "", True

    def _enrol(self) -> str:
        started = self._insist(lambda: self._citizen.start("IAL2"))
        self._id, self.person_id = started["id"], started["person_id"]
        self._base = f"/ekyc/v1/enrolments/{self._id}"
        for _ in range(200):
            state = self._insist(lambda: self._citizen.get(self._base))["state"]
            if state == "ACTIVATED":
                return self._id
            self._insist(lambda state=state: self._step(state))  # type: ignore[misc]
        raise AssertionError(f"{self._id} does not get further than {state}")

    def _insist(self, act: Callable[[], Any]) -> Any:
        """Again when the server is not there; what it refuses because it was done already is as good as done."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return act()
            except httpx2.TransportError:
                self.retries += 1
            except Refused as refused:
                status, code = refused.problem.get("status"), refused.problem.get("code")
                if status == 401 and not self._shown:
                    raise SessionLost from None
                if status in (409, 404) and self._base:
                    return None  # it was done before the answer was lost: look where it stands
                if status == 429:  # a code was sent, and the message lost in the kill: the next one is a minute away
                    time.sleep(1)
                elif status not in (500, 503):
                    raise AssertionError(f"{self._id}: {code}: {refused.problem.get('detail')}") from refused
                self.retries += 1
            if time.monotonic() > end:
                raise AssertionError(f"{self._id}: waited {PATIENCE:.0f} s in vain")
            time.sleep(0.2)

    def _step(self, state: str) -> Any:
        post, base = self._citizen.post, self._base
        if state == "DRAFT":
            terms = self._citizen.get("/ekyc/v1/terms")
            names = ("purpose", "consent_version", "agreement_version", "agreement_digest")
            return post(f"{base}/consent", {name: terms[name] for name in names})
        if state == "CONSENTED":
            code = self._code()
            if code is None:
                post(f"{base}/contact", {"channel": "sms", "address": self._phone})
                code = self._code()
            return self._citizen.prove_contact(base, code, shared=self._again)
        self._shown = True
        if state == "CONTACT_VERIFIED":
            one = self._specimen
            card = {"lines": list(one.card()), "surname_km": one.surname_km, "given_names_km": one.given_names_km}
            return post(f"{base}/document", card)
        if state in ("DOCUMENT_VALIDATED", "WAITING_REGISTRY"):
            return post(f"{base}/registry-match")
        if state == "REGISTRY_MATCHED":
            return self._officer.review(self._id, "bind", "remote-video", "person-is-holder")
        if state == "APPROVED":
            return self._factors()
        assert state in ("FACTOR_BOUND", "KEY_GENERATED", "CERTIFICATE_ISSUED"), state
        return post(f"{base}/certificate")

    def _code(self) -> str | None:
        """The newest code in the outbox that stands in for SMS."""
        messages = self._operator.get(f"/ekyc/v1/outbox?person_id={self.person_id}&limit=1")
        return "".join(sign for sign in messages[0]["text"] if sign.isdigit())[:6] if messages else None

    def _factors(self) -> Any:
        try:
            uri = self._citizen.post(f"{self._base}/factors", {"pin": PIN})["provisioning_uri"]
            self._totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
        except Refused as refused:
            if refused.problem.get("status") != 409 or self._totp is None:  # confirmed in the token already
                raise
        assert self._totp is not None
        return self._citizen.post(f"{self._base}/factors/confirmation", {"code": self._totp.now()})


def run(enrolments: int, kills: int, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Do it in a new home below ``folder``; AssertionError for whatever is not as it must be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Home.make(folder / "home")
    authorities.make_tokens(Station("tokens", "tokens"), home, Settings().public_url)
    server = Server(home, port, folder / "serve.log")
    with opened(home, Settings(), SystemClock()) as services:
        story, station = Story(Terminal(json=True), services.clock, 1, lambda: 0.0), Station("root", "root")
        authorities.hold_ceremony(story, station, services)
        authorities.install_authorities(station, services)
        officer, operator = (
            _actor(services, kind, role, server.url)
            for kind, role in ((ActorKind.OFFICER, REVIEW_ROLE), (ActorKind.OPERATOR, OUTBOX_ROLE))
        )
    say(f"a home with authorities; {enrolments} enrolments, {kills} kills")
    try:
        server.start()
        outcome, ids = _enrol_all(server, enrolments, kills, officer, operator, say)
    finally:
        server.stop()
    _check(home, ids, say)
    return outcome


def _actor(services: Services, kind: ActorKind, role: str, url: str) -> Callable[[httpx2.Client], Officer]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    actor = services.identity.register_actor(None, kind, f"SPECIMEN {kind}", [role], pem)
    return lambda http: Officer(http, key, actor.id, url, SystemClock())


def _enrol_all(
    server: Server,
    enrolments: int,
    kills: int,
    officer: Callable[[httpx2.Client], Officer],
    operator: Callable[[httpx2.Client], Officer],
    say: Callable[[str], None],
) -> tuple[Outcome, list[str]]:
    outcome = Outcome(enrolments, 0, 0.0)
    done: list[str] = []
    lock = threading.Lock()
    ended = threading.Event()

    def one(number: int) -> None:
        with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
            phone = f"0129{number:05d}"
            person = Person(http, officer(http), operator(http), series(number), phone)
            begin = time.monotonic()
            enrolment_id = person.enrol()
            with lock:
                done.append(enrolment_id)
                outcome.times.append(time.monotonic() - begin)
                outcome.retries += person.retries
                if len(done) % max(1, enrolments // 10) == 0:
                    say(f"   {len(done)} of {enrolments} enrolled, {server.kills} kills")

    def killer() -> None:
        """Spread over the run: a kill each time another share of the people is through."""
        for number in range(kills):
            while len(done) < (number + 0.5) * enrolments / (kills + 1) and not ended.is_set():
                ended.wait(0.02)
            if ended.is_set():
                return
            server.kill()
            server.start()

    begin = time.monotonic()
    killing = threading.Thread(target=killer, name="killer")
    killing.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(one, range(enrolments)))
    finally:
        ended.set()
        killing.join(PATIENCE)
    outcome.seconds, outcome.kills = time.monotonic() - begin, server.kills
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        bare = [_timed(lambda: http.get("/healthz")) for _ in range(50)]
    outcome.bare = statistics.median(bare)
    return outcome, done


def _timed(act: Callable[[], Any]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def _check(home: Home, ids: list[str], say: Callable[[str], None]) -> None:
    """Nobody lost, nobody twice, every ledger and decision whole, the books of the CA and the trail as they must be."""
    assert len(set(ids)) == len(ids)
    with opened(home, Settings(), SystemClock()) as services:
        with services.database.read() as connection:
            people = [store.load(connection, one) for one in ids]
        assert {one.state for one in people} == {State.ACTIVATED}
        for one in people:
            verify_chain(services.ekyc.files.ledger(one))
            services.ekyc.decider.replay(one.id)
        certified: Counter[str] = Counter()
        for one in people:
            found = services.ca.certificates(owner=one.person_id, state=CertificateState.ISSUED, limit=200)
            certified[one.person_id] += len(found)
            assert [record.serial for record in found] == [one.certificate_serial], one.id
            keys = [key.key_id for key in services.token.wrapped_keys(one.person_id)]
            assert keys == [one.key_id], one.id
        assert set(certified.values()) == {1}
        events = services.trail.verify(services.database)
    say(f"   every ledger, decision and key is whole; {events} events in the trail")


def main() -> int:
    enrolments = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    folder = Path(tempfile.mkdtemp(prefix="camtrust-soak-", dir="/tmp"))
    try:
        outcome = run(enrolments, kills, folder, print)
        for line in outcome.lines():
            print(line)
        if os.environ.get("CAMTRUST_FIGURES"):
            Path(os.environ["CAMTRUST_FIGURES"]).write_text(json.dumps(vars(outcome)), encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
