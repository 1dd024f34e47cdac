"""Person keys and the vault over them: sealed by person and purpose, destroyed for good."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.keys.errors import KeyHandleInvalid, OwnerDestroyed, WrappedKeyInvalid
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from foundation.vault import SealBroken, Vault
from tests.hsm.conftest import Person, Served


def test_the_vault_over_the_token(served: Served) -> None:
    """What is sealed for a person and purpose opens for these, after a restart too, and for nobody and nothing else."""
    vault = Vault(served.client)
    sealed = vault.seal("specimen-1", "name", b"SPECIMEN NAME")
    assert b"SPECIMEN" not in sealed
    served.restart()
    vault = Vault(served.client)
    assert vault.open("specimen-1", "name", sealed) == b"SPECIMEN NAME"
    vault.seal("specimen-2", "name", b"another")
    for person, purpose in (("specimen-2", "name"), ("specimen-1", "address"), ("nobody", "name")):
        with pytest.raises(WrappedKeyInvalid):
            vault.open(person, purpose, sealed)


def test_any_changed_octet_of_a_sealed_value_is_noticed(served: Served) -> None:
    """Every octet of a sealed value, flipped, and every shorter value: SealBroken or WrappedKeyInvalid, never data."""
    vault = Vault(served.client)
    sealed = vault.seal("specimen", "name", b"x")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises((SealBroken, WrappedKeyInvalid)):
            vault.open("specimen", "name", bytes(changed))
    for length in (0, 3, 4, 6, len(sealed) - 1):
        with pytest.raises((SealBroken, WrappedKeyInvalid)):
            vault.open("specimen", "name", sealed[:length])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wrapped=st.binary(max_size=100))
def test_noise_never_opens(served: Served, wrapped: bytes) -> None:
    """No octets but those that the token made open as a data key."""
    served.client.new_data_key("specimen", "name")
    with pytest.raises(WrappedKeyInvalid):
        served.client.open_data_key("specimen", "name", wrapped)


def test_destruction_is_for_good(served: Served, person: Person) -> None:
    """After destroying a person: nothing sealed opens, no key signs, no key or data key is made under that id again.

    A copy of the sealed value from before (a restored backup) does not open either. Doing it twice is no error.
    """
    vault = Vault(served.client)
    backup = vault.seal(person.owner, "name", b"SPECIMEN NAME")
    key = person.key()
    other = vault.seal("specimen-2", "name", b"untouched")
    for _ in range(2):
        vault.destroy(person.owner)
        with pytest.raises(OwnerDestroyed):
            vault.open(person.owner, "name", backup)
        with pytest.raises(OwnerDestroyed):
            vault.seal(person.owner, "name", b"again")
        with pytest.raises(OwnerDestroyed):
            served.client.generate("again", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, person.owner)
        with pytest.raises(KeyHandleInvalid):
            served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=os.urandom(32))
        served.restart()
        vault = Vault(served.client)
    assert vault.open("specimen-2", "name", other) == b"untouched"
    assert served.client.inventory()["owners_destroyed"] == 1


def test_somebody_unknown_can_be_destroyed_beforehand(served: Served) -> None:
    """A tombstone for an id that was never used keeps it unused."""
    served.client.destroy_owner("specimen")
    with pytest.raises(OwnerDestroyed):
        served.client.new_data_key("specimen", "name")


def test_the_destroyed_key_is_on_the_disk_no_more(served: Served, person: Person) -> None:
    """The sealed person key, keys and factors are in no file after destruction, the write-ahead log included."""
    person.key()
    sealed = [
        row[0]
        for table in ("owners", "keys", "factors")
        for row in served.look(f"SELECT sealed FROM {table} WHERE owner = ?", person.owner)  # noqa: S608
    ]
    assert len(sealed) == 3
    assert all(one in served.files() for one in sealed)
    served.client.destroy_owner(person.owner)
    assert not any(one in served.files() for one in sealed)


def test_one_persons_key_is_none_in_anothers_place(served: Served) -> None:
    """One person's sealed key copied into another's row: it opens nothing, and nothing is sealed under it."""
    served.client.new_data_key("specimen-1", "name")
    served.client.new_data_key("specimen-2", "name")
    served.edit("UPDATE owners SET sealed = (SELECT sealed FROM owners WHERE owner = 'specimen-1')")
    served.client.new_data_key("specimen-1", "name")
    with pytest.raises(WrappedKeyInvalid):
        served.client.new_data_key("specimen-2", "name")


def test_a_tombstone_turned_back_opens_nothing(served: Served) -> None:
    """The tombstone removed in the store: the id can be used again, but what was sealed before stays closed."""
    _, wrapped = served.client.new_data_key("specimen", "name")
    served.client.destroy_owner("specimen")
    served.edit("DELETE FROM owners")
    served.client.new_data_key("specimen", "name")
    with pytest.raises(WrappedKeyInvalid):
        served.client.open_data_key("specimen", "name", wrapped)
