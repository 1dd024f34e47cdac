"""Whether the issuing CA with millions of certificates is as quick as with none, on PostgreSQL.

    python -m bench.ca_soak [certificates, 2000000 unless said otherwise]

Two installations in one run, each with its own database (in one durable PostgreSQL server), its own token and its own
key daemon: one stays empty, the other is filled by `bench.ca_load`; one certificate in ten is revoked. Then every
operation is done on one and on the other in turns, so that whatever else the machine does meets both, and the 99th
percentiles are held against each other. It fails where the full one needs more than twice the time of the empty one,
where `camtrust serve` on it needs more than five seconds to be ready, and where what was loaded does not verify.

P-256 throughout, CRLs in 256 partitions. Through the services in process, not over HTTP: a request of HTTP would cost
both the same. One thread.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from sqlalchemy import select

from bench.ca_load import AUTHORITY, load_certificates, load_revocations
from bench.issue import request
from bench.status import free_port
from camtrust import upkeep
from camtrust.assembly import Services
from camtrust.home import Home
from camtrust.server import opened
from camtrust.settings import load_settings
from foundation.clock import SystemClock
from issuing_ca import tables
from issuing_ca.crl_scopes import partition_of
from issuing_ca.model import Reason
from issuing_ca.ocsp_kept import KeptResponses
from issuing_ca.rollback import verify_journal
from tests.postgres import DURABLE, PostgresServer
from tests.story.installation import found_authorities, make_home

ROUNDS = 400
PARTITIONS = 256
WORST = 2.0  # the full one against the empty one
START = 5.0  # seconds
_MIB = 1 << 20


@dataclass(frozen=True)
class Place:
    """An installation, open, with certificates that operations are about."""

    services: Services
    serials: Sequence[str]


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    folder = Path(tempfile.mkdtemp(prefix="camtrust-soak-", dir="/tmp"))
    server = PostgresServer(DURABLE)
    try:
        return soak(server, folder, count)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def soak(server: PostgresServer, folder: Path, count: int, rounds: int = ROUNDS) -> int:
    """Everything, on a running server; gives the exit code."""
    failed: list[str] = []
    empty, full = (_home(folder / name, server.fresh_database()) for name in ("empty", "full"))
    with _opened(empty) as bare, _opened(full) as laden:
        for services in (bare, laden):
            with redirect_stderr(io.StringIO()):  # the ceremony tells its steps
                found_authorities(services)
        _load(laden, count)
        for services in (bare, laden):
            _kept_up(services, told=services is laden)
        places = _place(bare, rounds), _place(laden, rounds)
        for name, prepare in OPERATIONS.items():
            failed += compared(name, prepare, places, rounds)
    for name, home in (("empty", empty), ("full", full)):
        failed += _started(name, home)
    with _opened(full) as laden:
        failed += _verified(laden, count)
    if failed:
        print("soak: FAILED: " + "; ".join(failed))
        return 1
    print(f"soak: {count:,} certificates, {count // 10:,} revoked: as quick as an empty CA, and started at once")
    return 0


# --- the operations, each made ready outside of the clock -----------------------------------------------------------


def _issue(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(rounds):
        asked = request(number, ec.generate_private_key(ec.SECP256R1()).public_key())
        yield lambda: place.services.ca.issue_now(asked)  # noqa: B023 - called before the next


def _ocsp_live(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(rounds):
        data = _asked(place, number, os.urandom(16))
        yield lambda: place.services.ca.kept_ocsp.answer(data)  # noqa: B023


def _ocsp_made(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(rounds):
        data = _asked(place, number)
        yield lambda: place.services.ca.kept_ocsp.answer(data)  # noqa: B023


def _ocsp_kept(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    services = place.services
    for number in range(rounds):
        data = _asked(place, number)
        fresh = KeptResponses(services.ca.ocsp, services.database, services.clock, services.ca.settings)
        yield lambda: fresh.answer(data)  # noqa: B023


def _crl_served(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(rounds):
        scope = partition_of(number, PARTITIONS)
        yield lambda: place.services.ca.lists.current(AUTHORITY, scope)  # noqa: B023


def _crl_made(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(rounds):
        scope = partition_of(number, PARTITIONS)
        yield lambda: place.services.ca.lists.renew(AUTHORITY, scope, force=True)  # noqa: B023


def _proof(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    place.services.log.integrate()
    for number in range(rounds):
        record = place.services.ca.certificate(place.serials[number % len(place.serials)])
        digest = hashes.Hash(hashes.SHA256())
        digest.update(record.certificate or b"")
        value = digest.finalize()
        yield lambda: place.services.log.inclusion(value)  # noqa: B023


def _revoke(place: Place, rounds: int) -> Iterator[Callable[[], object]]:
    for number in range(min(rounds, len(place.serials)) // 2):
        serial = place.serials[number]
        yield lambda: place.services.ca.revocation.revoke(serial, Reason.SUPERSEDED, "operator:soak")  # noqa: B023


OPERATIONS: dict[str, Callable[[Place, int], Iterator[Callable[[], object]]]] = {
    "issue": _issue,
    "OCSP, live with a nonce": _ocsp_live,
    "OCSP, made when first asked": _ocsp_made,
    "OCSP, kept by another process": _ocsp_kept,
    "CRL partition, served": _crl_served,
    "CRL partition, made": _crl_made,
    "proof of the issuance log": _proof,
    "revoke": _revoke,
}


def _asked(place: Place, number: int, nonce: bytes | None = None) -> bytes:
    ca = place.services.ca
    record = ca.certificate(place.serials[number % len(place.serials)])
    assert record.certificate is not None
    certificate = x509.load_der_x509_certificate(record.certificate)
    issuer = ca.authorities.get(AUTHORITY).certificate
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.build().public_bytes(Encoding.DER)


def compared(
    name: str,
    prepare: Callable[[Place, int], Iterator[Callable[[], object]]],
    places: tuple[Place, Place],
    rounds: int,
) -> list[str]:
    """The operation on both in turns; what failed."""
    times: tuple[list[float], list[float]] = ([], [])
    for acts in zip(prepare(places[0], rounds), prepare(places[1], rounds), strict=True):
        for act, taken in zip(acts, times, strict=True):
            begin = time.perf_counter()
            act()
            taken.append(time.perf_counter() - begin)
    (empty, empty_99), (full, full_99) = (_percentiles(taken) for taken in times)
    ratio = full_99 / empty_99
    told = f"median {empty:6.2f} and {full:6.2f} ms, p99 {empty_99:6.2f} and {full_99:6.2f} ms: {ratio:4.2f}"
    print(f"  {name:38} {told}", flush=True)
    return [f"{name}: p99 is {ratio:.1f} times that of an empty CA"] if ratio > WORST else []


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3


# --- the installations ----------------------------------------------------------------------------------------------


def _home(folder: Path, url: str) -> Home:
    home = make_home(folder)
    settings = f'[database]\nurl = "{url}"\n[ca]\nalgorithm = "ec-p256"\ncrl_partitions = {PARTITIONS}\n'
    (home.path / "camtrust.toml").write_text(settings, encoding="utf-8")
    return home


@contextmanager
def _opened(home: Home) -> Iterator[Services]:
    with opened(home, load_settings(home.settings_file), SystemClock()) as services:
        yield services


def _place(services: Services, rounds: int) -> Place:
    """Certificates to ask about: picked by chance where there are many, made where there are none."""
    with services.database.read() as connection:
        certificates = tables.certificates.c
        standing = (certificates.state == "issued", certificates.authority == AUTHORITY)
        begin = format(random.randrange(4, 8), "x")  # noqa: S311 - serial numbers begin with 4 to 7
        query = select(certificates.serial).where(*standing, certificates.serial > begin)
        serials = list(connection.execute(query.order_by(certificates.serial).limit(rounds)).scalars())
    while len(serials) < rounds:
        serials.append(services.ca.issue_now(request(len(serials))).serial)
    return Place(services, serials)


def _load(services: Services, count: int) -> None:
    begin = time.monotonic()

    def told(made: int) -> None:
        if made and made % max(count // 10, 1) == 0:
            rate = made / (time.monotonic() - begin)
            print(f"  {made:>9,} certificates loaded, {rate:,.0f} a second", flush=True)

    load_certificates(services, count, told)
    begin = time.monotonic()
    load_revocations(services, count // 10)
    with services.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum has done on a database that grew over years
        size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
    print(f"  {count // 10:,} revoked in {time.monotonic() - begin:.0f} s; the database has {size / _MIB:,.0f} MiB")


def _verified(services: Services, count: int) -> list[str]:
    """The log, the journal and the audit trail rebuilt from what was loaded; a sample of signatures."""
    begin = time.monotonic()
    size, changes = services.log.verify(), verify_journal(services.database)[AUTHORITY]
    events = services.trail.verify(services.database)
    issuer = services.ca.authorities.get(AUTHORITY).certificate
    for serial in _place(services, 100).serials:
        record = services.ca.certificate(serial)
        x509.load_der_x509_certificate(record.certificate or b"").verify_directly_issued_by(issuer)
    print(
        f"  verified in {time.monotonic() - begin:.0f} s: {size:,} entries of the log, {changes:,} status changes, "
        f"{events:,} events of the audit trail, 100 signatures",
        flush=True,
    )
    return [] if size >= count and changes >= count // 10 and events >= 2 * count else ["what was loaded is not there"]


def _kept_up(services: Services, *, told: bool) -> None:
    """Every part of the upkeep, twice: what is due after loading, and what a minute costs from then on."""
    for what in ("upkeep after loading", "upkeep of a minute"):
        times = {}
        for name, task in upkeep.tasks(services).items():
            begin = time.monotonic()
            task()
            times[name] = time.monotonic() - begin
        if told:
            slowest = sorted(times.items(), key=lambda one: -one[1])[:4]
            parts = ", ".join(f"{name} {taken:.2f}" for name, taken in slowest)
            print(f"  {what}: {sum(times.values()):.2f} s ({parts})", flush=True)
    if told:
        begin = time.monotonic()
        crl = services.ca.lists.renew(AUTHORITY, force=True)
        taken = time.monotonic() - begin
        print(f"  full CRL of {crl.entries:,} entries made in {taken:.2f} s, {len(crl.crl) / _MIB:.1f} MiB", flush=True)


# --- the start ------------------------------------------------------------------------------------------------------


def _started(name: str, home: Home) -> list[str]:
    """`camtrust serve` until /readyz answers, three times; with the memory that it has then."""
    taken = []
    for _ in range(3):
        port, begin = free_port(), time.monotonic()
        program = str(Path(sys.executable).with_name("camtrust"))
        command = [program, "--home", str(home.path), "serve", "--port", str(port)]
        with (home.path / "serve.log").open("ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not _ready(port):
                if server.poll() is not None or time.monotonic() - begin > 120:
                    print((home.path / "serve.log").read_text(encoding="utf-8")[-2000:])
                    return [f"{name}: it did not start"]
                time.sleep(0.02)
            taken.append(time.monotonic() - begin)
            time.sleep(2)  # the first upkeep has begun
            memory = _resident(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    print(
        f"  {name}: camtrust serve is ready in {', '.join(f'{one:.2f}' for one in taken)} s; "
        f"{memory / _MIB:.0f} MiB resident",
        flush=True,
    )
    return late(name, taken)


def late(name: str, taken: Sequence[float]) -> list[str]:
    """What failed, if even the quickest start took too long."""
    return [f"{name}: ready after {min(taken):.1f} s"] if min(taken) > START else []


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
