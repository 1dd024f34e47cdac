"""How fast the key daemon signs, beside the raw cost of a signature and its verification, in the same run.

    python -m bench.hsm [seconds for each line]

Raw is `cryptography` in one process: a P-256 signature, verified. Four client processes ask the daemon, which has a
worker a core: one request at a time each, four at a time each (threads), and fifty inputs a request. ``of raw`` is the
rate by the clock, on this machine's cores, beside that of one process alone. ``by CPU`` is per second of CPU time of
clients and daemon together, so that a busy machine changes it little: both sides' whole work for one signature, against
the work that nobody can spare.

``unaudited`` is a daemon that exists in this file alone: it writes no audit row for a signature, and so never waits for
the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.hsm_client import ACTIVATED, MODES
from bench.raw import raw_sign_verify_rate
from foundation.keys.port import KeyAlgorithm, KeyUse
from hsm_emulation.client import HsmClient
from hsm_emulation.process import initialise
from hsm_emulation.sealing import Cost, Costs
from tests.hsm.authenticator import ORIGIN, RP_ID

SO_PIN, USER_PIN = "so-pin-of-the-bench", "user-pin-of-the-bench"
CLIENTS = 4
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rate:
    """Signatures per second of the clock, and per second of CPU of everybody."""

    wall: float
    cpu: float
    daemon_cpu: float  # seconds of the daemon's CPU for one signature
    client_cpu: float


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    cores = len(os.sched_getaffinity(0))
    print(f"P-256 signatures of the key daemon: {CLIENTS} client processes, {cores} cores")
    raw = raw_sign_verify_rate(seconds / 2)
    print(f"  {'raw: sign + verify in one process':<50}{raw:>9,.0f} per CPU-second")
    print(f"  {'':<50}{'a second':>9} {'of raw':>7} {'of raw, by CPU':>15}   us of CPU: daemon, client")
    rates: dict[tuple[str, str], Rate] = {}
    for audit in ("unaudited", "audited"):
        with _daemon(audit) as (path, pid), HsmClient(path) as client:
            with HsmClient(path) as officer:
                officer.login(SO_PIN, "so")
                officer.set_relying_party(RP_ID, [ORIGIN])
            client.login(USER_PIN)
            key = client.generate("bench", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
            for mode in MODES:
                if audit == "unaudited" and mode == ACTIVATED:
                    continue  # an approval is written down in any case
                rate = rates[audit, mode] = _measure(path, client, key.key_id, mode, seconds, pid)
                print(
                    f"  {audit + ', ' + mode:<50}{rate.wall:>9,.0f} {rate.wall / raw:>7.0%} {rate.cpu / raw:>15.0%}"
                    f"   {rate.daemon_cpu * 1e6:>15.0f} {rate.client_cpu * 1e6:>6.0f}"
                )
    for mode in (one for one in MODES if one != ACTIVATED):
        ratio = rates["audited", mode].wall / rates["unaudited", mode].wall
        print(f"  {'audited to unaudited, ' + mode:<50}{ratio:>17.0%}")


def _measure(path: str, client: HsmClient, key_id: str, mode: str, seconds: float, pid: int) -> Rate:
    session = client._session or b""
    clients = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.hsm_client", path, key_id, mode, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(CLIENTS)
    ]
    for one in clients:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdin.write(session.hex().encode() + b"\n")
        one.stdin.flush()
        one.stdout.readline()  # it has signed once
    before = _cpu_of_workers(pid)
    for one in clients:
        one.stdin.write(b"go\n")  # type: ignore[union-attr]
        one.stdin.flush()  # type: ignore[union-attr]
    told = [json.loads(one.communicate(timeout=seconds * 10 + 60)[0]) for one in clients]
    daemon = _cpu_of_workers(pid) - before
    count = sum(one["count"] for one in told)
    cpu = sum(one["cpu"] for one in told)
    return Rate(sum(one["count"] / one["wall"] for one in told), count / (daemon + cpu), daemon / count, cpu / count)


@contextmanager
def _daemon(audit: str) -> Iterator[tuple[str, int]]:
    """A daemon over a token of its own: its socket and process id."""
    directory = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    initialise(directory / "token", SO_PIN, USER_PIN, costs=Costs(Cost(1024, 1), Cost(1024, 1)))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.hsm", audit, "--child", str(directory / "token")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        greeting = json.loads(process.stdout.readline())
        yield greeting["socket"], greeting["pid"]
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(directory)


def _serve(audited: bool) -> int:
    """The daemon's process."""
    from hsm_emulation.__main__ import main as serve
    from hsm_emulation.audit import AuditLog

    if not audited:
        append: Callable[..., None] = AuditLog.append

        def all_but_signatures(log: AuditLog, connection: Any, actor: str, action: str, *rest: Any) -> None:
            if action != "sign":
                append(log, connection, actor, action, *rest)

        AuditLog.append = all_but_signatures  # type: ignore[method-assign]
    return serve()


def _cpu_of_workers(pid: int) -> float:
    """Seconds of CPU that the daemon and its workers have used."""
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_cpu(int(one)) for one in (pid, *workers))


def _cpu(pid: int | str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    if sys.argv[1:2] in (["audited"], ["unaudited"]):
        audited = sys.argv.pop(1) == "audited"
        sys.exit(_serve(audited))
    main()
