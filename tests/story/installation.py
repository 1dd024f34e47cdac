"""A whole installation for the tests of the story: real tokens, a real ceremony, real processes, real HTTP.

:func:`installed` makes a home, holds the specimen ceremony, opens the services with the key daemon and the simulated
registry as processes of their own, and serves the application on a free loopback port. People act on it through
:class:`Applicant` (a specimen citizen, step by step) and :class:`Staff` (registered actors, assertion by assertion).
"""

from __future__ import annotations

import itertools
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from sqlalchemy import select

from camtrust.assembly import Services
from camtrust.demo import authorities
from camtrust.demo.client import Citizen, Officer
from camtrust.demo.story import Station, Story
from camtrust.doors import application
from camtrust.home import Home
from camtrust.server import listening, opened
from camtrust.settings import DatabaseSettings, RegistrySettings, Settings
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.contacts.outbox import Outbox
from ekyc.registry_simulation.persons import Specimen, series
from ekyc.review.desk import ROLE as REVIEW_ROLE
from foundation.clock import SystemClock
from foundation.db.audit import events
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.terminal import Terminal
from identity.service import IdentityService
from tests.phone import Phone

UPLOAD_MEBIBYTES = 2
PIN = "739218465017"
_numbers = itertools.count(41)


class Lines(logging.Handler):
    """Keeps every log line of this process, formatted as a server would write it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(self.format(record))


@contextmanager
def logged() -> Iterator[Lines]:
    """Everything that is logged in this process meanwhile, at the level that `camtrust serve` has."""
    lines, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        root.setLevel(before)


class Staff(Officer):
    """A registered actor with a key of its own."""

    def __init__(self, http: httpx2.Client, key: ec.EllipticCurvePrivateKey, actor_id: str, public_url: str) -> None:
        super().__init__(http, key, actor_id, public_url, SystemClock())
        self.id = actor_id

    def on(self, http: httpx2.Client) -> Staff:
        """The same actor, asking another server."""
        return Staff(http, self._key, self.id, self._public_url)

    def authorization(self, method: str, path: str, body: bytes) -> str:
        """The header for one request."""
        return self._headers(method, path, body)["Authorization"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request; the answer as it is, a refusal too."""
        content = b"" if body is None else json.dumps(body).encode()
        sent = self._headers(method, path, content) | {"Content-Type": "application/json"} | headers
        return self._http.request(method, path, content=content, headers=sent)


def register(service: IdentityService, http: httpx2.Client, public_url: str, kind: ActorKind, *roles: str) -> Staff:
    """Register an actor with a new key, as on the machine itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    actor = service.register_actor(None, kind, f"SPECIMEN {kind}", roles, pem)
    return Staff(http, key, actor.id, public_url)


def _step(act: Callable[[Applicant], Any]) -> Callable[[Applicant], Any]:
    """A step of an enrolment: once it went well, :meth:`Applicant.until` does not do it again."""

    @wraps(act)
    def stepped(self: Applicant) -> Any:
        answer = act(self)
        self._done = self.STEPS.index(act.__name__) + 1
        return answer

    return stepped


class Applicant(Citizen):
    """A specimen citizen. Each step is one request and gives its answer; :meth:`until` goes through several."""

    STEPS = (
        "consent",
        "send_code",
        "verify_code",
        "document",
        "match",
        "review",
        "factors",
        "confirm",
        "certificate",
    )

    def __init__(
        self, http: httpx2.Client, officer: Officer, code_of: Callable[[str], str], person: Specimen, phone: str
    ) -> None:
        super().__init__(http)
        self.http, self.officer, self.person, self.phone_number = http, officer, person, phone
        self._code_of = code_of
        self.enrolment = self.start("IAL2")
        self.base, self.person_id = f"/ekyc/v1/enrolments/{self.enrolment['id']}", str(self.enrolment["person_id"])
        self.phone: Phone | None = None
        self.pin, self.otp, self.credential = PIN, "", ""
        self._done = 0

    @property
    def session(self) -> str:
        assert self._session is not None
        return self._session

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request with this person's session; the answer as it is, a refusal too."""
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        return self.http.request(method, path, headers=self._headers() | headers, **arguments)

    def state(self) -> str:
        return str(self.get(self.base)["state"])

    def until(self, last: str) -> Applicant:
        """Every step that is still to do, up to ``last``."""
        for step in self.STEPS[self._done : self.STEPS.index(last) + 1]:
            getattr(self, step)()
        return self

    @_step
    def consent(self) -> Any:
        return self.post(f"{self.base}/consent", self.acceptance())

    def acceptance(self) -> dict[str, str]:
        terms = self.get("/ekyc/v1/terms")
        return {name: terms[name] for name in ("purpose", "consent_version", "agreement_version", "agreement_digest")}

    @_step
    def send_code(self) -> Any:
        return self.post(f"{self.base}/contact", {"channel": "sms", "address": self.phone_number})

    @_step
    def verify_code(self) -> Any:
        self.otp = self._code_of(self.person_id)
        return self.prove_contact(self.base, self.otp)

    def card(self, person: Specimen | None = None) -> dict[str, Any]:
        one = person or self.person
        return {"lines": list(one.card()), "surname_km": one.surname_km, "given_names_km": one.given_names_km}

    @_step
    def document(self) -> Any:
        return self.post(f"{self.base}/document", self.card())

    @_step
    def match(self) -> Any:
        return self.post(f"{self.base}/registry-match")

    @_step
    def review(self) -> Any:
        return self.officer.review(self.enrolment["id"], "bind", "remote-video", "person-is-holder")

    @_step
    def factors(self) -> Any:
        answer = self.post(f"{self.base}/factors", {"pin": self.pin})
        self.phone = Phone(answer["provisioning_uri"])
        return answer

    @_step
    def confirm(self) -> Any:
        return self.post(f"{self.base}/factors/confirmation", {"code": self.next_code()})

    @_step
    def certificate(self) -> Any:
        done = self.post(f"{self.base}/certificate")
        self.credential = done["credential_id"]
        return done

    def next_code(self, lasting: float | None = None) -> str:
        """The next code; ``lasting``: for how many seconds at least it is good."""
        assert self.phone is not None
        return self.phone.code(lasting)

    def authorisation(self, *documents: str, **changes: Any) -> dict[str, Any]:
        """The request to sign these documents; PIN and the next code are right unless ``changes`` says otherwise."""
        if "totp" not in changes:
            changes["totp"] = self.next_code()
        return {"credential": self.credential, "documents": list(documents), "pin": self.pin} | changes

    def send_pdf(self, name: str, data: bytes, **fields: str) -> httpx2.Response:
        """Upload a document; the answer as it is, a refusal too."""
        form = {"file": (name, data, "application/pdf")}
        return self.http.post("/sign/v1/documents", files=form, data=fields, headers=self._headers())

    def uploaded(self, name: str, data: bytes, **fields: str) -> str:
        answer = self.send_pdf(name, data, **fields)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def sign(self, *documents: str) -> list[bytes]:
        """Authorise these documents and fetch them signed."""
        outcomes = self.post("/sign/v1/authorisations", self.authorisation(*documents))["documents"]
        assert all(one["signed"] for one in outcomes), outcomes
        return [self.download(f"/sign/v1/documents/{one}/signed") for one in documents]


