"""The extensions of the contract, by declared feature: what a store that declares it must show, and what one that does
not must refuse. There is no third way: neither half of any feature may be empty, so nothing is skipped.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from foundation.clock import SystemClock
from foundation.keys.attestation import KeyAttestation, verify
from foundation.keys.capabilities import Feature
from foundation.keys.errors import (
    ActivationInvalid,
    ActivationRequired,
    AttestationInvalid,
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    KeyStoreError,
    MechanismInvalid,
    OwnerDestroyed,
    PolicyRefused,
    WrappedKeyInvalid,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import Attesting, Factors, KeyAlgorithm, KeyUse, Mechanism, PersonKeys, WrappedKeys

PERSON_PIN = "482913"
DIGEST = hashlib.sha256(b"SPECIMEN document").digest()
UNSUPPORTED = "CKR_FUNCTION_NOT_SUPPORTED"

Past = Callable[[str, Mechanism, bytes], bytes]
"""Asks the token for a signature past the key store's own checks, as another program that is logged in would."""
Check = Callable[[Any, Past], None]


@dataclass(frozen=True)
class Extension:
    """``shown`` by stores that declare the feature; ``refused`` (or admitted) by those that do not."""

    shown: tuple[Check, ...]
    refused: tuple[Check, ...]


def check_extension(feature: Feature, store: Any, past: Past) -> int:
    """Hold a store to what it declares of one feature; gives how many checks ran."""
    extension = EXTENSIONS[feature]
    checks = extension.shown if feature in store.capabilities().features else extension.refused
    for check in checks:
        check(store, past)
    return len(checks)


def fresh(name: str) -> str:
    """A label or owner that no other test uses."""
    return f"{name}-{os.urandom(6).hex()}"


def refused(ckr: str, call: Callable[[], object]) -> None:
    """The call is refused, by the PKCS#11 name ``ckr``."""
    with pytest.raises(KeyStoreError) as told:
        call()
    assert told.value.ckr == ckr


# --- activations ----------------------------------------------------------------------------------------------------


