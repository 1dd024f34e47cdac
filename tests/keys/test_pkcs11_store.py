"""The key store over PKCS#11: what protects a key, what is noticed, and what comes back after an accident."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pkcs11 import exceptions as ckr
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType

from foundation.clock import SetClock
from foundation.keys import errors
from foundation.keys.handles import private_key
from foundation.keys.pkcs11 import open_pkcs11, records, signing
from foundation.keys.pkcs11.errors import ActivationUnsupported, KeyUnprotected
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from tests import programs
from tests.keys.contract import MESSAGE, fresh
from tests.keys.softhsm import PIN, SoftHsm, installed
from tests.keys.stress import start

ALL = (KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519)


def seal(store: Pkcs11KeyStore, algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256) -> KeyInfo:
    return store.generate(fresh("seal"), algorithm, KeyUse.ORGANISATION_SEAL)


def sign(store: Pkcs11KeyStore, info: KeyInfo) -> bytes:
    mechanism = Mechanism.EDDSA if info.algorithm is KeyAlgorithm.ED25519 else Mechanism.ECDSA_SHA256
    return store.sign(info.key_id, mechanism, MESSAGE)


def inside(store: Pkcs11KeyStore, work: Callable[[Any], Any]) -> Any:
    """What somebody can do who is logged in to the token, past the key store."""
    return store._connection.run(lambda session: work(session.raw))


def objects(store: Pkcs11KeyStore, **attributes: object) -> list[Any]:
    wanted = {Attribute[name.upper()]: value for name, value in attributes.items()}
    return list(inside(store, lambda raw: list(raw.get_objects(wanted))))


# --- keys ---------------------------------------------------------------------------------------------------------


def test_keys_are_protected_in_the_eyes_of_another_program(token_store: Pkcs11KeyStore, softhsm: SoftHsm) -> None:
    """OpenSC says of each private key: made in the token, always sensitive, never extractable, for signing alone."""
    made = [seal(token_store, algorithm) for algorithm in ALL]
    for info in made:
        said = softhsm.tool("contract", "--list-objects", "--type", "privkey", "--id", info.key_id)
        assert info.label in said
        assert "sensitive, always sensitive, never extractable, local" in said
        usage = next(line for line in said.splitlines() if "Usage:" in line)
        assert usage.split() == ["Usage:", "sign"]


def test_no_value_of_a_private_key_can_be_read(token_store: Pkcs11KeyStore) -> None:
    """The token answers neither the value of an EC key nor the exponent and primes of an RSA key."""
    for algorithm, secrets in (
        (KeyAlgorithm.EC_P256, (Attribute.VALUE,)),
        (KeyAlgorithm.RSA_2048, (Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1, Attribute.PRIME_2)),
    ):
        info = seal(token_store, algorithm)
        (private,) = objects(token_store, **{"class": ObjectClass.PRIVATE_KEY, "id": bytes.fromhex(info.key_id)})
        for attribute in secrets:
            with pytest.raises(ckr.AttributeSensitive):
                private[attribute]


def test_a_key_that_could_leave_is_destroyed_again(
    other_store: Pkcs11KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that makes an extractable key, whatever it was asked for: KeyUnprotected, and nothing is left."""

    def extractable(raw: Any, _: object, key_id: bytes, label: str) -> Any:
        return raw.generate_keypair(
            KeyType.EC,
            id=key_id,
            label=label,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            public_template=dict(signing.SHAPES[KeyAlgorithm.EC_P256].parameters),
            private_template={Attribute.EXTRACTABLE: True},
        )

    label = fresh("extractable")
    monkeypatch.setattr(signing, "generate_pair", extractable)
    with pytest.raises(KeyUnprotected):
        other_store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    assert not objects(other_store, label=label)


