"""The key that signs ID tokens: what the token lets it sign."""

from __future__ import annotations

from foundation.keys.port import KeyUse, Mechanism
from tests.hsm.conftest import Served
from tests.hsm.test_hsm_policy import SIGN, make, refused


def test_it_signs_digests_alone(served: Served) -> None:
    """No message is signed; a digest, as the JWS library hands it over, is."""
    key = make(served, KeyUse.IDENTITY_PROVIDER)
    refused("POL-KIND", lambda: served.client.sign(key.key_id, SIGN, b"to whom it may concern"))
    assert served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32))
