"""Timestamps: the clock behind them, the unit that follows, what is written down, and a client in another language."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import rfc3161_client as client
from asn1crypto import cms, tsp
from cryptography import x509
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from foundation.http.problems import install
from foundation.log_proof import EntryKind, InclusionProof, check_entry, name_digest
from foundation.merkle import Frontier, leaf_hash, verify_inclusion
from foundation.randomness import SystemRandomness
from foundation.signed_note import Checkpoint, read_note
from foundation.time_source import AssumedTime, KernelTime, TimeHealth
from issuing_ca import log_store, timestamp_journal
from issuing_ca.asgi import TimestampEndpoint
from issuing_ca.errors import ClockUntrusted, LogEntryPending
from issuing_ca.log import IssuanceLog
from issuing_ca.log_api import create_timestamp_proof_router
from issuing_ca.model import Reason
from issuing_ca.revocation_heads import RevocationHeads
from issuing_ca.timestamp_journal import ClosedHour, TimestampJournal
from issuing_ca.timestamp_message import encoded_accuracy
from issuing_ca.timestamps import TimestampService
from tests.ca.asgi_call import call
from tests.ca.ca_world import OPERATOR, World
from tests.ca.log_world import with_log

DIGEST = hashlib.sha256(b"a document").digest()


class SetHealth:
    """A time source that says what a test tells it to."""

    def __init__(self) -> None:
        self.said = TimeHealth(True, timedelta(milliseconds=3, microseconds=200))

    def health(self) -> TimeHealth:
        return self.said


def service(world: World, source: SetHealth | AssumedTime, journal: TimestampJournal | None = None) -> TimestampService:
    return TimestampService(
        world.ca.authorities, world.ca.units, world.clock, SystemRandomness(), world.ca.settings, source, journal
    )


def info(token: bytes) -> tsp.TSTInfo:
    return cms.ContentInfo.load(token, strict=True)["content"]["encap_content_info"]["content"].parsed


def test_no_timestamp_while_the_clock_cannot_be_trusted(small_world: World) -> None:
    """Not synchronised, or off by more than is promised: timeNotAvailable, until it is right again."""
    world, source = small_world, SetHealth()
    stamps = service(world, source)
    assert info(stamps.token(DIGEST, "sha256"))["accuracy"].native == {"seconds": None, "millis": 4, "micros": None}
    for wrong in (TimeHealth(False, timedelta(0)), TimeHealth(True, timedelta(seconds=1, microseconds=1))):
        source.said = wrong
        world.clock.advance(timedelta(seconds=1))  # it is asked once a second
        with pytest.raises(ClockUntrusted):
            stamps.token(DIGEST, "sha256")
        asked = tsp.TimeStampReq(
            {"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": DIGEST}}
        )
        said = tsp.PKIStatusInfo.load(stamps.timestamp(asked.dump())[2:], strict=False)
        assert said["fail_info"].native == {"time_not_available"}
    source.said = TimeHealth(True, timedelta(seconds=1))
    world.clock.advance(timedelta(seconds=1))
    assert info(stamps.token(DIGEST, "sha256"))["accuracy"].native["seconds"] == 1


@given(st.integers(0, 60 * 10**6))
def test_accuracy_is_rounded_up_and_der(micros: int) -> None:
    """Never less than what was measured, less than a millisecond more, and the octets of a second encoder."""
    given_error = timedelta(microseconds=micros)
    parsed = tsp.Accuracy.load(encoded_accuracy(given_error), strict=True)
    told = timedelta(seconds=parsed["seconds"].native or 0, milliseconds=parsed["millis"].native or 0)
    assert given_error <= told <= given_error + timedelta(milliseconds=1)
    again = {name: value for name, value in parsed.native.items() if value is not None}
    assert tsp.Accuracy(again).dump() == encoded_accuracy(given_error)


def test_the_kernel_is_asked() -> None:
    """Whatever this machine says: an error where it was measured; and with 16 s and more it is not synchronised."""
    health = KernelTime().health()
    assert health.error is not None
    assert health.error >= timedelta(0)
    if health.error >= timedelta(seconds=16):
        assert not health.synchronised


def test_serial_numbers_are_unique_over_processes_and_restarts(small_world: World) -> None:
    """Four services at once and one after a restart: no serial number twice."""
    world = small_world
    services = [service(world, AssumedTime()) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda at: services[at % 4].token(DIGEST, "sha256"), range(120)))
    tokens += [world.again().timestamps.token(DIGEST, "sha256") for _ in range(20)]
    serials = {info(token)["serial_number"].native for token in tokens}
    assert len(serials) == 140
    assert all(0 < serial < 1 << 160 for serial in serials)


def test_the_next_unit_is_announced_before_it_works(world: World) -> None:
    """Published for tsa_announce while the old one signs; then it takes over everywhere; a revocation hurries."""
    first = world.ca.timestamps.certificate()
    app = TimestampEndpoint(world.ca.timestamps)
    assert len(pems(call(app, "GET", "/tsa/certificates")[2])) == 2  # the unit and its CA
    world.clock.advance(first.not_valid_after_utc - world.clock.now() - world.ca.settings.tsa_renew_before)
    published = pems(call(app, "GET", "/tsa/certificates")[2])
    assert published[0] == first
    assert len(published) == 3
    second = published[1]
    assert second.public_key() != first.public_key()
    for one in (world.ca, world.again()):
        assert one.timestamps.certificate() == first
    world.clock.advance(world.ca.settings.tsa_announce - timedelta(hours=1))
    assert world.ca.timestamps.certificate() == first
    world.clock.advance(timedelta(hours=1, minutes=11))
    for one in (world.ca, world.again()):
        assert one.timestamps.certificate() == second
    assert pems(call(app, "GET", "/tsa/certificates")[2])[0] == second
    # a unit that is revoked before its successor was announced for long enough: there is no other choice
    world.clock.advance(second.not_valid_after_utc - world.clock.now() - world.ca.settings.tsa_renew_before)
    third = pems(call(app, "GET", "/tsa/certificates")[2])[1]
    world.ca.revoke(f"{second.serial_number:x}", Reason.KEY_COMPROMISE, OPERATOR)
    world.ca.timestamps.token(DIGEST, "sha256")
    assert world.ca.timestamps.certificate() == third
    assert call(app, "POST", "/tsa/certificates")[0] == 405


def pems(data: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(data)


# --- what is written down -----------------------------------------------------------------------------------------


def journal_of(world: World, log: IssuanceLog) -> TimestampJournal:
    return TimestampJournal(world.folder / "timestamps", world.database, world.ca.authorities, log)


def test_an_hour_s_root_is_in_the_log_and_every_token_under_it(world: World) -> None:
    """Two processes' tokens of one hour; after it the roots are entries of the log, once; each token has its leaf."""
    logged = with_log(world)
    hour = world.clock.now().replace(minute=0, second=0)
    world.clock.set(hour + timedelta(minutes=59))
    journals = [journal_of(world, logged.log) for _ in range(2)]
    services = [service(world, AssumedTime(), journal) for journal in journals]
    tokens = [[one.token(DIGEST, "sha256") for _ in range(5)] for one in services]
    assert journals[0].close_hours(world.clock.now()) == ()
    world.clock.set(hour + timedelta(hours=1, seconds=30))
    assert journals[0].close_hours(world.clock.now()) == ()  # somebody may still be writing
    world.clock.set(hour + timedelta(hours=1, minutes=1))
    closed = journals[0].close_hours(world.clock.now())
    assert journals[1].close_hours(world.clock.now()) == ()
    roots = set()
    for given_out in tokens:
        frontier = Frontier()
        for token in given_out:
            frontier.append(leaf_hash(hashlib.sha256(token).digest()))
        roots.add(frontier.root)
    assert {one.root for one in closed} == roots
    assert {one.size for one in closed} == {5}
    for one in closed:
        proof = logged.log.inclusion(hashlib.sha256(one.statement).digest())
        assert proof.opening.kind is EntryKind.TIMESTAMPS
        checkpoint = Checkpoint.parse(read_note(proof.checkpoint).text)
        leaf = leaf_hash(proof.opening.commitment)
        assert verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        statement = next(world.folder.glob(f"timestamps/*{one.part}.json"))
        assert json.loads(statement.read_bytes())["root"] == one.root.hex()


