"""A process that uses a token, for tests that need more than one: started by :func:`start`, it prints ``done``.

python -m tests.keys.stress ACT ADDRESS [KEY-ID]

ADDRESS is a PKCS#11 URI, or ``emulated:`` and the socket of a key daemon.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from foundation.keys.errors import KeyHandleInvalid
from foundation.keys.pkcs11 import module, open_pkcs11
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from tests.keys.softhsm import PIN

MESSAGE = b"SPECIMEN message"
LONGEST = 200  # seconds, for each process
ROOT = Path(__file__).resolve().parents[2]


def start(act: str, address: str, environment: Mapping[str, str], *more: str) -> subprocess.Popen[str]:
    """Start a process that does ``act``."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.keys.stress", act, address, *more],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def opened(address: str) -> Iterator[KeyStore]:
    """A key store that is logged in, of either backend."""
    scheme, _, place = address.partition(":")
    if scheme == "pkcs11":
        with open_pkcs11(address, PIN) as module_store:
            yield module_store
        return
    with HsmClient(place) as client:
        client.login(PIN)
        yield client


def initialised_here(store: KeyStore) -> object:
    """What differs in a process that opened the token for itself: the module's generation, the pool of connections."""
    return store._connection.module.generation if isinstance(store, Pkcs11KeyStore) else store._wire._own_pool().pid


def fresh(name: str) -> str:
    """A label that no other process uses. (The contract's own would bring pytest into every process.)"""
    return f"{name}-{os.urandom(6).hex()}"


def sign(store: KeyStore, info: KeyInfo, times: int = 1) -> None:
    """Sign; the store verifies each signature."""
    rsa = info.algorithm is KeyAlgorithm.RSA_2048
    mechanism = Mechanism.SHA256_RSA_PKCS if rsa else Mechanism.ECDSA_SHA256
    for number in range(times):
        store.sign(info.key_id, mechanism, MESSAGE + bytes([number % 256]))


def use_everything(store: KeyStore, keys: list[KeyInfo], rounds: int) -> None:
    """What one thread does: sign with shared keys, make one of its own, look, disable, destroy."""
    for _ in range(rounds):
        for info in keys:
            sign(store, info, 10)
        own = store.generate(fresh("own"), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        assert store.get(own.key_id) == own
        sign(store, own, 5)
        store.set_enabled(own.key_id, False)
        assert not store.get(own.key_id).enabled
        store.destroy(own.key_id)
        assert store.find(label=own.label) == ()
        try:
            sign(store, own)
        except KeyHandleInvalid:
            continue
        raise AssertionError("a destroyed key signed")


def threads(store: KeyStore) -> None:
    """Eight threads on one token."""
    keys = shared_keys(store)
    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(use_everything, store, keys, 3) for _ in range(8)]:
            one.result()


def fork(store: KeyStore) -> None:
    """Four forked processes, while eight threads of the parent sign; each child signs with threads of its own."""
    keys, stop = shared_keys(store), threading.Event()

    def sign_on() -> None:
        while not stop.is_set():
            for info in keys:
                sign(store, info)

    of_parent = initialised_here(store)

    def in_child() -> None:
        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(use_everything, store, keys, 1) for _ in range(2)]:
                one.result()
        assert initialised_here(store) != of_parent, "the child used what the parent initialised"

    with ThreadPoolExecutor(8) as pool:
        signing = [pool.submit(sign_on) for _ in range(8)]
        try:
            children = [forked(in_child) for _ in range(4)]
            ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        finally:
            stop.set()
        for one in signing:
            one.result()
    assert ended == [0, 0, 0, 0], ended


def wait(store: Pkcs11KeyStore) -> None:
    """A fork while another thread is in the module waits until it is out: a lock held there stays held in the child."""
    entered, inside = threading.Event(), [True]

    def call() -> None:
        with store._connection.module.gate.shared():
            entered.set()
            time.sleep(0.5)
            inside[0] = False

    def in_child() -> None:
        assert not inside[0], "forked while a thread was in the module"

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call)
        entered.wait()
        child = forked(in_child)
        calling.result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def forked(work: Callable[[], None]) -> int:
    """Do ``work`` in a forked child; give its number. The child ends with 0 when nothing was raised."""
    child = os.fork()
    if child:
        return child
    signal.alarm(LONGEST)  # a child that hangs holds the lock that all others wait for
    try:
        work()
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def shared_keys(store: KeyStore) -> list[KeyInfo]:
    return [
        store.generate(fresh("shared"), algorithm, KeyUse.AUDIT)
        for algorithm in (KeyAlgorithm.EC_P256, KeyAlgorithm.RSA_2048)
    ]


def main(act: str, address: str, key_id: str = "") -> None:
    signal.alarm(LONGEST)
    if act == "impatient":
        module._PATIENCE = 0.2
    with opened(address) as store:
        if act == "threads":
            threads(store)
        elif act == "fork":
            fork(store)
        elif act == "wait":
            wait(store)
        elif act in ("enable", "disable"):
            store.set_enabled(key_id, act == "enable")
        elif act == "sign":
            sign(store, store.get(key_id))
        elif act == "destroy":
            store.destroy(key_id)
        elif act == "cold":
            for info in store.find()[:1]:
                sign(store, info)
        elif act != "impatient":
            raise SystemExit(f"unknown: {act}")
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
