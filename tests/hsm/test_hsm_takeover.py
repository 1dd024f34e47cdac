"""Somebody who took over the services tries to sign for a citizen. Daemon and services run under separate users.

They have everything that the services have: the session that an operator logged in for them (they never knew the PIN),
the services' database with every wrapped key and every approval and answer that went through, and the run of the
machine as the services' user. What they cannot have is the person's device. Each way is tried; none gives a signature.
"""

from __future__ import annotations

import codecs
import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import webauthn  # the user that the daemon runs as may not read where this is installed: loaded before

from foundation.clock import SystemClock
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp
from foundation.keys.errors import (
    KeyHandleInvalid,
    KeyStoreError,
    PinIncorrect,
    PinLocked,
    SignatureInvalid,
    TokenUnavailable,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.hardening import harden
from hsm_emulation.passkeys import RelyingParty
from hsm_emulation.peers import Peers
from hsm_emulation.process import initialise
from hsm_emulation.sessions import Role
from hsm_emulation.store import FILE
from tests.hsm.authenticator import ORIGIN, RP_ID, Authenticator
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN
from tests.hsm.takeover_ways import CONTRACT, FORGED, GUESS, PIN, SIGN, VICTIM, Loot, ways

assert webauthn.__file__
codecs.lookup("hex")
ROOT = os.geteuid() == 0
DAEMON, SERVICES, GROUP = (61001, 61002, 61003) if ROOT else (os.geteuid(), os.geteuid(), os.getegid())
WITH_PIN = "specimen-with-pin"


def become(uid: int) -> None:
    """From here on this process is of another user."""
    if ROOT:
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(uid)


@dataclass
class World:
    """The token served under its own user, and an operator who is logged in."""

    directory: Path
    path: Path
    pids: list[int]
    operator: HsmClient

    def as_services(self, act: Callable[[HsmClient, socket.socket], Any]) -> tuple[int, socket.socket]:
        """Run ``act`` in a process of the services' user, with a session and a line to here."""
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child:
            theirs.close()
            return child, ours
        said: dict[str, Any] = {"failed": "?"}
        try:
            ours.close()
            become(SERVICES)
            said = {"said": act(HsmClient(self.path, session=self.operator.session, timeout=30), theirs)}
        except BaseException as error:
            said = {"failed": f"{type(error).__name__}: {error}"}
        finally:
            theirs.sendall(json.dumps(said).encode() + b"\n")
            os._exit(0)


@pytest.fixture
def world() -> Iterator[World]:
    base = Path(tempfile.mkdtemp(prefix="camtrust-users-", dir="/tmp"))
    base.chmod(0o711)
    directory, run = base / "token", base / "run"
    initialise(directory, SO_PIN, USER_PIN, costs=CHEAP, relying_party=RelyingParty(RP_ID, (ORIGIN,)))
    run.mkdir(mode=0o750)
    for one in (directory, run, *directory.iterdir()):
        os.chown(one, DAEMON, GROUP)
    path = run / "hsm.sock"
    child = os.fork()
    if child == 0:
        try:
            become(DAEMON)
            os.umask(0o077)
            peers = Peers({Role.USER: frozenset({SERVICES})})
            daemon = Daemon(directory, SystemClock(), hardening=harden(), workers=2, peers=peers, path=path)
            signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
            daemon.serve()
        finally:
            os._exit(0)
    operator = HsmClient(path, timeout=30)
    for _ in range(600):
        with suppress(TokenUnavailable):
            operator.login(USER_PIN)
            break
        time.sleep(0.05)
    workers = Path(f"/proc/{child}/task/{child}/children").read_text().split()
    yield World(directory, path, [child, *map(int, workers)], operator)
    operator.close()
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    shutil.rmtree(base)


@pytest.fixture
def device() -> Authenticator:
    """The victim's: the attacker's process never has its key."""
    return Authenticator()


@pytest.fixture
def loot(world: World, device: Authenticator) -> Loot:
    return Loot(world.operator, device)


def _heard(line: socket.socket) -> Any:
    with line, line.makefile("rb") as stream:
        said = json.loads(stream.readline())
    assert "failed" not in said, said
    return said["said"]


def test_the_set_up_signs_what_the_person_approves(world: World, loot: Loot, device: Authenticator) -> None:
    """The services' user, with its session and no PIN, signs what the victim's own device approves: the one way."""

    def serve(client: HsmClient, line: socket.socket) -> str:
        request = client.prepare_activation(loot.old.info.key_id, [CONTRACT], "specimen", Method.PASSKEY)
        with line.makefile("rw") as stream:
            stream.write((request.options or "") + "\n")
            stream.flush()
            token = client.approve(request.nonce, PasskeyAssertion(stream.readline())).token
        (signature,) = client.sign_wrapped(loot.wrapped, SIGN, [CONTRACT], activation=token)
        return signature.hex()

    child, line = world.as_services(serve)
    with line, line.makefile("rw") as stream:
        answer = device.answer(stream.readline())
        stream.write(answer + "\n")
        stream.flush()
        signature = bytes.fromhex(json.loads(stream.readline())["said"])
    os.waitpid(child, 0)
    verify_signature(public_key(loot.old.info), SIGN, signature, CONTRACT)


def test_no_way_through_the_socket_forges_a_signature(world: World, loot: Loot) -> None:
    """Each way is refused, by the error that it is refused with for that reason and no other."""

    def attack(client: HsmClient, _: socket.socket) -> dict[str, str]:
        said = {}
        for name, (attempt, _expected) in ways(loot, client, world.path).items():
            try:
                attempt()
                said[name] = "done"
            except KeyStoreError as error:
                said[name] = error.code
        return said

    child, line = world.as_services(attack)
    said = _heard(line)
    os.waitpid(child, 0)
    expected = {
        name: {one.code for one in errors} for name, (_, errors) in ways(loot, world.operator, world.path).items()
    }
    if not ROOT:
        expected["as the security officer"] = {"foundation.token_pin_incorrect"}
    assert {name: code for name, code in said.items() if code not in expected[name]} == {}
    assert len(said) == len(expected) >= 22
    assert world.operator.verify_audit() > 0


def test_guessing_a_pin_locks(world: World) -> None:
    """For a person with PIN and code the attacker has five guesses of both, then waits."""
    world.operator.enrol(WITH_PIN, PIN)
    import pyotp

    app = pyotp.parse_uri(world.operator.enrol(WITH_PIN, PIN).provisioning_uri)
    assert isinstance(app, pyotp.TOTP)
    world.operator.confirm(WITH_PIN, app.at(SystemClock().now()))
    key = world.operator.generate_wrapped(WITH_PIN, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)

    def guess(client: HsmClient, _: socket.socket) -> list[str]:
        said = []
        for _attempt in range(7):
            try:
                client.activate(key.info.key_id, [FORGED], GUESS, "000000", "specimen")
                said.append("done")
            except KeyStoreError as error:
                said.append(error.code)
        request = client.prepare_activation(key.info.key_id, [FORGED], "specimen", Method.PIN_TOTP)
        with suppress(PinLocked):
            client.approve(request.nonce, PinTotp(GUESS, "000000"))
            said.append("done")
        return said

    child, line = world.as_services(guess)
    assert _heard(line) == [PinIncorrect.code] * 5 + [PinLocked.code] * 2
    os.waitpid(child, 0)


def test_the_machine_does_not_give_it_either(world: World, loot: Loot) -> None:
    """Files of the token, memory of the daemon and its workers, signals to them, its socket's place: all denied."""
    assert (world.directory / FILE).read_bytes()  # it is there, for whom it is for

    def attack(_client: HsmClient, _line: socket.socket) -> dict[str, list[int]]:
        libc = ctypes.CDLL(None, use_errno=True)
        denied: dict[str, list[int]] = {"memory": [], "ptrace": [], "signal": [], "files": [], "socket": []}

        def failed(kind: str, attempt: Callable[[], Any]) -> None:
            try:
                attempt()
                denied[kind].append(0)
            except OSError as error:
                denied[kind].append(error.errno or -1)

        for pid in world.pids:
            failed("memory", lambda pid=pid: Path(f"/proc/{pid}/mem").read_bytes())  # type: ignore[misc]
            ctypes.set_errno(0)
            attached = libc.ptrace(16, pid, 0, 0)  # PTRACE_ATTACH
            denied["ptrace"].append(ctypes.get_errno() if attached != 0 else 0)
            if ROOT:
                failed("signal", lambda pid=pid: os.kill(pid, signal.SIGSTOP))  # type: ignore[misc]
        if ROOT:
            for name in (FILE, f"{FILE}-wal", "daemon.lock"):
                failed("files", lambda name=name: (world.directory / name).write_bytes(b""))  # type: ignore[misc]
                failed("files", lambda name=name: (world.directory / name).unlink())  # type: ignore[misc]
            failed("files", lambda: list(world.directory.iterdir()))
            failed("socket", world.path.unlink)
        return denied

    child, line = world.as_services(attack)
    denied = _heard(line)
    os.waitpid(child, 0)
    assert len(world.pids) >= 3
    refusals = {errno.EACCES, errno.EPERM}
    assert all(refusal in refusals for kind in denied.values() for refusal in kind), denied
    assert len(denied["memory"]) == len(denied["ptrace"]) == len(world.pids)
    if ROOT:
        assert (len(denied["signal"]), len(denied["files"]), len(denied["socket"])) == (len(world.pids), 7, 1)


def test_what_they_can_do_shows(world: World, loot: Loot) -> None:
    """They can declare the factors lost and enrol their own: the old key is gone then, and a new one is another key,
    for which nobody has a certificate. The token's log says so."""

    def attack(client: HsmClient, _: socket.socket) -> dict[str, str]:
        client.lose_factors(VICTIM)
        mine = Authenticator()
        client.finish_passkey(VICTIM, mine.register(client.begin_passkey(VICTIM)))
        made = client.generate_wrapped(VICTIM, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
        request = client.prepare_activation(made.info.key_id, [FORGED], "specimen", Method.PASSKEY)
        token = client.approve(request.nonce, PasskeyAssertion(mine.answer(request.options or ""))).token
        (signature,) = client.sign_wrapped(made.wrapped, SIGN, [FORGED], activation=token)
        try:
            client.sign_wrapped(loot.wrapped, SIGN, [FORGED], activation=token)
            old = "done"
        except KeyStoreError as error:
            old = error.code
        return {"signature": signature.hex(), "old": old}

    child, line = world.as_services(attack)
    said = _heard(line)
    os.waitpid(child, 0)
    assert said["old"] == KeyHandleInvalid.code
    with pytest.raises(SignatureInvalid):
        verify_signature(public_key(loot.old.info), SIGN, bytes.fromhex(said["signature"]), FORGED)
    assert "lose-factors" in [entry["action"] for entry in world.operator.audit_entries()]
