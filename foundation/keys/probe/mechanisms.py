"""Every algorithm and mechanism of ours tried on a key store, each signature verified outside; and rates."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from foundation.keys.errors import KeyStoreError
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import FAMILIES, SCHEMES, verify_signature
from foundation.keys.port import KeyAlgorithm, KeyInfo, KeyStore, KeyUse, Mechanism
from foundation.keys.probe.concurrency import Label
from foundation.keys.probe.report import Finding, Verdict

_MESSAGE = b"CamTrust probe"
_RATED = (
    (KeyAlgorithm.EC_P256, Mechanism.ECDSA),
    (KeyAlgorithm.EC_P384, Mechanism.ECDSA),
    (KeyAlgorithm.RSA_3072, Mechanism.RSA_PKCS),
    (KeyAlgorithm.RSA_4096, Mechanism.RSA_PKCS),
    (KeyAlgorithm.ED25519, Mechanism.EDDSA),
    (KeyAlgorithm.ML_DSA_65, Mechanism.ML_DSA),
)
_NEEDED = frozenset({KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384})
_THREADS = 4


def check_mechanisms(store: KeyStore, label: Label, progress: Callable[[str], None]) -> Finding:
    """Each declared algorithm makes a key that signs by each declared mechanism of its family; what fails is named.

    FAIL when something that the token offers does not work, or when it lacks P-256 or P-384, which services sign with.
    """
    can = store.capabilities()
    works: dict[str, list[str]] = {}
    broken: dict[str, str] = {}
    for algorithm in sorted(can.algorithms):
        progress(algorithm)
        mechanisms = [one for one, scheme in SCHEMES.items() if scheme.family in FAMILIES[algorithm]]
        try:
            info = store.generate(label(), algorithm, KeyUse.AUDIT)
        except KeyStoreError as error:
            broken[algorithm.value] = error.ckr
            continue
        try:
            works[algorithm.value] = []
            for mechanism in (one for one in mechanisms if one in can.mechanisms):
                if problem := _tried(store, info, mechanism):
                    broken[f"{algorithm.value} {mechanism.value}"] = problem
                else:
                    works[algorithm.value].append(mechanism.value)
        finally:
            store.destroy(info.key_id)
    lacking = sorted(one.value for one in frozenset(KeyAlgorithm) - can.algorithms)
    details: dict[str, Any] = {
        "works": works,
        "broken": broken,
        "lacking": lacking,
        "hashed_outside": sorted(one.value for one in can.hashed_outside),
    }
    said = f"{len(works)} algorithms by {sum(len(one) for one in works.values())} mechanisms, verified outside"
    said += f"; lacks {', '.join(lacking)}" if lacking else ""
    if can.hashed_outside:
        said += "; " + ", ".join(details["hashed_outside"]) + " only on digests made outside"
    if broken:
        first = next(iter(broken))
        said = f"offered and broken: {first} ({broken[first]}){' and others' if len(broken) > 1 else ''}; {said}"
    failed = bool(broken) or not can.algorithms >= _NEEDED
    return Finding("mechanisms", Verdict.FAIL if failed else Verdict.PASS, said, details)


def check_rates(store: KeyStore, label: Label, seconds: float, progress: Callable[[str], None]) -> Finding:
    """Signatures a second with a kept session, for ``seconds`` each: one thread, and four for P-256. Each signature is
    verified, as CamTrust always does. Wall-clock; no bound is set, so this never fails by being slow.
    """
    can, rates = store.capabilities(), {}
    for algorithm, mechanism in _RATED:
        if algorithm not in can.algorithms or mechanism not in can.mechanisms:
            continue
        progress(algorithm)
        info = store.generate(label(), algorithm, KeyUse.AUDIT)
        try:
            rates[algorithm.value] = _rate(store, info, mechanism, seconds)
            if algorithm is KeyAlgorithm.EC_P256:
                with ThreadPoolExecutor(_THREADS) as pool:
                    running = [pool.submit(_rate, store, info, mechanism, seconds) for _ in range(_THREADS)]
                    rates[f"{algorithm.value}, {_THREADS} threads"] = sum(one.result() for one in running)
        finally:
            store.destroy(info.key_id)
    rounded = {name: round(rate, 1 if rate < 100 else None) for name, rate in rates.items()}
    said = "signatures a second, sign + verify: " + ", ".join(f"{name} {rate:,}" for name, rate in rounded.items())
    return Finding("rates", Verdict.PASS, said, {"per_second": rounded})


def _tried(store: KeyStore, info: KeyInfo, mechanism: Mechanism) -> str:
    data = hashlib.sha512(_MESSAGE).digest() if SCHEMES[mechanism].takes_digest else _MESSAGE
    try:
        verify_signature(public_key(info), mechanism, store.sign(info.key_id, mechanism, data), data)
    except KeyStoreError as error:
        return error.ckr
    return ""


def _rate(store: KeyStore, info: KeyInfo, mechanism: Mechanism, seconds: float) -> float:
    data = hashlib.sha512(_MESSAGE).digest() if SCHEMES[mechanism].takes_digest else _MESSAGE
    store.sign(info.key_id, mechanism, data)  # what is done once is not part of the rate
    begin, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - begin) < seconds:
        store.sign(info.key_id, mechanism, data)
        count += 1
    return count / taken
