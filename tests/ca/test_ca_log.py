"""The issuance log: what goes in stays, in order, for ever; and whoever changes that is found out."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, delete, select, update

from foundation.db.audit import Act
from foundation.db.engine import StaleWrite
from foundation.keys.errors import TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.log_proof import EntryKind, InclusionProof, check_inclusion, subject_of
from foundation.merkle import EMPTY_ROOT
from foundation.randomness import SystemRandomness
from foundation.signed_note import Checkpoint, NoteInvalid, read_note
from issuing_ca import log_store
from issuing_ca.errors import LogEntryUnknown, LogTileUnknown
from issuing_ca.log import KEY_LABEL, IssuanceLog, log_origin, name_of_log
from issuing_ca.model import CertificateState, Reason
from issuing_ca.tables import log_entries, log_head
from tests.ca.ca_world import World, down, up
from tests.ca.log_monitor import Monitor
from tests.ca.log_world import ORIGIN, LogWorld, log_served, with_log


@pytest.fixture
def logged(world: World) -> LogWorld:
    """Runs twice: on SQLite and on PostgreSQL."""
    return with_log(world)


def fingerprint(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def positions(logged: LogWorld) -> list[int | None]:
    with logged.world.database.read() as connection:
        return list(connection.execute(select(log_entries.c.position).order_by(log_entries.c.position)).scalars())


def size_of(checkpoint: bytes) -> int:
    return Checkpoint.parse(read_note(checkpoint).text).size


def test_every_certificate_and_crl_is_in_the_log(logged: LogWorld) -> None:
    """Citizens' certificates, the service's own and each CRL: proofs of all verify offline, from their octets."""
    world, log = logged.world, logged.log
    issued = [world.citizen() for _ in range(2)]
    world.ca.revoke(issued[0].serial, Reason.SUPERSEDED, "operator:specimen")
    crl = x509.load_der_x509_crl(world.ca.current_crl("issuing"))
    world.ca.ocsp.for_certificate(issued[1].certificate, issued[1].chain[0])  # makes a responder, which is logged too
    responders = [one for one in world.ca.certificates() if one.profile == "ocsp-responder"]
    certificates = [one.certificate for one in issued]
    certificates += [x509.load_der_x509_certificate(one.certificate or b"") for one in responders]
    key = log.verifier_key()
    for certificate in certificates:
        proof = log.inclusion(fingerprint(certificate))
        assert InclusionProof.parse(bytes(proof)) == proof
        assert check_inclusion(InclusionProof.parse(bytes(proof)), key, certificate) == ()
    proof = log.inclusion(hashlib.sha256(crl.public_bytes(Encoding.DER)).digest())
    assert check_inclusion(proof, key, crl) == ()
    assert proof.opening.kind is EntryKind.CRL
    assert len(responders) == 1
    assert log.verify() == len(positions(logged)) >= 4
    world.audit.verify(world.database)


def test_a_stranger_follows_the_log(logged: LogWorld) -> None:
    """A monitor written from the specifications reads all tiles over HTTP while the log grows past a tile, and finds
    every root right and everything it saw before unchanged."""
    log = logged.log
    with log_served(log) as address:
        monitor = Monitor(address, str(log.verifier_key()))
        assert monitor.watch() == []
        for more, size in ((1, 1), (254, 255), (1, 256), (1, 257), (300, 557)):
            logged.record(more)
            assert len(monitor.watch()) == size
        certificate = logged.world.citizen().certificate
        entries = monitor.watch()
        proof = log.inclusion(fingerprint(certificate))
        assert entries[proof.index] == proof.opening.commitment
        assert monitor.fetched > 20
    assert log.verify() == 558


def test_concurrent_issues_make_a_contiguous_log(logged: LogWorld) -> None:
    """Twenty issues at once, and three appenders: every certificate has one position, and none is left out."""
    world = logged.world
    persons = [world.person() for _ in range(20)]
    issued: list[x509.Certificate] = []
    failures: list[BaseException] = []
    ready, done = threading.Barrier(23), threading.Event()

    def issue(number: int) -> None:
        try:
            ready.wait(30)
            issued.append(world.ca.issue_citizen(persons[number]).certificate)
        except BaseException as failure:
            failures.append(failure)

    def append() -> None:
        try:
            log = logged.again()
            ready.wait(30)
            sizes = [0]
            while not done.is_set():
                sizes.append(log.integrate())
                done.wait(0.01)
            assert sizes == sorted(sizes)
        except BaseException as failure:
            failures.append(failure)

    issuing = [threading.Thread(target=issue, args=(number,)) for number in range(20)]
    appending = [threading.Thread(target=append) for _ in range(3)]
    for thread in (*issuing, *appending):
        thread.start()
    for thread in issuing:
        thread.join(120)
    done.set()
    for thread in appending:
        thread.join(60)
    assert not failures
    assert logged.log.integrate() == 20 == logged.log.verify()
    assert positions(logged) == list(range(20))
    proofs = [logged.log.inclusion(fingerprint(one)) for one in issued]
    assert sorted(proof.index for proof in proofs) == list(range(20))
    assert all(
        check_inclusion(proof, logged.log.verifier_key(), one) == () for proof, one in zip(proofs, issued, strict=True)
    )


def test_a_certificate_is_stored_and_recorded_or_neither(logged: LogWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log does not take it, no certificate is issued; where storing fails, nothing is recorded."""
    world = logged.world

    def fail(*_: object, **__: object) -> None:
        raise TokenUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(logged.log, "record_certificates", fail)
        with pytest.raises(TokenUnavailable):
            world.citizen()
    with monkeypatch.context() as patched:
        append = world.audit.append_many

        def ends(connection: Connection, acts: Sequence[Act]) -> None:
            if any(act.action == "issuing_ca.certificate_issued" for act in acts):
                fail()
            append(connection, acts)

        patched.setattr(world.audit, "append_many", ends)
        with pytest.raises(TokenUnavailable):
            world.citizen()
    assert {one.state for one in world.ca.certificates()} == {CertificateState.SIGNING}
    assert logged.log.integrate() == 0
    assert positions(logged) == []


