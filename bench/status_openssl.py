"""`openssl ocsp` as a responder and `openssl ts`: raced by `bench.status` in a network namespace of their own.

The responder listens on every interface, so this refuses to run where there is any but loopback. It answers one request
a connection, from an index in a text file; `openssl ts` answers one request a process.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp

from bench.load import cpu_of, post
from foundation.clock import SystemClock
from foundation.x509.names import subject_name

SECONDS = 2.0


def main() -> None:
    if {name for _, name in socket.if_nameindex()} != {"lo"}:
        sys.exit("not in a network namespace of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        request = _authority(folder)
        _responder(folder, request)
        _timestamps(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _authority(folder: Path) -> bytes:
    """A CA, a certificate in its index, and a TSA certificate, all P-256; gives an OCSP request."""
    now = SystemClock().now()
    key, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = subject_name([("CN", "SPECIMEN openssl")])

    def signed(serial: int, subject: x509.Name, public: ec.EllipticCurvePublicKey, *usages: object) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(serial == 1, None), True)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), True)  # type: ignore[arg-type]
        return builder.sign(key, hashes.SHA256())

    ca = signed(1, name, key.public_key())
    one = signed(2, subject_name([("CN", "SPECIMEN leaf")]), leaf.public_key())
    stamping = x509.ExtendedKeyUsageOID.TIME_STAMPING
    tsa = signed(3, subject_name([("CN", "SPECIMEN tsa")]), leaf.public_key(), stamping)
    for file, certificate in (("ca.pem", ca), ("leaf.pem", one), ("tsa.pem", tsa)):
        (folder / file).write_bytes(certificate.public_bytes(Encoding.PEM))
    for file, private in (("ca.key", key), ("tsa.key", leaf)):
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / file).write_bytes(pem)
    until = (now + timedelta(days=30)).strftime("%y%m%d%H%M%SZ")
    (folder / "index.txt").write_text(f"V\t{until}\t\t02\tunknown\t/CN=SPECIMEN leaf\n", encoding="ascii")
    builder = ocsp.OCSPRequestBuilder().add_certificate(one, ca, hashes.SHA1())  # noqa: S303
    return builder.add_extension(x509.OCSPNonce(bytes(16)), False).build().public_bytes(Encoding.DER)


def _responder(folder: Path, request: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        ["openssl", "ocsp", "-port", str(port), "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem",
         "-rkey", "ca.key", "-nmin", "60", "-ignore_err"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        asked = post("/", "application/ocsp-request", request).replace(b"HTTP/1.1", b"HTTP/1.0")
        for _ in range(200):
            with suppress(OSError):
                _once(port, asked)
                break
            time.sleep(0.05)
        count, before, begin = 0, cpu_of([server.pid]), time.perf_counter()
        while (passed := time.perf_counter() - begin) < SECONDS:
            _once(port, asked)
            count += 1
        cpu = (cpu_of([server.pid]) - before) / count * 1e6
        print(
            f"{'openssl ocsp, live with a nonce, a connection each':56} {count / passed:9,.0f} /s   {cpu:6.0f} us CPU"
        )
    finally:
        server.terminate()
        server.wait(20)


def _once(port: int, asked: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(asked)
        data = b""
        while part := connection.recv(65536):
            data += part
    if b" 200 " not in data[:20]:
        raise OSError("no answer")


def _timestamps(folder: Path) -> None:
    (folder / "serial").write_text("01", encoding="ascii")
    (folder / "ts.cnf").write_text(
        "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\ncrypto_device = builtin\nsigner_digest = sha256\n"
        "default_policy = 1.2.3\ndigests = sha256\naccuracy = secs:1\n"
        "ess_cert_id_chain = no\ness_cert_id_alg = sha256\n",
        encoding="ascii",
    )
    query = ["openssl", "ts", "-query", "-digest", "00" * 32, "-sha256", "-out", "q.tsq"]
    subprocess.run(query, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    reply = ["openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "q.tsq", "-signer", "tsa.pem",
             "-inkey", "tsa.key", "-out", "a.tsr"]  # fmt: skip
    subprocess.run(reply, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < SECONDS:
        subprocess.run(reply, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        count += 1
    print(f"{'openssl ts -reply, a process each':56} {count / passed:9,.0f} /s", flush=True)


if __name__ == "__main__":
    main()
