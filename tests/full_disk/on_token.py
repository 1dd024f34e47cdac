"""The token's own store on a full disk: nothing is signed, no code is used up, and no PIN can be guessed."""

from __future__ import annotations

import pytest

from foundation.keys.errors import KeyStoreError, PinIncorrect, TokenPinIncorrect, TokenUnavailable
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from tests.full_disk.conftest import SmallDisk
from tests.hsm.conftest import CHEAP, PERSON_PIN, SO_PIN, USER_PIN
from tests.phone import Phone

DIGEST = bytes(range(32))


def test_on_a_full_disk_the_token_does_and_tells_nothing(disk: SmallDisk) -> None:
    """Signing, enrolling, permitting, right and wrong PINs: all the same answer. With room again the same code permits
    a signature, no try was counted, and the trail holds."""
    directory = disk.path / "token"
    initialise(directory, SO_PIN, USER_PIN, costs=CHEAP)
    with KeyDaemon.start(directory) as daemon, HsmClient(daemon.socket_path, timeout=60) as client:
        client.login(USER_PIN)
        seal = client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        owned = client.generate("citizen", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, "specimen-1")
        phone = Phone(client.enrol("specimen-1", PERSON_PIN).provisioning_uri)
        client.confirm("specimen-1", phone.code())
        code, before = phone.code(lasting=60), client.verify_audit()
        with disk.full():
            said = set[type[KeyStoreError]]()
            for number in range(8):
                for act in (
                    lambda: client.sign(seal.key_id, Mechanism.ECDSA_SHA256, b"x"),
                    lambda: client.generate("other", KeyAlgorithm.EC_P256, KeyUse.AUDIT),
                    lambda: client.enrol("specimen-2", PERSON_PIN),
                    lambda: client.check("specimen-1", PERSON_PIN, code),
                    lambda number=number: client.check("specimen-1", f"84052{number}", code),
                    lambda: client.activate(owned.key_id, [DIGEST], PERSON_PIN, code, "specimen"),
                ):
                    with pytest.raises(KeyStoreError) as told:
                        act()  # type: ignore[no-untyped-call]
                    said.add(type(told.value))
                with HsmClient(daemon.socket_path, timeout=60) as guess, pytest.raises(KeyStoreError) as told:
                    guess.login(f"not-the-user-pin-{number}")
                said.add(type(told.value))
            assert said == {TokenUnavailable}
        with pytest.raises(PinIncorrect):
            client.check("specimen-1", "840521", code)
        permit = client.activate(owned.key_id, [DIGEST], PERSON_PIN, code, "specimen").token
        client.sign(owned.key_id, Mechanism.ECDSA, DIGEST, activation=permit)
        client.enrol("specimen-2", PERSON_PIN)
        with HsmClient(daemon.socket_path, timeout=60) as guess, pytest.raises(TokenPinIncorrect):
            guess.login("not-the-user-pin")
        assert [key.label for key in client.find(label="other")] == []
        assert client.verify_audit() > before
