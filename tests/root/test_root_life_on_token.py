"""A root's whole life on the real emulated token, whose policy looks at everything that its root keys sign."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from foundation.keys.errors import PolicyRefused
from foundation.keys.handles import private_key
from foundation.x509.algorithms import sign
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from root_ca.service import verify
from tests.root.life_world import live
from tests.root.root_world import perform_all, prepare

PIN = "user-pin-for-tests-0"


def test_twelve_acts_are_performed_on_the_token(tmp_path: Path) -> None:
    """From the making of the root to the destruction of its key: nothing is refused, and the record verifies.

    At the end the token has the twin's, the second root's and the audit key, and its twin still refuses other things.
    """
    acts = prepare(tmp_path)
    with tempfile.TemporaryDirectory(prefix="camtrust-", dir="/tmp") as home:
        initialise(Path(home) / "token", "so-pin-for-tests-0", PIN)
        with KeyDaemon.start(Path(home) / "token") as daemon, HsmClient(daemon.socket_path) as store:
            store.login(PIN)
            perform_all(tmp_path, store, acts)
            live(tmp_path, store)
            labels = {info.label for info in store.find()}
            twin = private_key(store, store.find(label="root-pq-1")[0])
            with pytest.raises(PolicyRefused):
                sign(twin, b"a statement that is no certificate")
    result = verify(tmp_path / "12-destroy.transcript.json")
    assert result.problems == []
    assert len(result.acts) == 12
    assert labels == {"root-audit-1", "root-pq-1", "root-ca-2"}
