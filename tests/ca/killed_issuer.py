"""A process that issues certificates and is killed with SIGKILL at one instant: what `test_ca_kills` starts.

    python -m tests.ca.killed_issuer DATABASE-URL SOCKET PIN FOLDER POINT

FOLDER/N.csr are the requests; the N of each is its owner. It has done all that comes before POINT when it is killed,
and nothing that comes after. With POINT ``never`` it goes on until it is killed from outside, issuing one batch after
the other in two threads.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, event

from foundation.clock import SystemClock
from foundation.db.audit import AuditTrail
from foundation.db.engine import open_database
from foundation.randomness import SystemRandomness
from foundation.x509.csr import read_csr
from hsm_emulation.client import HsmClient
from issuing_ca.config import IssuingCaSettings
from issuing_ca.log import IssuanceLog
from issuing_ca.model import CertificateRequest
from issuing_ca.service import CertificateAuthority
from tests.ca.log_world import ORIGIN

SUBJECT = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer"))


def die() -> None:
    """SIGKILL to this very process: nobody gets to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def main() -> None:
    url, socket, pin, folder, point = *sys.argv[1:4], Path(sys.argv[4]), sys.argv[5]
    database, clock, random = open_database(url), SystemClock(), SystemRandomness()
    client = HsmClient(Path(socket))
    client.login(pin)
    log = IssuanceLog(database, client, clock, random, ORIGIN)
    ca = CertificateAuthority(database, client, clock, random, AuditTrail(clock), IssuingCaSettings(), log=log)
    requests = [
        CertificateRequest("issuing", "officer", SUBJECT, read_csr(file.read_bytes()).public_key(), file.stem, "test")
        for file in sorted(folder.glob("*.csr"))
    ]
    if point == "never":
        _without_end(ca)
    writes = itertools.count(1)

    def committing(connection: Connection) -> None:
        if connection.get_execution_options().get("camtrust_writes") and point == f"commit-{next(writes)}":
            die()

    event.listen(database.engine, "commit", committing)
    for name in ("sign", "sign_many"):
        setattr(client, name, _watched(getattr(client, name), point))
    if point.startswith("two-steps"):
        tokens = [ca.prepare(one).token for one in requests]
        if point == "two-steps: prepared":
            die()
        for name in ("sign", "sign_many"):
            setattr(client, name, _watched(getattr(client, name), point.replace("two-steps: ", "")))
        for token in tokens:
            ca.issue(token)
    elif len(requests) == 1:
        ca.issue_now(requests[0])
    else:
        ca.issue_many(requests)
    if point == "after":
        die()
    sys.exit(f"it was not killed at {point}")


def _watched(call: Callable[..., Any], point: str) -> Callable[..., Any]:
    def watched(*given: Any, **more: Any) -> Any:
        if point == "before signing":
            die()
        made = call(*given, **more)
        if point == "signed":
            die()
        return made

    return watched


def _without_end(ca: CertificateAuthority) -> None:
    numbers = itertools.count(1000)

    def work() -> None:
        while True:
            keys = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(20)]
            ca.issue_many(
                [CertificateRequest("issuing", "officer", SUBJECT, key, str(next(numbers)), "test") for key in keys]
            )
            print("batch", flush=True)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


if __name__ == "__main__":
    main()
