"""A small world for the issuing CA: a root of its own, and both authorities installed."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.approval import LIFETIME, Approval
from foundation.citizen_subject import Pairs, subject_digest
from foundation.clock import SetClock
from foundation.db import audit as audit_trail
from foundation.db.engine import Database
from foundation.keys.errors import TokenUnavailable
from foundation.keys.policy import KeyPolicy
from foundation.keys.port import Attesting, KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism, WrappedKey, WrappedKeys
from foundation.randomness import SystemRandomness
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile
from issuing_ca import store
from issuing_ca.asgi import OcspEndpoint, TimestampEndpoint
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CitizenRequest, IssuedCertificate
from issuing_ca.ports import ApprovedLogin
from issuing_ca.service import CertificateAuthority
from tests.registration_authority import SoftwareAuthority

OPERATOR = "operator:specimen"
EVIDENCE = "ab" * 32
AUTHORITY = SoftwareAuthority()
_worlds = itertools.count(1)


def up(operation: str) -> None:
    """The token answers."""


def down(*operations: str) -> Callable[[str], None]:
    """The token does not answer when it is asked for these."""

    def refuse(operation: str) -> None:
        if operation in operations:
            raise TokenUnavailable

    return refuse


class Token(KeyStore, WrappedKeys, Attesting, Protocol):
    """What the CA and the persons of this world need of the emulated HSM."""


class KeysOfOneTest:
    """The shared token, seen by one test: its own labels, and a switch that takes the token away."""

    def __init__(self, token: Token, prefix: str) -> None:
        self._token = token
        self._prefix = prefix
        self.before: Callable[[str], None] = up

    def generate(
        self,
        label: str,
        algorithm: KeyAlgorithm,
        use: KeyUse,
        owner: str | None = None,
        policy: KeyPolicy | None = None,
    ) -> KeyInfo:
        self.before("generate")
        return self._token.generate(self._prefix + label, algorithm, use, owner, policy)

    def find(
        self, *, label: str | None = None, use: KeyUse | None = None, owner: str | None = None
    ) -> tuple[KeyInfo, ...]:
        self.before("find")
        return self._token.find(label=None if label is None else self._prefix + label, use=use, owner=owner)

    def get(self, key_id: str) -> KeyInfo:
        self.before("get")
        return self._token.get(key_id)

    def sign(
        self,
        key_id: str,
        mechanism: Mechanism,
        data: bytes,
        *,
        activation: bytes | None = None,
        content: bytes | None = None,
    ) -> bytes:
        self.before("sign")
        return self._token.sign(key_id, mechanism, data, activation=activation, content=content)

    def sign_many(
        self,
        key_id: str,
        mechanism: Mechanism,
        inputs: Sequence[bytes],
        *,
        activation: bytes | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> list[bytes]:
        self.before("sign")
        return self._token.sign_many(key_id, mechanism, inputs, activation=activation, contents=contents)

    def set_enabled(self, key_id: str, enabled: bool) -> None:
        self.before("set_enabled")
        self._token.set_enabled(key_id, enabled)

    def destroy(self, key_id: str) -> None:
        self._token.destroy(key_id)

    def generate_wrapped(self, owner: str, algorithm: KeyAlgorithm, use: KeyUse) -> WrappedKey:
        return self._token.generate_wrapped(owner, algorithm, use)

    def sign_wrapped(
        self, wrapped: bytes, mechanism: Mechanism, inputs: Sequence[bytes], activation: bytes
    ) -> list[bytes]:
        return self._token.sign_wrapped(wrapped, mechanism, inputs, activation=activation)

    def attest(self, key_id: str) -> bytes:
        self.before("attest")
        return self._token.attest(key_id)

    def token_key(self) -> bytes:
        return self._token.token_key()


class Root:
    """A root that signs what the tests need: CAs, the delegated responder, CRLs."""

    def __init__(self, clock: SetClock, word: str = "Root") -> None:
        self.clock = clock
        self.key = ec.generate_private_key(ec.SECP384R1())
        self.name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {word}")])
        self.certificate = self._builder(self.name, self.key.public_key(), ca=True, path_length=1).sign(
            self.key, hashes.SHA384()
        )

    def sign_ca(self, csr: bytes, path_length: int = 0) -> x509.Certificate:
        request = x509.load_pem_x509_csr(csr)
        return self._builder(request.subject, request.public_key(), ca=True, path_length=path_length).sign(
            self.key, hashes.SHA384()
        )

    def sign_responder(self, csr: bytes) -> x509.Certificate:
        request = x509.load_pem_x509_csr(csr)
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.OCSP_SIGNING])
        builder = self._builder(request.subject, request.public_key(), ca=False)
        return (
            builder.add_extension(usage, False).add_extension(x509.OCSPNoCheck(), False).sign(self.key, hashes.SHA384())
        )

    def crl(self, number: int, *revoked: x509.Certificate) -> x509.CertificateRevocationList:
        now = self.clock.now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now)
            .next_update(now + timedelta(days=300))
            .add_extension(x509.CRLNumber(number), False)
            .add_extension(x509.AuthorityKeyIdentifier(_ski(self.key.public_key()), None, None), False)
        )
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(now)
                .add_extension(x509.CRLReason(x509.ReasonFlags.ca_compromise), False)
                .build()
            )
        return builder.sign(self.key, hashes.SHA384())

    def _builder(
        self, subject: x509.Name, public_key: object, *, ca: bool, path_length: int | None = None
    ) -> x509.CertificateBuilder:
        now = self.clock.now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca, path_length), True)
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False),
                True,
            )
            .add_extension(x509.SubjectKeyIdentifier(_ski(public_key)), False)
            .add_extension(x509.AuthorityKeyIdentifier(_ski(self.key.public_key()), None, None), False)
        )


def _ski(public_key: object) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(public_key).digest  # type: ignore[arg-type]


@dataclass
class World:
    """Everything a test of the CA touches."""

    ca: CertificateAuthority
    database: Database
    clock: SetClock
    keys: KeysOfOneTest
    root: Root
    audit: audit_trail.AuditTrail
    folder: Path
    prefix: str
    wrapped: dict[str, bytes] = field(default_factory=dict)  # persons' keys by id, as signing keeps them
    _persons: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def again(self, settings: IssuingCaSettings | None = None) -> CertificateAuthority:
        """The service as another process would see it: the same database and token, nothing in memory."""
        return CertificateAuthority(
            self.database, self.keys, self.clock, SystemRandomness(), self.audit, settings or self.ca.settings
        )

    def person(self) -> CitizenRequest:
        """A specimen person with a key in the token."""
        number = next(self._persons)
        person_id = f"{self.prefix}person-{number}"
        made = self.keys.generate_wrapped(person_id, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
        info = made.info
        self.wrapped[info.key_id] = made.wrapped
        request = CitizenRequest(
            person_id=person_id,
            key_id=info.key_id,
            given_name="SPECIMEN DARA",
            surname="SPECIMEN SOK",
            khmer_name="សុខ ដារ៉ា",
            level="high",
            evidence=EVIDENCE,
            requested_by="service:ekyc",
        )
        return self.approved(request)

    def statement(self, request: CitizenRequest) -> Approval:
        """What the registration authority says about a citizen's request; each has a nonce of its own."""
        naming, now = self.ca.settings.naming, self.clock.now().replace(microsecond=0)
        subject = naming.subject(request.person_id, request.surname, request.given_name, request.khmer_name)
        return Approval(
            authority=self.ca.settings.citizens,
            profile="citizen-sign",
            person=request.person_id,
            subject=subject_digest(subject),
            public_key=hashlib.sha256(self.keys.get(request.key_id).public_key).hexdigest(),
            key_id=request.key_id,
            level=request.level,
            evidence=request.evidence,
            not_after=None,
            at=now,
            expires=now + LIFETIME,
            nonce=secrets.token_hex(32),
        )

    def approved(self, request: CitizenRequest) -> CitizenRequest:
        """The request with a new approval of its own."""
        return replace(request, approval=AUTHORITY.sign(self.statement(request)))

    def approve_login(self, person_id: str, public_key: bytes) -> ApprovedLogin | None:
        """`issuing_ca.ports.LoginApprovals`: who got a signing certificate here is an activated person."""
        issued = [one for one in self.ca.certificates(limit=200, owner=person_id) if one.profile == "citizen-sign"]
        if not issued:
            return None
        subject: Pairs = self.ca.settings.naming.subject(person_id, "SPECIMEN SOK", "SPECIMEN DARA", "សុខ ដារ៉ា")
        now = self.clock.now().replace(microsecond=0)
        statement = Approval(
            authority=self.ca.settings.citizens,
            profile="citizen-auth",
            person=person_id,
            subject=subject_digest(subject),
            public_key=hashlib.sha256(public_key).hexdigest(),
            key_id=None,
            level="high",
            evidence=EVIDENCE,
            not_after=None,
            at=now,
            expires=now + LIFETIME,
            nonce=secrets.token_hex(32),
        )
        return ApprovedLogin(subject, "high", EVIDENCE, AUTHORITY.sign(statement))

    def citizen(self) -> IssuedCertificate:
        return self.ca.issue_citizen(self.person())

    def write(self, name: str, data: bytes | x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.public_bytes(Encoding.PEM))
        return path


