"""The world around enrolment in tests: real vault, real databases, a real simulated registry; a small CA of its own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pyotp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from sqlalchemy import Connection, inspect
from starlette.testclient import TestClient

import ekyc.store
import foundation.db.audit
import signing.store
from camtrust.code_card import PdfCards
from ekyc.api import create_router
from ekyc.appeals.api import create_appeal_router
from ekyc.authenticators.api import create_authenticator_router
from ekyc.authenticators.without_phone_api import create_without_phone_router
from ekyc.contacts.desk import Channel
from ekyc.contacts.outbox import ROLE as OUTBOX_ROLE
from ekyc.contacts.outbox import Outbox
from ekyc.corrections.api import create_correction_router
from ekyc.evidence.api import create_chip_trust_router, create_evidence_router, create_lost_documents_router
from ekyc.guardians.api import create_guardian_router
from ekyc.model import Enrolment, State
from ekyc.packets.api import create_packet_router
from ekyc.ports import Cause, CitizenCertificateRequest, IssuedCertificate, Registry
from ekyc.recall.api import create_recall_router, create_reinstatement_router
from ekyc.receipts.api import create_receipt_router
from ekyc.registry_simulation.persons import Specimen, specimens
from ekyc.renewal.api import create_renewal_router
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method, Verdict
from ekyc.service import EkycService
from ekyc.terms import Acceptance
from ekyc.vouching.api import create_vouch_router
from foundation.clock import SetClock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http import problems
from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated
from foundation.http.guard import Guard
from foundation.keys.port import (
    Attesting,
    Factors,
    KeyAlgorithm,
    KeyInfo,
    KeyStore,
    KeyUse,
    PersonKeys,
    WrappedKey,
    WrappedKeys,
)
from foundation.vault import Vault
from tests.receipt_authority import SoftwareReceipts
from tests.registration_authority import SoftwareAuthority

PIN = "402915"
PHONE = "012 987 654"
PHONE_E164 = "+85512987654"
OFFICER = Actor(ActorKind.OFFICER, "OFF-SPECIMEN", frozenset({"ekyc-review"}))
SECOND = Actor(ActorKind.OFFICER, "OFF-SECOND", frozenset({"ekyc-review"}))
THIRD = Actor(ActorKind.OFFICER, "OFF-THIRD", frozenset({"ekyc-review"}))
KEEPERS = tuple(
    Actor(ActorKind.OFFICER, f"OFF-TRUST-{n}", frozenset({"ekyc-trust", "ekyc-lost-documents"})) for n in (1, 2)
)
COLLECTOR, BRINGER = (Actor(ActorKind.OFFICER, f"OFF-STATION-{n}", frozenset({"ekyc-station"})) for n in (1, 2))
OPERATOR = Actor(ActorKind.OPERATOR, "OPR-SPECIMEN", frozenset({OUTBOX_ROLE}))


class Token(KeyStore, WrappedKeys, Factors, PersonKeys, Attesting, Protocol):
    """What the emulated HSM's client is."""


