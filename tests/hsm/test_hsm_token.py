"""The token: operators' PINs, sealing at rest, what an edited store can and cannot do, the audit chain."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta

import pytest

import hsm_emulation.token
from foundation.keys.errors import (
    ActivationInvalid,
    AuditBroken,
    KeyStoreError,
    NotLoggedIn,
    SignatureInvalid,
    TokenAlreadyInitialised,
    TokenFormatUnsupported,
    TokenPinIncorrect,
    TokenPinInvalid,
    TokenPinLocked,
    WrappedKeyInvalid,
)
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.keys import LoadedKey
from hsm_emulation.lockout import FREE_TRIES, LONGEST_WAIT, wait_after
from hsm_emulation.process import initialise
from hsm_emulation.sealing import FORMAT, Cost
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Person, Served
from tests.keys.structures import request_info

SIGN = Mechanism.ECDSA_SHA256


def make(served: Served, label: str, use: KeyUse = KeyUse.AUDIT) -> KeyInfo:
    return served.client.generate(label, KeyAlgorithm.EC_P256, use)


# --- initialising, logging in -----------------------------------------------------------------------------------------


def test_a_token_is_never_overwritten(served: Served) -> None:
    """Initialising where a token is raises, and the token still opens with its PIN and has its keys."""
    key = make(served, "kept")
    with pytest.raises(TokenAlreadyInitialised):
        initialise(served.directory, "another-so", "another-user", costs=CHEAP)
    served.restart()
    assert served.client.get(key.key_id) == key


def test_a_token_of_another_format_is_refused(served: Served) -> None:
    """What another version made is not opened, and not changed."""
    served.stop()
    served.edit("UPDATE meta SET value = ? WHERE name = 'format'", b"camtrust-hsm-1")
    with pytest.raises(TokenFormatUnsupported):
        Daemon(served.directory, served.clock)
    served.edit("UPDATE meta SET value = ? WHERE name = 'format'", FORMAT.encode())
    served.start()


def test_the_files_are_the_owners_alone(served: Served) -> None:
    """The directory is 0700, every file in it 0600, the socket 0660."""
    assert stat.S_IMODE(served.directory.stat().st_mode) == 0o700
    for path in served.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o660 if path.is_socket() else 0o600), path.name


@pytest.mark.parametrize(("so_pin", "user_pin"), [("short", USER_PIN), (SO_PIN, "short"), (SO_PIN, SO_PIN)])
def test_operators_pins_have_a_length_and_differ(served: Served, so_pin: str, user_pin: str) -> None:
    """Too short, or one PIN for both roles: no token is made."""
    with pytest.raises(TokenPinInvalid):
        initialise(served.directory / "other", so_pin, user_pin, costs=CHEAP)
    assert not (served.directory / "other").exists()


def test_argon2_has_a_floor() -> None:
    """A cost under 1 MiB is refused, so that no configuration switches the derivation off."""
    with pytest.raises(ValueError, match="Argon2id"):
        Cost(512, 1)


def test_without_a_login_nothing_is_answered(served: Served) -> None:
    """Without a login, and with a wrong PIN, the client gets nothing."""
    stranger = HsmClient(served.daemon.socket_path)
    with pytest.raises(NotLoggedIn):
        stranger.find()
    with pytest.raises(TokenPinIncorrect):
        stranger.login("not-the-user-pin")
    with pytest.raises(NotLoggedIn):
        stranger.inventory()
    stranger.close()


def test_wrong_pins_lock_and_a_restart_does_not_unlock(served: Served) -> None:
    """Five wrong PINs lock the role: the right PIN is refused too, after a restart as well, until the time is over."""
    for _ in range(FREE_TRIES):
        with pytest.raises(TokenPinIncorrect):
            served.connect("not-the-user-pin")
    with pytest.raises(TokenPinLocked) as locked:
        served.connect()
    assert locked.value.retry_after is not None
    assert 0 < locked.value.retry_after <= wait_after(FREE_TRIES) + 1
    served.client.close()
    served.daemon.__exit__(None, None, None)
    with pytest.raises(TokenPinLocked):
        served.start()
    served.clock.advance(timedelta(seconds=wait_after(FREE_TRIES) + 1))
    served.connect().close()
    served.client = served.connect()


def test_waiting_doubles_up_to_a_day() -> None:
    """Nothing before the fifth wrong try; then 60 s, 120 s, 240 s, ...; never more than a day."""
    assert [wait_after(count) for count in (0, 4, 5, 6, 7)] == [0, 0, 60, 120, 240]
    assert wait_after(10_000) == LONGEST_WAIT


def test_the_security_officer_sets_the_users_pin(served: Served) -> None:
    """SO sets a new PIN: the lock-out ends, the old PIN is wrong, keys sign. SO signs nothing, USER sets no PIN."""
    key = make(served, "kept")
    for _ in range(FREE_TRIES):
        with pytest.raises(TokenPinIncorrect):
            served.connect("not-the-user-pin")
    officer = served.connect(SO_PIN, "so")
    with pytest.raises(NotLoggedIn):
        officer.sign(key.key_id, SIGN, b"x")
    with pytest.raises(NotLoggedIn):
        served.client.set_user_pin("chosen-by-the-user")
    with pytest.raises(TokenPinInvalid):
        officer.set_user_pin("short")
    officer.set_user_pin("a-new-user-pin")
    officer.close()
    with pytest.raises(TokenPinIncorrect):
        served.connect(USER_PIN)
    user = served.connect("a-new-user-pin")
    user.sign(key.key_id, SIGN, b"x")
    user.close()


def test_logging_out_ends_a_session_everywhere_and_the_last_one_locks(served: Served) -> None:
    """A session is good on every connection until its logout; after the last logout the master key is forgotten."""
    key = make(served, "key")
    other, second = HsmClient(served.daemon.socket_path), served.connect()
    other._session = served.client._session
    other.sign(key.key_id, SIGN, b"x")
    served.client.logout()
    with pytest.raises(NotLoggedIn):
        other.sign(key.key_id, SIGN, b"x")
    second.sign(key.key_id, SIGN, b"x")
    second.close()
    with pytest.raises(NotLoggedIn):
        served.daemon.token.sessions.master_key()
    assert not served.daemon.token.signing._loaded
    other.close()


# --- at rest ----------------------------------------------------------------------------------------------------------


def test_no_private_key_or_pin_is_on_the_disk(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a private key, nor its scalar, nor a person's PIN, seed or the master key stands in any file."""
    made: list[tuple[bytes, bytes]] = []
    original = hsm_emulation.token.make

    def spy(algorithm: KeyAlgorithm) -> tuple[bytes, bytes]:
        made.append(original(algorithm))
        return made[-1]

    monkeypatch.setattr(hsm_emulation.token, "make", spy)
    person = Person(served, "specimen-person-1")
    key = person.key()
    make(served, "service")
    served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=person.activate(key, bytes(32)))
    disk = served.files()
    assert len(made) == 2
    for private, public in made:
        assert public in disk
        assert private not in disk
        assert private[36:68] not in disk  # the scalar within PKCS#8 (RFC 5915)
    assert person.app.secret.encode() not in disk
    assert person.app.byte_secret() not in disk
    assert served.daemon.token.sessions.master_key() not in disk


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE keys SET use = 'audit' WHERE label = 'one'",
        "UPDATE keys SET algorithm = 'ec-p384' WHERE label = 'one'",
        "UPDATE keys SET algorithm = 'nonsense' WHERE label = 'one'",
        "UPDATE keys SET owner = 'somebody' WHERE label = 'one'",
        "UPDATE keys SET enabled = 0 WHERE label = 'one'",
        "UPDATE keys SET sealed = (SELECT sealed FROM keys WHERE label = 'two') WHERE label = 'one'",
        "UPDATE keys SET public_key = (SELECT public_key FROM keys WHERE label = 'two') WHERE label = 'one'",
        "UPDATE keys SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE label = 'one'",
        "UPDATE keys SET sealed = x'' WHERE label = 'one'",
        "UPDATE keys SET label = 'renamed' WHERE label = 'one'",
        "UPDATE keys SET policy = (SELECT policy FROM keys WHERE label = 'other') WHERE label = 'one'",
    ],
)
@pytest.mark.parametrize("cached", [True, False])
def test_an_edited_row_does_not_sign(served: Served, edit: str, cached: bool) -> None:
    """Any field of a key's row changed in the store: it does not sign, whether or not it was in the cache."""
    key = make(served, "one", KeyUse.ISSUING_CA)
    make(served, "two", KeyUse.ISSUING_CA)
    make(served, "other", KeyUse.AUDIT)
    if cached:
        served.client.sign(key.key_id, SIGN, request_info(key))
    assert served.edit(edit) == 1
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign(key.key_id, SIGN, request_info(key))


