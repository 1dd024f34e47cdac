"""One check in a process of its own: ``python -m camtrust.probe.worker`` with a JSON request on standard input.

    request  {"check": name, "target": {...}, "prefix": label prefix, "options": {...}}
    answers  a line each: {"progress": text}, and at last {"finding": {...}} or {"error": {"code": ..., "params": ...}}

The PIN comes on standard input, so that no list of processes shows it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from camtrust.probe.emulated import check_emulated, check_operations, check_wrong_pins
from camtrust.probe.targets import Target
from foundation.keys.errors import KeyStoreError
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse
from foundation.keys.probe import capacity, concurrency, mechanisms
from foundation.keys.probe.report import Finding, Verdict
from hsm_emulation.client import HsmClient

if TYPE_CHECKING:  # an emulated token is probed without python-pkcs11
    from foundation.keys.pkcs11.store import Pkcs11KeyStore

ANSWER = "camtrust-probe "
"""Begins each line of ours: a module may write to standard output too."""


def main() -> None:
    """Do what standard input asks for."""
    request = json.loads(sys.stdin.read())
    target = Target(**request["target"])
    try:
        finding = _check(request["check"], target, request["prefix"], request["options"])
    except KeyStoreError as error:
        _say({"error": {"code": error.code, "params": error.params, "ckr": error.ckr}})
        return
    _say({"finding": finding.data()})


def _check(name: str, target: Target, prefix: str, options: Mapping[str, Any]) -> Finding:
    if name in _APART:
        return _APART[name](target)
    with target.opened() as store:
        return _OPENED[name](Run(target, store, prefix, options))


class Run:
    """What a check on an open key store is given."""

    def __init__(self, target: Target, store: KeyStore, prefix: str, options: Mapping[str, Any]) -> None:
        self.target, self.store, self.prefix, self.options = target, store, prefix, options

    def label(self) -> str:
        """A label of this run that no other key has."""
        return f"{self.prefix}-{os.urandom(6).hex()}"

    def progress(self, said: str) -> None:
        """Tell how far it is."""
        _say({"progress": said})

    @property
    def client(self) -> HsmClient:
        return cast(HsmClient, self.store)

    @property
    def connection(self) -> Any:
        return cast("Pkcs11KeyStore", self.store)._connection


def _module(run: Run) -> Finding:
    if run.target.address is None:
        return check_emulated(run.client)
    from foundation.keys.pkcs11.probe.module import check_module

    return check_module(run.connection)


def _protection(run: Run) -> Finding:
    if run.target.address is None:
        return check_operations(run.client, run.label)
    from foundation.keys.pkcs11.probe.protection import check_protection

    return check_protection(run.connection)


def _unwrap(run: Run) -> Finding:
    if run.target.address is None:
        said = "nothing can be unwrapped from outside: there is no such call"
        return Finding("unwrap downgrade", Verdict.PASS, said, {"mechanisms": []})
    from foundation.keys.pkcs11.probe.protection import check_unwrap

    return check_unwrap(run.connection)


def _leftovers(run: Run) -> Finding:
    if run.target.address is not None:
        from foundation.keys.pkcs11.probe.leftovers import sweep

        return sweep(run.connection, run.prefix)
    left = [info for info in run.store.find() if info.label.startswith(run.prefix)]
    for info in left:
        run.store.destroy(info.key_id)
    said = f"nothing ({len(left)} keys of checks that broke off were destroyed)" if left else "nothing"
    return Finding("left behind", Verdict.PASS, said, {"swept": len(left), "left": 0})


def _make_key(run: Run) -> Finding:
    info = run.store.generate(run.label(), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    return Finding("key", Verdict.PASS, info.key_id)


def _destroy_key(run: Run) -> Finding:
    run.store.destroy(run.options["key_id"])
    return Finding("key", Verdict.PASS, "destroyed")


def _cold_start(run: Run) -> Finding:
    concurrency.sign_once(run.store, run.options["key_id"])
    return Finding("cold start", Verdict.PASS, "signed")


_OPENED: Mapping[str, Callable[[Run], Finding]] = {
    "module": _module,
    "threads": lambda run: concurrency.check_threads(run.store, run.label),
    "fork": lambda run: concurrency.check_forks(run.store, run.label),
    "make key": _make_key,
    "cold start": _cold_start,
    "destroy key": _destroy_key,
    "mechanisms": lambda run: mechanisms.check_mechanisms(run.store, run.label, run.progress),
    "rates": lambda run: mechanisms.check_rates(run.store, run.label, run.options["seconds"], run.progress),
    "key protection": _protection,
    "unwrap downgrade": _unwrap,
    "17 million keys": lambda run: capacity.check_capacity(
        run.store, run.label, run.options["sample"], lambda: run.target.memory(run.store), run.progress
    ),
    "left behind": _leftovers,
}


def _lockout(target: Target) -> Finding:
    if target.address is None:
        return check_wrong_pins(target.socket or "")
    from foundation.keys.pkcs11.probe.lockout import check_lockout

    return check_lockout(target.uri, target.pin)


def _alone(name: str) -> Callable[[Target], Finding]:
    def check(target: Target) -> Finding:
        from pkcs11.exceptions import PKCS11Error

        from foundation.keys.pkcs11.probe import alone

        try:
            checked: Finding = getattr(alone, name)(target.uri, target.pin)
        except PKCS11Error as error:
            return Finding(name, Verdict.FAIL, str(error) or type(error).__name__)
        return checked

    return check


_APART: Mapping[str, Callable[[Target], Finding]] = {
    "PIN lock-out": _lockout,
    "threads, by itself": _alone("threads_alone"),
    "fork, by itself": _alone("fork_alone"),
    "cold start, by itself": _alone("cold_start_alone"),
}


def _say(value: Mapping[str, Any]) -> None:
    print(ANSWER + json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
