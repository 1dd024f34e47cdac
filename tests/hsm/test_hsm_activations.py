"""Activations: what a person approved, exactly that, once, for five minutes."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from foundation.keys.activation import LIFETIME, MOST_DIGESTS
from foundation.keys.errors import (
    ActivationInvalid,
    ActivationRequired,
    DataInvalid,
    FactorsNotEnrolled,
    KeyDisabled,
    KeyHandleInvalid,
    PinIncorrect,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from tests.hsm.conftest import PERSON_PIN, Person, Served

ONE, TWO, THREE = (hashlib.sha256(name).digest() for name in (b"one", b"two", b"three"))
SIGN = Mechanism.ECDSA


def test_each_digest_is_signed_once(served: Served, person: Person) -> None:
    """Two documents approved: both are signed, in any order, each once; the third time is refused."""
    key = person.key()
    token = person.activate(key, ONE, TWO)
    for digest in (TWO, ONE):
        signature = served.client.sign(key.key_id, SIGN, digest, activation=token)
        verify_signature(public_key(key), SIGN, signature, digest)
    for digest in (TWO, ONE):
        with pytest.raises(ActivationInvalid):
            served.client.sign(key.key_id, SIGN, digest, activation=token)


def test_the_same_digest_approved_twice_is_signed_twice(served: Served, person: Person) -> None:
    """A list may name a digest twice; it is good as often as it was named."""
    key = person.key()
    token = person.activate(key, ONE, ONE)
    for _ in range(2):
        served.client.sign(key.key_id, SIGN, ONE, activation=token)
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, SIGN, ONE, activation=token)


def test_another_digest_is_not_signed(served: Served, person: Person) -> None:
    """What was not approved is not signed, and the approval is still good for what was."""
    key = person.key()
    token = person.activate(key, ONE)
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, SIGN, TWO, activation=token)
    served.client.sign(key.key_id, SIGN, ONE, activation=token)


def test_another_key_does_not_sign(served: Served, person: Person) -> None:
    """An approval for one key is none for another key of the same person, nor for another person's."""
    key, second = person.key(), person.key("second")
    token = person.activate(key, ONE)
    other = Person(served, "specimen-person-2").key()
    for wrong in (second, other):
        with pytest.raises(ActivationInvalid):
            served.client.sign(wrong.key_id, SIGN, ONE, activation=token)
    served.client.sign(key.key_id, SIGN, ONE, activation=token)


def test_an_activation_expires(served: Served, person: Person) -> None:
    """Good within five minutes; at its expiry it is over."""
    key = person.key()
    early, late = person.activate(key, ONE), person.activate(key, ONE)
    served.clock.advance(LIFETIME - timedelta(seconds=31))
    served.client.sign(key.key_id, SIGN, ONE, activation=early)
    served.clock.advance(timedelta(seconds=31))
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, SIGN, ONE, activation=late)


def test_nothing_else_passes_for_an_activation(served: Served, person: Person) -> None:
    """None, nothing, noise, a changed token, its stored hash: none of them signs."""
    key = person.key()
    token = person.activate(key, ONE)
    with pytest.raises(ActivationRequired):
        served.client.sign(key.key_id, SIGN, ONE)
    ((stored,),) = served.look("SELECT token_hash FROM activations")
    for wrong in (b"", os.urandom(32), token[:-1] + bytes([token[-1] ^ 1]), token[:-1], token + b"\0", stored):
        with pytest.raises(ActivationInvalid):
            served.client.sign(key.key_id, SIGN, ONE, activation=wrong)
    assert token not in served.files()


def test_eight_at_once_get_one_signature(served: Served, person: Person) -> None:
    """Eight threads redeem the same approval at the same time: one signature comes out."""
    key = person.key()
    token = person.activate(key, ONE)

    def attempt(_: int) -> bool:
        try:
            served.client.sign(key.key_id, SIGN, ONE, activation=token)
        except ActivationInvalid:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