def a_person_approves_each_signature(store: Any, past: Past) -> None:
    """Enrolled, confirmed, approved: exactly the digest that was approved is signed, once, by that key."""
    owner = fresh("person")
    key = store.generate(fresh("citizen"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, owner)
    app = pyotp.parse_uri(store.enrol(owner, PERSON_PIN).provisioning_uri)
    assert isinstance(app, pyotp.TOTP)
    store.confirm(owner, app.at(SystemClock().now()))
    with pytest.raises(ActivationRequired):
        store.sign(key.key_id, Mechanism.ECDSA, DIGEST)
    code = app.at(SystemClock().now() + timedelta(seconds=30))  # the next step's, which is good already
    approval = store.activate(key.key_id, [DIGEST], PERSON_PIN, code, "specimen").token
    with pytest.raises(ActivationInvalid):
        store.sign(key.key_id, Mechanism.ECDSA, hashlib.sha256(b"another").digest(), activation=approval)
    signature = store.sign(key.key_id, Mechanism.ECDSA, DIGEST, activation=approval)
    verify_signature(public_key(key), Mechanism.ECDSA, signature, DIGEST)
    with pytest.raises(ActivationInvalid):
        store.sign(key.key_id, Mechanism.ECDSA, DIGEST, activation=approval)
    with pytest.raises(ActivationRequired):
        past(key.key_id, Mechanism.ECDSA, DIGEST)


def a_citizens_key_belongs_to_somebody(store: Any, past: Past) -> None:
    """A key that needs activation cannot be made without an owner."""
    with pytest.raises(DataInvalid):
        store.generate(fresh("nobody"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)


def no_citizens_key_is_made(store: Any, past: Past) -> None:
    """Without the feature a citizen's key is refused, and nothing of it is left."""
    label = fresh("citizen")
    refused(UNSUPPORTED, lambda: store.generate(label, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, fresh("owner")))
    assert store.find(label=label) == ()


def no_approval_is_taken(store: Any, past: Past) -> None:
    """Whoever sends an approval believes that it is checked: refused."""
    key = store.generate(fresh("seal"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    refused(UNSUPPORTED, lambda: store.sign(key.key_id, Mechanism.ECDSA, DIGEST, activation=b"approved"))


# --- data keys of persons -------------------------------------------------------------------------------------------


def data_keys_open_for_owner_and_purpose(store: Any, past: Past) -> None:
    """A data key opens for its owner and purpose alone, and never again once the owner was destroyed."""
    owner, other = fresh("owner"), fresh("owner")
    key, wrapped = store.new_data_key(owner, "specimen")
    store.new_data_key(other, "specimen")
    assert store.open_data_key(owner, "specimen", wrapped) == key
    for wrong in ((owner, "another", wrapped), (other, "specimen", wrapped), (owner, "specimen", wrapped[:-1])):
        with pytest.raises(WrappedKeyInvalid):
            store.open_data_key(*wrong)
    store.destroy_owner(owner)
    with pytest.raises(OwnerDestroyed):
        store.open_data_key(owner, "specimen", wrapped)


# --- keys that are kept outside, and statements ------------------------------------------------------------------


def wrapped_keys_sign_while_the_token_permits(store: Any, past: Past) -> None:
    """A key that is kept outside signs for its owner's sake, not when it is disabled, and never once destroyed."""
    owner = fresh("owner")
    made = store.generate_wrapped(owner, KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    assert [one.key_id for one in store.wrapped_keys(owner)] == [made.info.key_id]
    (signature,) = store.sign_wrapped(made.wrapped, Mechanism.ECDSA, [DIGEST])
    verify_signature(public_key(made.info), Mechanism.ECDSA, signature, DIGEST)
    store.set_wrapped_enabled(owner, made.info.key_id, False)
    with pytest.raises(KeyDisabled):
        store.sign_wrapped(made.wrapped, Mechanism.ECDSA, [DIGEST])
    store.destroy_wrapped(owner, made.info.key_id)
    with pytest.raises(KeyHandleInvalid):
        store.sign_wrapped(made.wrapped, Mechanism.ECDSA, [DIGEST])


def the_token_vouches_for_its_keys(store: Any, past: Past) -> None:
    """Its signed word is about this key, and verifies under the token's key alone."""
    info = store.generate(fresh("attested"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    said = verify(store.attest(info.key_id), store.token_key(), KeyAttestation)
    assert (said.key_id, said.public_key) == (info.key_id, hashlib.sha256(info.public_key).hexdigest())
    with pytest.raises(AttestationInvalid):
        verify(store.attest(info.key_id), info.public_key, KeyAttestation)


# --- both protocols, where the feature is not there -----------------------------------------------------------------


def every_call_of(protocol: type) -> Check:
    """Each call of a protocol is there and refused by name."""

    def check(store: Any, past: Past) -> None:
        calls = [name for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"]
        assert calls
        for name in calls:
            count = len(inspect.signature(getattr(protocol, name)).parameters) - 1
            refused(UNSUPPORTED, lambda: getattr(store, name)(*["specimen"] * count))  # noqa: B023 (called at once)

    check.__name__ = f"every_call_of_{protocol.__name__}"
    return check


# --- policy ---------------------------------------------------------------------------------------------------------


def the_token_refuses_what_the_policy_forbids(store: Any, past: Past) -> None:
    """Past the key store too: under a key that certifies no digest and no message, under a disabled key nothing."""
    authority = store.generate(fresh("past"), KeyAlgorithm.EC_P256, KeyUse.ISSUING_CA)
    with pytest.raises(MechanismInvalid):
        past(authority.key_id, Mechanism.ECDSA, DIGEST)
    with pytest.raises(PolicyRefused):
        past(authority.key_id, Mechanism.ECDSA_SHA256, b"to whom it may concern")
    seal = store.generate(fresh("past"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    past(seal.key_id, Mechanism.ECDSA, DIGEST)
    store.set_enabled(seal.key_id, False)
    with pytest.raises(KeyDisabled):
        past(seal.key_id, Mechanism.ECDSA, DIGEST)


def the_token_would_sign_for_another_program(store: Any, past: Past) -> None:
    """What is not declared is really not there: another program that is logged in signs under a disabled key."""
    seal = store.generate(fresh("past"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    store.set_enabled(seal.key_id, False)
    refused("CKR_KEY_FUNCTION_NOT_PERMITTED", lambda: store.sign(seal.key_id, Mechanism.ECDSA, DIGEST))
    verify_signature(public_key(seal), Mechanism.ECDSA, past(seal.key_id, Mechanism.ECDSA, DIGEST), DIGEST)


EXTENSIONS: Mapping[Feature, Extension] = {
    Feature.ACTIVATIONS: Extension(
        shown=(a_person_approves_each_signature, a_citizens_key_belongs_to_somebody),
        refused=(no_citizens_key_is_made, no_approval_is_taken, every_call_of(Factors)),
    ),
    Feature.PERSON_KEYS: Extension(
        shown=(data_keys_open_for_owner_and_purpose,),
        refused=(every_call_of(PersonKeys),),
    ),
    Feature.WRAPPED_KEYS: Extension(
        shown=(wrapped_keys_sign_while_the_token_permits,),
        refused=(every_call_of(WrappedKeys),),
    ),
    Feature.ATTESTATION: Extension(
        shown=(the_token_vouches_for_its_keys,),
        refused=(every_call_of(Attesting),),
    ),
    Feature.POLICY_INSIDE: Extension(
        shown=(the_token_refuses_what_the_policy_forbids,),
        refused=(the_token_would_sign_for_another_program,),
    ),
}
