"""Witnesses of the log: what one of ours cosigns and refuses, and how the log asks; over HTTP, on both databases."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from cryptography.hazmat.primitives import hashes

from camtrust.home import Home
from camtrust.witnesses import own_witness, witness_application
from foundation.clock import SetClock
from foundation.keys.port import KeyStore, KeyUse, Mechanism
from foundation.log_proof import check_inclusion
from foundation.merkle import EMPTY_ROOT
from foundation.randomness import SystemRandomness
from foundation.signed_note import Checkpoint, NoteInvalid, NoteKey, read_note, read_signatures, sign_note
from issuing_ca.errors import WitnessesFail
from issuing_ca.log import KEY_LABEL, IssuanceLog
from issuing_ca.witness import Witness
from issuing_ca.witness_request import MAX_REQUEST, SIZE_TYPE, AddCheckpoint, WitnessAddress, told_size
from issuing_ca.witnessing import Witnessing
from tests.ca.ca_world import World
from tests.ca.log_world import ORIGIN, LogWorld, with_log


@pytest.fixture
def logged(world: World) -> LogWorld:
    return with_log(world)


@pytest.fixture
def small_logged(small_world: World) -> LogWorld:
    return with_log(small_world)


def witness_of(logged: LogWorld, folder: Path, keys: KeyStore, name: str = "witness.example/w1") -> Witness:
    return own_witness(Home(folder), keys, logged.world.clock, name, [logged.log.verifier_key()])


@contextmanager
def reachable(witness: Witness) -> Iterator[str]:
    """The witness on a free loopback port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(witness_application(witness), log_level="error", lifespan="off", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@dataclass
class Asked:
    """A log that knows its witnesses, and who asks them."""

    log: IssuanceLog
    asking: Witnessing


@contextmanager
def asking(logged: LogWorld, *addresses: WitnessAddress) -> Iterator[Asked]:
    world, keys = logged.world, [one.key for one in addresses]
    log = IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), ORIGIN, keys, len(keys))
    one = Witnessing(log, world.database, world.clock, addresses)
    try:
        yield Asked(log, one)
    finally:
        one.close()


def request(log: IssuanceLog, old: int) -> bytes:
    note = log.checkpoint()
    size = Checkpoint.parse(read_note(note).text).size
    return bytes(AddCheckpoint(old, log.consistency(old, size) if 0 < old < size else (), note))


# --- the witness ------------------------------------------------------------------------------------------------------


def test_a_witness_cosigns_what_has_only_grown(
    small_logged: LogWorld, tmp_path: Path, token: KeyStore, clock: SetClock
) -> None:
    """From nothing, from where it was, and the same once more; what it says verifies under its key, with its time."""
    witness = witness_of(small_logged, tmp_path, token)
    old = 0
    for count in (3, 300, 1):
        small_logged.record(count)
        answer = witness.add_checkpoint(request(small_logged.log, old))
        note = read_note(small_logged.log.checkpoint())
        (line,) = read_signatures(answer.body.decode())
        assert (answer.status, witness.key.verify(line, note.text)) == (200, True)
        assert int.from_bytes(line.signature[:8], "big") == int(clock.now().timestamp())
        old += count
    assert witness.add_checkpoint(request(small_logged.log, old)).status == 200
    again = witness_of(small_logged, tmp_path, token)  # another process: the same key, the same memory
    assert again.key == witness.key
    answer = again.add_checkpoint(request(small_logged.log, 3))
    assert (answer.status, answer.body, answer.content_type) == (409, b"304\n", SIZE_TYPE)


