"""The contract of key stores on a PKCS#11 token: SoftHSM2. What it cannot do is declared, and shown to be refused."""

from __future__ import annotations

import pytest
from pkcs11.constants import Attribute, ObjectClass

from foundation.keys.mechanisms import SCHEMES, Family
from foundation.keys.pkcs11 import signing
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyStore, Mechanism
from tests.keys.contract import KeyStoreContract
from tests.keys.extensions import Past

ML_DSA = frozenset({KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_65, KeyAlgorithm.ML_DSA_87})


class TestPkcs11(KeyStoreContract):
    """The whole contract."""

    @pytest.fixture
    def store(self, token_store: Pkcs11KeyStore) -> KeyStore:
        return token_store

    @pytest.fixture
    def past(self, token_store: Pkcs11KeyStore) -> Past:
        """The private key as any program finds it that is logged in to the token."""

        def sign(key_id: str, mechanism: Mechanism, data: bytes) -> bytes:
            wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: bytes.fromhex(key_id)}
            return token_store._connection.run(
                lambda session: signing.sign(session.search(wanted)[0], mechanism, data, token_store.capabilities())
            )

        return sign


def test_the_gaps_of_softhsm_are_declared(token_store: Pkcs11KeyStore) -> None:
    """Exactly these things are missing: ML-DSA; ECDSA that hashes inside; every feature beyond keys that sign."""
    can = token_store.capabilities()
    assert frozenset(KeyAlgorithm) - can.algorithms == ML_DSA
    assert frozenset(Mechanism) - can.mechanisms == {Mechanism.ML_DSA, Mechanism.ML_DSA_EXTERNAL_MU}
    assert can.hashed_outside == {
        mechanism for mechanism, scheme in SCHEMES.items() if scheme.family is Family.ECDSA and scheme.hash
    }
    assert not can.sees_message
    assert not can.features
    assert can.emulated
