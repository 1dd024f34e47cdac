"""Persons' wrapped keys: the services keep the octets, the token alone says whether they sign."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.keys.errors import (
    ActivationInvalid,
    ActivationRequired,
    DataInvalid,
    KeyDisabled,
    KeyHandleInvalid,
    MechanismInvalid,
    OwnerDestroyed,
    WrappedKeyInvalid,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism, WrappedKey
from tests.hsm.conftest import Person, Served

DIGEST = hashlib.sha256(b"SPECIMEN document").digest()


def seal_key(served: Served, owner: str = "specimen-1", algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256) -> WrappedKey:
    """A wrapped key that needs no activation."""
    return served.client.generate_wrapped(owner, algorithm, KeyUse.ORGANISATION_SEAL)


def signs(served: Served, key: WrappedKey, wrapped: bytes | None = None) -> bool:
    """Whether it signs, and what comes out verifies under the key's public half."""
    (signature,) = served.client.sign_wrapped(wrapped or key.wrapped, Mechanism.ECDSA, [DIGEST])
    verify_signature(public_key(key.info), Mechanism.ECDSA, signature, DIGEST)
    return True


@pytest.mark.parametrize("algorithm", [one for one in KeyAlgorithm if not one.startswith("rsa-")])
def test_every_algorithm_is_wrapped_and_signs(served: Served, algorithm: KeyAlgorithm) -> None:
    """Made, given out, taken back after a restart, and used."""
    key = seal_key(served, algorithm=algorithm)
    served.restart()
    mechanism = {"ec": Mechanism.ECDSA, "ed": Mechanism.EDDSA, "ml": Mechanism.ML_DSA}[algorithm.value[:2]]
    (signature,) = served.client.sign_wrapped(key.wrapped, mechanism, [DIGEST])
    verify_signature(public_key(key.info), mechanism, signature, DIGEST)


def test_a_wrapped_rsa_key_signs(served: Served) -> None:
    """PKCS#1 v1.5 and PSS, over a digest."""
    key = seal_key(served, algorithm=KeyAlgorithm.RSA_2048)
    for mechanism in (Mechanism.RSA_PKCS, Mechanism.RSA_PKCS_PSS):
        (signature,) = served.client.sign_wrapped(key.wrapped, mechanism, [DIGEST])
        verify_signature(public_key(key.info), mechanism, signature, DIGEST)


def test_the_private_key_is_in_no_file_and_not_in_the_open(served: Served) -> None:
    """Neither the wrapping nor the token's files hold a PKCS#8 structure in clear."""
    key = seal_key(served)
    ec_private = bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107046d306b0201010420")  # PKCS#8 up to the scalar
    assert ec_private not in key.wrapped
    assert ec_private not in served.files()


def test_a_batch_is_one_call_and_keeps_its_order(served: Served, person: Person) -> None:
    """Fifty digests under one activation: fifty signatures, in order; the activation is used up."""
    key = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(50)]
    activation = person.activate(key.info, *digests)
    signatures = served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, digests, activation=activation)
    for digest, signature in zip(digests, signatures, strict=True):
        verify_signature(public_key(key.info), Mechanism.ECDSA, signature, digest)
    with pytest.raises(ActivationInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, digests[:1], activation=activation)


def test_a_batch_signs_all_or_nothing(served: Served, person: Person) -> None:
    """One digest that was not approved: nothing is signed, and the approved one is not used up."""
    key = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    activation = person.activate(key.info, DIGEST)
    with pytest.raises(ActivationInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST, bytes(32)], activation=activation)
    assert served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST], activation=activation)


def test_a_citizens_wrapped_key_needs_its_owners_activation(served: Served, person: Person) -> None:
    """Without one, or with one for another key, nothing is signed."""
    key = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    other = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    with pytest.raises(ActivationRequired):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST])
    activation = person.activate(other.info, DIGEST)
    with pytest.raises(ActivationInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST], activation=activation)


@pytest.mark.parametrize("inputs", [[], [b""], [bytes(31)], [bytes(32)] * 1001])
def test_inputs_are_checked(served: Served, inputs: list[bytes]) -> None:
    """No input, too many, or one that is no digest: nothing is signed."""
    key = seal_key(served)
    with pytest.raises(DataInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, inputs)


def test_mechanisms_and_uses_are_checked(served: Served) -> None:
    """An EC key does not sign by RSA; a certifying key is never wrapped."""
    key = seal_key(served)
    with pytest.raises(MechanismInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.RSA_PKCS, [DIGEST])
    with pytest.raises(DataInvalid):
        served.client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ISSUING_CA)


# --- what somebody with the services' database can try ----------------------------------------------------------------


def split(wrapped: bytes) -> tuple[dict[str, object], bytes]:
    """The head of a wrapping as values, and what is sealed."""
    end = 6 + int.from_bytes(wrapped[4:6], "big")
    return json.loads(wrapped[6:end]), wrapped[end:]


