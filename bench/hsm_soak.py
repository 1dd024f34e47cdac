"""A hundred thousand citizens' keys in one token: made, used, rotated, used again; with the memory that it takes.

    python -m bench.hsm_soak [keys, 100000 unless said otherwise]

Each person gets a wrapped key, signs with it, gets a new wrapping key, has the key wrapped anew and signs again; then
the master key is rotated under all of them, and a sample signs once more. Every signature is verified here. It fails
when one does not verify, when the old wrapping still signs after the new one was used, or when the resident memory of
the daemon's processes at the end is more than a quarter and 16 MiB above that after the first tenth.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from foundation.keys.errors import WrappedKeyInvalid
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import verify_signature
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism, WrappedKey
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from hsm_emulation.sealing import Cost, Costs

SO_PIN, USER_PIN = "so-pin-of-the-soak", "user-pin-of-the-soak"
THREADS = 8
SIGN = Mechanism.ECDSA
_MIB = 1 << 20


def main() -> int:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    directory = Path(tempfile.mkdtemp(prefix="camtrust-soak-", dir="/tmp"))
    try:
        initialise(directory / "token", SO_PIN, USER_PIN, costs=Costs(Cost(1024, 1), Cost(1024, 1)))
        with KeyDaemon.start(directory / "token") as daemon, HsmClient(daemon.socket_path, timeout=120) as client:
            client.login(USER_PIN)
            return _soak(client, daemon, directory, keys)
    finally:
        shutil.rmtree(directory)


def _soak(client: HsmClient, daemon: KeyDaemon, directory: Path, keys: int) -> int:
    kept: list[WrappedKey | None] = [None] * keys
    sizes: list[int] = []

    def sign(wrapped: bytes, made: WrappedKey) -> None:
        digest = os.urandom(32)
        [signature] = client.sign_wrapped(wrapped, SIGN, [digest])
        verify_signature(public_key(made.info), SIGN, signature, digest)

    def life(number: int) -> None:
        made = client.generate_wrapped(f"specimen-{number}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
        sign(made.wrapped, made)
        client.renew_person(f"specimen-{number}")
        again = client.rewrap(made.wrapped)
        sign(again, made)
        if number % 100 == 0:
            try:
                sign(made.wrapped, made)
            except WrappedKeyInvalid:
                pass
            else:
                raise AssertionError("a wrapping of before signed")
        kept[number] = WrappedKey(made.info, again)

    _in_tenths(life, keys, lambda: sizes.append(_resident(daemon)), "made, used, wrapped anew, used")
    with HsmClient(daemon.socket_path, timeout=120) as officer:
        officer.login(SO_PIN, "so")
        begin = time.monotonic()
        officer.rotate_master()
    left = 1
    while left:
        left = client.rewrap_rows(1000)
    print(f"  master key rotated under all of them in {time.monotonic() - begin:.0f} s")

    def use(at: int) -> None:
        made = kept[at * 10]
        assert made is not None
        sign(made.wrapped, made)

    _in_tenths(use, keys // 10, lambda: sizes.append(_resident(daemon)), "used under the new master key")
    client.verify_audit()
    store = sum(path.stat().st_size for path in (directory / "token").iterdir())
    first, last = sizes[0], sizes[-1]
    told = f"{first / _MIB:.0f} MiB after the first tenth, {max(sizes) / _MIB:.0f} at most, {last / _MIB:.0f} last"
    print(f"  resident: {told}")
    print(f"  the token's files: {store / _MIB:.0f} MiB, {store / keys:,.0f} octets a key, its audit log included")
    if last > first * 1.25 + 16 * _MIB:
        print("soak: FAILED, the memory grew")
        return 1
    print(f"soak: {keys:,} keys; every signature verified, memory is flat")
    return 0


def _in_tenths(act: Callable[[int], None], count: int, after: Callable[[], None], what: str) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for tenth in range(10):
            begin = time.monotonic()
            numbers = range(count * tenth // 10, count * (tenth + 1) // 10)
            for _ in threads.map(act, numbers):
                pass
            after()
            rate = len(numbers) / (time.monotonic() - begin)
            print(f"  {numbers.stop:>9,} keys {what}: {rate:,.0f} a second", flush=True)


def _resident(daemon: KeyDaemon) -> int:
    """Octets of all of the daemon's processes, as the kernel counts them."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (daemon.pid, *children)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