def test_used_is_used_after_a_restart(served: Served, person: Person) -> None:
    """What was redeemed before a restart is not redeemed after it."""
    key = person.key()
    token = person.activate(key, ONE)
    served.client.sign(key.key_id, SIGN, ONE, activation=token)
    served.restart()
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, SIGN, ONE, activation=token)


def test_a_used_digest_cannot_be_marked_unused(served: Served, person: Person) -> None:
    """Which digests are used is under the seal: whoever clears the mark voids the approval."""
    key = person.key()
    token = person.activate(key, ONE, TWO)
    served.client.sign(key.key_id, SIGN, ONE, activation=token)
    assert served.edit("UPDATE activations SET used = x'00'") == 1
    for digest in (ONE, TWO):
        with pytest.raises(ActivationInvalid):
            served.client.sign(key.key_id, SIGN, digest, activation=token)


def test_a_batch_is_used_up_whole_or_not_at_all(served: Served, person: Person) -> None:
    """One call signs a thousand approved digests; with one too many, none of them is used up."""
    key = person.key()
    digests = [hashlib.sha256(bytes([at >> 8, at & 255])).digest() for at in range(MOST_DIGESTS)]
    token = person.activate(key, *digests)
    for wrong in ([*digests[:-1], ONE], [*digests[:-1], digests[0]], []):
        with pytest.raises((ActivationInvalid, DataInvalid)):
            served.client.sign_many(key.key_id, SIGN, wrong, activation=token)
    signatures = served.client.sign_many(key.key_id, SIGN, digests[::-1], activation=token)
    for digest, signature in zip(digests[::-1], signatures, strict=True):
        verify_signature(public_key(key), SIGN, signature, digest)
    for digest in (digests[0], digests[-1]):
        with pytest.raises(ActivationInvalid):
            served.client.sign(key.key_id, SIGN, digest, activation=token)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE activations SET expires = expires + 3600",
        "UPDATE activations SET audience = 'somebody-else'",
        "UPDATE activations SET key_id = (SELECT key_id FROM keys WHERE label = 'second')",
        "UPDATE activations SET method = 'passkey'",
        "UPDATE activation_digests SET digests = json_insert(digests, '$[#]', hex(zeroblob(32)))",
        "UPDATE activation_digests SET digests = json_set(digests, '$[0]', hex(zeroblob(32)))",
        "UPDATE activation_digests SET digests = json_remove(digests, '$[1]')",
        "DELETE FROM activation_digests",
    ],
)
def test_an_edited_activation_signs_nothing(served: Served, person: Person, edit: str) -> None:
    """Somebody who can write to the store adds a digest, moves the expiry or the key: the approval is void."""
    key, second = person.key(), person.key("second")
    token = person.activate(key, ONE, TWO)
    served.edit(edit)
    for wrong in (key, second):
        for digest in (ONE, TWO, bytes(32)):
            with pytest.raises(ActivationInvalid):
                served.client.sign(wrong.key_id, SIGN, digest, activation=token)


def test_an_activation_cannot_be_written_into_the_store(served: Served, person: Person) -> None:
    """Rows made by somebody who knows the format, but not the person's key, permit nothing."""
    key, token = person.key(), os.urandom(32)
    token_hash = hashlib.sha256(token).digest()
    expires = int(served.clock.now().timestamp()) + 100
    served.edit(
        "INSERT INTO activations VALUES (?, ?, ?, 'specimen', ?, 'pin-totp', x'00', ?)",
        *(token_hash, key.key_id, person.owner, expires, os.urandom(28)),
    )
    served.edit("INSERT INTO activation_digests VALUES (?, ?)", token_hash, json.dumps([ONE.hex()]))
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, SIGN, ONE, activation=token)


def test_wrong_factors_activate_nothing(served: Served, person: Person) -> None:
    """A wrong PIN or code gives no activation and leaves no row."""
    key = person.key()
    for pin, code in (("739146", person.next_code()), (PERSON_PIN, person.wrong_code())):
        with pytest.raises(PinIncorrect):
            served.client.activate(key.key_id, [ONE], pin, code, "specimen")
    assert served.look("SELECT COUNT(*) FROM activations") == [(0,)]


