"""The contract suite is watched too: no declared feature is without tests, and a store that declares falsely fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foundation.keys.capabilities import Capabilities, Feature
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm
from hsm_emulation.client import HsmClient
from tests.keys.contract import KeyStoreContract
from tests.keys.extensions import EXTENSIONS, check_extension


class Declaring:
    """A key store under another declaration."""

    def __init__(self, store: Any, **other: Any) -> None:
        self._store, self._other = store, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def capabilities(self) -> Capabilities:
        return replace(self._store.capabilities(), **self._other)


def unused(*_: object) -> bytes:
    raise AssertionError("asked for a signature past the key store")


@pytest.mark.parametrize("feature", list(Feature))
def test_every_feature_has_both_halves(feature: Feature) -> None:
    """What a store shows that declares it, and what one refuses that does not: neither may be empty."""
    assert EXTENSIONS[feature].shown
    assert EXTENSIONS[feature].refused


@pytest.mark.parametrize("feature", [Feature.ACTIVATIONS, Feature.PERSON_KEYS])
def test_a_feature_that_is_declared_and_not_there_fails(token_store: Pkcs11KeyStore, feature: Feature) -> None:
    """SoftHSM under a declaration that promises more than it has does not pass."""
    with pytest.raises(Exception, match=r"approval|data keys"):
        check_extension(feature, Declaring(token_store, features=frozenset(Feature)), unused)


@pytest.mark.parametrize("feature", [Feature.ACTIVATIONS, Feature.PERSON_KEYS])
def test_a_feature_that_is_there_and_not_declared_fails(token: HsmClient, feature: Feature) -> None:
    """The emulated HSM under a declaration that hides what it does, does not pass: it does not refuse."""
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_extension(feature, Declaring(token, features=frozenset()), unused)


def test_policy_that_is_declared_and_not_inside_fails(token_store: Pkcs11KeyStore) -> None:
    """A token that signs past the key store whatever it is asked does not pass as one that enforces policy."""
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_extension(
            Feature.POLICY_INSIDE, Declaring(token_store, features=frozenset(Feature)), lambda *_: b"signature"
        )


def test_an_algorithm_that_is_declared_and_not_there_fails(token_store: Pkcs11KeyStore) -> None:
    """Declared ML-DSA on SoftHSM does not pass, and hidden P-256 does not either."""
    suite = KeyStoreContract()
    everything = Declaring(token_store, algorithms=frozenset(KeyAlgorithm))
    with pytest.raises(Exception, match=r"mechanism|algorithm"):
        suite.test_each_algorithm_signs_as_declared(everything, KeyAlgorithm.ML_DSA_65)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite.test_each_algorithm_signs_as_declared(
            Declaring(token_store, algorithms=frozenset()), KeyAlgorithm.EC_P256
        )
