"""Stations of people: an officer gets to work, a citizen enrols, documents are signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from camtrust.assembly import Services
from camtrust.demo.client import Citizen, Officer, Refused
from camtrust.demo.story import Station, Story
from camtrust.errors import DemoRefused
from camtrust.trust import write_new
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.registry_simulation.persons import series
from ekyc.review.desk import ROLE as REVIEW_ROLE
from foundation.http.actor import Actor, ActorKind
from identity.model import ActorStatus

LEVEL = "IAL2"
_BATCH = 20


@dataclass(frozen=True)
class Enrolled:
    """A citizen who can sign: their client, credential, PIN and authenticator."""

    citizen: Citizen
    credential: str
    serial: str
    pin: str
    totp: pyotp.TOTP


def review_officer(services: Services, http: httpx2.Client) -> Officer:
    """The officer of the demo home, registered when it is new; the key is the officer's own and not the service's."""
    folder = services.home.folder("officer")
    key_file, id_file = folder / "key.pem", folder / "actor-id.txt"
    if not key_file.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new(key_file, pem)
        key_file.chmod(0o600)
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - made above
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not id_file.exists():
        registered = (
            _registered(services, public)
            or services.identity.register_actor(
                None, ActorKind.OFFICER, "SPECIMEN review officer", [REVIEW_ROLE, "ca-revoke"], public
            ).id
        )
        write_new(id_file, f"{registered}\n".encode())
    return Officer(http, key, id_file.read_text(encoding="ascii").strip(), services.settings.public_url, services.clock)


def enrol(story: Story, station: Station, services: Services, http: httpx2.Client, officer: Officer) -> Enrolled:
    """Enrol a specimen person that no run before enrolled, step by step through the API."""
    try:
        return _enrol(story, station, services, http, officer)
    except Refused as refused:
        raise DemoRefused(code=refused.problem.get("code", "?")) from refused


def _enrol(story: Story, station: Station, services: Services, http: httpx2.Client, officer: Officer) -> Enrolled:
    citizen = Citizen(http)
    enrolment = citizen.start(LEVEL)
    base, person = f"/ekyc/v1/enrolments/{enrolment['id']}", enrolment["person_id"]
    terms = citizen.get("/ekyc/v1/terms")
    citizen.post(f"{base}/consent", _accepted(terms))
    story.step("consent given, subscriber agreement accepted")
    number = _next_number(services)
    citizen.post(f"{base}/contact", {"channel": "sms", "address": f"012{number % 1_000_000:06d}"})
    reader = Actor(ActorKind.OPERATOR, "demo", frozenset({OUTBOX_ROLE}))
    code = services.outbox.read(reader, person, 1)[0].params["code"]
    citizen.prove_contact(base, code)
    story.step("phone verified with a one-time code (from the outbox that stands in for SMS)")
    specimen = series(number)
    citizen.post(
        f"{base}/document",
        {
            "lines": list(specimen.card()),
            "surname_km": specimen.surname_km,
            "given_names_km": specimen.given_names_km,
        },
    )
    story.step("identity card read: every check digit of its TD1 zone holds")
    state = citizen.post(f"{base}/registry-match")["state"]
    story.step(f"base registry asked: {state}")
    decided = officer.review(enrolment["id"], "bind", "remote-video", "person-is-holder")
    story.step(f"officer saw the person and signed for it; decision: {decided['state']}")
    for reason in decided["reasons"]:
        story.step(f"  because {reason['code']}: {reason['en']}")
    pin = f"{73_000_000 + number % 999_983}"
    uri = citizen.post(f"{base}/factors", {"pin": pin})["provisioning_uri"]
    totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    citizen.post(f"{base}/factors/confirmation", {"code": totp.at(services.clock.now())})
    story.step("PIN set and authenticator confirmed; both secrets stay in the token")
    done = citizen.post(f"{base}/certificate")
    certificate = citizen.get(f"{base}/certificate")["certificate"]
    file = services.home.folder("citizen") / "certificate.pem"
    file.write_text(certificate, encoding="ascii")
    station.made.append("citizen/certificate.pem")
    story.step(f"key made in the token, certificate {done['certificate_serial']} issued; {done['state']}")
    station.notes.update(state=done["state"], certificate_serial=done["certificate_serial"], level=LEVEL)
    return Enrolled(citizen, done["credential_id"], done["certificate_serial"], pin, totp)


def sign(
    story: Story, services: Services, person: Enrolled, documents: list[Path]
) -> tuple[list[Path], dict[Path, dict[str, Any]]]:
    """Upload, authorise and fetch; gives the signed files, and for each refused document the problem that names why."""
    uploaded: dict[str, Path] = {}
    refused: dict[Path, dict[str, Any]] = {}
    for file in documents:
        try:
            uploaded[person.citizen.upload("/sign/v1/documents", file, {})["id"]] = file
        except Refused as problem:
            _not_ours(problem.problem)
            refused[file] = problem.problem
            story.step(f"{file.name}: refused: {problem.problem['code']}: {problem.problem['detail']}")
    signed: list[Path] = []
    waiting = list(uploaded)
    for begin in range(0, len(waiting), _BATCH):
        outcomes = _authorise(services, person, waiting[begin : begin + _BATCH], step=begin // _BATCH + 1)
        for outcome in outcomes:
            file = uploaded[outcome["id"]]
            if not outcome["signed"]:
                _not_ours(outcome["problem"])
                refused[file] = outcome["problem"]
                story.step(f"{file.name}: refused: {outcome['problem']['code']}: {outcome['problem']['detail']}")
                continue
            target = file.with_name(f"{file.stem}.signed.pdf")
            target.write_bytes(person.citizen.download(f"/sign/v1/documents/{outcome['id']}/signed"))
            signed.append(target)
            story.step(f"{file.name}: signed, B-LT")
    return signed, refused


def _authorise(services: Services, person: Enrolled, documents: list[str], step: int) -> list[dict[str, Any]]:
    """One PIN and one code for a batch. The enrolment used up this half minute's code, so the next one is shown."""
    import threading

    code = person.totp.at(services.clock.now(), counter_offset=1)
    if step > 1:  # each batch needs a code of its own, and the token takes none further ahead
        threading.Event().wait(30)
        code = person.totp.at(services.clock.now(), counter_offset=1)
    body = {"credential": person.credential, "documents": documents, "pin": person.pin, "totp": code}
    try:
        answer: list[dict[str, Any]] = person.citizen.post("/sign/v1/authorisations", body)["documents"]
    except Refused as refused:
        raise DemoRefused(code=refused.problem.get("code", "?")) from refused
    return answer