def test_a_wrong_signature_is_not_given_out(token_store: Pkcs11KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that makes garbage: SignatureInvalid; and a new key is not given out either."""
    info = seal(token_store)
    good = signing.sign
    monkeypatch.setattr(signing, "sign", lambda *given: good(*given[:2], b"another message", *given[3:]))
    with pytest.raises(errors.SignatureInvalid):
        sign(token_store, info)
    label = fresh("garbage")
    with pytest.raises(errors.SignatureInvalid):
        token_store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    assert not objects(token_store, label=label)


def test_a_record_beside_another_key_gives_no_signature(other_store: Pkcs11KeyStore) -> None:
    """Somebody in the token swaps the records of two keys: what is signed does not verify, and is thrown away."""
    one, two = seal(other_store), seal(other_store)
    (data,) = objects(other_store, application=records.KEY, label=one.key_id)
    (of_two,) = objects(other_store, application=records.KEY, label=two.key_id)
    forged = replace(records.read(of_two[Attribute.VALUE]), key_id=one.key_id)
    data.destroy()
    inside(
        other_store,
        lambda raw: raw.create_object(records.data_object(records.KEY, one.key_id, records.written(forged))),
    )
    with pytest.raises(errors.SignatureInvalid):
        sign(other_store, one)


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"format":1}', b'{"format":2,"key_id":"x"}'],
)
def test_a_record_that_is_not_ours_makes_no_key(other_store: Pkcs11KeyStore, value: bytes) -> None:
    """A damaged record: the key is not found and does not sign; the other keys do."""
    good, bad = seal(other_store), seal(other_store)
    (data,) = objects(other_store, application=records.KEY, label=bad.key_id)
    data.destroy()
    inside(other_store, lambda raw: raw.create_object(records.data_object(records.KEY, bad.key_id, value)))
    with pytest.raises(errors.KeyHandleInvalid):
        other_store.get(bad.key_id)
    assert bad not in other_store.find()
    assert good in other_store.find()
    sign(other_store, good)


def test_keys_of_others_are_left_alone(other_store: Pkcs11KeyStore, softhsm: SoftHsm) -> None:
    """A key that another program made is not found and not used, and its label is taken."""
    label = fresh("foreign")
    softhsm.tool("other", "--keypairgen", "--key-type", "EC:prime256v1", "--label", label, "--id", "ab" * 16)
    assert other_store.find(label=label) == ()
    with pytest.raises(errors.KeyHandleInvalid):
        other_store.sign("ab" * 16, Mechanism.ECDSA_SHA256, MESSAGE)
    with pytest.raises(errors.LabelExists):
        other_store.generate(label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)


def test_a_citizens_key_from_elsewhere_does_not_sign(other_store: Pkcs11KeyStore) -> None:
    """A record that says citizen, put there past the key store: still no signature without activation."""
    info = seal(other_store)
    (data,) = objects(other_store, application=records.KEY, label=info.key_id)
    forged = replace(records.read(data[Attribute.VALUE]), use=KeyUse.CITIZEN_SIGN, owner="specimen")
    data.destroy()
    value = records.data_object(records.KEY, info.key_id, records.written(forged))
    inside(other_store, lambda raw: raw.create_object(value))
    with pytest.raises(ActivationUnsupported):
        sign(other_store, info)


@pytest.mark.parametrize("key_id", ["", "0" * 32, "x" * 32, "0" * 31, "0" * 34, "../../etc"])
def test_an_id_that_names_nothing_is_refused(token_store: Pkcs11KeyStore, key_id: str) -> None:
    """Unknown and malformed ids: KeyHandleInvalid."""
    with pytest.raises(errors.KeyHandleInvalid):
        token_store.sign(key_id, Mechanism.ECDSA_SHA256, MESSAGE)


def test_the_age_of_keys_is_that_of_the_clock(softhsm: SoftHsm) -> None:
    """Oldest first goes by the clock that was given, not by the order of making."""
    clock, owner = SetClock(datetime(2031, 5, 1, tzinfo=UTC)), fresh("age")
    with open_pkcs11(softhsm.address("other"), PIN, clock=clock) as store:
        later = store.generate(fresh("age"), KeyAlgorithm.EC_P256, KeyUse.AUDIT, owner)
        clock.advance(-timedelta(days=1))
        earlier = store.generate(fresh("age"), KeyAlgorithm.EC_P256, KeyUse.AUDIT, owner)
        assert store.find(owner=owner) == (earlier, later)


# --- other programs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "pss"),
    [(KeyAlgorithm.EC_P384, False), (KeyAlgorithm.RSA_3072, False), (KeyAlgorithm.RSA_3072, True)],
)
def test_openssl_takes_certificates_that_the_token_signed(
    token_store: Pkcs11KeyStore, tmp_path: Path, algorithm: KeyAlgorithm, pss: bool
) -> None:
    """A root certificate made with a handle of the key verifies in OpenSSL."""
    key = private_key(token_store, token_store.generate(fresh("root"), algorithm, KeyUse.ROOT_CA))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPECIMEN root")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 2**64 + 5)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(
            key,
            hashes.SHA384(),
            rsa_padding=padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH) if pss else None,
        )
    )
    file = tmp_path / "root.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    said = programs.run("openssl", "verify", "-check_ss_sig", "-attime", "1800000000", "-CAfile", file, file)
    assert said.stdout.strip().endswith("OK")


def test_the_module_is_told_about_threads(softhsm: SoftHsm, tmp_path: Path) -> None:
    """OpenSC's spy between us and the module sees CKF_OS_LOCKING_OK at the last C_Initialize."""
    spy, log = installed("*/pkcs11-spy.so", "opensc"), tmp_path / "spy.log"
    environment = {**softhsm.environment, "PKCS11SPY": str(softhsm.module), "PKCS11SPY_OUTPUT": str(log)}
    done = start("cold", softhsm.address("stress", spy), environment)
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 0, said
    calls = log.read_text(errors="replace").split("C_Initialize\n")
    assert len(calls) == 3  # python-pkcs11's own, and the one that counts
    assert "CKF_OS_LOCKING_OK" in calls[-1]


# --- several processes --------------------------------------------------------------------------------------------


def test_a_key_that_another_process_disabled_does_not_sign(token_store: Pkcs11KeyStore, softhsm: SoftHsm) -> None:
    """Disabled, enabled and destroyed by another process: known here at once, though the handles were kept."""
    info = seal(token_store)
    sign(token_store, info)
    elsewhere(softhsm, "disable", info)
    with pytest.raises(errors.KeyDisabled):
        sign(token_store, info)
    assert not token_store.get(info.key_id).enabled
    elsewhere(softhsm, "enable", info)
    sign(token_store, info)
    elsewhere(softhsm, "destroy", info)
    with pytest.raises(errors.KeyHandleInvalid):
        sign(token_store, info)


def elsewhere(softhsm: SoftHsm, act: str, info: KeyInfo) -> None:
    done = start(act, softhsm.address("contract"), softhsm.environment, info.key_id)
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 0, said


def test_a_key_that_was_made_elsewhere_is_not_used(other_store: Pkcs11KeyStore) -> None:
    """A key that the token says could leave it, put beside a good record: refused, whoever put it there."""
    info = seal(other_store)
    identifier = bytes.fromhex(info.key_id)
    (private,) = objects(other_store, **{"class": ObjectClass.PRIVATE_KEY, "id": identifier})
    private.destroy()
    inside(
        other_store,
        lambda raw: raw.generate_keypair(
            KeyType.EC,
            id=identifier,
            label=info.label,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            public_template=dict(signing.SHAPES[KeyAlgorithm.EC_P256].parameters),
            private_template={Attribute.EXTRACTABLE: True},
        ),
    )
    for call in (lambda: other_store.get(info.key_id), lambda: sign(other_store, info)):
        with pytest.raises(KeyUnprotected):
            call()
