"""The issuance log over HTTP, and what witnesses add to its checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.testclient import TestClient

from foundation.db.engine import StaleWrite
from foundation.http.guard import Guard
from foundation.http.problems import install
from foundation.log_proof import EntryKind, InclusionProof, check_entry, check_inclusion, name_digest, subject_of
from foundation.randomness import SystemRandomness
from foundation.signed_note import NoteInvalid, NoteKey, NoteSignature, SignatureType, read_note
from issuing_ca.log import IssuanceLog
from issuing_ca.log_api import create_log_router, create_own_log_router
from issuing_ca.own_log import OwnLog
from tests.ca.ca_world import World
from tests.ca.log_world import ORIGIN, LogWorld, with_log
from tests.ca.named_actors import NamedActors, as_actor


class Witness:
    """A witness that cosigns what it is given (a real one checks consistency first)."""

    def __init__(self, name: str) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.key = NoteKey(name, SignatureType.COSIGNATURE_V1, self.private.public_key().public_bytes_raw())

    def line(self, checkpoint: bytes, at: int) -> str:
        message = f"cosignature/v1\ntime {at}\n{read_note(checkpoint).text}".encode()
        signature = at.to_bytes(8, "big") + self.private.sign(message)
        return NoteSignature(self.key.name, self.key.key_id, signature).line


@pytest.fixture
def logged(small_world: World) -> LogWorld:
    return with_log(small_world)


@pytest.fixture
def client(logged: LogWorld) -> Iterator[TestClient]:
    app = FastAPI()
    install(app)
    app.include_router(create_log_router(logged.log))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_headers(logged: LogWorld, client: TestClient) -> None:
    """The checkpoint is text that no cache keeps; tiles are octets that every cache keeps for ever."""
    logged.record(300)
    checkpoint = client.get("/log/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "no-cache"
    assert read_note(checkpoint.content).opened_by([logged.log.verifier_key()])
    sizes = {
        "0/000": 256 * 32,
        "0/001.p/44": 44 * 32,
        "1/000.p/1": 32,
        "entries/000": 256 * 34,
        "entries/001.p/44": 44 * 34,
    }
    for path, size in sizes.items():
        tile = client.get(f"/log/tile/{path}")
        assert (tile.status_code, len(tile.content)) == (200, size)
        assert tile.headers["content-type"] == "application/octet-stream"
        assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_partial_tiles_of_earlier_sizes_stay(logged: LogWorld, client: TestClient) -> None:
    """What was fetched for an earlier checkpoint can be fetched again, the same, after the log has grown."""
    logged.record(10)
    client.get("/log/checkpoint")
    before = {path: client.get(f"/log/tile/{path}").content for path in ("0/000.p/10", "entries/000.p/10")}
    logged.record(290)
    client.get("/log/checkpoint")
    for path, content in before.items():
        assert client.get(f"/log/tile/{path}").content == content
        assert client.get(f"/log/tile/{path.partition('.')[0]}").content.startswith(content)


@pytest.mark.parametrize(
    "path",
    ["0/000", "0/000.p/6", "0/001.p/1", "1/000.p/1", "63/000.p/1", "entries/000", "0/x000/000", "x", "0/000.p/0"],
)
def test_tiles_that_are_not_there(logged: LogWorld, client: TestClient, path: str) -> None:
    """Tiles beyond the checkpoint, and paths that name none, are 404 with a problem document that no cache keeps."""
    logged.record(5)
    assert client.get("/log/checkpoint").status_code == 200
    logged.record(1)  # not in a checkpoint yet
    answer = client.get(f"/log/tile/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "issuing_ca.log_tile_unknown")
    assert "immutable" not in answer.headers.get("cache-control", "")
    assert client.post("/log/checkpoint").status_code == 405


def test_a_token_that_is_away_is_said(logged: LogWorld, client: TestClient) -> None:
    """Where the tree cannot be signed, the checkpoint is 503; the tiles of the last one are still there."""
    from tests.ca.ca_world import down

    logged.record(2)
    assert client.get("/log/checkpoint").status_code == 200
    logged.record(1)
    logged.world.keys.before = down("sign", "find", "generate")
    assert client.get("/log/checkpoint").status_code == 503
    assert client.get("/log/tile/0/000.p/2").status_code == 200


def test_cosignatures_are_taken_up(logged: LogWorld) -> None:
    """A known witness's line is verified and published with the checkpoint, the newest in place of an older one; a
    stranger's is left out; the next tree starts without."""
    world, one, two, stranger = logged.world, Witness("one.example"), Witness("two.example"), Witness("no.example")
    witnesses = (one.key, two.key)
    log = IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), ORIGIN, witnesses)
    logged.record(3)
    checkpoint = log.checkpoint()
    assert log.cosign(one.line(checkpoint, 1_700_000_000)).timestamp() == 1_700_000_000
    log.cosign(stranger.line(checkpoint, 1) + two.line(checkpoint, 1_700_000_001))
    log.cosign(one.line(checkpoint, 1_700_000_002))
    note = read_note(log.checkpoint())
    assert note.opened_by([log.verifier_key(), *witnesses])
    assert len(note.signatures) == 3
    with pytest.raises(NoteInvalid):
        note.opened_by([stranger.key])
    logged.record(1)
    assert len(read_note(log.checkpoint()).signatures) == 1