def test_a_witness_refuses_the_rest(small_logged: LogWorld, tmp_path: Path, token: KeyStore) -> None:
    """Another log, another signer, a shorter tree, another tree of the same size, a proof of another tree, no request:
    each by its status, and none of it moves what the witness remembers."""
    world, log = small_logged.world, small_logged.log
    witness = witness_of(small_logged, tmp_path, token)
    small_logged.record(5)
    assert witness.add_checkpoint(request(log, 0)).status == 200
    small_logged.record(4)
    good = AddCheckpoint.parse(request(log, 5))
    fork = forged(small_logged, 9, b"\x01" * 32)
    assert witness.add_checkpoint(bytes(AddCheckpoint(5, good.proof, fork))).status == 422
    assert witness.add_checkpoint(bytes(AddCheckpoint(5, (), good.checkpoint))).status == 422
    assert witness.add_checkpoint(bytes(AddCheckpoint(5, (), forged(small_logged, 5, b"\x01" * 32)))).status == 409
    assert witness.add_checkpoint(bytes(AddCheckpoint(10, (), good.checkpoint))).status == 400
    assert witness.add_checkpoint(bytes(AddCheckpoint(0, (), good.checkpoint))).body == b"5\n"
    stranger = IssuanceLog(world.database, world.keys, world.clock, SystemRandomness(), "elsewhere.example/log")
    unknown = stranger_note(stranger, small_logged)
    assert witness.add_checkpoint(bytes(AddCheckpoint(0, (), unknown))).status == 404
    unsigned = good.checkpoint.replace(b"\n9\n", b"\n8\n")
    assert witness.add_checkpoint(bytes(AddCheckpoint(5, good.proof, unsigned))).status == 403
    for octets in (
        b"",
        b"old 5\n\n",
        b"old 05\n\n" + good.checkpoint,
        b"old -1\n\nx",
        b"\xff" * 100,
        bytes(MAX_REQUEST + 1),
    ):
        assert witness.add_checkpoint(octets).status == 400
    assert witness.add_checkpoint(bytes(good)).status == 200


