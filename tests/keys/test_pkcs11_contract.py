"""The contract of key stores on a PKCS#11 token: SoftHSM2. What it cannot do is declared, and shown to be refused."""

from __future__ import annotations

import hashlib

import pytest

from foundation.keys.errors import DataInvalid, MechanismInvalid
from foundation.keys.mechanisms import SCHEMES, Family
from foundation.keys.pkcs11.errors import ActivationUnsupported
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse, Mechanism
from tests.keys.contract import KeyStoreContract, fresh

ML_DSA = frozenset({KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_65, KeyAlgorithm.ML_DSA_87})


class TestPkcs11(KeyStoreContract):
    """All of it but what hangs on the two declared gaps: no ML-DSA, no activations."""

    algorithms = tuple(algorithm for algorithm in KeyAlgorithm if algorithm not in ML_DSA)

    @pytest.fixture
    def store(self, token_store: Pkcs11KeyStore) -> KeyStore:
        return token_store

    def test_finding_matches_every_argument(self, store: KeyStore) -> None:
        """As in the contract; the owned keys are no citizen's."""
        owner = fresh("owner")
        first = store.generate(fresh("find"), KeyAlgorithm.EC_P256, KeyUse.REGISTRATION_AUTHORITY, owner)
        second = store.generate(fresh("find"), KeyAlgorithm.EC_P384, KeyUse.ORGANISATION_SEAL, owner)
        assert store.find(owner=owner) == (first, second)
        assert store.find(owner=owner, use=KeyUse.REGISTRATION_AUTHORITY) == (first,)
        assert store.find(owner=owner, label=second.label) == (second,)
        assert store.find(label=fresh("nothing")) == ()
        assert store.get(second.key_id) == second
        assert second.owner == owner
        assert second.enabled

    def test_a_citizens_key_needs_activation(self, store: KeyStore) -> None:
        """The token cannot check activations, so a citizen's key is not made at all, and nothing takes activations."""
        label = fresh("citizen")
        with pytest.raises(ActivationUnsupported):
            store.generate(label, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, fresh("owner"))
        assert store.find(label=label) == ()
        info = store.generate(fresh("seal"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        with pytest.raises(ActivationUnsupported):
            store.sign(info.key_id, Mechanism.ECDSA, hashlib.sha256(b"SPECIMEN").digest(), activation=b"approved")


def test_the_gaps_of_softhsm_are_declared(token_store: Pkcs11KeyStore) -> None:
    """Exactly these things are missing: ML-DSA; ECDSA that hashes inside; activations, person keys, inner policy."""
    can = token_store.capabilities()
    assert frozenset(KeyAlgorithm) - can.algorithms == ML_DSA
    assert frozenset(Mechanism) - can.mechanisms == {Mechanism.ML_DSA}
    assert can.hashed_outside == {
        mechanism for mechanism, scheme in SCHEMES.items() if scheme.family is Family.ECDSA and scheme.hash
    }
    assert (can.sees_message, can.activations, can.person_keys, can.policy_inside) == (False,) * 4
    assert can.emulated


@pytest.mark.parametrize("algorithm", sorted(ML_DSA))
def test_an_algorithm_that_is_not_declared_is_refused(token_store: Pkcs11KeyStore, algorithm: KeyAlgorithm) -> None:
    """What the capabilities do not name is refused with an error, and leaves nothing behind."""
    label = fresh("gap")
    with pytest.raises(MechanismInvalid):
        token_store.generate(label, algorithm, KeyUse.AUDIT)
    assert token_store.find(label=label) == ()


@pytest.mark.parametrize(
    ("label", "use", "owner"),
    [
        ("", KeyUse.AUDIT, None),
        ("x" * 201, KeyUse.AUDIT, None),
        ("two\nlines", KeyUse.AUDIT, None),
        ("owner with a space", KeyUse.AUDIT, "SPECIMEN person"),
        ("owner that is empty", KeyUse.AUDIT, ""),
        ("a CA belongs to nobody", KeyUse.ISSUING_CA, "specimen"),
    ],
)
def test_labels_and_owners_are_checked(token_store: Pkcs11KeyStore, label: str, use: KeyUse, owner: str | None) -> None:
    """The same labels and owners are refused as by the emulated HSM."""
    with pytest.raises(DataInvalid):
        token_store.generate(label, KeyAlgorithm.EC_P256, use, owner)