def test_cosignatures_that_are_refused(logged: LogWorld) -> None:
    """A stranger's alone, a false one, one over an older tree, and octets that are no signature lines."""
    world, one = logged.world, Witness("one.example")
    log = IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), ORIGIN, (one.key,))
    with pytest.raises(StaleWrite):
        log.cosign("")
    logged.record(3)
    old = log.checkpoint()
    logged.record(1)
    checkpoint = log.checkpoint()
    false = NoteSignature(one.key.name, one.key.key_id, os.urandom(72)).line
    for lines in ("", "text\n", Witness("one.example").line(checkpoint, 1), false, one.line(old, 1)):
        with pytest.raises(NoteInvalid):
            log.cosign(lines)
    assert log.checkpoint() == checkpoint


def test_a_person_sees_what_is_logged_in_their_name(logged: LogWorld) -> None:
    """Every certificate, each with a proof that holds without the service; and one that was put under their label
    and is not known as theirs. Nobody else's, and nobody sees theirs."""
    world = logged.world
    world.ca.log = logged.log
    request = world.person()
    mine = [world.ca.issue_citizen(world.approved(request)) for _ in range(2)]
    world.citizen()
    own, mine_too = OwnLog(world.ca, logged.log), as_actor(f"person/{request.person_id}")
    app = FastAPI()
    install(app)
    app.include_router(create_own_log_router(own, logged.log, Guard(NamedActors(), "http://testserver")))
    with TestClient(app, raise_server_exceptions=False) as client:
        seen = client.get("/ca/v1/own-certificates/log", headers=mine_too).json()
        assert {entry["serial"] for entry in seen["entries"]} == {one.serial for one in mine}
        key = NoteKey.parse(seen["log_key"])
        for entry in seen["entries"]:
            certificate = x509.load_pem_x509_certificate(entry["certificate"].encode())
            assert check_inclusion(InclusionProof.parse(entry["proof"].encode()), key, certificate) == ()
            assert subject_of(certificate) == seen["subject"]
        with world.database.unit_of_work() as connection:
            logged.log.record(connection, EntryKind.CERTIFICATE, b"\x07" * 32, seen["subject"])
        stray = client.get("/ca/v1/own-certificates/log", headers=mine_too).json()["entries"][-1]
        assert (stray["digest"], stray["certificate"], stray["serial"]) == ("07" * 32, None, None)
        assert client.get("/ca/v1/own-certificates/log", headers=as_actor("person/KH-SOMEBODY")).json()["entries"] == []
        assert client.get("/ca/v1/own-certificates/log", headers=as_actor("officer", "ca-issue")).status_code == 403


def test_proofs_of_what_is_published(logged: LogWorld, client: TestClient) -> None:
    """A CRL's proof and a transcript's are anybody's; a certificate's is not given by its digest; a transcript once."""
    world = logged.world
    transcript = b'{"SPECIMEN": "transcript"}'
    digest = logged.log.record_transcript(transcript, world.root.certificate.subject)
    assert logged.log.record_transcript(transcript, world.root.certificate.subject) == digest
    answer = client.get(f"/log/proof/ceremony/{digest.hex()}")
    proof = InclusionProof.parse(answer.content)
    key, subject = logged.log.verifier_key(), name_digest(world.root.certificate.subject)
    assert check_entry(proof, key, EntryKind.CEREMONY, digest, subject) == ()
    assert [one.rule for one in check_entry(proof, key, EntryKind.CRL, digest, subject)] == ["LOG-OPENS"]
    assert [one.rule for one in check_entry(proof, key, EntryKind.CEREMONY, digest, "other")] == ["LOG-LABEL"]
    crl = x509.load_der_x509_crl(world.ca.current_crl("issuing"))
    found = client.get(f"/log/proof/crl/{crl.fingerprint(hashes.SHA256()).hex()}")
    assert check_inclusion(InclusionProof.parse(found.content), key, crl) == ()
    certificate = world.citizen().certificate.fingerprint(hashes.SHA256()).hex()
    for path, status in (
        (f"certificate/{certificate}", 404),
        (f"ceremony/{certificate}", 404),
        (f"crl/{digest.hex()}", 404),
        ("crl/xyz", 422),
    ):
        assert client.get(f"/log/proof/{path}").status_code == status
