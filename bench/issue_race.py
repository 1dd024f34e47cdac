"""Rivals of `bench.issue_http`, which issue from the same kind of requests: `openssl ca` and `cfssl serve`.

`openssl ca` writes its text database and one file for each certificate, and takes many requests in one process
(`-infiles`). Debian's cfssl answers over HTTP and is run without a database, as its authors run it by default.
"""

from __future__ import annotations

import itertools
import json
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.issue import signed
from bench.issue_client import Driven, drive, post
from bench.processes import Meter
from foundation.x509.names import subject_name

_CONFIGURATION = """
[ca]
default_ca = one
[one]
database = index.txt
serial = serial
new_certs_dir = certificates
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 300
policy = any
x509_extensions = leaf
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
authorityInfoAccess = OCSP;URI:http://ca.example/ocsp
crlDistributionPoints = URI:http://ca.example/crl
"""


def make_ca(folder: Path) -> None:
    """ca.pem and ca.key, P-256."""
    key, name = ec.generate_private_key(ec.SECP256R1()), subject_name([("CN", "SPECIMEN rival")])
    (folder / "ca.pem").write_bytes(signed(name, name, key.public_key(), key).public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "ca.key").write_bytes(pem)


def openssl_ca(folder: Path, requests: Sequence[bytes]) -> tuple[float, float]:
    """Certificates a second, and CPU seconds for each, of one `openssl ca` for all requests (PEM)."""
    make_ca(folder)
    (folder / "certificates").mkdir()
    (folder / "index.txt").write_text("", encoding="ascii")
    (folder / "ca.cnf").write_text(_CONFIGURATION, encoding="ascii")
    files = []
    for number, one in enumerate(requests):
        files.append(f"{number}.csr")
        (folder / files[-1]).write_bytes(one)
    command = ["openssl", "ca", "-batch", "-notext", "-config", "ca.cnf", "-out", "all.pem", "-infiles", *files]
    begin, before = time.perf_counter(), _children()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    passed, cpu = time.perf_counter() - begin, _children() - before
    made = len(list((folder / "certificates").iterdir()))
    assert made == len(requests), made
    return made / passed, cpu / made


def cfssl_serve(folder: Path, requests: Sequence[bytes], connections: int, seconds: float) -> tuple[Driven, float]:
    """What `cfssl serve` answers to the same client, and its CPU seconds."""
    make_ca(folder)
    usages = ["digital signature", "client auth"]
    profile = {"expiry": str(int(timedelta(days=300).total_seconds() // 3600)) + "h", "usages": usages}
    profile |= {"ocsp_url": "http://ca.example/ocsp", "crl_url": "http://ca.example/crl"}
    (folder / "config.json").write_text(json.dumps({"signing": {"default": profile}}), encoding="ascii")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["cfssl", "serve", "-address", "127.0.0.1", "-port", str(port), "-ca", "ca.pem", "-ca-key", "ca.key",
               "-config", "config.json", "-loglevel", "5"]  # fmt: skip
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            time.sleep(0.05)
        bodies = [json.dumps({"certificate_request": one.decode()}).encode() for one in requests]
        asked: Iterator[bytes] = itertools.cycle([post("/api/v1/cfssl/sign", body) for body in bodies])
        drive([port], itertools.islice(asked, 64), 8, seconds)
        meter = Meter({"cfssl": server.pid})
        driven = drive([port], asked, connections, seconds)
        assert b'"success":true' in driven.last
        return driven, meter.used()["cfssl"]
    finally:
        server.terminate()
        server.wait(20)


def installed(program: str) -> bool:
    return shutil.which(program) is not None


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
