"""The contract of key stores, run on the emulated HSM: a real daemon, a real socket."""

from __future__ import annotations

import pytest

from foundation.keys.capabilities import Feature
from foundation.keys.port import KeyAlgorithm, KeyStore, Mechanism
from hsm_emulation.client import HsmClient
from tests.keys.contract import KeyStoreContract
from tests.keys.extensions import Past


class TestEmulatedHsm(KeyStoreContract):
    """The whole contract."""

    @pytest.fixture
    def store(self, token: HsmClient) -> KeyStore:
        return token

    @pytest.fixture
    def past(self, token: HsmClient) -> Past:
        """The bare request on the socket, as any program can send it that is logged in."""

        def sign(key_id: str, mechanism: Mechanism, data: bytes) -> bytes:
            signatures: list[bytes] = token._call(
                "sign", key_id=key_id, mechanism=mechanism, inputs=[data], activation=None, audience=None
            )
            return signatures[0]

        return sign


def test_the_emulated_hsm_declares_no_gap(token: HsmClient) -> None:
    """Every algorithm, mechanism and feature; whole messages where the mechanism takes one; and that it is emulated."""
    can = token.capabilities()
    assert can.algorithms == frozenset(KeyAlgorithm)
    assert can.mechanisms == frozenset(Mechanism)
    assert can.features == frozenset(Feature)
    assert can.sees_message
    assert can.emulated
