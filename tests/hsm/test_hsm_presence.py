"""A passkey that shows that its person is there: a login, and nothing else."""

from __future__ import annotations

import json

import pytest

from foundation.keys.activation import PasskeyAssertion, PinTotp
from foundation.keys.errors import ActivationInvalid, FactorsNotEnrolled, PasskeyInvalid
from tests.hsm.conftest import PERSON_PIN
from tests.hsm.test_hsm_passkeys import ONE, OWNER, Holder, holder, party

__all__ = ["holder", "party"]  # fixtures


def test_being_there_is_not_approving(holder: Holder) -> None:
    """A login's answer logs in, once, that person alone; it approves nothing, and no approval logs in."""
    client, key = holder.served.client, holder.key()
    signing, presence = holder.ask(key, ONE), client.prepare_presence(OWNER, "login")
    assert json.loads(presence.data)["act"] == "be-present"
    there = PasskeyAssertion(holder.device.answer(presence.options or ""))
    with pytest.raises(PasskeyInvalid):
        client.approve(signing.nonce, there)
    with pytest.raises(ActivationInvalid):
        client.approve(presence.nonce, there)
    with pytest.raises(ActivationInvalid):
        client.check_presence("another", presence.nonce, there)
    with pytest.raises(ActivationInvalid):
        client.check_presence(OWNER, signing.nonce, there)
    with pytest.raises(ActivationInvalid):
        client.check_presence(OWNER, presence.nonce, PinTotp(PERSON_PIN, "123456"))
    client.check_presence(OWNER, presence.nonce, there)
    with pytest.raises(ActivationInvalid):
        client.check_presence(OWNER, presence.nonce, there)
    for _ in range(33):  # whoever knows the id can ask: it crowds out nothing else
        client.prepare_presence(OWNER, "login")
    holder.approve(signing)
    with pytest.raises(FactorsNotEnrolled):
        client.prepare_presence("nobody", "login")
