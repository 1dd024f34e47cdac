"""Fail closed: where the intent cannot be written, nothing is signed."""

from __future__ import annotations

import resource
import shutil
import tempfile
from pathlib import Path

import pytest

from foundation.keys.errors import TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from hsm_emulation.store import FILE
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN


def test_on_a_full_disk_nothing_is_signed() -> None:
    """The daemon's processes may write no file further: each signature is refused; with room again they go on."""
    folder = Path(tempfile.mkdtemp(prefix="camtrust-hsm-"))
    initialise(folder / "token", SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(folder / "token") as daemon, HsmClient(daemon.socket_path, timeout=20) as client:
        client.login(USER_PIN)
        key = client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        processes = [daemon.pid, *(int(child) for child in children)]
        free = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (1, free[1]))
        for number in range(20):
            with pytest.raises(TokenUnavailable):
                client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"%d" % number)
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, free)
        client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"with room again")
        signed = [row["outcome"] for row in client.audit_entries() if row["action"] == "sign"]
        assert signed.count("intent") == 1
        assert client.verify_audit() > 0
    assert (folder / "token" / FILE).exists()
    shutil.rmtree(folder)
