"""How fast the issuing CA is, beside what the cryptography alone costs, in the same run.

    python -m bench.issue

Raw is sign + verify with `cryptography`, P-256, on one thread (`bench.raw`). The rest goes through the service in
process: SQLite with synchronous=FULL, the audit chain, the lint, and the emulated HSM in its own process over its
socket, which verifies what it signed before we verify it again. Ratios say how many operations fit into the time of
one raw sign + verify; 1.00 would mean that nothing but cryptography costs anything. Before that come the lines of
`bench.templates`: the same certificates without token and database.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bench import templates
from bench.raw import raw_sign_verify_rate
from foundation.clock import SystemClock
from foundation.db import audit
from foundation.db.engine import open_database
from foundation.keys.handles import private_key
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from foundation.x509.names import subject_name
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from issuing_ca import store
from issuing_ca.config import IssuingCaSettings
from issuing_ca.log import IssuanceLog, log_origin
from issuing_ca.model import CertificateRequest, Reason
from issuing_ca.service import CertificateAuthority

SECONDS = 1.5  # for each line
SO_PIN, USER_PIN = "so-pin-of-the-bench", "user-pin-of-the-bench"
OFFICER = (("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Officer"))


def main() -> None:
    templates.main()
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        initialise(folder / "hsm", SO_PIN, USER_PIN)
        with KeyDaemon.start(folder / "hsm") as daemon:
            client = HsmClient(daemon.socket_path)
            client.login(USER_PIN)
            measure(client, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(client: HsmClient, folder: Path) -> None:
    ca = authority(client, folder)
    raw = raw_sign_verify_rate()
    line("sign + verify, P-256, cryptography alone", raw, raw)
    message = bytes(1000)
    seal = client.generate("seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    key = private_key(client, seal)
    line("sign in the emulated HSM + verify here", rate(lambda: key.sign(message, ec.ECDSA(hashes.SHA256()))), raw)

    issued = ca.issue_now(request(0))
    numbers = iter(range(1, 1_000_000))
    # keys are the holders' work, not the CA's: made before the clock starts
    keys = iter([ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(4000)])

    def issue() -> None:
        ca.issue_now(request(next(numbers), next(keys)))

    line("issue (lint, two durable commits, audit), P-256", rate(issue), raw)
    line("the same from 4 threads", threaded(issue), raw)

    issuer = ca.authorities.get("issuing").certificate
    asked = ocsp.OCSPRequestBuilder().add_certificate(issued.certificate, issuer, hashes.SHA1()).build()  # noqa: S303
    data = asked.public_bytes(Encoding.DER)
    line("OCSP answer, signed live", rate(lambda: ca.ocsp.answer(data)), raw)
    digest = hashlib.sha256(message).digest()
    line("timestamp token", rate(lambda: ca.timestamps.token(digest, "sha256")), raw)
    serials = iter([record.serial for record in ca.certificates(limit=200)])
    line(
        "revoke with a new CRL (four durable commits)",
        rate(lambda: ca.revoke(next(serials), Reason.SUPERSEDED, "operator:bench"), 150),
        raw,
    )


def service(client: HsmClient, folder: Path, url: str | None = None, *, log: bool = False) -> CertificateAuthority:
    """The CA's service on a SQLite file, or the database at ``url``, whose tables are there."""
    database, clock = open_database(url or f"sqlite:///{folder / 'bench.sqlite'}"), SystemClock()
    settings = IssuingCaSettings(authority_algorithm=KeyAlgorithm.EC_P256)
    trail, random = audit.AuditTrail(clock), SystemRandomness()
    written = IssuanceLog(database, client, clock, random, log_origin(settings.public_url)) if log else None
    return CertificateAuthority(database, client, clock, random, trail, settings, log=written)


def authority(client: HsmClient, folder: Path, url: str | None = None, *, log: bool = False) -> CertificateAuthority:
    """A CA and a TSA under a root of this run, all P-256; on a SQLite file, or the database at ``url``."""
    database = open_database(url or f"sqlite:///{folder / 'bench.sqlite'}")
    store.metadata.create_all(database.engine)
    audit.metadata.create_all(database.engine)
    with database.unit_of_work() as connection:
        audit.create_head(connection)
    database.close()
    ca = service(client, folder, url, log=log)
    key = ec.generate_private_key(ec.SECP384R1())
    name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Root")])
    root = signed(name, name, key.public_key(), key)
    for authority_name in ("issuing", "tsa"):
        subject = [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {authority_name}")]
        csr = x509.load_pem_x509_csr(ca.init(authority_name, subject, "operator:bench"))
        ca.install(authority_name, signed(csr.subject, name, csr.public_key(), key), [root], "operator:bench")
    return ca


def signed(
    subject: x509.Name, issuer: x509.Name, public_key: object, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = SystemClock().now()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)  # type: ignore[arg-type]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .add_extension(identifier, False)
        .sign(key, hashes.SHA384())
    )


def request(number: int, public_key: ec.EllipticCurvePublicKey | None = None) -> CertificateRequest:
    key = public_key or ec.generate_private_key(ec.SECP256R1()).public_key()
    return CertificateRequest("issuing", "officer", OFFICER, key, f"officer-{number}", "operator:bench")


def rate(operation: Callable[[], object], at_most: int = 1_000_000) -> float:
    """Operations a second on one thread, after one that is not counted."""
    operation()
    start, count = time.perf_counter(), 0
    while count < at_most and time.perf_counter() - start < SECONDS:
        operation()
        count += 1
    return count / (time.perf_counter() - start)


def threaded(operation: Callable[[], object], threads: int = 4) -> float:
    """The same from several threads at once, which share commits and round trips."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: rate(operation), range(threads)))


def line(what: str, per_second: float, raw: float) -> None:
    print(f"{what:50} {per_second:10,.0f} /s   ratio {per_second / raw:6.3f}", flush=True)


if __name__ == "__main__":
    main()