def test_who_has_no_factors_activates_nothing(served: Served) -> None:
    """A key whose owner never enrolled cannot be activated; nor a key without an owner, nor one that is not there."""
    client = served.client
    citizen = client.generate("citizen", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, "specimen")
    service = client.generate("service", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    with pytest.raises(FactorsNotEnrolled):
        client.activate(citizen.key_id, [ONE], PERSON_PIN, "123456", "specimen")
    with pytest.raises(DataInvalid):
        client.activate(service.key_id, [ONE], PERSON_PIN, "123456", "specimen")
    with pytest.raises(KeyHandleInvalid):
        client.activate("no-such-key", [ONE], PERSON_PIN, "123456", "specimen")


@pytest.mark.parametrize("digests", [[], [b"short"], [ONE] * (MOST_DIGESTS + 1), [ONE, bytes(20)]])
def test_odd_lists_of_digests_are_refused(served: Served, person: Person, digests: list[bytes]) -> None:
    """No digest, too many, or one that is not of SHA-2: refused before the code is used up."""
    key, code = person.key(), person.next_code()
    with pytest.raises(DataInvalid):
        served.client.activate(key.key_id, digests, PERSON_PIN, code, "specimen")
    served.client.activate(key.key_id, [ONE], PERSON_PIN, code, "specimen")


def test_disabled_or_destroyed_after_the_approval(served: Served, person: Person) -> None:
    """An approval does not outlive its key: suspended, it waits; destroyed, it is gone with the key or the person."""
    key, second = person.key(), person.key("second")
    token, other = person.activate(key, ONE), person.activate(second, ONE)
    served.client.set_enabled(key.key_id, False)
    with pytest.raises(KeyDisabled):
        served.client.sign(key.key_id, SIGN, ONE, activation=token)
    with pytest.raises(KeyDisabled):
        served.client.activate(key.key_id, [ONE], PERSON_PIN, person.next_code(), "specimen")
    served.client.destroy(key.key_id)
    assert served.look("SELECT COUNT(*) FROM activations") == [(1,)]
    assert served.look("SELECT COUNT(*) FROM activation_digests") == [(1,)]
    served.client.destroy_owner(person.owner)
    assert served.look("SELECT COUNT(*) FROM activations") == [(0,)]
    with pytest.raises(KeyHandleInvalid):
        served.client.sign(second.key_id, SIGN, ONE, activation=other)


def test_an_audience_that_is_claimed_must_be_the_one_approved(served: Served, person: Person) -> None:
    """A client that says for whom it signs redeems only what was approved for that audience."""
    key = person.key()
    token = person.activate(key, ONE)
    for audience in ("somebody-else", "specimen"):
        client = HsmClient(served.daemon.socket_path, audience=audience)
        client._session = served.client._session
        if audience == "specimen":
            client.sign(key.key_id, SIGN, ONE, activation=token)
        else:
            with pytest.raises(ActivationInvalid):
                client.sign(key.key_id, SIGN, ONE, activation=token)
        client._wire.close()


@pytest.mark.parametrize(
    ("algorithm", "mechanism", "hash_name"),
    [
        (KeyAlgorithm.EC_P384, Mechanism.ECDSA_SHA384, "sha384"),
        (KeyAlgorithm.ED25519, Mechanism.EDDSA, "sha512"),
        (KeyAlgorithm.ML_DSA_65, Mechanism.ML_DSA, "sha512"),
    ],
)
def test_whole_messages_are_approved_by_their_digest(
    served: Served, person: Person, algorithm: KeyAlgorithm, mechanism: Mechanism, hash_name: str
) -> None:
    """A citizen's key that takes whole messages signs the message whose digest was approved, and no other."""
    key, message = person.key(algorithm=algorithm), b"signed attributes"
    token = person.activate(key, hashlib.new(hash_name, message).digest())
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, mechanism, message + b".", activation=token)
    verify_signature(
        public_key(key), mechanism, served.client.sign(key.key_id, mechanism, message, activation=token), message
    )
