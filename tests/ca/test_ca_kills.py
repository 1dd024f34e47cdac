"""Issuing processes killed with SIGKILL at every step, one certificate or many, on both databases.

Whatever the instant: each request has a certificate, or a serial number that is named as an orphan, or left no trace
and was never signed; nothing is half written, no serial number is used twice, log and audit chain are whole, and the
same requests are issued when they are asked for again.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select, text

from foundation.clock import SetClock, SystemClock
from foundation.db import audit
from foundation.db.engine import Database
from foundation.log_proof import EntryKind
from foundation.x509.csr import read_csr
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.process import initialise
from issuing_ca.model import CertificateRecord, CertificateRequest, CertificateState, IssuedCertificate
from issuing_ca.service import CertificateAuthority
from issuing_ca.tables import certificates, log_entries
from tests.ca.ca_world import OPERATOR, World, make_world
from tests.ca.conftest import _CHEAP
from tests.ca.killed_issuer import SUBJECT
from tests.ca.log_world import LogWorld, with_log

PIN = "specimen-user-pin"
PATIENCE = 120.0

ISSUED, SIGNING, PREPARED = CertificateState.ISSUED, CertificateState.SIGNING, CertificateState.PREPARED

# Where it is killed, and what stands afterwards: None is no trace at all.
STEPS: dict[str, CertificateState | None] = {
    "commit-1": None,  # the intents are written, and not committed
    "before signing": SIGNING,  # they are committed
    "signed": SIGNING,  # the token has signed; what it gave was not looked at
    "commit-2": SIGNING,  # the results are written, and not committed
    "after": ISSUED,  # they are committed, and nobody was told
}
TWO_STEPS: dict[str, CertificateState] = {
    "two-steps: prepared": PREPARED,  # nobody has redeemed the token
    "two-steps: before signing": SIGNING,  # the token is redeemed
    "two-steps: signed": SIGNING,
}


@dataclass
class Killing:
    """A CA that logs, its key daemon, and what the process that is killed needs of them."""

    logged: LogWorld
    url: str
    socket: Path
    folder: Path

    @property
    def world(self) -> World:
        return self.logged.world

    def command(self, point: str) -> list[str]:
        arguments = [self.url, str(self.socket), PIN, str(self.folder), point]
        return [sys.executable, "-m", "tests.ca.killed_issuer", *arguments]

    def requests(self, count: int) -> None:
        for number in range(count):
            builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
            made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
            (self.folder / f"{number}.csr").write_bytes(made.public_bytes(Encoding.DER))

    def killed(self, point: str) -> None:
        """Run it; it ends by SIGKILL and by nothing else."""
        done = subprocess.run(self.command(point), capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == -9, done.stderr.decode()[-2000:]
        self.gone()

    def gone(self) -> None:
        """PostgreSQL has noticed that its client is dead, and rolled back."""
        if self.world.database.dialect != "postgresql":
            return
        self.world.database.engine.dispose()
        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        waited = threading.Event()
        for _ in range(2000):
            with self.world.database.read() as connection:
                if connection.execute(text(others)).scalar_one() == 0:
                    return
            waited.wait(0.02)
        raise AssertionError("the killed process's connection is still there")

    def restarted(self) -> CertificateAuthority:
        """The service as it is after a restart, when what was being signed no longer can be."""
        self.world.clock.set(SystemClock().now() + timedelta(minutes=12))
        return self.world.again()

    def records(self) -> list[CertificateRecord]:
        found, after = list[CertificateRecord](), None
        while page := self.world.ca.certificates(after, 200):
            found += page
            after = page[-1].serial
        return found


@pytest.fixture
def killing(
    database: Database, database_url: str, clock: SetClock, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killing]:
    """Runs twice: on SQLite and on PostgreSQL."""
    directory = tmp_path_factory.mktemp("token") / "token"
    initialise(directory, "specimen-so-pin", PIN, costs=_CHEAP, clock=clock)
    folder = tmp_path / "requests"
    folder.mkdir()
    with Daemon(directory, clock) as daemon, HsmClient(daemon.socket_path, timeout=20) as client:
        client.login(PIN)
        world = make_world(database, clock, client, tmp_path)
        yield Killing(with_log(world), database_url, daemon.socket_path, folder)


def whole(killing: Killing) -> None:
    """Nothing is half written: each certificate is in the log and in the trail, and nothing else is."""
    world, records = killing.world, killing.records()
    issued = {one.serial for one in records if one.state is ISSUED}
    assert {one.serial for one in records if one.certificate is not None} == issued
    assert {one.serial for one in records if one.issued_at is not None} == issued
    assert world.audit.verify(world.database) > 0
    with world.database.read() as connection:
        acts = connection.execute(select(audit.events.c.action, audit.events.c.subject)).all()
        assert {act.subject for act in acts if act.action == "issuing_ca.certificate_issued"} == issued
        prepared = [act.subject for act in acts if act.action == "issuing_ca.certificate_prepared"]
        assert sorted(prepared) == sorted(one.serial for one in records)
        of_certificates = log_entries.c.kind == EntryKind.CERTIFICATE.value
        digests = set(connection.execute(select(log_entries.c.digest).where(of_certificates)).scalars())
        stored = connection.execute(select(certificates.c.certificate).where(certificates.c.certificate.is_not(None)))
        found = [x509.load_der_x509_certificate(one) for one in stored.scalars()]
    assert {bytes(one) for one in digests} == {one.fingerprint(hashes.SHA256()) for one in found}
    assert len({one.serial_number for one in found}) == len(found) == len(issued)
    assert killing.logged.log.integrate() == len(issued) == killing.logged.log.verify()


def check(killing: Killing, count: int, state: CertificateState | None) -> None:
    """What a restart finds, and that it goes on from there."""
    world, ca = killing.world, killing.restarted()
    before = killing.records()
    assert [one.state for one in before] == ([] if state is None else [state] * count)
    whole(killing)
    orphans = ca.orphans()
    assert {one.serial for one in orphans} == {one.serial for one in before if one.state is not ISSUED}
    assert all(one.signing is (state is SIGNING) for one in orphans)
    for one in orphans:
        ca.abandon(one.serial, OPERATOR)
    assert ca.orphans() == ()
    revoked = x509.load_der_x509_crl(ca.current_crl("issuing"))
    assert {format(one.serial_number, "x") for one in revoked} == {one.serial for one in orphans if one.signing}
    asked = [
        CertificateRequest("issuing", "officer", SUBJECT, read_csr(file.read_bytes()).public_key(), file.stem, "test")
        for file in sorted(killing.folder.glob("*.csr"))
    ]
    again = world.ca.issue_many(asked)
    assert all(isinstance(one, IssuedCertificate) for one in again)
    serials = {one.serial for one in again if isinstance(one, IssuedCertificate)}
    assert len(serials) == count
    assert serials.isdisjoint(one.serial for one in before)
    with world.database.read() as connection:
        total = connection.execute(select(func.count()).select_from(certificates)).scalar_one()
    assert total == len(before) + count
    assert world.audit.verify(world.database) > 0
    assert killing.logged.log.integrate() == killing.logged.log.verify()


@pytest.mark.parametrize("count", [1, 5], ids=["one", "many"])
@pytest.mark.parametrize("point", STEPS)
def test_killed_while_issuing(killing: Killing, point: str, count: int) -> None:
    """Both steps at once, as services ask for it, alone and in a batch."""
    killing.requests(count)
    killing.killed(point)
    check(killing, count, STEPS[point])


@pytest.mark.parametrize("point", TWO_STEPS)
def test_killed_between_the_two_steps(killing: Killing, point: str) -> None:
    """Prepared, and the one-use token redeemed by another call."""
    killing.requests(1)
    killing.killed(point)
    check(killing, 1, TWO_STEPS[point])


def test_killed_at_any_instant_under_load(killing: Killing) -> None:
    """Two threads issue batch after batch, and the process is killed from outside, three times, whenever it comes:
    each certificate is recorded, logged and in the trail, and the rest are orphans by name."""
    issued = 0
    for round_ in range(3):
        process = subprocess.Popen(killing.command("never"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            for _ in range(2):
                assert process.stdout.readline() == b"batch\n"
            threading.Event().wait(random.Random(round_).random() / 5)  # noqa: S311 - no secret
        finally:
            process.kill()
            process.wait(PATIENCE)
            process.stdout.close()  # type: ignore[union-attr]
        killing.gone()
        ca = killing.restarted()
        records = killing.records()
        assert {one.state for one in records} <= {ISSUED, SIGNING}
        assert len(records) % 20 == 0  # batches, whole or not at all
        whole(killing)
        assert {one.serial for one in ca.orphans()} == {one.serial for one in records if one.state is SIGNING}
        now = sum(one.state is ISSUED for one in records)
        assert now >= issued + 40  # what was told to be issued is there
        issued = now
