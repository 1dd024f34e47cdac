"""The contract of key stores, run on the emulated HSM: a real daemon, a real socket."""

from __future__ import annotations

import pytest

from foundation.keys.port import KeyStore
from tests.keys.contract import KeyStoreContract


class TestEmulatedHsm(KeyStoreContract):
    """All of it; the emulated HSM declares no gap."""

    @pytest.fixture
    def store(self, token: KeyStore) -> KeyStore:
        return token
