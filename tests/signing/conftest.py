"""A signing service on real parts: the emulated HSM, a database, a folder of blobs, and a specimen PKI."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import Connection

from foundation.blobs import LocalBlobs
from foundation.clock import SetClock
from foundation.db import audit
from foundation.db.engine import Database
from foundation.errors import CamTrustError
from foundation.http.actor import Actor, ActorKind
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from foundation.use_record import Act
from foundation.vault import Vault
from signing import store
from signing.config import SigningConfig
from signing.custody import Custody
from signing.history import History
from signing.model import Credential
from signing.ports import Hold, Standing
from signing.service import SigningService
from signing.sign.ades import AdesSigner
from signing.sign.documents import DocumentSigner
from signing.sign.extend import Extender
from signing.sign.pades import PadesSigner, Stamps
from tests.phone import Phone
from tests.signing.specimen_pki import SpecimenPki

PIN = "482913"


class NobodyHeld:
    """`signing.ports.Restraints`: who is held is enrolment's to say (tests/ekyc, tests/story)."""

    def held(self, owner: str) -> Hold | None:  # noqa: ARG002
        return None


class Person:
    """A specimen person with a key, a credential and both factors. Each code is of a later step than the one before."""

    def __init__(self, desk: Desk, keys: Any) -> None:
        self.owner = f"specimen-{secrets.token_hex(8)}"
        self.actor = Actor(ActorKind.PERSON, self.owner)
        self._phone = Phone(keys.enrol(self.owner, PIN).provisioning_uri, lasting=15)
        keys.confirm(self.owner, self.code())
        made = keys.generate_wrapped(self.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
        with desk.database.unit_of_work() as connection:
            desk.service.keep_key(connection, made)
        self.key = made.info
        self.signatory = replace(desk.pki.signatory(self.key), wrapped=made.wrapped)
        self.credential: Credential = desk.service.register_credential(
            "system:test", self.owner, self.key.key_id, self.signatory.certificate, self.signatory.chain
        )

    def code(self, lasting: float | None = None) -> str:
        """The next code; ``lasting``: for how many seconds at least it is good."""
        return self._phone.code(lasting)


@dataclass
class KeptUses:
    """Stands in for the log and the notifier: keeps what they were given. The tests of the story have the real ones."""

    recorded: list[tuple[bytes, str]] = field(default_factory=list)
    told: list[tuple[str, Act, int]] = field(default_factory=list)
    failing: CamTrustError | None = None

    def record(self, _connection: Connection, digest: bytes, subject: str) -> None:
        if self.failing:
            raise self.failing
        self.recorded.append((digest, subject))

    def proof(self, digest: bytes) -> bytes:
        assert digest in [one for one, _ in self.recorded]
        return b"proof of " + digest.hex().encode()

    def verifier_key(self) -> str:
        return "log+00000000+AAAA"

    def tell(self, _connection: Connection, owner: str, act: Act, count: int, _last: datetime) -> None:
        if self.failing:
            raise self.failing
        self.told.append((owner, act, count))


@dataclass
class BooksOfTheCa:
    """The CA's books, with what was put on hold."""

    held: list[x509.Certificate] = field(default_factory=list)

    def of(self, certificate: x509.Certificate) -> Standing:
        return Standing.SUSPENDED if certificate in self.held else Standing.GOOD

    def suspend(self, certificate: x509.Certificate, _by: str) -> None:
        self.held.append(certificate)


@dataclass
class Desk:
    """A signing service and what is behind it."""

    service: SigningService
    pades: PadesSigner
    signer: DocumentSigner
    custody: Custody
    pki: SpecimenPki
    database: Database
    trail: audit.AuditTrail
    clock: SetClock
    folder: Path
    keys: Any
    uses: KeptUses
    standing: BooksOfTheCa

    def person(self) -> Person:
        return Person(self, self.keys)

    def blobs(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def actions(self) -> list[str]:
        with self.database.read() as connection:
            return [row.action for row in connection.execute(audit.events.select().order_by(audit.events.c.sequence))]


@pytest.fixture
def open_desk(clock: SetClock, tmp_path: Path) -> Callable[..., Desk]:
    """Makes a desk on a database and a token."""

    def make(database: Database, keys: Any, config: SigningConfig | None = None) -> Desk:
        config = config or SigningConfig(mark="SPECIMEN", location="Phnom Penh")
        store.metadata.create_all(database.engine)
        audit.metadata.create_all(database.engine)
        with database.unit_of_work() as connection:
            audit.create_head(connection)
        pki, random, trail = SpecimenPki(clock), SystemRandomness(), audit.AuditTrail(clock)
        stamps = Stamps(Path(str(files("camtrust") / "fonts")), "https://trust.specimen.invalid/verify")
        pades = PadesSigner(
            keys,
            pki.timestamps,
            pki.status,
            clock,
            random,
            config.text,
            config.maximum_document_bytes,
            stamps=stamps,
        )
        ades = AdesSigner(keys, pki.timestamps, pki.status, clock, config.maximum_document_bytes)
        extender = Extender(pades, pki.timestamps, pki.status, clock)
        signer = DocumentSigner(keys, pades, ades)
        custody = Custody(Vault(keys), LocalBlobs(tmp_path / "blobs"))
        uses, standing = KeptUses(), BooksOfTheCa()
        history = History(database, Vault(keys), clock, random, uses, uses)
        service = SigningService(
            database,
            trail,
            clock,
            random,
            config,
            keys,
            keys,
            signer,
            custody,
            extender,
            standing,
            history,
            NobodyHeld(),
        )
        folder = tmp_path / "blobs"
        return Desk(service, pades, signer, custody, pki, database, trail, clock, folder, keys, uses, standing)

    return make


@pytest.fixture
def desk(open_desk: Callable[..., Desk], sqlite_database: Database, token: Any) -> Desk:
    """A desk on SQLite."""
    return open_desk(sqlite_database, token)


@pytest.fixture
def both_desks(open_desk: Callable[..., Desk], database: Database, token: Any) -> Desk:
    """A desk, once on SQLite and once on PostgreSQL."""
    return open_desk(database, token)
