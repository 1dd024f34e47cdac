"""How fast an agency's batch is sealed over HTTP: `camtrust serve` as it is, and a client that asks as it should.

    python -m bench.sign_http [DOCUMENTS]          1,000 where nothing is said

The services of a new home (SQLite that waits for the disk, emulated HSM, two server processes) run beside the client on
the same machine. Each document of about 100 KB is one POST with an assertion of its own, signed and bound to its
octets, from eight connections at once. A seal keeps nothing, so asking again does no harm; keyed, under
an idempotency key, the answer is kept for a day too, which costs. What is printed: documents a second as the clock has
it, the CPU time of the services and of the client for one document, and from it what two cores could do if nothing
else ran on them: the clock tells more about a busy machine than about the services.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.goals import goal
from bench.sign_verify import document
from foundation.clock import SystemClock

CONNECTIONS = 8
CORES = WORKERS = 2
GOALS = {"B-B": 150, "B-LT": 60}  # documents a second
COMMAND = str(Path(sys.executable).with_name("camtrust"))
PUBLIC_URL = "http://127.0.0.1:8440"
SEALS = "/sign/v1/seals"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        client, credential = set_up(folder, key)
        port = free_port()
        with (folder / "serve.log").open("wb") as log:
            server = subprocess.Popen(
                [COMMAND, "--home", str(folder / "home"), "serve", "--port", str(port), "--workers", str(WORKERS)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "CAMTRUST_PUBLIC_URL": PUBLIC_URL},
            )
        try:
            wait_for(port)
            wait_for_workers(folder / "serve.log")
            print(f"camtrust serve --workers {WORKERS}, {CONNECTIONS} connections", flush=True)
            for level, keyed in (("B-B", False), ("B-LT", False), ("B-B", True)):
                asking = Client(port, key, client, credential, level, keyed=keyed)
                batch(asking, 20, server.pid)
                line(f"{level}{', keyed' if keyed else ''}", count, *batch(asking, count, server.pid))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def line(level: str, count: int, clock: float, services: float, mine: float) -> None:
    each = 1000 * services / count
    both = 1000 * (services + mine) / count
    print(
        f"{level}: {count} documents, {count / clock:6.1f} /s by the clock; CPU each: services {each:5.2f} ms,"
        f" with the client {both:5.2f} ms; two cores: {CORES * 1000 / both:6.1f} /s",
        flush=True,
    )
    if level in GOALS:
        wanted = GOALS[level]
        goal(
            f"seals over HTTP, {level}", f"{wanted} /s", f"{count / clock:.0f} /s by the clock", count / clock >= wanted
        )


class Client:
    """An agency's program."""

    def __init__(
        self, port: int, key: ec.EllipticCurvePrivateKey, actor: str, credential: str, level: str, *, keyed: bool
    ) -> None:
        self._keyed = keyed
        self.port = port
        self._key, self._actor = key, actor
        self._boundary = secrets.token_hex(16)
        self._tail = b"".join(
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in (("credential", credential), ("level", level))
        )

    def seal(self, connection: http.client.HTTPConnection, data: bytes) -> bytes:
        """One request; RuntimeError for an answer that is no sealed PDF."""
        head = 'Content-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf'
        body = b"".join(
            (
                self._tail,
                f"--{self._boundary}\r\n{head}\r\n\r\n".encode(),
                data,
                f"\r\n--{self._boundary}--\r\n".encode(),
            )
        )
        headers = {
            "Authorization": f"Assertion {self._assertion(body)}",
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
        }
        if self._keyed:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        connection.request("POST", SEALS, body, headers)
        answer = connection.getresponse()
        octets = answer.read()
        if answer.status != 200 or not octets.startswith(data):
            raise RuntimeError(octets[:300])
        return octets

    def _assertion(self, body: bytes) -> str:
        now = int(SystemClock().now().timestamp())
        claims = {
            "iss": self._actor,
            "aud": PUBLIC_URL,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(16),
            "htm": "POST",
            "htu": PUBLIC_URL + SEALS,
            "bd": b64(hashlib.sha256(body).digest()),
        }
        header = {"alg": "ES256", "typ": "camtrust-assertion+jwt"}
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def batch(client: Client, count: int, server: int) -> tuple[float, float, float]:
    """Seconds by the clock, of CPU in the services, and of CPU here."""
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    data = document()
    for _ in range(count):
        waiting.put(data)
    failures: list[BaseException] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=120)
        try:
            while (one := waiting.get()) is not None:
                client.seal(connection, one)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for _ in threads:
        waiting.put(None)
    before, mine, begin = cpu_of(server), time.process_time(), time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    clock = time.perf_counter() - begin
    if failures:
        raise failures[0]
    return clock, cpu_of(server) - before, time.process_time() - mine


def cpu_of(root: int) -> float:
    """CPU seconds of a process and of everything that it started and that still runs."""
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS)
    wanted = {root}
    while True:
        more = {pid for pid, (parent, _) in parents.items() if parent in wanted} - wanted
        if not more:
            return sum(parents[pid][1] for pid in wanted if pid in parents)
        wanted |= more


def set_up(folder: Path, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
    """A home by the demo, a registered client of an agency, and its credential: their ids."""
    home = ["--home", str(folder / "home"), "--json"]
    public = folder / "client.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    run("demo", *home)
    label = ["--kind", "client", "--label", "SPECIMEN batch", "--role", "sign-seal"]
    client = str(run("actors", "register", str(public), *label, *home)["id"])
    every = [word for level in ("B-B", "B-T", "B-LT", "B-LTA") for word in ("--level", level)]
    run("actors", "seal-policy", client, *every, *home)
    names = ["--organisation", "SPECIMEN Agency", "--organisation-identifier", "GO:KH-000041"]
    made = run("actors", "seal-credential", client, *names, "--common-name", "SPECIMEN Agency seal", *home)
    return client, str(made["credential"])


def run(*words: str) -> dict[str, object]:
    done = subprocess.run([COMMAND, *words], capture_output=True, check=False, timeout=300, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    found: dict[str, object] = json.loads(done.stdout)
    return found


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the services did not start")


def wait_for_workers(log: Path) -> None:
    for _ in range(300):
        if log.read_bytes().count(b"takes requests") == WORKERS - 1:
            return
        time.sleep(0.2)
    raise RuntimeError("the further server processes did not start")


if __name__ == "__main__":
    sys.exit(main())
