"""What a batch costs beside sealing the same documents one by one, in the same process and the same run.

    python -m bench.batches [DOCUMENTS]          200 where nothing is said

A new home (SQLite that waits for the disk, emulated HSM). Documents of about 100 KB are sealed by
`SigningService.seal`, which keeps nothing, and then as a batch by the job engine: stored sealed, taken by policy,
sealed in chunks, stored again, settled in the tables. Both in one thread, so one core and the key daemon's. Printed are
CPU times (of the services and the key daemon together), rates by the clock, the upload of the batch apart, and how far
the memory of the process grew. The engine looks for work four times a second: on a busy machine, where a batch takes
long by the clock, that is a larger part of it.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.goals import goal
from bench.sign_http import GOALS, cpu_of
from bench.sign_verify import document
from camtrust.assembly import Services
from camtrust.job_handlers import worked_off
from camtrust.organisations import make_seal_credential
from camtrust.server import opened
from camtrust.settings import Settings
from foundation.clock import SystemClock
from foundation.http.actor import Actor, ActorKind
from signing.batches.model import BatchState
from signing.forms import PADES
from signing.model import Level
from signing.pdf_options import PdfOptions
from signing.seal_policy import ROLE, SealPolicy
from tests.story.installation import found_authorities, make_home

PART = 100  # documents of one archive


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        with opened(make_home(folder / "home"), Settings(), SystemClock()) as services:
            found_authorities(services)
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
            public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            client = services.identity.register_actor(None, ActorKind.CLIENT, "SPECIMEN batch", [ROLE], public).id
            actor = Actor(ActorKind.CLIENT, client, frozenset({ROLE}))
            every = SealPolicy(levels=tuple(level.value for level in Level))
            services.signing.seal_policies.set("bench", client, every, services.clock.now())
            names = {"organisation": "SPECIMEN Agency", "identifier": "GO:KH-000041", "common_name": "SPECIMEN seal"}
            credential = make_seal_credential(services, "operator:bench", client, **names).credential_id
            for level in (Level.B_B, Level.B_LT):
                compare(services, actor, credential, level, count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(services: Services, actor: Actor, credential: str, level: Level, count: int) -> None:
    data = document()

    def one_by_one() -> None:
        for _ in range(count):
            services.signing.seal(actor, credential, data, level=level)

    services.signing.seal(actor, credential, data, level=level)
    alone, alone_clock = spent(one_by_one)
    batches = services.batches
    batch = batches.create(actor, credential, form=PADES, level=level, options=PdfOptions())

    def upload() -> None:
        for first in range(0, count, PART):
            into = io.BytesIO()
            with zipfile.ZipFile(into, "w") as archive:
                for number in range(first, min(first + PART, count)):
                    archive.writestr(f"document-{number}", data)
            batches.add_archive(actor, batch.batch_id, into.getvalue())

    def work() -> None:
        pause = threading.Event()
        while batches.batch(actor, batch.batch_id)[0].state is not BatchState.FINISHED:
            pause.wait(1)

    taking, taking_clock = spent(upload)
    batches.start(actor, batch.batch_id)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with worked_off(services):
        sealing, sealing_clock = spent(work)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    progress = batches.batch(actor, batch.batch_id)[1]
    assert progress.sealed == count
    each = 1000 / count
    print(
        f"{level.value}: {count} documents; CPU each: one by one {alone * each:5.2f} ms,"
        f" as a batch {sealing * each:5.2f} ms"
        f" ({sealing / alone:.2f} x), taking them {taking * each:5.2f} ms; by the clock {count / alone_clock:5.1f} /s,"
        f" {count / sealing_clock:5.1f} /s, {count / taking_clock:5.1f} /s; memory grew by {grown:.0f} MiB",
        flush=True,
    )
    wanted = GOALS[level.value]
    by_cpu = count / sealing
    goal(f"batches, {level.value}", f"{wanted} /s", f"{by_cpu:.0f} /s of one core's time", by_cpu >= wanted)


def spent(act: Callable[[], None]) -> tuple[float, float]:
    """Seconds of CPU, here and in the processes below, and by the clock."""
    cpu, clock = cpu_of(os.getpid()), time.perf_counter()
    act()
    return cpu_of(os.getpid()) - cpu, time.perf_counter() - clock


if __name__ == "__main__":
    sys.exit(main())