def joined(head: dict[str, object], sealed: bytes) -> bytes:
    """A wrapping with this head."""
    encoded = json.dumps(head, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return b"CTW1" + len(encoded).to_bytes(2, "big") + encoded + sealed


def test_a_swapped_wrapping_does_not_sign(served: Served) -> None:
    """Another key's sealed part under this key's head, of the same person and of another: refused."""
    mine, mine_too, other = seal_key(served), seal_key(served), seal_key(served, "specimen-2")
    head, sealed = split(mine.wrapped)
    assert joined(head, sealed) == mine.wrapped
    for foreign in (mine_too, other):
        with pytest.raises(WrappedKeyInvalid):
            served.client.sign_wrapped(joined(head, split(foreign.wrapped)[1]), Mechanism.ECDSA, [DIGEST])


@pytest.mark.parametrize("field", ["key_id", "owner", "algorithm", "use", "public_key", "policy", "version"])
def test_an_edited_head_does_not_sign(served: Served, field: str) -> None:
    """Each value of the head, replaced by one that is good elsewhere: no signature under this head."""
    mine, other = seal_key(served), seal_key(served, "specimen-2", KeyAlgorithm.EC_P384)
    head, sealed = split(mine.wrapped)
    instead = {**split(other.wrapped)[0], "use": "citizen-sign", "policy": "00" * 32, "version": 2}
    with pytest.raises((WrappedKeyInvalid, KeyHandleInvalid)):
        served.client.sign_wrapped(joined({**head, field: instead[field]}, sealed), Mechanism.ECDSA, [DIGEST])


def test_another_person_cannot_be_given_the_key(served: Served, person: Person) -> None:
    """A wrapping relabelled to an accomplice, who has keys and factors of their own, does not sign for them."""
    accomplice = Person(served, "specimen-accomplice")
    victim = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    theirs = served.client.generate_wrapped(accomplice.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)
    activation = accomplice.activate(theirs.info, DIGEST)
    head, sealed = split(victim.wrapped)
    relabelled = joined({**head, "owner": accomplice.owner, "key_id": theirs.info.key_id}, sealed)
    as_theirs = joined(split(theirs.wrapped)[0], sealed)
    for forged in (relabelled, as_theirs):
        with pytest.raises(WrappedKeyInvalid):
            served.client.sign_wrapped(forged, Mechanism.ECDSA, [DIGEST], activation=activation)
    with pytest.raises(ActivationInvalid):
        served.client.sign_wrapped(victim.wrapped, Mechanism.ECDSA, [DIGEST], activation=activation)


def test_any_changed_octet_of_a_wrapping_is_noticed(served: Served) -> None:
    """Every octet flipped, and every shorter wrapping: an error, never a signature."""
    key = seal_key(served)
    changed = [
        key.wrapped[:at] + bytes([key.wrapped[at] ^ 1]) + key.wrapped[at + 1 :] for at in range(len(key.wrapped))
    ]
    for wrapped in changed + [key.wrapped[:length] for length in range(0, len(key.wrapped), 7)]:
        with pytest.raises((WrappedKeyInvalid, KeyHandleInvalid)):
            served.client.sign_wrapped(wrapped, Mechanism.ECDSA, [DIGEST])


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(noise=st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda rest: b"CTW1\x00\x20" + rest)))
def test_noise_never_signs(served: Served, noise: bytes) -> None:
    """No octets but those that the token made are a wrapping."""
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign_wrapped(noise, Mechanism.ECDSA, [DIGEST])


def test_a_wrapping_of_another_token_does_not_sign(served: Served) -> None:
    """The same octets under a token that never made them: nobody of theirs."""
    key = seal_key(served)
    served.edit("DELETE FROM owners")
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST])


# --- versions ---------------------------------------------------------------------------------------------------------


def test_nothing_to_rewrap_gives_the_same_octets(served: Served) -> None:
    """A wrapping under the newest key of its person stays what it is."""
    key = seal_key(served)
    assert served.client.rewrap(key.wrapped) == key.wrapped


def test_a_rolled_back_wrapping_does_not_sign(served: Served) -> None:
    """After the new wrapping was used once, the old one (from a backup) is refused, and rewrap does not revive it."""
    key = seal_key(served)
    served.client.renew_person("specimen-1")
    assert signs(served, key)  # nothing is lost meanwhile
    renewed = served.client.rewrap(key.wrapped)
    assert renewed != key.wrapped
    assert signs(served, key)  # the answer may have been lost
    assert signs(served, key, renewed)
    for call in (
        lambda: served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST]),
        lambda: served.client.rewrap(key.wrapped),
    ):
        with pytest.raises(WrappedKeyInvalid):
            call()
    served.restart()
    assert signs(served, key, renewed)


def test_a_rewrap_whose_answer_was_lost_is_repeated(served: Served) -> None:
    """Rewrapped three times over, with the first two answers lost: the key still signs, and only the last counts."""
    key = seal_key(served)
    served.client.renew_person("specimen-1")
    lost = [served.client.rewrap(key.wrapped) for _ in range(2)]
    kept = served.client.rewrap(key.wrapped)
    assert signs(served, key, kept)
    for wrapped in lost:
        with pytest.raises(WrappedKeyInvalid):
            served.client.sign_wrapped(wrapped, Mechanism.ECDSA, [DIGEST])


