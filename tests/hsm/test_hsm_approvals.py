"""The key that approves citizens' certificates: the token reads what it signs."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from foundation.approval import Approval
from foundation.keys.errors import PolicyInvalid
from foundation.keys.policy import APPROVALS_ALONE
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from tests.hsm.conftest import Served
from tests.hsm.test_hsm_policy import ANYTHING, SIGN, refused


def test_the_registration_authority_signs_approvals_alone(served: Served) -> None:
    """A key for approvals signs a statement in its one form, and no other message, no digest, no structure."""
    key = served.client.generate("ra", KeyAlgorithm.EC_P256, KeyUse.REGISTRATION_AUTHORITY, policy=APPROVALS_ALONE)
    at = served.clock.now().replace(microsecond=0)
    statement = Approval(
        "issuing", "citizen-sign", "KH-SPECIMEN", "0a" * 32, "0b" * 32, None, "IAL2", "0c" * 32, None,
        at, at + timedelta(minutes=10), "SPECIMEN",
    ).canonical  # fmt: skip
    served.client.sign(key.key_id, SIGN, statement)
    for other in (statement + b" ", statement.replace(b"IAL2", b"IAL 2"), statement[:-1], *ANYTHING.values()):
        refused("POL-FORM", lambda: served.client.sign(key.key_id, SIGN, other))  # noqa: B023
    refused("POL-KIND", lambda: served.client.sign(key.key_id, Mechanism.ECDSA, hashlib.sha256(b"x").digest()))
    for use in (KeyUse.AUDIT, KeyUse.ISSUING_CA):
        with pytest.raises(PolicyInvalid):
            served.client.generate("other", KeyAlgorithm.EC_P256, use, policy=APPROVALS_ALONE)