@dataclass
class Installation:
    """Services that run, and everybody's way in."""

    services: Services
    app: FastAPI
    url: str
    http: httpx2.Client
    logs: Lines
    station: Station = field(default_factory=lambda: Station("test", "test"))

    def __post_init__(self) -> None:
        self.officer = self.staff(ActorKind.OFFICER, REVIEW_ROLE)

    @property
    def home(self) -> Home:
        return self.services.home

    def staff(self, kind: ActorKind, *roles: str) -> Staff:
        """A new registered actor with these roles."""
        return register(self.services.identity, self.http, self.services.settings.public_url, kind, *roles)

    def applicant(self, person: Specimen | None = None) -> Applicant:
        """A citizen with a new enrolment; another specimen of the series each time unless one is named."""
        number = next(_numbers)
        phone = f"0129{number:05d}"
        return Applicant(
            self.http, self.officer, lambda who: code_of(self.services.outbox, who), person or series(number), phone
        )

    def audit(self) -> list[dict[str, Any]]:
        """Every audit row, oldest first."""
        return audit_rows(self.services.database)

    def refusal(self, trace_id: str) -> dict[str, Any]:
        """What the audit trail has of the refused request with this trace id: exactly one row."""
        rows = [row for row in self.audit() if row["subject"] == trace_id]
        assert len(rows) == 1, f"{len(rows)} audit rows for {trace_id}"
        assert rows[0]["action"] == "http.refused"
        details: dict[str, Any] = json.loads(rows[0]["details"])
        return details | {"actor": rows[0]["actor"]}

    def bundle(self) -> tuple[Path, str]:
        """The trust bundle of this moment, exported by the trust-list operator's token, and the pin of its signer."""
        written = authorities.export_bundle(self.station, self.services)
        return written.path, written.signer


def audit_rows(database: Database) -> list[dict[str, Any]]:
    """Every row of a database's audit trail, oldest first."""
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(events).order_by(events.c.sequence))]


def code_of(outbox: Outbox, person_id: str) -> str:
    """The one-time code that a person was sent last, out of the outbox that stands in for SMS."""
    return outbox.read(Actor(ActorKind.OPERATOR, "test", frozenset({OUTBOX_ROLE})), person_id, 1)[0].params["code"]


def settings_for(database_url: str | None) -> Settings:
    """The defaults, with a small limit for uploads, and patience with the registry: on a busy machine it is slow and
    not down. ``database_url`` None: SQLite in the home."""
    return Settings(
        upload_mebibytes=UPLOAD_MEBIBYTES,
        database=DatabaseSettings(url=database_url),
        registry=RegistrySettings(timeout_seconds=60),
    )


def make_home(folder: Path) -> Home:
    """A home with its three tokens."""
    home = Home.make(folder)
    authorities.make_tokens(Station("tokens", "tokens"), home, Settings().public_url)
    return home


def found_authorities(services: Services) -> None:
    """The specimen ceremony, and its certificates installed."""
    story = Story(Terminal(json=True), services.clock, 1, lambda: 0.0)
    station = Station("root", "root")
    authorities.hold_ceremony(story, station, services)
    authorities.install_authorities(station, services)


@contextmanager
def installed(folder: Path, database_url: str | None) -> Iterator[Installation]:
    """A whole installation in a new home, for as long as the block runs."""
    home = make_home(folder)
    with logged() as logs, opened(home, settings_for(database_url), SystemClock()) as services:
        found_authorities(services)
        app = application(services)
        with listening(app) as at, httpx2.Client(base_url=at.url, timeout=60, trust_env=False) as http:
            yield Installation(services, app, at.url, http, logs)


def new_key() -> str:
    """An Idempotency-Key."""
    return secrets.token_hex(16)