def _not_ours(problem: dict[str, Any]) -> None:
    """A document may be refused for what it is; a failure of the services ends the story."""
    if not problem["code"].startswith("signing.") or problem["code"].endswith("_unavailable"):
        raise DemoRefused(code=problem["code"])


def _accepted(terms: dict[str, Any]) -> dict[str, str]:
    return {
        "purpose": terms["purpose"],
        "consent_version": terms["consent_version"],
        "agreement_version": terms["agreement_version"],
        "agreement_digest": terms["agreement_digest"],
    }


def _next_number(services: Services) -> int:
    """The next specimen of the series: one person enrols once, so each run takes another."""
    file = services.home.folder("citizen") / "next-specimen.txt"
    number = int(file.read_text(encoding="ascii")) if file.exists() else 0
    file.write_text(f"{number + 1}\n", encoding="ascii")
    return number


def _registered(services: Services, public_pem: bytes) -> str | None:
    """An actor with this key that an interrupted run registered."""
    from identity.assertion import read_public_key

    wanted, cursor = read_public_key(public_pem), None
    while True:
        page = services.identity.list_actors(cursor, 200)
        for actor in page.items:
            if actor.public_key == wanted and actor.status is ActorStatus.ACTIVE:
                return actor.id
        cursor = page.next_cursor
        if cursor is None:
            return None