def test_a_crash_while_sequencing_leaves_nothing(logged: LogWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short at each write, sequencing leaves the log as it was; the next call does it."""
    logged.record(3)
    before = logged.log.checkpoint()
    logged.record(3)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("place", "put_tiles", "grow"):
        with monkeypatch.context() as patched:
            patched.setattr(log_store, step, crash)
            with pytest.raises(KeyboardInterrupt):
                logged.log.integrate()
        with logged.world.database.read() as connection:
            assert log_store.head(connection).checkpoint == before
            assert len(log_store.waiting(connection, 10)) == 3
    assert logged.again().integrate() == 6 == logged.log.verify()


def test_no_position_is_left_empty(logged: LogWorld) -> None:
    """An entry that goes away between reading and placing makes the whole batch fail; no position stays without one."""
    logged.record(3)
    with logged.world.database.unit_of_work() as connection:
        entries = log_store.waiting(connection, 10)
        connection.execute(delete(log_entries).where(log_entries.c.entry == entries[1].entry))
        with pytest.raises(StaleWrite):
            log_store.place(connection, entries, 0)


def test_a_crash_before_signing_is_made_good(logged: LogWorld) -> None:
    """The token goes away between tree and signature: the old checkpoint stands, and the next call signs the tree."""
    logged.record(3)
    before = logged.log.checkpoint()
    logged.record(3)
    logged.world.keys.before = down("sign")
    with pytest.raises(TokenUnavailable):
        logged.log.integrate()
    placed = positions(logged)
    with logged.world.database.read() as connection:
        head = log_store.head(connection)
    assert (head.size, head.checkpoint_size, head.checkpoint) == (6, 3, before)
    with pytest.raises(LogTileUnknown):  # nothing is published that is not signed
        logged.log.tile("0/000.p/4")
    logged.world.keys.before = up
    assert size_of(logged.again().checkpoint()) == 6
    assert positions(logged) == placed == list(range(6))


def test_issuing_does_not_wait_for_the_log(logged: LogWorld) -> None:
    """While an appender holds the head, certificates are still issued on PostgreSQL; SQLite has one writer anyway."""
    if logged.world.database.dialect == "sqlite":
        assert logged.world.citizen().serial
        return
    with logged.world.database.unit_of_work() as connection:
        log_store.head(connection, lock=True)
        assert logged.world.citizen().serial
    assert logged.log.integrate() == 1


def test_nothing_of_a_person_is_published(logged: LogWorld) -> None:
    """All published octets hold neither digest, label, serial number nor name; the same again looks different."""
    world, log = logged.world, logged.log
    certificate = world.citizen().certificate
    proof = log.inclusion(fingerprint(certificate))
    published = log.checkpoint() + log.tile("0/000.p/1") + log.tile("entries/000.p/1")
    identifier = subject_of(certificate)
    number = certificate.serial_number.to_bytes(16, "big")
    for value in (fingerprint(certificate), proof.opening.label, proof.opening.blinding, identifier.encode(), number):
        assert value not in published
        assert value.hex().encode() not in published
    with world.database.unit_of_work() as connection:
        connection.execute(delete(log_entries))
        logged.again().record_certificates(connection, [(certificate.public_bytes(Encoding.DER), identifier)])
        waits = log_store.entry_of(connection, fingerprint(certificate))
    assert waits is not None
    assert waits.opening.label == proof.opening.label
    assert waits.entry != proof.opening.commitment


def test_a_person_sees_every_certificate_in_their_name(logged: LogWorld) -> None:
    """Whoever asks under their label gets each certificate of theirs, each with its proof, and no others."""
    world = logged.world
    request = world.person()
    mine = [world.ca.issue_citizen(world.approved(request)).certificate for _ in range(3)]
    other = world.citizen().certificate
    subject = world.ca.settings.naming.identifier(request.person_id)
    assert {subject_of(one) for one in mine} == {subject} != {subject_of(other)}
    proofs = logged.log.of_subject(subject)
    assert {proof.opening.digest for proof in proofs} == {fingerprint(one) for one in mine}
    assert [proof.index for proof in proofs] == sorted(proof.index for proof in proofs)
    assert logged.log.of_subject("nobody") == ()
    with pytest.raises(LogEntryUnknown):
        logged.log.inclusion(os.urandom(32))


def test_the_empty_log_has_a_checkpoint(logged: LogWorld) -> None:
    """A new log signs the empty tree, under the origin that its address gives."""
    text = read_note(logged.log.checkpoint()).text
    assert Checkpoint.parse(text) == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert logged.log.verify() == 0
    assert log_origin("http://127.0.0.1:8440") == "127.0.0.1:8440/log"
    assert log_origin("https://pki.example/trust/") == "pki.example/trust/log"


def test_the_log_keeps_its_name(logged: LogWorld) -> None:
    """Served at another address, it goes on under the name that it has published; what is stored is not trusted."""
    world = logged.world
    assert name_of_log(world.database, "https://elsewhere.example") == "elsewhere.example/log"
    logged.log.checkpoint()
    world.citizen()
    name = name_of_log(world.database, "https://elsewhere.example")
    assert name == ORIGIN
    moved = IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), name)
    assert Checkpoint.parse(read_note(moved.checkpoint()).text).origin == ORIGIN
    assert moved.verify() > 0
    with world.database.unit_of_work() as connection:
        stored = log_store.head(connection).checkpoint or b""
        connection.execute(update(log_head).values(checkpoint=stored.replace(ORIGIN.encode(), b"x")))
    renamed = name_of_log(world.database, "https://elsewhere.example")
    with pytest.raises(NoteInvalid):
        IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), renamed).verify()
    with world.database.unit_of_work() as connection:
        connection.execute(update(log_head).values(checkpoint=b"no note"))
    assert name_of_log(world.database, "https://elsewhere.example") == "elsewhere.example/log"


def test_the_log_key_stays(logged: LogWorld) -> None:
    """The key is made in the token once, for this use alone, and every process finds the same."""
    key = logged.log.verifier_key()
    assert logged.again().verifier_key() == key
    info = logged.world.keys.find(label=KEY_LABEL, use=KeyUse.LOG)
    assert [one.algorithm for one in info] == [KeyAlgorithm.ED25519]


def test_older_checkpoints_never_come_back(logged: LogWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is late with its signature does not replace a newer checkpoint."""
    logged.record(1)
    late, sizes = logged.again(), []
    sign = logged.world.keys.sign

    def slow(*given: object, **more: object) -> bytes:
        monkeypatch.undo()
        logged.record(2)
        sizes.append(logged.log.integrate())
        return sign(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(logged.world.keys, "sign", slow)
    assert late.integrate() == 3
    assert sizes == [3]
    assert size_of(logged.log.checkpoint()) == 3
    with logged.world.database.unit_of_work() as connection, pytest.raises(StaleWrite):
        log_store.publish(connection, b"", 3)


def test_logs_of_two_processes_are_one(logged: LogWorld) -> None:
    """What one records another sequences and a third proves."""
    digests = logged.record(2)
    assert logged.again().integrate() == 2
    third: IssuanceLog = logged.again()
    assert [third.inclusion(one).opening.digest for one in digests] == digests
