"""The key store that fails: each fault is what it says, once, on both backends; else it is the key store behind it."""

from __future__ import annotations

import pytest

from foundation.keys.errors import KeyStoreError, NotLoggedIn, SignatureInvalid, TokenUnavailable
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from tests.faults import WRONG_SIGNATURES, Fault, FaultyKeys
from tests.keys.contract import KeyStoreContract, fresh
from tests.keys.extensions import Past


@pytest.fixture(params=["softhsm", "emulated"])
def keys(request: pytest.FixtureRequest) -> FaultyKeys:
    return FaultyKeys(request.getfixturevalue("other_store" if request.param == "softhsm" else "token"))


def made(keys: FaultyKeys) -> KeyInfo:
    info: KeyInfo = keys.generate(fresh("fault"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    return info


def signs(keys: FaultyKeys, info: KeyInfo, data: bytes = b"SPECIMEN") -> None:
    verify_signature(
        public_key(info), Mechanism.ECDSA_SHA256, keys.sign(info.key_id, Mechanism.ECDSA_SHA256, data), data
    )


class TestWithoutFaults(KeyStoreContract):
    """With nothing planned it passes the whole contract."""

    @pytest.fixture
    def store(self, token_store: Pkcs11KeyStore) -> KeyStore:
        store: KeyStore = FaultyKeys(token_store)  # type: ignore[assignment]
        return store

    @pytest.fixture
    def past(self, token_store: Pkcs11KeyStore) -> Past:
        from tests.keys.test_pkcs11_contract import TestPkcs11

        found: Past = TestPkcs11.past.__wrapped__(self, token_store)  # type: ignore[attr-defined]
        return found


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Fault.SESSION_LOST, NotLoggedIn), (Fault.GONE, TokenUnavailable), (Fault.STORM, KeyStoreError)],
)
def test_a_refusal_does_nothing_and_is_used_up(keys: FaultyKeys, fault: Fault, error: type[KeyStoreError]) -> None:
    """The call is refused and makes nothing; the next one is served."""
    label = fresh("refused")
    keys.next(fault, "generate")
    with pytest.raises(error):
        keys.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    assert keys.find(label=label) == ()
    signs(keys, keys.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT))
    assert keys.met == 1


def test_a_lost_answer_was_done(keys: FaultyKeys) -> None:
    """The key is there, though nobody heard of it."""
    label = fresh("lost")
    keys.next(Fault.LOST_ANSWER, "generate")
    with pytest.raises(TokenUnavailable):
        keys.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    assert len(keys.find(label=label)) == 1


@pytest.mark.parametrize("fault", WRONG_SIGNATURES)
def test_a_wrong_signature_does_not_verify(keys: FaultyKeys, fault: Fault) -> None:
    """Each kind of wrong signature is wrong, and the next one is right."""
    info = made(keys)
    signs(keys, info, b"before")
    keys.next(fault, "sign")
    with pytest.raises(SignatureInvalid):
        signs(keys, info)
    signs(keys, info)


def test_a_storm_is_as_long_as_it_was_planned(keys: FaultyKeys) -> None:
    """Four errors of four kinds, then calm."""
    info = made(keys)
    keys.next(Fault.STORM, "sign", times=4)
    met = set()
    for _ in range(4):
        with pytest.raises(KeyStoreError) as told:
            signs(keys, info)
        met.add(type(told.value))
    assert len(met) == 4
    signs(keys, info)


def test_a_slow_token_is_right(keys: FaultyKeys) -> None:
    """It takes its time and signs; other calls are not kept."""
    info = made(keys)
    keys.next(Fault.SLOW, "sign", times=2)
    signs(keys, info)
    signs(keys, info)
    assert keys.met == 2


def test_what_is_behind_it_is_still_there(token: HsmClient) -> None:
    """Factors and person keys pass through."""
    keys, owner = FaultyKeys(token), fresh("owner")
    key, wrapped = keys.new_data_key(owner, "specimen")
    keys.next(Fault.GONE, "open_data_key")
    with pytest.raises(TokenUnavailable):
        keys.open_data_key(owner, "specimen", wrapped)
    assert keys.open_data_key(owner, "specimen", wrapped) == key