def test_the_old_wrapping_key_goes_with_its_last_use(served: Served) -> None:
    """Two keys of a person: the old wrapping key is there for the second until that has moved too."""
    first, second = seal_key(served), seal_key(served)
    served.client.renew_person("specimen-1")
    persons = served.daemon.token.persons

    def generations() -> list[int]:
        record = persons.record("specimen-1")
        assert record is not None
        return sorted(record.wrapping)

    assert signs(served, first, served.client.rewrap(first.wrapped))
    assert generations() == [1, 2]
    assert signs(served, second)
    assert signs(served, second, served.client.rewrap(second.wrapped))
    assert generations() == [2]


# --- status: in the token alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_handle", [True, False])
def test_a_disabled_key_does_not_sign_until_it_is_enabled(served: Served, by_handle: bool) -> None:
    """By person and key, and by the key's id alone, as the CA's switch does it; an old wrapping does not help."""
    key = seal_key(served)

    def switch(enabled: bool) -> None:
        if by_handle:
            served.client.set_enabled(key.info.key_id, enabled)
        else:
            served.client.set_wrapped_enabled("specimen-1", key.info.key_id, enabled)

    switch(False)
    assert not served.client.get(key.info.key_id).enabled
    with pytest.raises(KeyDisabled):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST])
    served.restart()
    with pytest.raises(KeyDisabled):
        served.client.sign_wrapped(served.client.rewrap(key.wrapped), Mechanism.ECDSA, [DIGEST])
    switch(True)
    assert signs(served, key)


@pytest.mark.parametrize("by_handle", [True, False])
def test_a_destroyed_key_is_gone_and_its_neighbours_are_not(served: Served, by_handle: bool) -> None:
    """The wrapping from before signs nothing any more; another key of the person does."""
    key, other = seal_key(served), seal_key(served)
    if by_handle:
        served.client.destroy(key.info.key_id)
    else:
        served.client.destroy_wrapped("specimen-1", key.info.key_id)
    for call in (
        lambda: served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST]),
        lambda: served.client.rewrap(key.wrapped),
        lambda: served.client.get(key.info.key_id),
        lambda: served.client.set_wrapped_enabled("specimen-1", key.info.key_id, True),
        lambda: served.client.destroy_wrapped("specimen-1", key.info.key_id),
    ):
        with pytest.raises(KeyHandleInvalid):
            call()
    assert signs(served, other)
    assert served.client.wrapped_keys("specimen-1") == (other.info,)


def test_a_destroyed_person_has_no_keys(served: Served) -> None:
    """Wrappings restored from a backup open nothing, and no key is made for the person again."""
    key = seal_key(served)
    served.client.destroy_owner("specimen-1")
    for call in (
        lambda: served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST]),
        lambda: served.client.rewrap(key.wrapped),
        lambda: served.client.wrapped_keys("specimen-1"),
        lambda: seal_key(served),
    ):
        with pytest.raises(OwnerDestroyed):
            call()
    assert served.look("SELECT COUNT(*) FROM wrapped_keys") == [(0,)]


def test_what_the_token_says_of_a_key(served: Served, person: Person) -> None:
    """By its id: as it was made, with the owner; found among the person's; not among the token's own keys."""
    key = served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P384, KeyUse.CITIZEN_SIGN)
    assert served.client.get(key.info.key_id) == key.info
    assert (key.info.owner, key.info.enabled, key.info.algorithm) == (person.owner, True, KeyAlgorithm.EC_P384)
    assert served.client.wrapped_keys(person.owner) == (key.info,)
    assert served.client.find(owner=person.owner) == ()
    with pytest.raises(KeyHandleInvalid):
        served.client.sign(key.info.key_id, Mechanism.ECDSA, DIGEST, activation=os.urandom(32))


def test_an_edited_index_gives_no_key_away(served: Served) -> None:
    """The index from key to person is not sealed: pointed at somebody else, it finds nothing."""
    key = seal_key(served)
    seal_key(served, "specimen-2")
    served.edit("UPDATE wrapped_keys SET owner = 'specimen-2' WHERE key_id = ?", key.info.key_id)
    with pytest.raises(KeyHandleInvalid):
        served.client.get(key.info.key_id)
    with pytest.raises(KeyHandleInvalid):
        served.client.set_enabled(key.info.key_id, False)
    assert signs(served, key)


def test_records_of_two_persons_cannot_be_exchanged(served: Served) -> None:
    """Somebody who can write to the token's store puts one person's record in another's place: nothing opens."""
    key = seal_key(served)
    seal_key(served, "specimen-2")
    served.edit("UPDATE owners SET sealed = (SELECT sealed FROM owners WHERE owner = 'specimen-2')")
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign_wrapped(key.wrapped, Mechanism.ECDSA, [DIGEST])
