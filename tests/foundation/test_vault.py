"""Personal data is sealed by person and purpose, and can be destroyed."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import CamTrustError
from foundation.keys.errors import OwnerDestroyed, WrappedKeyInvalid
from foundation.vault import SealBroken, Vault
from hsm_emulation.client import HsmClient

PERSON, PURPOSE, DATA = "person-1", "evidence", "ឈ្មោះ SPECIMEN".encode()


_tests = count()


class PersonsOfOneTest:
    """The persons of one test in the shared token: what it destroys is nobody else's."""

    def __init__(self, token: HsmClient) -> None:
        self._token = token
        self._prefix = f"vault-test-{next(_tests)}-"

    def new_data_key(self, owner: str, purpose: str) -> tuple[bytes, bytes]:
        return self._token.new_data_key(self._prefix + owner, purpose)

    def open_data_key(self, owner: str, purpose: str, wrapped: bytes) -> bytes:
        return self._token.open_data_key(self._prefix + owner, purpose, wrapped)

    def destroy_owner(self, owner: str) -> bytes:
        return self._token.destroy_owner(self._prefix + owner)


@pytest.fixture
def vault(token: HsmClient) -> Vault:
    return Vault(PersonsOfOneTest(token))


def test_what_is_sealed_opens_again(vault: Vault) -> None:
    """The same person and purpose open it; the data is not readable in between; sealing twice differs."""
    sealed = vault.seal(PERSON, PURPOSE, DATA)
    assert vault.open(PERSON, PURPOSE, sealed) == DATA
    assert DATA not in sealed
    assert vault.seal(PERSON, PURPOSE, DATA) != sealed
    assert vault.open(PERSON, PURPOSE, vault.seal(PERSON, PURPOSE, b"")) == b""


def test_another_person_or_purpose_does_not_open_it(vault: Vault) -> None:
    """A sealed value that is moved to another row is told."""
    sealed = vault.seal(PERSON, PURPOSE, DATA)
    vault.seal("person-2", PURPOSE, DATA)
    for person, purpose in (("person-2", PURPOSE), (PERSON, "contact"), ("person-3", PURPOSE)):
        with pytest.raises((SealBroken, WrappedKeyInvalid)):
            vault.open(person, purpose, sealed)


def test_parts_of_two_values_do_not_make_a_third(vault: Vault) -> None:
    """The data key of one value does not open the body of another, though both are the same person's."""
    first, second = vault.seal(PERSON, PURPOSE, DATA), vault.seal(PERSON, PURPOSE, b"other")
    end = 6 + int.from_bytes(first[4:6], "big")
    with pytest.raises(SealBroken):
        vault.open(PERSON, PURPOSE, first[:end] + second[end:])


def test_destroying_a_person_destroys_what_was_sealed(vault: Vault) -> None:
    """Afterwards every sealed value of theirs is unreadable, wherever copies of it are; others are untouched."""
    sealed, other = vault.seal(PERSON, PURPOSE, DATA), vault.seal("person-2", PURPOSE, DATA)
    vault.destroy(PERSON)
    with pytest.raises(OwnerDestroyed):
        vault.open(PERSON, PURPOSE, sealed)
    with pytest.raises(OwnerDestroyed):
        vault.seal(PERSON, PURPOSE, DATA)
    assert vault.open("person-2", PURPOSE, other) == DATA


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_changed_or_cut_byte_is_told(token: HsmClient, data: st.DataObject) -> None:
    """Whatever byte of a sealed value is changed, or wherever it is cut, opening it fails."""
    vault = Vault(PersonsOfOneTest(token))
    sealed = bytearray(vault.seal(PERSON, PURPOSE, DATA))
    position = data.draw(st.integers(0, len(sealed) - 1))
    if data.draw(st.booleans()):
        sealed = sealed[:position]
    else:
        sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CamTrustError) as caught:
        vault.open(PERSON, PURPOSE, bytes(sealed))
    assert isinstance(caught.value, SealBroken | WrappedKeyInvalid)
