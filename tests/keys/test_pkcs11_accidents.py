"""Wrong PINs, lost sessions, missing modules: each is told by its own error, and what can come back does."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import exceptions as ckr

from foundation.catalogue import Language
from foundation.keys import errors
from foundation.keys.pkcs11 import module, open_pkcs11, sessions
from foundation.keys.pkcs11.errors import HardwareSupportMissing, KeyUriInvalid, ModuleInvalid, TokenNotFound
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from tests.keys.contract import MESSAGE, fresh
from tests.keys.softhsm import PIN, SoftHsm
from tests.keys.stress import start


def close_all_sessions(softhsm: SoftHsm, store: Pkcs11KeyStore) -> None:
    functions, slot = softhsm.functions, slot_of(store)
    assert functions.C_CloseAllSessions(ctypes.c_ulong(slot)) == 0


def close_one_session(softhsm: SoftHsm, store: Pkcs11KeyStore) -> None:
    handle = store._connection._idle[-1].raw.handle
    assert softhsm.functions.C_CloseSession(ctypes.c_ulong(handle)) == 0


def log_out(softhsm: SoftHsm, store: Pkcs11KeyStore) -> None:
    handle = store._connection._anchor.handle
    assert softhsm.functions.C_Logout(ctypes.c_ulong(handle)) == 0


def finalise(softhsm: SoftHsm, store: Pkcs11KeyStore) -> None:
    assert softhsm.functions.C_Finalize(None) == 0


def slot_of(store: Pkcs11KeyStore) -> int:
    slot: int = store._connection.run(lambda session: session.raw.token.slot.slot_id)
    return slot


@pytest.mark.parametrize("accident", [close_all_sessions, close_one_session, log_out, finalise])
def test_lost_sessions_are_found_again(
    softhsm: SoftHsm, other_store: Pkcs11KeyStore, accident: Callable[[SoftHsm, Pkcs11KeyStore], None]
) -> None:
    """Sessions closed, logged out, module finalised behind our back: the next call logs in and finds the key again."""
    info = other_store.generate(fresh("lost"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    calls: list[Callable[[], object]] = [
        lambda: other_store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE),
        lambda: other_store.get(info.key_id),
        lambda: other_store.find(label=info.label)[0],
        lambda: other_store.generate(fresh("lost"), KeyAlgorithm.EC_P256, KeyUse.AUDIT),
        lambda: other_store.set_enabled(info.key_id, True),
        lambda: other_store.destroy(info.key_id),
    ]
    for call in calls:
        accident(softhsm, other_store)
        call()


def test_a_label_stays_taken_when_sessions_are_lost(softhsm: SoftHsm, other_store: Pkcs11KeyStore) -> None:
    """A token that shows nothing because we were logged out is not taken for an empty one."""
    info = other_store.generate(fresh("taken"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    log_out(softhsm, other_store)
    with pytest.raises(errors.LabelExists):
        other_store.generate(info.label, KeyAlgorithm.EC_P256, KeyUse.AUDIT)


def test_threads_go_on_when_sessions_are_lost(other_store: Pkcs11KeyStore) -> None:
    """Four threads sign and four make keys while the login is lost twenty times: every call does what it should."""
    info = other_store.generate(fresh("go-on"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    connection, done, stop = other_store._connection, threading.Semaphore(0), threading.Event()

    def signing() -> None:
        while not stop.is_set():
            other_store.sign(info.key_id, Mechanism.ECDSA_SHA256, MESSAGE)
            done.release()

    def making() -> None:
        while not stop.is_set():
            other_store.destroy(other_store.generate(fresh("go-on"), KeyAlgorithm.EC_P256, KeyUse.AUDIT).key_id)
            done.release()

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work) for work in [signing, making] * 4]
        try:
            for _ in range(20):
                for _ in range(16):
                    assert done.acquire(timeout=60)
                assert connection.module.gate.close(60)
                connection._forget(connection._epoch)
                connection.module.gate.open()
        finally:
            stop.set()
        for one in running:
            one.result(timeout=60)


def test_a_wrong_pin_is_refused(softhsm: SoftHsm) -> None:
    """At the first login the token says so; at a second opening the PIN is compared."""
    with pytest.raises(errors.TokenPinIncorrect):
        open_pkcs11(softhsm.address("other"), "another-pin")
    with open_pkcs11(softhsm.address("other"), PIN), pytest.raises(errors.TokenPinIncorrect):
        open_pkcs11(softhsm.address("other"), "another-pin")


def test_a_refused_pin_is_not_tried_again(softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN that was changed meanwhile is tried once and no more: real tokens lock after a few tries."""
    tries = []

    class Counted:
        def __init__(self, token: Any) -> None:
            self.token = token

        def __getattr__(self, name: str) -> Any:
            return getattr(self.token, name)

        def open(self, **given: Any) -> Any:
            tries.extend(name for name in given if name == "user_pin")
            return self.token.open(**given)

    find_token = sessions.find_token
    monkeypatch.setattr(sessions, "find_token", lambda *given: Counted(find_token(*given)))
    with open_pkcs11(softhsm.address("other"), PIN) as store:
        close_all_sessions(softhsm, store)
        store._connection._pin = "changed-meanwhile"
        for _ in range(5):
            with pytest.raises(errors.TokenPinIncorrect):
                store.find()
        assert len(tries) == 2
        with open_pkcs11(softhsm.address("other"), PIN) as fresh_one:
            fresh_one.find()
    assert len(tries) == 3