class SmallCa:
    """Signs citizens' certificates with a key of its own; asked again, it gives the same."""

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN test CA")])
        self.issued: dict[tuple[str, str], IssuedCertificate] = {}
        self.revoked: dict[str, Cause] = {}
        self.held: list[tuple[str, str]] = []
        self.requests: list[CitizenCertificateRequest] = []

    def issue_citizen(self, request: CitizenCertificateRequest) -> IssuedCertificate:
        self.requests.append(request)
        once = (request.enrolment_id, request.key_id)
        if once not in self.issued:
            now, serial = self._clock.now(), x509.random_serial_number()
            attributes = [
                (NameOID.SURNAME, request.surname),
                (NameOID.GIVEN_NAME, request.given_names),
                (NameOID.COMMON_NAME, f"{request.surname} {request.given_names}".strip()),
                (NameOID.SERIAL_NUMBER, request.person_id),
            ]
            certificate = (
                x509.CertificateBuilder()
                .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value]))
                .issuer_name(self._name)
                .public_key(load_der_public_key(request.public_key))  # type: ignore[arg-type]
                .serial_number(serial)
                .not_valid_before(now)
                .not_valid_after(min(now + timedelta(days=365), request.not_after or datetime.max.replace(tzinfo=UTC)))
                .sign(self._key, hashes.SHA256())
            )
            self.issued[once] = IssuedCertificate(format(serial, "x"), certificate.public_bytes(Encoding.DER))
        return self.issued[once]

    def in_force(self, serial: str, at: datetime) -> bool:
        held = {person for person, _ in self.held}
        [request] = [one for one in self.requests if self.issued[(one.enrolment_id, one.key_id)].serial == serial]
        made = x509.load_der_x509_certificate(self.issued[(request.enrolment_id, request.key_id)].certificate)
        return serial not in self.revoked and request.person_id not in held and at <= made.not_valid_after_utc

    def release_citizens(self, person_ids: Sequence[str], by: str) -> None:  # noqa: ARG002
        self.held = [(person, why) for person, why in self.held if person not in person_ids]

    def suspend_citizens(self, person_ids: Sequence[str], by: str) -> None:
        self.held += [(one, by) for one in person_ids]

    def revoke_citizen(self, serial: str, cause: Cause) -> None:
        self.revoked.setdefault(serial, cause)


class TableCustody:
    """Keeps wrapped keys where signing keeps them: in the same database, so in the caller's transaction."""

    def __init__(self, database: Database, clock: SetClock) -> None:
        self._database, self._clock = database, clock

    def keep(self, connection: Connection, key: WrappedKey) -> None:
        signing.store.insert_wrapped_key(connection, key, self._clock.now())

    def kept(self, person_id: str) -> frozenset[str]:
        with self._database.read() as connection:
            return signing.store.wrapped_keys_of_owner(connection, person_id)


class MemoryCredentials:
    """Registers credentials, once for each key."""

    def __init__(self) -> None:
        self.registered: dict[str, str] = {}

    def register(
        self,
        person_id: str,  # noqa: ARG002
        key_id: str,
        certificate: bytes,  # noqa: ARG002
        chain: tuple[bytes, ...],  # noqa: ARG002
    ) -> str:
        return self.registered.setdefault(key_id, f"CRED-{secrets.token_hex(8)}")


class MemorySessions:
    """Sessions of persons, and who an officer or operator is in this world."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.staff = {
            "officer": OFFICER,
            "operator": OPERATOR,
            "keeper-1": KEEPERS[0],
            "keeper-2": KEEPERS[1],
            "station": BRINGER,
        }

    def open(self, person_id: str) -> str:
        token = secrets.token_urlsafe(16)
        self.tokens[token] = person_id
        return token

    def close_all(self, person_id: str) -> None:
        self.tokens = {token: person for token, person in self.tokens.items() if person != person_id}

    def authenticate(self, credential: Credential) -> Actor:
        scheme, _, value = credential.authorization.partition(" ")
        if scheme == "Bearer" and value in self.tokens:
            return Actor(ActorKind.PERSON, self.tokens[value])
        if scheme == "Staff" and value in self.staff:
            return self.staff[value]
        raise Unauthenticated


class MemoryBlobs:
    """Blobs in memory; ``kept`` for tests to look into."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


@dataclass
class Staff:
    """Officers, and the persons they are enrolled as."""

    persons: dict[str, str] = field(default_factory=dict)
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add(OFFICER)

    def add(self, officer: Actor) -> Actor:
        """Register an officer who may review, with a key of their own."""
        self.keys[officer.id] = ec.generate_private_key(ec.SECP256R1())
        return officer

    def reviewers(self) -> Sequence[str]:
        return list(self.keys)

    def key_of(self, officer_id: str) -> bytes | None:
        key = self.keys.get(officer_id)
        return key and key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def person_of(self, officer_id: str) -> str | None:
        return self.persons.get(officer_id)


