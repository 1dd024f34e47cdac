"""What the token says of keys and destructions, checked offline with nothing but its public key."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.canonical import canonical_json
from foundation.keys.attestation import (
    TOKEN_KEY_HASH,
    Checkpoint,
    DestructionCertificate,
    KeyAttestation,
    verify,
)
from foundation.keys.errors import (
    AttestationInvalid,
    DataInvalid,
    KeyHandleInvalid,
    OwnerDestroyed,
    WrappedKeyInvalid,
)
from foundation.keys.policy import DEFAULTS
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from foundation.vault import Vault
from tests.hsm.conftest import Person, Served


def test_a_service_key_is_attested(served: Served) -> None:
    """Everything that is fixed about the key, that it was made here, cannot leave, and that the token is emulated."""
    key = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    said = verify(served.client.attest(key.key_id), served.client.token_key(), KeyAttestation)
    assert said == KeyAttestation(
        token=served.client.status()["serial"],
        key_id=key.key_id,
        owner=None,
        algorithm="ec-p256",
        use="organisation-seal",
        public_key=hashlib.sha256(key.public_key).hexdigest(),
        policy=DEFAULTS[KeyUse.ORGANISATION_SEAL].hash,
        kept="token",
        version=1,
        at=served.clock.now(),
        origin="generated",
        exportable=False,
        emulated=True,
    )


def test_a_wrapped_key_is_attested_with_owner_and_version(served: Served) -> None:
    """The owner, and the version of the wrapping that is good."""
    key = served.client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    served.client.renew_person("specimen-1")
    renewed = served.client.rewrap(key.wrapped)
    served.client.sign_wrapped(renewed, Mechanism.ECDSA, [bytes(32)])
    said = verify(served.client.attest(key.info.key_id), served.client.token_key(), KeyAttestation)
    assert (said.owner, said.kept, said.version) == ("specimen-1", "wrapped", 2)
    assert said.public_key == hashlib.sha256(key.info.public_key).hexdigest()


def test_the_tokens_key_stays_the_same_and_signs_nothing_else(served: Served) -> None:
    """After a restart it is the same; it is not among the keys, and nobody can name it to have something signed."""
    before = served.client.token_key()
    served.restart()
    assert served.client.token_key() == before
    assert served.client.find() == ()
    for name in ("attestation", "token", ""):
        with pytest.raises((KeyHandleInvalid, DataInvalid)):
            served.client.sign(name, Mechanism.ECDSA_SHA256, b"a statement that somebody made up")


def test_nothing_is_said_of_keys_that_are_not_there(served: Served) -> None:
    """Unknown, destroyed, and edited: no statement."""
    key = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    other = served.client.generate("other", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    served.edit("UPDATE keys SET owner = 'specimen-1' WHERE key_id = ?", key.key_id)
    with pytest.raises(WrappedKeyInvalid):
        served.client.attest(key.key_id)
    served.client.destroy(other.key_id)
    for key_id in (other.key_id, "nothing"):
        with pytest.raises(KeyHandleInvalid):
            served.client.attest(key_id)


def test_an_exchanged_token_key_is_noticed(served: Served) -> None:
    """Somebody who can write to the store puts a public key of theirs there: the token signs with its own no more."""
    key = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    theirs = ec.generate_private_key(ec.SECP256R1()).public_key()
    served.edit(
        "UPDATE token_keys SET public_key = ?", theirs.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(WrappedKeyInvalid):
        served.client.attest(key.key_id)


# --- the verifier -----------------------------------------------------------------------------------------------------


@pytest.fixture
def attested(served: Served) -> tuple[bytes, bytes]:
    """A statement and the key of the token that made it."""
    key = served.client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    return served.client.attest(key.key_id), served.client.token_key()


def test_another_tokens_key_does_not_verify(attested: tuple[bytes, bytes]) -> None:
    """The same curve, another key: refused. So are a key of another curve, and octets that are no key."""
    statement, _ = attested
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        other = ec.generate_private_key(curve).public_key()
        with pytest.raises(AttestationInvalid):
            verify(statement, other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), KeyAttestation)
    with pytest.raises(AttestationInvalid):
        verify(statement, b"no key", KeyAttestation)


def test_one_kind_is_not_taken_for_another(attested: tuple[bytes, bytes]) -> None:
    """An attestation is no certificate of destruction and no checkpoint."""
    for kind in (DestructionCertificate, Checkpoint):
        with pytest.raises(AttestationInvalid):
            verify(*attested, kind)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", "specimen-2"),
        ("public_key", "00" * 32),
        ("emulated", False),
        ("exportable", True),
        ("version", 2),
        ("policy", "00" * 32),
        ("more", 1),
        ("at", "2026-01-01T00:00:00Z"),
    ],
)
def test_a_changed_field_does_not_verify(attested: tuple[bytes, bytes], field: str, value: Any) -> None:
    """Whatever is said otherwise than the token said it."""
    statement, key = attested
    changed = json.loads(statement)
    changed["statement"][field] = value
    with pytest.raises(AttestationInvalid):
        verify(canonical_json(changed), key, KeyAttestation)


def test_the_signature_has_one_spelling(attested: tuple[bytes, bytes]) -> None:
    """The same octets in capital letters, or with a space in between, are another document."""
    statement, key = attested
    outer = json.loads(statement)
    for spelt in (outer["signature"].upper(), f"{outer['signature'][:2]} {outer['signature'][2:]}"):
        with pytest.raises(AttestationInvalid):
            verify(canonical_json(outer | {"signature": spelt}), key, KeyAttestation)


def test_fields_are_checked_under_a_good_signature_too() -> None:
    """A signer who leaves a field out, adds one, or writes a time otherwise, is not understood."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    good = {
        "format": "camtrust-token-statement-1",
        "kind": "checkpoint",
        "token": "00",
        "epoch": 1,
        "sequence": 2,
        "hash": "00",
        "at": "2026-11-26T00:00:00Z",
    }

    def signed(value: dict[str, Any]) -> bytes:
        signature = private.sign(canonical_json(value), ec.ECDSA(TOKEN_KEY_HASH))
        return canonical_json({"statement": value, "signature": signature.hex()})

    assert verify(signed(good), public, Checkpoint).sequence == 2
    without = {name: value for name, value in good.items() if name != "epoch"}
    for wrong in (without, {**good, "x": 1}, {**good, "format": "x"}, {**good, "at": "2026-11-26T07:00:00+07:00"}):
        with pytest.raises(AttestationInvalid):
            verify(signed(wrong), public, Checkpoint)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(noise=st.one_of(st.binary(max_size=100), st.text(max_size=50).map(lambda one: json.dumps(one).encode())))