def test_openings_share_the_login_and_the_last_one_logs_out(softhsm: SoftHsm) -> None:
    """Closing one of two leaves the other; after the last, calls raise NotLoggedIn."""
    one, two = (open_pkcs11(softhsm.address("other"), PIN) for _ in range(2))
    one.close()
    one.close()
    two.find()
    two.close()
    with pytest.raises(errors.NotLoggedIn):
        two.find()
    with pytest.raises(errors.NotLoggedIn):
        one.find()


def test_what_is_not_there_is_told(softhsm: SoftHsm, tmp_path: Path) -> None:
    """No such token, no such module, a file that is no module: an error of its own, in both languages."""
    not_elf = tmp_path / "module.so"
    not_elf.write_text("SPECIMEN")
    libc = Path(next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libc." in line))
    refused: list[tuple[str, type[errors.KeyStoreError]]] = [
        (softhsm.address("nothing"), TokenNotFound),
        (softhsm.address("contract").replace("?", ";serial=0?"), TokenNotFound),
        (softhsm.address("contract", tmp_path / "missing.so"), ModuleInvalid),
        (softhsm.address("contract", not_elf), ModuleInvalid),
        (softhsm.address("contract", libc), ModuleInvalid),
        ("pkcs11:token=contract", KeyUriInvalid),
    ]
    for address, error in refused:
        with pytest.raises(error) as told:
            open_pkcs11(address, PIN)
        assert told.value.message(Language.EN) != told.value.message(Language.KM)


def test_a_missing_extra_is_told(softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-pkcs11, opening a token says what to install."""
    for name in [name for name in sys.modules if name.startswith("foundation.keys.pkcs11.")]:
        if not name.endswith(".errors"):
            monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name == "pkcs11" or name.startswith("pkcs11.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("foundation.keys.pkcs11.store")
    monkeypatch.setattr(sys, "meta_path", [_Without("pkcs11"), *sys.meta_path])
    with pytest.raises(HardwareSupportMissing):
        open_pkcs11(softhsm.address("contract"), PIN)


class _Without:
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == self.name:
            raise ModuleNotFoundError(fullname, name=fullname)


def test_starts_and_key_makings_wait_for_each_other(
    softhsm: SoftHsm, other_store: Pkcs11KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the machine's lock, no process starts the module and none makes a key."""
    descriptor = os.open(softhsm.module, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        process = start("impatient", softhsm.address("other"), softhsm.environment)
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "TokenUnavailable" in said
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
        with pytest.raises(errors.TokenUnavailable):
            other_store.generate(fresh("locked"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    finally:
        os.close(descriptor)
    other_store.generate(fresh("unlocked"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)


def test_two_tokens_with_one_label_are_not_guessed_between(softhsm: SoftHsm, tmp_path: Path) -> None:
    """Two tokens that both fit: TokenNotFound, unless the serial number tells them apart."""
    other = SoftHsm.new(tmp_path)
    for _ in range(2):
        other.token("twin")
    process = start("cold", other.address("twin"), other.environment)
    said, _ = process.communicate(timeout=60)
    assert "TokenNotFound" in said
    serial = next(folder.name.replace("-", "")[-16:] for folder in (tmp_path / "tokens").iterdir() if folder.is_dir())
    process = start("cold", other.address("twin").replace("?", f";serial={serial}?"), other.environment)
    said, _ = process.communicate(timeout=60)
    assert said == "done\n"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (ckr.KeyHandleInvalid, errors.KeyHandleInvalid),
        (ckr.ObjectHandleInvalid, errors.KeyHandleInvalid),
        (ckr.MechanismInvalid, errors.MechanismInvalid),
        (ckr.KeySizeRange, errors.MechanismInvalid),
        (ckr.DataLenRange, errors.DataInvalid),
        (ckr.KeyUnextractable, errors.KeyUnextractable),
        (ckr.PinIncorrect, errors.TokenPinIncorrect),
        (ckr.PinLocked, errors.TokenPinLocked),
        (ckr.UserNotLoggedIn, errors.NotLoggedIn),
        (ckr.UserAlreadyLoggedIn, errors.TokenInUse),
        (ckr.TokenNotRecognised, errors.TokenNotInitialised),
        (ckr.DeviceRemoved, errors.TokenUnavailable),
        (ckr.GeneralError, errors.TokenUnavailable),
        (ckr.FunctionCancelled, errors.KeyStoreError),
    ],
)
def test_return_values_become_our_errors(theirs: type[ckr.PKCS11Error], ours: type[errors.KeyStoreError]) -> None:
    """Each return value is the error of the same meaning; an unknown one is a failure, never a success."""
    assert type(sessions.translated(theirs())) is ours
