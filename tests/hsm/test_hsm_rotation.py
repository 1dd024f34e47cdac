"""Rotating the master key: rows move when touched and by steps; whatever interrupts it, nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundation.keys.attestation import KeyAttestation, verify
from foundation.keys.errors import KeyDisabled, KeyStoreError, NotLoggedIn, RotationUnderWay
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism, WrappedKey
from foundation.vault import Vault
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Person, Served

DIGEST = bytes(32)
PERSONS = 12


class Filled:
    """A token with keys of every kind, and what must still work with them."""

    def __init__(self, client: HsmClient) -> None:
        self.seals = [self._seal(client, number) for number in range(3)]
        self.wrapped = [
            client.generate_wrapped(f"specimen-{number}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
            for number in range(PERSONS)
        ]
        self.sealed = [Vault(client).seal(f"specimen-{number}", "name", b"SPECIMEN") for number in range(PERSONS)]
        client.set_enabled(self.seals[0].key_id, False)
        self.token_key = client.token_key()

    @staticmethod
    def _seal(client: HsmClient, number: int) -> KeyInfo:
        owner = "specimen-0" if number == 2 else None
        return client.generate(f"seal-{number}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL, owner)

    def check(self, client: HsmClient) -> None:
        """Every key signs, every sealed value opens, what was disabled is, and the token vouches with the same key."""
        for info in self.seals[1:]:
            verify_signature(
                public_key(info), Mechanism.ECDSA, client.sign(info.key_id, Mechanism.ECDSA, DIGEST), DIGEST
            )
        with pytest.raises(KeyDisabled):
            client.sign(self.seals[0].key_id, Mechanism.ECDSA, DIGEST)
        for number, key in enumerate(self.wrapped):
            self._signs(client, key)
            assert Vault(client).open(f"specimen-{number}", "name", self.sealed[number]) == b"SPECIMEN"
        assert client.token_key() == self.token_key
        verify(client.attest(self.seals[1].key_id), self.token_key, KeyAttestation)

    @staticmethod
    def _signs(client: HsmClient, key: WrappedKey) -> None:
        (signature,) = client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST])
        verify_signature(public_key(key.info), Mechanism.ECDSA, signature, DIGEST)


def begin(served: Served) -> int:
    officer = served.connect(SO_PIN, "so")
    try:
        return officer.rotate_master()
    finally:
        officer.close()


def versions(served: Served) -> list[int]:
    return [version for (version,) in served.look("SELECT version FROM master_keys ORDER BY version")]


def test_a_rotation_from_beginning_to_end(served: Served, person: Person) -> None:
    """Begun by the SO alone, once; everything works at every stage; at the end the old version is in no file."""
    filled = Filled(served.client)
    key = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    [(old,)] = served.look("SELECT sealed FROM master_keys")
    assert served.client.rewrap_rows(5) == 0  # nothing to do
    with pytest.raises(NotLoggedIn):
        served.client.rotate_master()
    assert begin(served) == 2
    with pytest.raises(RotationUnderWay):
        begin(served)
    left = [served.client.rewrap_rows(4)]
    filled.check(served.client)
    while left[-1]:
        left.append(served.client.rewrap_rows(4))
        assert left[-1] < left[-2]
    assert versions(served) == [2]
    assert old not in served.files()
    assert served.look("SELECT COUNT(*) FROM owners WHERE master <> 2") == [(0,)]
    assert served.look("SELECT COUNT(*) FROM token_keys WHERE master <> 2") == [(0,)]
    filled.check(served.client)
    served.restart()
    filled.check(served.client)
    activation = person.activate(key.info, DIGEST)  # factors are under the person's key, which has moved
    assert served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST], activation=activation)
    assert begin(served) == 3
    served.client.verify_audit()


def test_a_person_moves_when_touched(served: Served) -> None:
    """Signing with a wrapped key moves its person's record, before any step."""
    filled = Filled(served.client)
    begin(served)
    served.client.sign_wrapped(filled.wrapped[3].wrapped, Mechanism.ECDSA, [DIGEST])
    assert served.look("SELECT owner FROM owners WHERE master = 2") == [("specimen-3",)]


def test_persons_who_are_destroyed_meanwhile_do_not_hinder(served: Served) -> None:
    """A tombstone has nothing to move."""
    Filled(served.client)
    begin(served)
    served.client.destroy_owner("specimen-3")
    while served.client.rewrap_rows(100):
        pass
    assert versions(served) == [2]


def test_a_row_under_a_destroyed_version_does_not_open(served: Served) -> None:
    """A person's row from before the rotation, put back: its master key is nowhere any more."""
    filled = Filled(served.client)
    [(sealed,)] = served.look("SELECT sealed FROM owners WHERE owner = 'specimen-1'")
    begin(served)
    while served.client.rewrap_rows(100):
        pass
    served.edit("UPDATE owners SET sealed = ?, master = 1 WHERE owner = 'specimen-1'", sealed)
    with pytest.raises(KeyStoreError, match="wrapped_key_invalid"):
        served.client.sign_wrapped(filled.wrapped[1].wrapped, Mechanism.ECDSA, [DIGEST])


def test_a_row_that_moves_while_it_is_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a row and its master key the last step of a rotation destroys that version: the row is read once more."""
    filled = Filled(served.client)
    begin(served)
    token = served.daemon.token
    real, ended = token.masters.key, []

    def rotated_first(connection: Any, version: int) -> bytes:
        if not ended:
            ended.append(version)
            while token.rotation.step(SimpleNamespace(actor="specimen"), 100):  # type: ignore[arg-type]
                pass
        return real(connection, version)

    read = token.store.read()
    monkeypatch.setattr(token.masters, "key", rotated_first)
    assert token.persons.record("specimen-1", read) is not None
    assert ended == [1]
    monkeypatch.undo()
    begin(served)
    ended.clear()
    monkeypatch.setattr(token.masters, "key", rotated_first)
    assert token.signing.checked(read, filled.seals[1].key_id) == filled.seals[1]
    assert ended == [2]


def test_killed_again_and_again_a_rotation_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL while rows move, several times; each new daemon goes on, and in the end everything has moved."""
    directory = tmp_path / "token"
    initialise(directory, SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(directory) as daemon, HsmClient(daemon.socket_path) as client:
        client.login(USER_PIN)
        filled = Filled(client)
        with HsmClient(daemon.socket_path) as officer:
            officer.login(SO_PIN, "so")
            officer.rotate_master()
    for round_ in range(4):
        with KeyDaemon.start(directory) as daemon, HsmClient(daemon.socket_path) as client:
            client.login(USER_PIN)
            filled.check(client)
            mover = threading.Thread(target=move, args=(client, 200))
            mover.start()
            time.sleep(0.004 * round_)
            os.kill(daemon.pid, signal.SIGKILL)
            mover.join()
    with KeyDaemon.start(directory) as daemon, HsmClient(daemon.socket_path) as client:
        client.login(USER_PIN)
        filled.check(client)
        while client.rewrap_rows(50):
            pass
        filled.check(client)
        client.verify_audit()


def move(client: HsmClient, times: int) -> None:
    """Row by row, until there are none or the daemon is gone."""
    with suppress(KeyStoreError):
        for _ in range(times):
            if client.rewrap_rows(1) == 0:
                return
