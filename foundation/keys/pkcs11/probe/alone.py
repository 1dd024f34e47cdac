"""The module by itself: initialised as most programs do (``C_Initialize(NULL)``), with no lock and no care for forks.

PKCS#11 promises nothing here (v2.40 §5.4: NULL means one thread; after a fork the child initialises anew), so what goes
wrong is a caution and not a failure: it tells operators what their other programs on the same module will meet.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pkcs11
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from foundation.keys.pkcs11.uri import Pkcs11Uri
from foundation.keys.probe.report import Finding, Verdict

THREADS = 8
_SIGNATURES = 150
_P256 = bytes.fromhex("06082a8648ce3d030107")
_LONGEST = 20  # seconds for a forked child


def threads_alone(uri: Pkcs11Uri, pin: str) -> Finding:
    """Eight threads sign, each through a session and with a key of its own. A crash ends the process."""
    session = _log_in(uri, pin)
    with ThreadPoolExecutor(THREADS) as pool:
        failures = [one for one in pool.map(lambda _: _sign_apart(session.token), range(THREADS)) if one]
    if failures:
        return Finding("threads, by itself", Verdict.CAUTION, f"{len(failures)} threads failed: {failures[0]}")
    return Finding("threads, by itself", Verdict.PASS, f"{THREADS} threads after C_Initialize(NULL), 0 failures")


def fork_alone(uri: Pkcs11Uri, pin: str) -> Finding:
    """A forked child calls the module with the parent's session and does not initialise it."""
    session = _log_in(uri, pin)
    key = _make_key(session)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(_LONGEST)
        try:
            key.sign(bytes(32), mechanism=Mechanism.ECDSA)
            told = "signed"
        except BaseException as error:
            told = str(error) or type(error).__name__
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = os.read(reading, 300).decode("utf-8", "replace")
    os.close(reading)
    check = "fork, by itself"
    if code:
        return Finding(check, Verdict.CAUTION, f"a forked child that does not initialise anew ends with {code}")
    if said == "signed":
        return Finding(
            check, Verdict.CAUTION, "a forked child signs with the parent's session: both share one state, unnoticed"
        )
    return Finding(check, Verdict.PASS, f"a forked child is refused until it initialises ({said})")


def cold_start_alone(uri: Pkcs11Uri, pin: str) -> Finding:
    """One of many processes that start at the same moment with no lock between them."""
    session = _log_in(uri, pin)
    found = len(list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})))
    session.close()
    return Finding("cold start, by itself", Verdict.PASS, f"started; {found} private keys")


def _log_in(uri: Pkcs11Uri, pin: str) -> Any:
    library = pkcs11.lib(str(uri.module_path))
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except PKCS11Error:
            continue
        if uri.fits(token):
            return token.open(rw=True, user_pin=pin)
    raise PKCS11Error("no such token")


def _make_key(session: Any) -> Any:
    """A pair of session objects: they end with the session."""
    _, private = session.generate_keypair(
        KeyType.EC,
        id=os.urandom(16),
        label=f"camtrust-probe-session-{os.getpid()}",
        store=False,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        public_template={Attribute.EC_PARAMS: _P256},
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )
    return private


def _sign_apart(token: Any) -> str:
    try:
        with token.open(rw=True) as session:
            private = _make_key(session)
            for _ in range(_SIGNATURES):
                private.sign(os.urandom(32), mechanism=Mechanism.ECDSA)
    except PKCS11Error as error:
        return str(error) or type(error).__name__
    return ""
