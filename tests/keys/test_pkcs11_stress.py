"""Threads, forks and cold starts on one PKCS#11 token: no failure at all.

Each runs in processes of its own: a module that is used wrongly takes its process down.
CAMTRUST_SOAK=1 starts 100 processes at once instead of 20.
"""

from __future__ import annotations

import os

import pytest

from foundation.keys.pkcs11 import open_pkcs11
from foundation.keys.port import KeyAlgorithm, KeyUse
from tests.keys.contract import fresh
from tests.keys.softhsm import PIN, SoftHsm
from tests.keys.stress import start

COLD_STARTS = 100 if os.environ.get("CAMTRUST_SOAK") else 20


@pytest.mark.parametrize("act", ["threads", "fork", "wait"])
def test_many_at_once(softhsm: SoftHsm, act: str) -> None:
    """Eight threads make, use, disable and destroy keys; four children are forked while eight threads sign, and
    initialise the module for themselves; a fork waits for the calls that run.
    """
    process = start(act, softhsm.address("stress"), softhsm.environment)
    try:
        said, _ = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert said.splitlines()[-1] == "done"


def test_cold_starts_at_once(softhsm: SoftHsm) -> None:
    """Many processes load the module, log in and sign at the same moment, and every one of them succeeds."""
    with open_pkcs11(softhsm.address("stress"), PIN) as store:
        store.generate(fresh("cold"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    processes = [start("cold", softhsm.address("stress"), softhsm.environment) for _ in range(COLD_STARTS)]
    try:
        said = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    failed = [(process.returncode, text) for process, text in zip(processes, said, strict=True) if process.returncode]
    assert not failed, failed[0][1]
    assert said == ["done\n"] * COLD_STARTS
