"""A copy of the token's files that is put back signs nothing: somebody outside remembers that it went further."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation.keys.attestation import Checkpoint, verify
from foundation.keys.errors import AttestationInvalid, StoreRolledBack
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation import epoch
from hsm_emulation.client import HsmClient
from hsm_emulation.store import FILE
from tests.hsm.conftest import USER_PIN, Served

DIGEST = bytes(32)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """Where the client keeps the last checkpoint: nowhere near the token."""
    return tmp_path / "witness" / "token.json"


LogIn = Callable[[Served], HsmClient]


@pytest.fixture
def log_in(witness: Path) -> Iterator[LogIn]:
    """Logs in with the witness."""
    made: list[HsmClient] = []

    def one(served: Served) -> HsmClient:
        made.append(HsmClient(served.daemon.socket_path, timeout=20, witness=witness))
        made[-1].login(USER_PIN)
        return made[-1]

    yield one
    for client in made:
        client.close()  # not logged out: some of their daemons are gone


def copy(served: Served) -> Callable[[], None]:
    """Stop the token, copy its files, start it; gives what puts the copy back."""
    served.stop()
    saved = {path: path.read_bytes() for path in served.directory.glob(f"{FILE}*")}
    served.start()

    def put_back() -> None:
        served.stop()
        for path in served.directory.glob(f"{FILE}*"):
            path.unlink()
        for path, content in saved.items():
            path.write_bytes(content)
        served.start()

    return put_back


def calls(client: HsmClient, seal: str, wrapped: bytes) -> tuple[Callable[[], object], ...]:
    """Everything that makes a signature or a key."""
    return (
        lambda: client.sign(seal, Mechanism.ECDSA, DIGEST),
        lambda: client.sign_many(seal, Mechanism.ECDSA, [DIGEST] * 2),
        lambda: client.sign_wrapped(wrapped, Mechanism.ECDSA, [DIGEST]),
        lambda: client.attest(seal),
        lambda: client.generate("another", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL),
        lambda: client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL),
    )


def test_an_old_copy_signs_nothing_until_it_is_accepted(served: Served, witness: Path, log_in: LogIn) -> None:
    """Copy the files, sign, put the copy back: it refuses, after a restart too, and to clients without a witness. What
    reads still works. Accepted, it signs, in a new epoch; and the newer store, put back then, is the one that refuses.
    """
    client = log_in(served)
    seal = client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL).key_id
    wrapped = client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL).wrapped
    put_back = copy(served)
    client = log_in(served)
    assert client.sign(seal, Mechanism.ECDSA, DIGEST)
    client.witness()
    newer = {path: path.read_bytes() for path in served.directory.glob(f"{FILE}*")}

    put_back()
    client = log_in(served)
    for call in calls(client, seal, wrapped):
        with pytest.raises(StoreRolledBack):
            call()
    served.restart()
    for who in (served.client, log_in(served)):
        for call in calls(who, seal, wrapped):
            with pytest.raises(StoreRolledBack):
                call()
        assert who.get(seal).key_id == seal
        assert who.verify_audit()
    with pytest.raises(StoreRolledBack):
        log_in(served).witness()

    token = served.daemon.token
    assert token.store.write(lambda connection: epoch.accept(connection, token.audit, "quorum")) == 2
    client = log_in(served)
    assert client.sign(seal, Mechanism.ECDSA, DIGEST)
    client.witness()
    assert verify(witness.read_bytes(), client.token_key(), Checkpoint).epoch == 2

    served.stop()
    for path in served.directory.glob(f"{FILE}*"):
        path.unlink()
    for path, content in newer.items():
        path.write_bytes(content)
    served.start()
    with pytest.raises(StoreRolledBack):
        log_in(served).sign(seal, Mechanism.ECDSA, DIGEST)


def test_without_a_witness_a_copy_is_not_noticed(served: Served) -> None:
    """What the witness is for: the token by itself cannot know."""
    seal = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL).key_id
    put_back = copy(served)
    served.client.sign(seal, Mechanism.ECDSA, DIGEST)
    put_back()
    assert served.client.sign(seal, Mechanism.ECDSA, DIGEST)


def test_another_branch_of_the_store_is_noticed(served: Served, witness: Path, log_in: LogIn) -> None:
    """A copy that went on by itself, as far as the witnessed one and further: it has as many rows, and others."""
    log_in(served)
    seal = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL).key_id
    put_back = copy(served)
    client = log_in(served)
    client.sign(seal, Mechanism.ECDSA, DIGEST)
    client.witness()
    put_back()
    for _ in range(20):
        served.client.sign(seal, Mechanism.ECDSA, bytes(48))
    with pytest.raises(StoreRolledBack):
        log_in(served).sign(seal, Mechanism.ECDSA, DIGEST)


def test_the_witness_follows_the_token(served: Served, witness: Path, log_in: LogIn) -> None:
    """Login after login, with work in between and a restart: the checkpoint goes on and is always contained."""
    sequences = []
    for _ in range(3):
        client = log_in(served)
        client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        client.witness()
        sequences.append(verify(witness.read_bytes(), client.token_key(), Checkpoint).sequence)
        served.restart()
    assert sequences == sorted(set(sequences))


def test_a_witness_of_another_token_is_not_passed_over(served: Served, witness: Path, log_in: LogIn) -> None:
    """A file that is no checkpoint of this token, or was edited: the login says so; nothing is overwritten."""
    log_in(served)
    good = witness.read_bytes()
    edited = json.loads(good)
    edited["statement"]["sequence"] = 0
    for wrong in (b"", b"{}", json.dumps(edited).encode()):
        witness.write_bytes(wrong)
        with pytest.raises(AttestationInvalid):
            log_in(served)
        assert witness.read_bytes() == wrong
    witness.write_bytes(good)
    assert log_in(served)