def test_two_processes_of_a_witness_vouch_for_one_tree(small_logged: LogWorld, tmp_path: Path, token: KeyStore) -> None:
    """Eight threads of two witnesses over one memory, with two trees: never a cosignature for both."""
    small_logged.record(6)
    good, fork = small_logged.log.checkpoint(), forged(small_logged, 6, b"\x02" * 32)
    witnesses = [witness_of(small_logged, tmp_path, token) for _ in range(2)]
    bodies = [bytes(AddCheckpoint(0, (), note)) for note in (good, fork)]
    outcomes: list[tuple[int, int]] = []

    def submit(number: int) -> None:
        outcomes.append((number % 2, witnesses[number // 4].add_checkpoint(bodies[number % 2]).status))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({which for which, status in outcomes if status == 200}) == 1


def forged(logged: LogWorld, size: int, root: bytes) -> bytes:
    """A checkpoint that the log's own key signed, of a tree that is not the log's."""
    (info,) = logged.world.keys.find(label=KEY_LABEL, use=KeyUse.LOG)
    text = Checkpoint(ORIGIN, size, root).text
    sign = lambda message: logged.world.keys.sign(info.key_id, Mechanism.EDDSA, message)  # noqa: E731
    return bytes(sign_note(text, logged.log.verifier_key(), sign))


def stranger_note(stranger: IssuanceLog, logged: LogWorld) -> bytes:
    """The same tree under another origin."""
    (info,) = logged.world.keys.find(label=KEY_LABEL, use=KeyUse.LOG)
    text = Checkpoint(stranger.origin, 0, EMPTY_ROOT).text
    sign = lambda message: logged.world.keys.sign(info.key_id, Mechanism.EDDSA, message)  # noqa: E731
    return bytes(sign_note(text, stranger.verifier_key(), sign))


# --- asking -----------------------------------------------------------------------------------------------------------


def test_proofs_carry_cosignatures(logged: LogWorld, tmp_path: Path, token: KeyStore) -> None:
    """Two witnesses are asked over HTTP, again as the log grows; a certificate's proof then meets a quorum of two."""
    one, two = (witness_of(logged, tmp_path / name, token, f"witness.example/{name}") for name in ("w1", "w2"))
    with reachable(one) as first, reachable(two) as second:
        addresses = [WitnessAddress(one.key, first), WitnessAddress(two.key, f"{second}/")]
        parsed = [WitnessAddress.parse(f"{each.key} {each.url}") for each in addresses]
        with asking(logged, *parsed) as asked:
            assert asked.asking.ask() == 2
            for _ in range(3):
                certificate = logged.world.citizen().certificate
                logged.record(40)
                assert asked.asking.ask() == 2
            key = logged.log.verifier_key()
            proof = asked.log.inclusion(certificate.fingerprint(hashes.SHA256()))
            assert check_inclusion(proof, key, certificate, [one.key, two.key], 2) == ()
            asked.asking.require_well()
            size = Checkpoint.parse(read_note(asked.log.checkpoint()).text).size
            assert [state.size for state in asked.asking.states()] == [size, size]
        with asking(logged, *parsed) as asked:  # another process, which remembers how far they were
            logged.record(1)
            assert asked.asking.ask() == 2


def test_a_witness_that_fails_stops_nothing(small_logged: LogWorld, tmp_path: Path, token: KeyStore) -> None:
    """Unreachable, false, or at odds with the log: told by name and code until it cosigns; certificates come out."""
    good, liar = (witness_of(small_logged, tmp_path / name, token, f"witness.example/{name}") for name in ("w1", "w2"))
    with reachable(good) as up, reachable(liar) as lying:
        gone = WitnessAddress(NoteKey("witness.example/w3", good.key.type, bytes(32)), "http://127.0.0.1:9")
        false = WitnessAddress(NoteKey("witness.example/w2", good.key.type, bytes(32)), lying)
        with asking(small_logged, gone, false, WitnessAddress(good.key, up)) as asked:
            small_logged.record(2)
            assert asked.asking.ask() == 1
            with pytest.raises(WitnessesFail) as told:
                asked.asking.require_well()
            assert told.value.params["witnesses"] == (
                "witness.example/w3 (WITNESS-UNREACHABLE), witness.example/w2 (WITNESS-ANSWER)"
            )
            assert small_logged.world.citizen().serial
            since = asked.asking.states()[0].failing_since
            small_logged.world.clock.advance(timedelta(minutes=5))
            assert asked.asking.ask() == 1
            assert asked.asking.states()[0].failing_since == since
        small_logged.world.clock.advance(timedelta(minutes=2))  # one that failed is left alone for a while
        with asking(small_logged, WitnessAddress(liar.key, lying)) as asked:
            assert asked.asking.ask() == 1
            asked.asking.require_well()


def test_a_log_that_was_rolled_back_or_forked_is_told(small_logged: LogWorld, tmp_path: Path, token: KeyStore) -> None:
    """The witness has seen more than the log has, or another tree: a code of its own, and no cosignature."""
    ahead, other = (
        witness_of(small_logged, tmp_path / name, token, f"witness.example/{name}") for name in ("w1", "w2")
    )
    small_logged.record(3)
    assert ahead.add_checkpoint(bytes(AddCheckpoint(0, (), forged(small_logged, 50, b"\x03" * 32)))).status == 200
    assert other.add_checkpoint(bytes(AddCheckpoint(0, (), forged(small_logged, 2, b"\x03" * 32)))).status == 200
    with reachable(ahead) as first, reachable(other) as second:
        addresses = WitnessAddress(ahead.key, first), WitnessAddress(other.key, second)
        with asking(small_logged, *addresses) as asked:
            assert asked.asking.ask() == 0
            assert [state.failure for state in asked.asking.states()] == ["WITNESS-BEHIND", "WITNESS-INCONSISTENT"]


def test_addresses_and_answers_are_read_strictly(small_logged: LogWorld) -> None:
    """A log's key is no witness's; an address is http or https; a size is told in one form."""
    key = small_logged.log.verifier_key()
    for text in (f"{key} https://witness.example", "nothing", str(key)):
        with pytest.raises(NoteInvalid):
            WitnessAddress.parse(text)
    assert told_size(SIZE_TYPE, b"17\n") == 17
    for content_type, body in (
        (SIZE_TYPE, b"017\n"),
        (SIZE_TYPE, b"17"),
        ("text/plain", b"17\n"),
        (SIZE_TYPE, b"-1\n"),
    ):
        assert told_size(content_type, body) is None
