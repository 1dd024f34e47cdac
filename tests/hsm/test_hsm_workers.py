"""Several processes of one daemon: they share sessions, lock-outs and what is used up, and can be killed one by one."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyotp
import pytest

from foundation.clock import SystemClock
from foundation.keys.errors import (
    ActivationInvalid,
    KeyDisabled,
    KeyStoreError,
    NotLoggedIn,
    RoleNotAllowed,
    TokenPinIncorrect,
    TokenPinLocked,
    TokenUnavailable,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.lockout import FREE_TRIES
from hsm_emulation.process import KeyDaemon, initialise
from tests.hsm.conftest import CHEAP, PERSON_PIN, SO_PIN, USER_PIN

SIGN = Mechanism.ECDSA_SHA256
WORKERS = 3
PROCESSES = WORKERS + 1


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[KeyDaemon]:
    """A token that is served by three workers."""
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(tmp_path / "token", f"--workers={WORKERS}") as one:
        yield one


@pytest.fixture
def client(daemon: KeyDaemon) -> Iterator[HsmClient]:
    """Somebody who is logged in."""
    with HsmClient(daemon.socket_path, pin=lambda: USER_PIN) as one:
        one.login(USER_PIN)
        yield one


@pytest.fixture
def run_directory() -> Iterator[Path]:
    """Where other users may go, too."""
    made = Path(tempfile.mkdtemp(prefix="camtrust-run-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def workers(daemon: KeyDaemon) -> list[int]:
    """Process ids of the daemon's workers, and of the process that waits for the disk for them: four."""
    listed = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
    return [int(one) for one in listed.split()]


def everywhere(daemon: KeyDaemon, client: HsmClient, count: int = 2 * WORKERS) -> list[HsmClient]:
    """As many clients with the same session as reach every worker; each has a connection of its own."""
    others = []
    for _ in range(count):
        other = HsmClient(daemon.socket_path)
        other._session = client._session
        other.find(label="nothing")
        others.append(other)
    return others


def eventually(true: Callable[[], bool]) -> bool:
    """Look for up to a minute."""
    for _ in range(1200):
        if true():
            return True
        time.sleep(0.05)
    return False


def test_every_worker_serves_every_session(daemon: KeyDaemon, client: HsmClient) -> None:
    """One login; twelve connections, spread over three processes, sign with it; after its logout none does."""
    key = client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    assert len(workers(daemon)) == PROCESSES
    others = everywhere(daemon, client, 12)
    for number, other in enumerate(others):
        data = bytes([number])
        verify_signature(public_key(key), SIGN, other.sign(key.key_id, SIGN, data), data)
    client.logout()
    for other in others:
        with pytest.raises(NotLoggedIn):
            other.sign(key.key_id, SIGN, b"x")
        other._wire.close()


def test_what_one_worker_changes_holds_in_all(daemon: KeyDaemon, client: HsmClient) -> None:
    """A key that every worker has loaded is disabled through one of them: at once none signs with it any more."""
    key = client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    others = everywhere(daemon, client)
    for turn in range(10):
        for other in others:
            other.sign(key.key_id, SIGN, b"x")
        changing = others[turn % len(others)]
        changing.set_enabled(key.key_id, False)
        for other in others:
            with pytest.raises(KeyDisabled):
                other.sign(key.key_id, SIGN, b"x")
        changing.set_enabled(key.key_id, True)
    for other in others:
        other._wire.close()


def test_an_activation_is_used_once_among_all_workers(daemon: KeyDaemon, client: HsmClient) -> None:
    """Twelve connections redeem the same permission at once, for each of thirty digests: one signature each."""
    owner = "specimen"
    key = client.generate("citizen", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, owner)
    app = pyotp.parse_uri(client.enrol(owner, PERSON_PIN).provisioning_uri)
    assert isinstance(app, pyotp.TOTP)
    now = SystemClock().now()
    client.confirm(owner, app.at(now))
    digests = [bytes([number]) * 32 for number in range(30)]
    permit = client.activate(key.key_id, digests, PERSON_PIN, app.at(now, counter_offset=1), "specimen").token
    others = everywhere(daemon, client, 12)

    def redeem(other: HsmClient) -> int:
        count = 0
        for digest in digests:
            with suppress(ActivationInvalid):
                other.sign(key.key_id, Mechanism.ECDSA, digest, activation=permit)
                count += 1
        return count

    with ThreadPoolExecutor(len(others)) as threads:
        assert sum(threads.map(redeem, others)) == len(digests)
    assert client.verify_audit() > 0
    for other in others:
        other._wire.close()


def test_the_lock_out_holds_in_every_worker(daemon: KeyDaemon) -> None:
    """Thirty guesses at once, spread over all workers: five are looked at, all others are told to wait."""

    def guess(_: int) -> type[KeyStoreError] | None:
        try:
            HsmClient(daemon.socket_path).login("not-the-user-pin")
        except KeyStoreError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(10) as threads:
        told = list(threads.map(guess, range(30)))
    assert told.count(TokenPinIncorrect) == FREE_TRIES
    assert told.count(TokenPinLocked) == 30 - FREE_TRIES
    with pytest.raises(TokenPinLocked):
        HsmClient(daemon.socket_path).login(USER_PIN)


