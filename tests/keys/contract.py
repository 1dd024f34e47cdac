"""What every key store must do, written once. An implementation's tests subclass this and give two fixtures:

    class TestMyStore(KeyStoreContract):
        @pytest.fixture
        def store(self) -> KeyStore: ...
        @pytest.fixture
        def past(self) -> Past: ...          # the token, past the key store's own checks

The core is identical for all. What differs, a store declares (``capabilities()``): what it declares must work, and what
it does not declare must be refused by its PKCS#11 name (`tests/keys/extensions.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from foundation.keys.capabilities import Feature
from foundation.keys.errors import (
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    LabelExists,
    MechanismInvalid,
    SignatureInvalid,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import FAMILIES, SCHEMES, verify_signature
from foundation.keys.policy import DEFAULTS
from foundation.keys.port import MOST_INPUTS, KeyAlgorithm, KeyStore, KeyUse, Mechanism
from tests.keys.extensions import Past, check_extension, fresh
from tests.keys.structures import request_info

MESSAGE = b"SPECIMEN message"


class KeyStoreContract:
    """The core: identical for every implementation."""

    @pytest.mark.parametrize("feature", list(Feature))
    def test_extensions(self, store: KeyStore, past: Past, feature: Feature) -> None:
        """What is declared is shown to work; what is not declared is refused by name."""
        assert check_extension(feature, store, past) > 0

    @pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
    def test_each_algorithm_signs_as_declared(self, store: KeyStore, algorithm: KeyAlgorithm) -> None:
        """A declared algorithm signs by each declared mechanism of its family, and the signature verifies outside; a
        mechanism or algorithm that is not declared is refused, and leaves nothing behind.
        """
        can, label = store.capabilities(), fresh("all")
        if algorithm not in can.algorithms:
            with pytest.raises(MechanismInvalid):
                store.generate(label, algorithm, KeyUse.AUDIT)
            assert store.find(label=label) == ()
            return
        info, signed = store.generate(label, algorithm, KeyUse.AUDIT), 0
        for mechanism, scheme in SCHEMES.items():
            if scheme.family not in FAMILIES[algorithm]:
                continue
            data = hashlib.sha512(MESSAGE).digest() if scheme.takes_digest else MESSAGE
            if mechanism not in can.mechanisms:
                with pytest.raises(MechanismInvalid):
                    store.sign(info.key_id, mechanism, data)
                continue
            signature = store.sign(info.key_id, mechanism, data)
            verify_signature(public_key(info), mechanism, signature, data)
            with pytest.raises(SignatureInvalid):
                verify_signature(public_key(info), mechanism, signature, bytes([data[0] ^ 1]) + data[1:])
            signed += 1
        assert signed

    def test_both_halves_of_the_core_are_there(self, store: KeyStore) -> None:
        """Every store has the algorithms that the services' keys are made of: P-256, P-384, P-521, RSA, Ed25519."""
        assert store.capabilities().algorithms >= {one for one in KeyAlgorithm if not one.startswith("ml-dsa")}

    def test_a_mechanism_of_another_family_is_refused(self, store: KeyStore) -> None:
        """An EC key does not sign by RSA, Ed25519 or ML-DSA mechanisms."""
        info = store.generate(fresh("family"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        for mechanism, scheme in SCHEMES.items():
            if scheme.family not in FAMILIES[info.algorithm]:
                with pytest.raises(MechanismInvalid):
                    store.sign(info.key_id, mechanism, bytes(32))

    @pytest.mark.parametrize("use", [use for use in KeyUse if use.certifies])
    def test_a_key_that_certifies_takes_no_digest(self, store: KeyStore, use: KeyUse) -> None:
        """CA, OCSP and TSA keys sign whole messages alone: the token sees what it signs."""
        info = store.generate(fresh("certifies"), KeyAlgorithm.EC_P256, use)
        with pytest.raises(MechanismInvalid):
            store.sign(info.key_id, Mechanism.ECDSA, hashlib.sha256(MESSAGE).digest())
        store.sign(info.key_id, Mechanism.ECDSA_SHA256, request_info(info))

    @pytest.mark.parametrize("length", [0, 1, 16, 20, 28, 31, 33, 63, 65, 1000])
    def test_a_digest_has_the_length_of_a_sha2_digest(self, store: KeyStore, length: int) -> None:
        """Digest mechanisms take 32, 48 or 64 octets and nothing else (SHA-1 and SHA-224 are not among them)."""
        info = store.generate(fresh("length"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        with pytest.raises(DataInvalid):
            store.sign(info.key_id, Mechanism.ECDSA, bytes(length))

    def test_a_label_is_used_once(self, store: KeyStore) -> None:
        """A second key with the same label is refused, and the first stays what it was."""
        label = fresh("label")
        first = store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        with pytest.raises(LabelExists):
            store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        assert store.find(label=label) == (first,)

    def test_two_who_make_the_same_label_at_once(self, store: KeyStore) -> None:
        """Of eight simultaneous attempts at one label, one makes the key."""
        label = fresh("race")

        def attempt(_: int) -> bool:
            try:
                store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
            except LabelExists:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(attempt, range(8))) == 1
        assert len(store.find(label=label)) == 1

    def test_finding_matches_every_argument(self, store: KeyStore) -> None:
        """Keys are found by label, use and owner together, oldest first, and by their id."""
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
    def test_labels_and_owners_are_checked(self, store: KeyStore, label: str, use: KeyUse, owner: str | None) -> None:
        """A label or an owner that cannot be one, or an owner of a key that certifies: refused."""
        with pytest.raises(DataInvalid):
            store.generate(label, KeyAlgorithm.EC_P256, use, owner)

    def test_a_disabled_key_does_not_sign(self, store: KeyStore) -> None:
        """Disabled (certificate suspended): refused. Enabled again: signs."""
        info = store.generate(fresh("disable"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        store.set_enabled(info.key_id, False)
        assert not store.get(info.key_id).enabled
        with pytest.raises(KeyDisabled):
            store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE)
        store.set_enabled(info.key_id, True)
        store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE)

    def test_a_destroyed_key_is_gone(self, store: KeyStore) -> None:
        """After destruction there is no such key: not to sign with, not to find, not to destroy again."""
        info = store.generate(fresh("destroy"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE)
        store.destroy(info.key_id)
        calls: list[Callable[[], object]] = [
            lambda: store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE),
            lambda: store.get(info.key_id),
            lambda: store.destroy(info.key_id),
            lambda: store.set_enabled(info.key_id, True),
        ]
        for call in calls:
            with pytest.raises(KeyHandleInvalid):
                call()
        assert store.find(label=info.label) == ()

    def test_four_threads_sign(self, store: KeyStore) -> None:
        """Four threads, two keys, 400 signatures: each verifies under the key that was asked for."""
        keys = [store.generate(fresh("thread"), KeyAlgorithm.EC_P256, KeyUse.AUDIT) for _ in range(2)]

        def sign(number: int) -> None:
            info, data = keys[number % 2], number.to_bytes(4, "big")
            signature = store.sign(info.key_id, Mechanism.ECDSA_SHA256, data)
            verify_signature(public_key(info), Mechanism.ECDSA_SHA256, signature, data)

        with ThreadPoolExecutor(4) as threads:
            assert len(list(threads.map(sign, range(400)))) == 400

    def test_many_are_signed_at_once_in_their_order(self, store: KeyStore) -> None:
        """Each of many inputs gets its own signature, in order; as many as there may be, too."""
        info = store.generate(fresh("many"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        inputs = [number.to_bytes(4, "big") for number in range(50)]
        signatures = store.sign_many(info.key_id, Mechanism.ECDSA_SHA256, inputs)
        for data, signature in zip(inputs, signatures, strict=True):
            verify_signature(public_key(info), Mechanism.ECDSA_SHA256, signature, data)
        assert len(store.sign_many(info.key_id, Mechanism.ECDSA, [bytes(32)] * MOST_INPUTS)) == MOST_INPUTS

    def test_of_many_all_are_signed_or_none(self, store: KeyStore) -> None:
        """One input that cannot be signed, none at all, or one too many: refused."""
        info = store.generate(fresh("none"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        for inputs in ([bytes(32), bytes(31)], [], [bytes(32)] * (MOST_INPUTS + 1)):
            with pytest.raises(DataInvalid):
                store.sign_many(info.key_id, Mechanism.ECDSA, inputs)
        with pytest.raises(KeyHandleInvalid):
            store.sign_many("00" * 16, Mechanism.ECDSA, [bytes(32)])

    def test_no_answer_holds_a_private_key(self, store: KeyStore) -> None:
        """What is known of a key outside is its handle and its public half."""
        info = store.generate(fresh("public"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        assert set(info.__dataclass_fields__) == {
            *("key_id", "label", "algorithm", "use", "public_key", "owner", "enabled", "policy"),
        }
        assert info.policy == DEFAULTS[info.use].hash
        assert len(info.public_key) == 91  # SubjectPublicKeyInfo of P-256, RFC 5480
