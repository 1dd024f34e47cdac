"""Threads, forks and cold starts on one token, on both backends: no failure at all.

Each runs in processes of its own: a module that is used wrongly takes its process down.
CAMTRUST_SOAK=1 (`make soak`) makes 100 cold starts instead of 20, and restarts the key daemon 100 times instead of 6.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundation.keys.port import KeyAlgorithm, KeyUse
from hsm_emulation.process import KeyDaemon, initialise
from hsm_emulation.sealing import Cost, Costs
from tests.keys.contract import fresh
from tests.keys.softhsm import PIN, SO_PIN, SoftHsm
from tests.keys.stress import opened, start

SOAK = bool(os.environ.get("CAMTRUST_SOAK"))
COLD_STARTS = 100 if SOAK else 20
DAEMON_STARTS = 100 if SOAK else 6


@dataclass(frozen=True)
class Backend:
    """A token by its address, and what a process needs in its environment to reach it."""

    address: str
    environment: Mapping[str, str]

    def does(self, act: str, *more: str) -> None:
        """Do ``act`` in a process of its own."""
        process = start(act, self.address, self.environment, *more)
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            process.kill()
        assert process.returncode == 0, said
        assert said.splitlines()[-1] == "done"


@pytest.fixture(scope="module")
def emulated() -> Iterator[Path]:
    """The folder of an emulated token, with a cheap Argon2id: what is tried here is not the guessing of PINs."""
    directory = Path(tempfile.mkdtemp(prefix="camtrust-hsm-", dir="/tmp"))  # short: it holds a Unix socket
    initialise(directory, SO_PIN, PIN, costs=Costs(operator=Cost(1024, 1), person=Cost(1024, 1)))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=["softhsm", "emulated"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The test runs twice: on SoftHSM2 through the PKCS#11 adapter, and on the emulated HSM."""
    if request.param == "softhsm":
        softhsm: SoftHsm = request.getfixturevalue("softhsm")
        yield Backend(softhsm.address("stress"), softhsm.environment)
        return
    with KeyDaemon.start(request.getfixturevalue("emulated")) as daemon:
        yield Backend(f"emulated:{daemon.socket_path}", {})


@pytest.mark.parametrize("act", ["threads", "fork"])
def test_many_at_once(backend: Backend, act: str) -> None:
    """Eight threads make, use, disable and destroy keys; four children are forked while eight threads sign, and open
    the token for themselves.
    """
    backend.does(act)


def test_cold_starts_at_once(backend: Backend) -> None:
    """Many processes open the token, log in and sign at the same moment, and every one of them succeeds."""
    with opened(backend.address) as store:
        store.generate(fresh("cold"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    processes = [start("cold", backend.address, backend.environment) for _ in range(COLD_STARTS)]
    try:
        said = [process.communicate(timeout=280)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    failed = [(process.returncode, text) for process, text in zip(processes, said, strict=True) if process.returncode]
    assert not failed, failed[0][1]
    assert said == ["done\n"] * COLD_STARTS


def test_a_fork_waits_for_the_calls_that_run(softhsm: SoftHsm) -> None:
    """A fork while a thread is in the module waits until it is out."""
    Backend(softhsm.address("stress"), softhsm.environment).does("wait")


def test_the_daemon_starts_again_and_again(emulated: Path) -> None:
    """Started, logged in to, asked for a signature under the key of the first start, stopped; again and again."""
    key_id = ""
    for _ in range(DAEMON_STARTS):
        with KeyDaemon.start(emulated) as daemon, opened(f"emulated:{daemon.socket_path}") as store:
            key_id = key_id or store.generate(fresh("restart"), KeyAlgorithm.EC_P256, KeyUse.AUDIT).key_id
            Backend(f"emulated:{daemon.socket_path}", {}).does("sign", key_id)