def test_every_token_has_a_proof_under_its_hour(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over blocks, of two processes: the path leads to the root of the statement, which is in the log. Another hour,
    another token, an hour that is still open: none."""
    monkeypatch.setattr(timestamp_journal, "_BLOCK", 4)
    world, logged = small_world, with_log(small_world)
    at = world.clock.now().replace(minute=0, second=0, microsecond=0)
    journals = [journal_of(world, logged.log) for _ in range(2)]
    tokens = [[f"SPECIMEN {size} {number}".encode() for number in range(size)] for size in (11, 1)]
    given = [[hashlib.sha256(token).digest() for token in some] for some in tokens]
    for journal, some in zip(journals, tokens, strict=True):
        for token in some:
            journal.add(token, at)
    with pytest.raises(LogEntryPending):
        journals[0].proof(given[0][0], at)
    world.clock.set(at + timedelta(hours=1, minutes=2))
    journals[0].close_hours(world.clock.now())
    app = FastAPI()
    install(app)
    app.include_router(create_timestamp_proof_router(journals[1]))
    with TestClient(app, raise_server_exceptions=False) as http:
        for digest in (*given[0], *given[1]):
            said = http.get(f"/log/timestamps/{at:%Y%m%dT%H}/{digest.hex()}").json()
            statement = json.loads(said["statement"])
            path, root = [bytes.fromhex(one) for one in said["hashes"]], bytes.fromhex(statement["root"])
            assert verify_inclusion(leaf_hash(digest), said["index"], statement["size"], path, root)
            proof = InclusionProof.parse(said["proof"].encode())
            subject = name_digest(world.ca.authorities.get("tsa").certificate.subject)
            what = hashlib.sha256(said["statement"].encode()).digest()
            assert check_entry(proof, logged.log.verifier_key(), EntryKind.TIMESTAMPS, what, subject) == ()
        known = given[0][0].hex()
        for place, status in (
            (f"{at + timedelta(hours=1):%Y%m%dT%H}/{known}", 404),
            (f"{at:%Y%m%dT%H}/{'0' * 64}", 404),
            (f"20269999T99/{known}", 404),
            (f"x/{known}", 422),
        ):
            assert http.get(f"/log/timestamps/{place}").status_code == status


def test_what_a_killed_process_left_is_closed_by_the_next(small_world: World) -> None:
    """Half a digest at the end is none; a crash between the log and the renaming records nothing twice."""
    world = small_world
    logged = with_log(world)
    stamps = service(world, AssumedTime(), journal_of(world, logged.log))
    tokens = [stamps.token(DIGEST, "sha256") for _ in range(3)]
    file = next(world.folder.glob("timestamps/*.digests"))
    file.write_bytes(file.read_bytes() + b"half")
    world.clock.advance(timedelta(hours=2))
    closed = journal_of(world, logged.log).close_hours(world.clock.now())
    assert [one.size for one in closed] == [len(tokens)]
    done = next(world.folder.glob("timestamps/*.closed"))
    done.rename(done.with_suffix(".digests"))  # as if it had died before the renaming
    assert journal_of(world, logged.log).close_hours(world.clock.now()) == closed
    with world.database.read() as connection:
        entry = log_store.entry_of(connection, hashlib.sha256(closed[0].statement).digest(), EntryKind.TIMESTAMPS)
    assert entry is not None
    assert logged.log.integrate() >= 1


def test_no_token_without_its_line(small_world: World) -> None:
    """A journal that cannot be written gives no timestamp."""
    world = small_world
    logged = with_log(world)
    (world.folder / "timestamps").write_bytes(b"not a folder")
    stamps = service(world, AssumedTime(), journal_of(world, logged.log))
    with pytest.raises(OSError, match="timestamps"):
        stamps.token(DIGEST, "sha256")
    asked = client.TimestampRequestBuilder().data(b"x").build().as_bytes()
    assert b"\x02\x01\x02" in stamps.timestamp(asked)[:8]  # PKIStatus rejection


def test_statements_are_canonical(small_world: World) -> None:
    """The octets whose digest is in the log."""
    hour = small_world.clock.now().replace(year=2026, month=11, day=26, hour=9)
    one = ClosedHour(hour, "ab", 2, bytes(32))
    assert one.statement == (
        b'{"form":"camtrust.ca.timestamps/v1","hour":"2026-11-26T09Z","part":"ab","root":"'
        + b"00" * 32
        + b'","size":2}'
    )


def test_heads_of_revocation_trees_are_in_the_log(world: World) -> None:
    """The newest head of an authority, with a proof; again nothing is recorded; after a revocation there is another."""
    logged = with_log(world)
    heads = RevocationHeads(world.database, world.ca.authorities, logged.log)
    seen = set()
    for size in range(3):
        published = heads.newest("issuing")
        told = json.loads(published.statement)
        assert (told["authority"], told["size"]) == ("issuing", size)
        assert published.proof.opening.kind is EntryKind.REVOCATIONS
        assert published.proof.opening.digest == hashlib.sha256(published.statement).digest()
        seen.add(published.statement)
        assert heads.publish() == 0
        world.ca.revoke(world.citizen().serial, Reason.SUPERSEDED, OPERATOR)
    assert len(seen) == 3


# --- a client in another language ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [client.HashAlgorithm.SHA256, client.HashAlgorithm.SHA512])
@pytest.mark.parametrize("nonce", [True, False])
def test_rfc3161_client_verifies(world: World, algorithm: client.HashAlgorithm, nonce: bool) -> None:
    """The strict client of Trail of Bits (Rust) builds the request, and verifies the answer to our root."""
    message = b"a document of the ministry"
    builder = client.TimestampRequestBuilder().data(message).hash_algorithm(algorithm).cert_request(cert_request=True)
    asked = builder.nonce(nonce=nonce).build()
    response = client.decode_timestamp_response(world.ca.timestamps.timestamp(asked.as_bytes()))
    unit, authority = world.ca.timestamps.certificate(), world.ca.authorities.get("tsa").certificate
    verifier = (
        client.VerifierBuilder.from_request(asked)
        .tsa_certificate(unit)
        .add_intermediate_certificate(authority)
        .add_root_certificate(world.root.certificate)
        .policy_id(x509.ObjectIdentifier("2.999.116.2.2"))
        .build()
    )
    assert verifier.verify_message(response, message)
    with pytest.raises(client.VerificationError):
        verifier.verify_message(response, message + b"!")


@given(cut=st.integers(0, 80), at=st.integers(0, 70), value=st.binary(max_size=4))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_request_makes_an_exception(small_world: World, cut: int, at: int, value: bytes) -> None:
    """Octets replaced, inserted and cut off: HTTP 200 with a TimeStampResp, never an internal failure."""
    app = TimestampEndpoint(small_world.ca.timestamps)
    asked = client.TimestampRequestBuilder().data(b"x").build().as_bytes()
    changed = (asked[:at] + value + asked[at + len(value) // 2 :])[:cut]
    status, _, body = call(app, "POST", "/tsa", changed)
    assert status == 200
    said = client.decode_timestamp_response(body)
    assert said.status in (0, 2)
    assert b"\x03\x05\x06\x00\x00\x00\x40" not in body  # systemFailure is bit 25
