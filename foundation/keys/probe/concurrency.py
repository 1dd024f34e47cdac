"""Threads, forks and a cold start on a key store that is open already."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from foundation.keys.errors import KeyHandleInvalid, KeyStoreError
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.keys.probe.report import Finding, Verdict

THREADS, FORKS = 8, 4
_ROUNDS, _SIGNATURES = 3, 20
_LONGEST = 60  # seconds for a forked child

Label = Callable[[], str]
"""Gives a label that no other key has, with the prefix of this run."""


def check_threads(store: KeyStore, label: Label) -> Finding:
    """Eight threads sign with one shared key and make, disable and destroy keys of their own: every call must do."""
    shared = _key(store, label)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            failures = [
                failure
                for one in [pool.submit(_use, store, shared, label) for _ in range(THREADS)]
                if (failure := one.result())
            ]
    finally:
        store.destroy(shared.key_id)
    calls = THREADS * _ROUNDS * (_SIGNATURES + 5)
    return _finding("threads", failures, f"{THREADS} threads, {calls} calls", calls)


def check_forks(store: KeyStore, label: Label) -> Finding:
    """Four forked children use the token while eight threads of the parent sign."""
    shared, stop = _key(store, label), threading.Event()
    failures: list[str] = []

    def sign_on() -> None:
        while not stop.is_set():
            if failure := _signs(store, shared):
                failures.append(failure)
                return

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(THREADS):
                pool.submit(sign_on)
            try:
                children = [_forked(lambda: _use(store, shared, label)) for _ in range(FORKS)]
                ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            finally:
                stop.set()
    finally:
        store.destroy(shared.key_id)
    failures += [f"a child ended with {code}" for code in ended if code]
    return _finding("fork", failures, f"{FORKS} forked processes while {THREADS} threads sign", FORKS)


def sign_once(store: KeyStore, key_id: str) -> None:
    """What a process does at a cold start: find a key and sign."""
    store.sign(key_id, Mechanism.ECDSA_SHA256, b"CamTrust probe: cold start")


def _use(store: KeyStore, shared: KeyInfo, label: Label) -> str:
    """What one thread does. Gives the first failure, or nothing."""
    try:
        for _ in range(_ROUNDS):
            for _ in range(_SIGNATURES):
                if failure := _signs(store, shared):
                    return failure
            own = _key(store, label)
            store.set_enabled(own.key_id, False)
            disabled = not store.get(own.key_id).enabled
            store.destroy(own.key_id)
            try:
                store.get(own.key_id)
            except KeyHandleInvalid:
                pass
            else:
                return "a destroyed key was still there"
            if not disabled:
                return "a disabled key was still enabled"
    except KeyStoreError as error:
        return f"{error.code} ({error.ckr})"
    return ""


def _signs(store: KeyStore, info: KeyInfo) -> str:
    try:
        store.sign(info.key_id, Mechanism.ECDSA_SHA256, os.urandom(16))
    except KeyStoreError as error:
        return f"{error.code} ({error.ckr})"
    return ""


def _key(store: KeyStore, label: Label) -> KeyInfo:
    return store.generate(label(), KeyAlgorithm.EC_P256, KeyUse.AUDIT)


def _forked(work: Callable[[], str]) -> int:
    """Do ``work`` in a forked child; give its process id. It ends with 0 when no failure came back."""
    child = os.fork()
    if child:
        return child
    signal.alarm(_LONGEST)
    try:
        failure = work()
    except BaseException as error:
        failure = type(error).__name__
    if failure:
        os.write(2, f"in a forked child: {failure}\n".encode())
    os._exit(1 if failure else 0)


def _finding(check: str, failures: list[str], what: str, calls: int) -> Finding:
    details = {"calls": calls, "failures": len(failures), "first": failures[0] if failures else None}
    if failures:
        return Finding(check, Verdict.FAIL, f"{what}: {len(failures)} failures, the first: {failures[0]}", details)
    return Finding(check, Verdict.PASS, f"{what}, 0 failures", details)
