"""What only the emulated HSM is asked: what it says of itself, whether any call lets a key out, wrong PINs."""

from __future__ import annotations

from foundation.keys.errors import KeyStoreError, TokenPinIncorrect, TokenPinLocked
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.keys.probe.concurrency import Label
from foundation.keys.probe.report import Finding, Verdict
from hsm_emulation.client import HsmClient
from hsm_emulation.operations import OPERATIONS

MOST_TRIES = 15
_LETTING_OUT = ("export", "private_key", "wrap", "unwrap", "decrypt", "copy", "get_attribute", "set_attribute")


def check_emulated(client: HsmClient) -> Finding:
    """What it says of itself: emulated, and how its process is hardened here."""
    status = client.status()
    hardening = {name: value for name, value in status.items() if isinstance(value, bool) and name != "emulated"}
    lacking = ", ".join(sorted(name for name, achieved in hardening.items() if not achieved)) or "nothing"
    said = f"emulated: protects keys no better than this machine does; hardening not achieved here: {lacking}"
    return Finding("module", Verdict.PASS, said, {"serial": status["serial"], "emulated": True, "hardening": hardening})


def check_operations(client: HsmClient, label: Label) -> Finding:
    """The table of operations has none that reads, changes, copies, wraps or unwraps a key, and each is refused."""
    info = client.generate(label(), KeyAlgorithm.EC_P256, KeyUse.AUDIT)
    taken = sorted(set(OPERATIONS) & set(_LETTING_OUT))
    try:
        for name in _LETTING_OUT:
            try:
                client._call(name, key_id=info.key_id)
            except KeyStoreError:
                continue
            taken.append(name)
    finally:
        client.destroy(info.key_id)
    if taken:
        return Finding("key protection", Verdict.FAIL, f"it answers to {', '.join(taken)}", {"ways": taken})
    said = f"none of {len(OPERATIONS)} operations reads, changes, copies, wraps or unwraps a signing key"
    return Finding("key protection", Verdict.PASS, said, {"ways": [], "asked": list(_LETTING_OUT)})


def check_wrong_pins(socket: str) -> Finding:
    """Wrong PINs until it locks, and the right one is refused too meanwhile."""
    with HsmClient(socket) as client:
        for number in range(1, MOST_TRIES + 1):
            try:
                client.login(f"camtrust-probe-{number}")
            except TokenPinIncorrect:
                continue
            except TokenPinLocked as locked:
                said = (
                    f"locked after {number - 1} wrong PINs: wait {locked.retry_after} s, then twice as long each time"
                )
                return Finding("PIN lock-out", Verdict.PASS, said, {"wrong_pins": number - 1})
            return Finding("PIN lock-out", Verdict.FAIL, f"PIN number {number}, which is wrong, was taken")
    return Finding("PIN lock-out", Verdict.FAIL, f"{MOST_TRIES} wrong PINs, and no lock: guessing costs nothing")