def test_swapped_rows_do_not_sign(served: Served) -> None:
    """Two rows that change their ids, so that each would sign in the other's name: neither signs."""
    one, two = make(served, "one"), make(served, "two")
    served.edit("UPDATE keys SET key_id = 'x' WHERE key_id = ?", one.key_id)
    served.edit("UPDATE keys SET key_id = ? WHERE key_id = ?", one.key_id, two.key_id)
    served.edit("UPDATE keys SET key_id = ? WHERE key_id = 'x'", two.key_id)
    for key in (one, two):
        with pytest.raises(WrappedKeyInvalid):
            served.client.sign(key.key_id, SIGN, b"x")


def test_a_disabled_key_cannot_be_enabled_by_editing(served: Served) -> None:
    """The flag is under the seal: set back in the store, the key does not sign."""
    key = make(served, "one")
    served.client.set_enabled(key.key_id, False)
    assert served.edit("UPDATE keys SET enabled = 1") == 1
    with pytest.raises(WrappedKeyInvalid):
        served.client.sign(key.key_id, SIGN, b"x")


def test_everything_survives_a_restart(served: Served, person: Person) -> None:
    """Keys, states, factors and an activation that was not used are there after a restart."""
    key, service = person.key(), make(served, "service")
    served.client.set_enabled(service.key_id, False)
    activation = person.activate(key, bytes(32))
    served.restart()
    assert served.client.find() == (key, served.client.get(service.key_id))
    assert not served.client.get(service.key_id).enabled
    signature = served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=activation)
    verify_signature(public_key(key), Mechanism.ECDSA, signature, bytes(32))