def make_world(
    database: Database,
    clock: SetClock,
    token: Token,
    folder: Path,
    settings: IssuingCaSettings | None = None,
    profiles: Mapping[str, Profile] | None = None,
) -> World:
    """The CA on an empty database, with both authorities under a fresh root."""
    store.metadata.create_all(database.engine)
    audit_trail.metadata.create_all(database.engine)
    with database.unit_of_work() as connection:
        audit_trail.create_head(connection)
    prefix = f"ca-test-{next(_worlds)}-"
    keys, trail = KeysOfOneTest(token, prefix), audit_trail.AuditTrail(clock)
    settings = (settings or IssuingCaSettings()).model_copy(update={"registration_authority": AUTHORITY.pins})
    ca = CertificateAuthority(database, keys, clock, SystemRandomness(), trail, settings, profiles)
    root = Root(clock)
    for name, title in (("issuing", "Issuing CA"), ("tsa", "Timestamping CA")):
        csr = ca.init(name, [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {title}")], OPERATOR)
        ca.install(name, root.sign_ca(csr), [root.certificate], OPERATOR)
    return World(ca, database, clock, keys, root, trail, folder, prefix)


def add_ca(world: World, name: str, title: str) -> None:
    """Another issuing CA under the same root."""
    request = world.ca.init(name, [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {title}")], OPERATOR)
    world.ca.install(name, world.root.sign_ca(request), [world.root.certificate], OPERATOR)


@contextmanager
def served(world: World, port: int = 0) -> Iterator[str]:
    """The hot paths on a loopback port (0: any free one), by a real server; gives its address."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    ocsp, tsa = OcspEndpoint(world.ca.kept_ocsp, world.clock), TimestampEndpoint(world.ca.timestamps)
    routes = [Route("/ocsp", ocsp), Mount("/ocsp", ocsp), Route("/tsa", tsa)]
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