def test_noise_is_no_statement(attested: tuple[bytes, bytes], noise: bytes) -> None:
    """Anything but a statement is refused with the one error."""
    with pytest.raises(AttestationInvalid):
        verify(noise, attested[1], KeyAttestation)


# --- destruction ------------------------------------------------------------------------------------------------------


def test_a_destruction_is_certified_and_backups_hold_nothing(served: Served, person: Person) -> None:
    """Destroy a person: a certificate that verifies, names their keys, and is the same when asked for again, also after
    a restart. Then a backup of everything that the services kept is restored: sealed data and keys open nothing.
    """
    vault = Vault(served.client)
    backup = {
        "evidence": vault.seal(person.owner, "name", b"SPECIMEN NAME"),
        "key": served.client.generate_wrapped(person.owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN),
    }
    handle = person.key()
    certificate = vault.destroy(person.owner)
    said = verify(certificate, served.client.token_key(), DestructionCertificate)
    assert (said.token, said.owner, said.at) == (served.client.status()["serial"], person.owner, served.clock.now())
    assert set(said.keys) == {backup["key"].info.key_id, handle.key_id}
    assert vault.destroy(person.owner) == certificate
    served.restart()
    vault = Vault(served.client)
    assert vault.destroy(person.owner) == certificate
    with pytest.raises(OwnerDestroyed):
        vault.open(person.owner, "name", backup["evidence"])
    with pytest.raises(OwnerDestroyed):
        served.client.sign_wrapped(backup["key"].wrapped, Mechanism.ECDSA, [bytes(32)], activation=os.urandom(32))
    with pytest.raises(OwnerDestroyed):
        served.client.rewrap(backup["key"].wrapped)


def test_the_persons_key_is_in_no_file_after_destruction(served: Served) -> None:
    """The sealed record is overwritten: not a trace of it is in the token's files."""
    served.client.generate_wrapped("specimen-1", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    [(sealed,)] = served.look("SELECT sealed FROM owners WHERE owner = 'specimen-1'")
    assert sealed in served.files()
    served.client.destroy_owner("specimen-1")
    assert sealed not in served.files()
    assert sealed[12:60] not in served.files()