# --- what can be asked ------------------------------------------------------------------------------------------------


def test_no_operation_gives_a_private_key(served: Served, person: Person) -> None:
    """Of everything the daemon was ever asked by this client and answered, nothing holds a key's private octets."""
    from hsm_emulation.operations import OPERATIONS

    assert set(OPERATIONS) == {
        *("generate", "find", "get", "sign", "stamp", "set_enabled", "destroy"),
        *("generate_wrapped", "sign_wrapped", "rewrap", "wrapped_keys", "set_wrapped_enabled", "destroy_wrapped"),
        *("renew_person", "enrol", "confirm", "check", "activate", "new_data_key", "open_data_key", "destroy_owner"),
        *("factors_of", "begin_passkey", "finish_passkey", "prepare_activation", "approve"),
        *(
            "prepare_change",
            "approve_change",
            "prepare_presence",
            "check_presence",
            "lose_factors",
            "set_relying_party",
        ),
        *("attest", "token_key", "witness", "marks", "set_marks", "rotate_master", "rewrap_rows"),
        *("custodians", "set_custodians", "quorum_ask", "quorum_perform", "set_policy", "accept_store"),
        *("enrol_device", "seal_device", "enrol_card"),
        "backup",
        *("set_user_pin", "set_auditor_pin", "inventory", "audit_entries", "verify_audit"),
    }  # a new operation is looked at here before it is let in
    person.key()
    inventory = served.client.inventory()
    assert inventory["keys"] == [{"use": "citizen-sign", "algorithm": "ec-p256", "enabled": True, "count": 1}]
    assert (inventory["owners"], inventory["factors"], inventory["emulated"]) == (1, 1, True)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.generate("", KeyAlgorithm.EC_P256, KeyUse.AUDIT),
        lambda client: client.generate("x" * 201, KeyAlgorithm.EC_P256, KeyUse.AUDIT),
        lambda client: client.generate("line\nbreak", KeyAlgorithm.EC_P256, KeyUse.AUDIT),
        lambda client: client.generate("x", "dsa-1024", KeyUse.AUDIT),
        lambda client: client.generate("x", KeyAlgorithm.EC_P256, "signing-anything"),
        lambda client: client.generate("x", KeyAlgorithm.EC_P256, KeyUse.ROOT_CA, "a-person"),
        lambda client: client.generate("x", KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, "with space"),
        lambda client: client.sign("x", "CKM_SHA1_RSA_PKCS", b"x"),
        lambda client: client.sign("x", SIGN, "text"),
        lambda client: client._call("sign", key_id="x"),
        lambda client: client._call("generate", label="x", unknown=1),
        lambda client: client._call("no-such-operation"),
        lambda client: client._call("set_enabled", key_id="x", enabled=1),
        lambda client: client._call("audit_entries", after=-1, limit=1),
        lambda client: client._wire.ask(client._session, "login", {"role": "root", "pin": "x"}, reads=False),
        lambda client: client._wire.ask(client._session, "login", {"role": "user", "pin": "\ud800"}, reads=False),
    ],
)
def test_nonsense_is_refused_and_the_connection_goes_on(served: Served, call: Callable[[HsmClient], object]) -> None:
    """Arguments of the wrong kind, length or name are refused with an error of the key store; nothing is made."""
    with pytest.raises((KeyStoreError, UnicodeEncodeError)):
        call(served.client)
    assert served.client.find() == ()


