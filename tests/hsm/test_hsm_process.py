"""The daemon as a process of its own: killed, restarted, orphaned, forked around."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyotp
import pytest

from foundation.clock import SystemClock
from foundation.keys.errors import (
    ActivationInvalid,
    CodeUsed,
    TokenInUse,
    TokenNotInitialised,
    TokenPinIncorrect,
    TokenPinLocked,
    TokenUnavailable,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from foundation.vault import Vault
from hsm_emulation.client import HsmClient
from hsm_emulation.lockout import FREE_TRIES
from hsm_emulation.process import KeyDaemon, initialise
from tests.hsm.conftest import CHEAP, PERSON_PIN, SO_PIN, USER_PIN

SIGN = Mechanism.ECDSA_SHA256


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An initialised token."""
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    return tmp_path / "token"


@pytest.fixture
def daemon(directory: Path) -> Iterator[KeyDaemon]:
    """It, served by a child process."""
    with KeyDaemon.start(directory) as one:
        yield one


def logged_in(daemon: KeyDaemon) -> HsmClient:
    client = HsmClient(daemon.socket_path)
    client.login(USER_PIN)
    return client


def eventually(true: Callable[[], bool]) -> bool:
    """Look for up to a minute."""
    for _ in range(1200):
        if true():
            return True
        time.sleep(0.05)
    return False


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_killed_daemon_loses_nothing_that_was_committed(directory: Path, daemon: KeyDaemon) -> None:
    """SIGKILL: clients hear TokenUnavailable; a new daemon has keys, sealed data, factors and what was used up."""
    client = logged_in(daemon)
    key = client.generate("citizen", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, "specimen")
    sealed = Vault(client).seal("specimen", "name", b"SPECIMEN")
    app = pyotp.parse_uri(client.enrol("specimen", PERSON_PIN).provisioning_uri)
    assert isinstance(app, pyotp.TOTP)
    now = SystemClock().now()
    client.confirm("specimen", app.at(now))
    code = app.at(now, counter_offset=1)
    activation = client.activate(key.key_id, [bytes(32), bytes(48)], PERSON_PIN, code, "specimen").token
    client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=activation)
    rows = client.verify_audit()
    os.kill(daemon.pid, signal.SIGKILL)
    assert eventually(lambda: not daemon.alive)
    with pytest.raises(TokenUnavailable):
        client.sign(key.key_id, Mechanism.ECDSA, bytes(48), activation=activation)
    client.close()
    with KeyDaemon.start(directory) as again:
        client = logged_in(again)
        assert client.find() == (key,)
        assert Vault(client).open("specimen", "name", sealed) == b"SPECIMEN"
        assert client.verify_audit() >= rows
        with pytest.raises(ActivationInvalid):
            client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=activation)
        with pytest.raises(CodeUsed):
            client.check("specimen", PERSON_PIN, code)
        signature = client.sign(key.key_id, Mechanism.ECDSA, bytes(48), activation=activation)
        verify_signature(public_key(key), Mechanism.ECDSA, signature, bytes(48))
        client.close()


def test_killed_while_it_works(directory: Path, daemon: KeyDaemon) -> None:
    """Killed while keys are being made: every key that was answered is there and signs, and the chain is whole."""
    import threading

    client, made = logged_in(daemon), []

    def work() -> None:
        for number in range(100_000):
            try:
                made.append(client.generate(f"key-{number}", KeyAlgorithm.EC_P256, KeyUse.AUDIT))
            except TokenUnavailable:
                return

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: len(made) > 20)
    os.kill(daemon.pid, signal.SIGKILL)
    thread.join()
    client.close()
    with KeyDaemon.start(directory) as again:
        client = logged_in(again)
        there = set(client.find())
        assert set(made) <= there
        assert len(there) <= len(made) + 1
        client.sign(made[-1].key_id, SIGN, b"x")
        client.verify_audit()
        client.close()


def test_the_lock_out_survives_a_kill(directory: Path, daemon: KeyDaemon) -> None:
    """Wrong PINs are counted on disk: killing the daemon does not give new tries."""
    client = HsmClient(daemon.socket_path)
    for _ in range(FREE_TRIES):
        with pytest.raises(TokenPinIncorrect):
            client.login("not-the-user-pin")
    os.kill(daemon.pid, signal.SIGKILL)
    assert eventually(lambda: not daemon.alive)
    with KeyDaemon.start(directory) as again, pytest.raises(TokenPinLocked):
        HsmClient(again.socket_path).login(USER_PIN)


def test_one_process_a_token(directory: Path, daemon: KeyDaemon) -> None:
    """A second daemon is refused with TokenInUse; without a token, TokenNotInitialised."""
    with pytest.raises(TokenInUse):
        KeyDaemon.start(directory)
    with pytest.raises(TokenNotInitialised):
        KeyDaemon.start(directory.parent / "nothing")
    assert daemon.alive


def test_stopping_is_orderly_and_can_be_done_twice(daemon: KeyDaemon) -> None:
    """After stop the process is gone and its socket too; clients hear TokenUnavailable."""
    client = logged_in(daemon)
    daemon.stop()
    daemon.stop()
    assert not daemon.alive
    assert not daemon.socket_path.exists()
    with pytest.raises(TokenUnavailable):
        client.find()
    client.close()


def test_it_ends_with_its_parent(directory: Path) -> None:
    """The process that started it is killed: the daemon stops by itself and the token can be served again."""
    program = (
        "import sys, time; from pathlib import Path; from hsm_emulation.process import KeyDaemon\n"
        "daemon = KeyDaemon.start(Path(sys.argv[1])); print(daemon.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(directory)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert runs(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not runs(pid))
    KeyDaemon.start(directory).stop()


def test_it_runs_on_its_own_and_is_hardened(directory: Path) -> None:
    """``python -m hsm_emulation DIRECTORY`` says where it listens, leaves no core, and ends with 0 on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hsm_emulation", str(directory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        greeting = json.loads(process.stdout.readline())
        assert greeting["pid"] == process.pid
        client = HsmClient(greeting["socket"])
        status = client.status()
        assert (status["emulated"], status["no_core_dumps"], status["not_dumpable"]) == (True, True, True)
        client.login(USER_PIN)
        client.close()
        process.terminate()
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"emulated HSM, not a hardware module" in log


def test_children_of_a_fork_use_connections_of_their_own(daemon: KeyDaemon) -> None:
    """A process with a logged-in client forks four children; all five sign at once and each signature verifies."""
    program = """
import os, sys
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient

client = HsmClient(sys.argv[1])
client.login(sys.argv[2])
info = client.generate("fork", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
children = []
for number in range(5):
    child = os.fork() if number < 4 else None
    if child:
        children.append(child)
        continue
    for turn in range(50):
        data = f"{number}-{turn}".encode()
        signature = client.sign(info.key_id, Mechanism.ECDSA_SHA256, data)
        verify_signature(public_key(info), Mechanism.ECDSA_SHA256, signature, data)
    if child == 0:
        os._exit(0)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
client.close()
print("signed")
"""
    command = [sys.executable, "-c", program, str(daemon.socket_path), USER_PIN]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"signed\n", done.stderr