def test_a_killed_worker_is_replaced_and_sessions_go_on(daemon: KeyDaemon, client: HsmClient) -> None:
    """Each process is killed in turn: another takes its place, the session is still good, the chain is whole."""
    key = client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    session = client._session
    for victim in workers(daemon):
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda victim=victim: victim not in (now := workers(daemon)) and len(now) == PROCESSES)
        for other in everywhere(daemon, client):
            other.sign(key.key_id, SIGN, b"x")
            other._wire.close()
    with suppress(TokenUnavailable):  # asked where nobody was any more
        client.sign(key.key_id, SIGN, b"x")
    client.sign(key.key_id, SIGN, b"x")
    assert client._session == session
    assert client.verify_audit() > 0
    assert daemon.alive


def test_workers_killed_under_load_lose_nothing(daemon: KeyDaemon, client: HsmClient) -> None:
    """Eight clients make keys while workers are killed again and again: every key that was answered is there, and
    signs; not more than one more for each request that was not answered; the audit chain is whole.
    """
    made: list[str] = []
    unanswered: list[int] = []
    over = threading.Event()

    def work(number: int) -> None:
        with HsmClient(daemon.socket_path, pin=lambda: USER_PIN) as own:
            own._session = client._session
            turn = 0
            while not over.is_set() and turn < 10_000:
                turn += 1
                try:
                    made.append(own.generate(f"key-{number}-{turn}", KeyAlgorithm.EC_P256, KeyUse.AUDIT).key_id)
                    own.sign(made[-1], SIGN, b"x")
                except TokenUnavailable:
                    unanswered.append(number)
            own._session = None  # it is everybody's

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(2 * PROCESSES):
        seen = len(made)
        assert eventually(lambda seen=seen: len(made) > seen + 10)
        victim = workers(daemon)[turn % PROCESSES]
        os.kill(victim, signal.SIGKILL)
        assert eventually(lambda victim=victim: victim not in (now := workers(daemon)) and len(now) == PROCESSES)
    over.set()
    for thread in threads:
        thread.join()
    there = {key.key_id for key in client.find()}
    assert set(made) <= there
    assert len(there) <= len(made) + len(unanswered)
    for key_id in made[-20:]:
        client.sign(key_id, SIGN, b"x")
    assert client.verify_audit() > len(made)


def test_an_auditor_reads_counts_and_the_log_and_nothing_else(daemon: KeyDaemon, client: HsmClient) -> None:
    """The SO sets the auditor's PIN. It opens no key: without a user the token stays locked."""
    key = client.generate("key", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    with HsmClient(daemon.socket_path) as auditor, pytest.raises(TokenPinIncorrect):
        auditor.login("auditor-pin-1", "auditor")
    with HsmClient(daemon.socket_path) as officer:
        officer.login(SO_PIN, "so")
        officer.set_auditor_pin("auditor-pin-1")
    with pytest.raises(NotLoggedIn):
        client.set_auditor_pin("auditor-pin-2")
    client.logout()
    with HsmClient(daemon.socket_path) as auditor:
        auditor.login("auditor-pin-1", "auditor")
        assert auditor.inventory()["keys"][0]["count"] == 1
        assert auditor.verify_audit() == len(auditor.audit_entries())
        refused: list[Callable[[], object]] = [
            lambda: auditor.sign(key.key_id, SIGN, b"x"),
            lambda: auditor.find(),
            lambda: auditor.get(key.key_id),
            lambda: auditor.generate("other", KeyAlgorithm.EC_P256, KeyUse.AUDIT),
            lambda: auditor.set_user_pin("another-pin"),
            lambda: auditor.new_data_key("specimen", "name"),
        ]
        for call in refused:
            with pytest.raises(NotLoggedIn):
                call()


@pytest.mark.parametrize("daemons_own", [os.geteuid() != 0])  # only root can have other users call
def test_users_of_the_machine_take_the_roles_that_they_are_allowed(
    tmp_path: Path, run_directory: Path, daemons_own: bool
) -> None:
    """Under another uid: not allowed at all, hung up on; allowed as auditor, logged in as that and nothing else.

    Run by another user than root, it shows that the daemon's own user may take every role.
    """
    initialise(tmp_path / "token", SO_PIN, USER_PIN, costs=CHEAP)
    place = run_directory / "hsm.sock"
    if daemons_own:
        with KeyDaemon.start(tmp_path / "token", f"--socket={place}"):
            assert [_as_user(os.geteuid(), place, *who) for who in (("so", SO_PIN), ("user", USER_PIN))] == ["in"] * 2
        return
    allowed, stranger = 54321, 54322
    options = (f"--socket={place}", "--group=nogroup", f"--allow=auditor={allowed}")
    with KeyDaemon.start(tmp_path / "token", *options) as daemon:
        with HsmClient(daemon.socket_path) as officer:
            officer.login(SO_PIN, "so")
            officer.set_auditor_pin("auditor-pin-1")
        assert _as_user(allowed, place, "auditor", "auditor-pin-1") == "in"
        assert _as_user(allowed, place, "user", USER_PIN) == RoleNotAllowed.code
        assert _as_user(stranger, place, "user", USER_PIN) == TokenUnavailable.code


def _as_user(uid: int, place: Path, role: str, pin: str) -> str:
    """What a process of this user hears when it logs in."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        said = "?"
        try:
            if uid != os.geteuid():
                os.setgroups([])
                os.setgid(65534)
                os.setuid(uid)
            client = HsmClient(place, timeout=60)
            client.login(pin, role)
            said = "in"
            client.close()
        except KeyStoreError as error:
            said = error.code
        finally:
            os.write(theirs, said.encode())
            os._exit(0)
    os.close(theirs)
    said = os.read(ours, 200).decode()
    os.close(ours)
    os.waitpid(child, 0)
    return said