class World:
    """A service with everything around it."""

    def __init__(self, database: Database, token: Token, clock: SetClock, registry: Registry, **service: Any) -> None:
        self.database, self.token, self.clock = database, token, clock
        if not inspect(database.engine).has_table(ekyc.store.enrolments.name):  # else the copy of a world
            for metadata in (foundation.db.audit.metadata, ekyc.store.metadata, signing.store.metadata):
                metadata.create_all(database.engine)
            with database.unit_of_work() as connection:
                foundation.db.audit.create_head(connection)
        self.vault = Vault(token)
        self.audit = AuditTrail(clock)
        self.outbox = Outbox(database, self.vault, self.audit, clock)
        self.sessions, self.staff = MemorySessions(), Staff()
        self.receipts = SoftwareReceipts(clock)
        self.ca, self.credentials, self.blobs = SmallCa(clock), MemoryCredentials(), MemoryBlobs()
        self.arguments: dict[str, Any] = {
            "database": database,
            "vault": self.vault,
            "audit": self.audit,
            "clock": clock,
            "notifier": self.outbox,
            "registry": registry,
            "relations": registry,
            "sessions": self.sessions,
            "officers": self.staff,
            "factors": token,
            "keys": token,
            "custody": TableCustody(database, clock),
            "issuer": self.ca,
            "credentials": self.credentials,
            "blobs": self.blobs,
            "authority": SoftwareAuthority(),
            "receipt_authority": self.receipts,
            "card_printer": PdfCards(),
            **service,
        }
        self.service = EkycService(**self.arguments)

    def restarted(self, **service: Any) -> EkycService:
        """The service as after a restart: another object over the same database and token."""
        return EkycService(**{**self.arguments, **service})

    def client(self) -> TestClient:
        """The room's endpoints, with failures as problem documents."""
        app = FastAPI()
        problems.install(app)
        guard = Guard(self.sessions, "http://testserver")
        app.include_router(create_router(self.service, guard))
        app.include_router(create_authenticator_router(self.service, guard))
        app.include_router(create_renewal_router(self.service.renewals, guard))
        app.include_router(create_correction_router(self.service.corrections, self.service.correction_reviews, guard))
        app.include_router(create_appeal_router(self.service.appeals, guard))
        app.include_router(create_reinstatement_router(self.service.reinstatements, guard))
        app.include_router(create_guardian_router(self.service.guardians, guard))
        app.include_router(create_vouch_router(self.service.vouching, self.service.commune, guard))
        app.include_router(create_packet_router(self.service.packets, guard))
        app.include_router(create_receipt_router(self.service, guard))
        app.include_router(create_without_phone_router(self.service, guard))
        app.include_router(create_recall_router(self.service.recalls, guard))
        app.include_router(create_evidence_router(self.service, guard))
        app.include_router(create_chip_trust_router(self.service, guard))
        app.include_router(create_lost_documents_router(self.service, guard))
        return TestClient(app)

    def code(self, person_id: str) -> str:
        """The code in the newest message to a person."""
        return self.outbox.read(OPERATOR, person_id)[0].params["code"]

    # --- a person who goes through the steps ---

    def start(self, level: str = "IAL2") -> tuple[Actor, Enrolment]:
        enrolment = self.service.enrolment.start(level, "en").enrolment
        return Actor(ActorKind.PERSON, enrolment.person_id), enrolment

    def accept(self) -> Acceptance:
        terms = self.service.enrolment.terms
        return Acceptance(terms.purpose, terms.consent_version, terms.agreement_version, terms.agreement_digest)

    def submit(self, actor: Actor, enrolment_id: str, person: Specimen) -> Enrolment:
        return self.service.document.submit(
            actor, enrolment_id, person.card(), person.surname_km, person.given_names_km
        )

    def review(
        self,
        enrolment_id: str,
        verdict: Verdict = Verdict.BIND,
        method: Method = Method.REMOTE_VIDEO,
        reason: str = "person-is-holder",
        officer: Actor = OFFICER,
    ) -> Enrolment:
        case = self.service.review.show(officer, enrolment_id)
        return self.decide(officer, enrolment_id, verdict, method, reason, case.evidence_digest)

    def decide(
        self, officer: Actor, enrolment_id: str, verdict: Verdict, method: Method, reason: str, seen: str
    ) -> Enrolment:
        """The verdict, signed with the officer's key."""
        said = review_statement.statement(enrolment_id, seen, verdict.value, method.value, reason)
        signature = review_statement.sign(self.staff.keys[officer.id], said)
        return self.service.review.decide(officer, enrolment_id, verdict, method, reason, seen, signature)

    def approve(self, enrolment_id: str) -> Enrolment:
        """The officer whose turn it is sees the person; a second one confirms it where the level asks for one."""
        turn = self.service.review.assignments.turn_of(self.state(enrolment_id))
        officer = Actor(ActorKind.OFFICER, str(turn), OFFICER.roles)
        moved = self.review(enrolment_id, method=Method.IN_PERSON, officer=officer)
        return self.second(enrolment_id) if moved.state is State.REVIEW_2 else moved

    def second(self, enrolment_id: str, method: Method = Method.RECORD) -> Enrolment:
        """Another officer, whoever's turn it is, confirms it on the record of the first."""
        turn = self.service.review.assignments.turn_of(self.state(enrolment_id))
        assert turn is not None
        officer = Actor(ActorKind.OFFICER, turn, OFFICER.roles)
        return self.review(enrolment_id, method=method, reason="evidence-agrees", officer=officer)

    def until(
        self, state: State, person: Specimen | str = "adult", level: str = "IAL2", phone: str = PHONE
    ) -> tuple[Actor, str]:
        """A person who went as far as ``state``; gives actor and enrolment id."""
        one = specimens()[person] if isinstance(person, str) else person
        actor, enrolment = self.start(level)
        service, name = self.service, enrolment.id
        steps: Sequence[tuple[State, Any]] = (
            (State.CONSENTED, lambda: service.enrolment.consent(actor, name, self.accept())),
            (State.CONTACT_VERIFIED, lambda: self.prove_contact(actor, name, phone)),
            (State.DOCUMENT_VALIDATED, lambda: self.submit(actor, name, one)),
            (State.REGISTRY_MATCHED, lambda: service.registry.match(actor, name)),
            (State.APPROVED, lambda: self.approve(name)),
            (State.FACTOR_BOUND, lambda: self.bind_factors(actor, name)),
            (State.ACTIVATED, lambda: service.issuance.certificate(actor, name)),
        )
        if state is State.DRAFT:
            return actor, name
        for reached, step in steps:
            moved = step()
            assert moved.state is reached
            if reached is state:
                return actor, name
        raise AssertionError(f"no way to {state}")

    def prove_contact(self, actor: Actor, enrolment_id: str, phone: str = PHONE) -> Enrolment:
        self.service.contact.send(actor, enrolment_id, Channel.SMS, phone)
        return self.service.contact.verify(actor, enrolment_id, self.code(actor.id), shared=True)

    def bind_factors(self, actor: Actor, enrolment_id: str) -> Enrolment:
        uri = self.service.issuance.enrol_factors(actor, enrolment_id, PIN)
        code = pyotp.parse_uri(uri).now()  # type: ignore[union-attr]
        return self.service.issuance.confirm_factors(actor, enrolment_id, code)

    def key_of(self, person_id: str) -> KeyInfo:
        """A new key of a person in the token."""
        return self.token.generate_wrapped(person_id, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN).info

    def state(self, enrolment_id: str) -> Enrolment:
        with self.database.read() as connection:
            return ekyc.store.load(connection, enrolment_id)