def test_finding_goes_on_over_pages(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than fit on a page are all found, once each, oldest first."""
    monkeypatch.setattr(hsm_emulation.token, "PAGE", 3)
    made = tuple(make(served, f"key-{number}") for number in range(7))
    assert served.client.find() == made


# --- audit ------------------------------------------------------------------------------------------------------------


def test_intent_stands_before_result_and_refusals_are_told(served: Served, person: Person) -> None:
    """Making, signing, activating, destroying: intent, then done. What was refused stands there with its code."""
    key = person.key()
    served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=person.activate(key, bytes(32)))
    with pytest.raises(KeyStoreError):
        served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32))
    served.client.destroy_owner(person.owner)
    rows = [(row["action"], row["outcome"]) for row in served.client.audit_entries()]
    for action in ("enrol", "generate", "sign", "activate", "destroy-owner"):
        assert rows.index((action, "intent")) < rows.index((action, "done")), action
    assert ("sign", "foundation.activation_required") in rows
    assert served.client.verify_audit() == len(rows)


def test_the_audit_log_names_no_secret(served: Served, person: Person) -> None:
    """Neither PIN nor code nor seed is in the log."""
    code = person.next_code()
    served.client.check(person.owner, "482913", code)
    written = str(served.client.audit_entries())
    for secret in ("482913", code, person.app.secret, USER_PIN):
        assert secret not in written


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit SET outcome = 'done' WHERE sequence = 3",
        "UPDATE audit SET at = '2020-01-01T00:00:00Z' WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 3",
        "UPDATE audit SET hash = zeroblob(32) WHERE sequence = 3",
    ],
)
def test_a_changed_audit_log_is_noticed(served: Served, edit: str) -> None:
    """A row changed, removed or re-hashed: the chain says so."""
    make(served, "one")
    make(served, "two")
    assert served.client.verify_audit() > 4
    assert served.edit(edit) == 1
    with pytest.raises(AuditBroken):
        served.client.verify_audit()


def test_without_an_audit_row_nothing_happens(served: Served) -> None:
    """When the log cannot be written, no key is made and nothing is signed (fail closed)."""
    key = make(served, "one")
    served.edit("ALTER TABLE audit RENAME TO gone")
    with pytest.raises(KeyStoreError):
        served.client.sign(key.key_id, SIGN, b"x")
    with pytest.raises(KeyStoreError):
        make(served, "two")
    served.edit("ALTER TABLE gone RENAME TO audit")
    assert served.client.find() == (key,)
    served.client.sign(key.key_id, SIGN, b"x")


# --- verifying what was signed ----------------------------------------------------------------------------------------


def test_a_signature_that_does_not_verify_never_leaves_the_daemon(
    served: Served, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A faulty signing operation: SignatureInvalid, recorded; the activation it was for is used up."""
    key = person.key()
    activation = person.activate(key, bytes(32))
    right = LoadedKey._raw

    def faulty(loaded: LoadedKey, mechanism: Mechanism, data: bytes) -> bytes:
        return right(loaded, mechanism, bytes([data[0] ^ 1]) + data[1:])

    with monkeypatch.context() as patch:
        patch.setattr(LoadedKey, "_raw", faulty)
        with pytest.raises(SignatureInvalid):
            served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=activation)
    assert served.client.audit_entries()[-1]["outcome"] == SignatureInvalid.code
    with pytest.raises(ActivationInvalid):
        served.client.sign(key.key_id, Mechanism.ECDSA, bytes(32), activation=activation)
