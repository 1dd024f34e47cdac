"""Certificates over HTTP with everything that makes them certificates of a CA, beside the raw cost and two rivals.

    python -m bench.issue_http [seconds for each line]

Each certificate is asked for by a request of its own (PKCS#10, P-256), whose proof of possession is verified; names,
key, profile and lint are checked; its intent is committed before it is signed; the key daemon signs and verifies, we
verify again; the certificate, its entry of the issuance log and two rows of the audit chain are committed. PostgreSQL
with its defaults for durability. Client, two web servers, key daemon and database are processes of this machine, and
share its processors.

- raw: with `cryptography` in process: the request's signature verified, the certificate signed and verified
- one in a call: ``POST /ca/v1/certificates``; many in a call: ``POST /ca/v1/certificates/batch``
- `openssl ca` with its text database, all requests in one process; `cfssl serve` without any database, the same client

A busy machine changes rates, and the CPU time of each certificate much less: ``at most`` is what two processors could
do in that time, were they all ours and never idle.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bench import issue_race
from bench.goals import goal
from bench.issue import OFFICER, SO_PIN, USER_PIN
from bench.issue_client import Driven, drive, post
from bench.issue_server import AUTHORIZATION
from bench.processes import Meter
from bench.raw import raw_sign_verify_rate, raw_verify_rate
from foundation.x509.names import subject_name
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from tests.postgres import DURABLE, PostgresServer

SECONDS = 4.0
PROCESSORS = 2
SERVERS = 2  # web servers: each can use one processor at most
CONNECTIONS = 128
MANY, CALLS = 250, 4  # requests in one call, calls under way
REQUESTS = 20000  # made before the clock starts; each is used once


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    raw = 1 / (1 / raw_sign_verify_rate() + 1 / raw_verify_rate())
    print(f"raw: request verified, certificate signed and verified, P-256   {raw:8,.0f} per CPU-second")
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        requests = [_request(number) for number in range(REQUESTS)]
        ours(folder, requests, seconds, raw)
        rivals(folder, requests, seconds, raw)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ours(folder: Path, requests: list[bytes], seconds: float, raw: float) -> None:
    with _served(folder) as (ports, pids):
        asked = iter([_body(number, one) for number, one in enumerate(requests)])
        warm = (_one(next(asked)) for _ in range(200))
        drive(ports, warm, 16, 60)
        meter = Meter(pids)
        singles = drive(ports, map(_one, _at_most(asked, REQUESTS // 4)), CONNECTIONS, seconds)
        _line("one in a call, HTTP, PostgreSQL", singles, singles.answers, meter.used(), raw)
        what = "certificates over HTTP, one in a call, PostgreSQL"
        goal(what, "1,000 /s on 2 cores", f"{singles.rate:,.0f} /s", singles.rate >= 1000)
        rest = list(asked)
        calls = [_many(rest[at : at + MANY]) for at in range(0, len(rest) - MANY + 1, MANY)]
        meter.used()
        driven = drive(ports, iter(calls), CALLS, seconds)
        issued = driven.answers * MANY
        assert driven.last.count(b'"refused":null') == MANY
        _line(f"{MANY} in a call, HTTP, PostgreSQL", driven, issued, meter.used(), raw)
        bulk = issued / driven.seconds
        goal(f"certificates over HTTP, {MANY} in a call", "3,000 /s on 2 cores", f"{bulk:,.0f} /s", bulk >= 3000)


def rivals(folder: Path, requests: list[bytes], seconds: float, raw: float) -> None:
    place = folder / "openssl"
    place.mkdir()
    rate, cpu = issue_race.openssl_ca(place, requests[:1000])
    _plain("openssl ca, 1,000 in one process, text database", rate, {"openssl": cpu * 1e6}, raw)
    if not issue_race.installed("cfssl"):
        print("cfssl: not installed (Debian: golang-cfssl)")
        return
    place = folder / "cfssl"
    place.mkdir()
    driven, used = issue_race.cfssl_serve(place, requests[:1000], CONNECTIONS, seconds)
    each = {"cfssl": used / driven.answers * 1e6, "client": driven.cpu / driven.answers * 1e6}
    _plain("cfssl serve, HTTP, no database, no audit", driven.rate, each, raw)


def _line(what: str, driven: Driven, issued: int, used: Mapping[str, float], raw: float) -> None:
    each = {name: cpu / issued * 1e6 for name, cpu in used.items()} | {"client": driven.cpu / issued * 1e6}
    _plain(what, issued / driven.seconds, each, raw)


def _plain(what: str, rate: float, each: Mapping[str, float], raw: float) -> None:
    total = sum(each.values())
    parts = "  ".join(f"{name} {cpu:.0f}" for name, cpu in each.items())
    most, ratio = PROCESSORS * 1e6 / total, 1e6 / total / raw
    print(f"{what:50} {rate:8,.0f} /s   {total:6.0f} us CPU   at most {most:6,.0f} /s   of raw {ratio:.2f}")
    print(f"    us of CPU: {parts}", flush=True)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[list[int], dict[str, int]]]:
    """Database, key daemon and web servers; gives their ports and the processes."""
    postgres = PostgresServer(DURABLE)
    try:
        initialise(folder / "hsm", SO_PIN, USER_PIN)
        with KeyDaemon.start(folder / "hsm") as daemon:
            with HsmClient(daemon.socket_path) as client:
                keys = client.status()["pid"]
            command = [sys.executable, "-m", "bench.issue_server", str(folder), postgres.fresh_database()]
            servers, ports = list[subprocess.Popen[bytes]](), list[int]()
            try:
                for number in range(SERVERS):
                    servers.append(
                        subprocess.Popen([*command, str(daemon.socket_path), str(number)], stdin=subprocess.PIPE)
                    )
                    ports.append(_port(folder / f"ready-{number}.json", servers[-1]))
                pids = {f"server {number}": one.pid for number, one in enumerate(servers)}
                yield ports, {**pids, "keys": keys, "database": postgres.pid}
            finally:
                for one in servers:
                    one.terminate()
                    one.wait(30)
    finally:
        postgres.stop()


def _port(ready: Path, server: subprocess.Popen[bytes]) -> int:
    for _ in range(2400):
        if ready.exists() or server.poll() is not None:
            break
        time.sleep(0.05)
    port: int = json.loads(ready.read_text(encoding="utf-8"))["port"]
    return port


def _request(number: int) -> bytes:
    name = subject_name([("CN", f"SPECIMEN request {number}")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def _body(number: int, csr: bytes) -> dict[str, object]:
    subject = [{"name": name, "value": value} for name, value in OFFICER]
    return {"profile": "officer", "csr": csr.decode(), "subject": subject, "owner": f"officer-{number}"}


def _one(body: Mapping[str, object]) -> bytes:
    return post("/ca/v1/certificates", json.dumps(body).encode(), [AUTHORIZATION])


def _many(bodies: list[dict[str, object]]) -> bytes:
    return post("/ca/v1/certificates/batch", json.dumps({"requests": bodies}).encode(), [AUTHORIZATION])


def _at_most(bodies: Iterator[dict[str, object]], count: int) -> Iterator[dict[str, object]]:
    for _, body in zip(range(count), bodies, strict=False):
        yield body


if __name__ == "__main__":
    main()
