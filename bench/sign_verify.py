"""How fast PDFs are signed and verified, beside the raw cost and beside the library underneath, in the same run.

    python -m bench.sign_verify

One document of about 100 KB and one P-256 key in the emulated HSM for everything; timestamps, OCSP responses and CRLs
come from an issuing CA in this process. Raw is what nobody can go below: hash the document, sign, verify. pyHanko
signs with the same key through the same handle, once with the room for the signature reserved and once as it comes
(it then signs twice), and validates the same files. Rates are per second of CPU time of this process, so that a busy
machine changes them little; the token's process, a raw sign + verify each time, is not in them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
from asn1crypto import cms
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext

from bench.goals import goal
from camtrust.adapters import CaStatus, CaTimestamps
from foundation.clock import SystemClock
from foundation.db import audit
from foundation.db.engine import open_database
from foundation.keys.port import KeyAlgorithm, KeyUse
from foundation.randomness import SystemRandomness
from foundation.x509.crl import build_crl
from foundation.x509.names import subject_name
from hsm_emulation.client import HsmClient
from hsm_emulation.process import KeyDaemon, initialise
from issuing_ca import store
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import CertificateRequest
from issuing_ca.service import CertificateAuthority
from signing.model import Level, Signatory
from signing.sign.pades import PadesSigner
from signing.sign.token_signer import TokenSigner, asn1
from signing.verify.policy import STRICT
from signing.verify.trust import Trust, build_trust
from signing.verify.verdict import Indication, verify_file

SO_PIN, USER_PIN = "so-pin-of-the-bench", "user-pin-of-the-bench"
SECONDS = 0.6  # of CPU time for each line
RESERVED = 16_384  # octets for pyHanko's signature, when it is told


@dataclass(frozen=True)
class Stage:
    """Everything that signing and verifying need."""

    client: HsmClient
    ca: CertificateAuthority
    root: x509.Certificate
    signatory: Signatory
    pades: PadesSigner
    kept: TokenSigner  # pyHanko's, which need not be made anew for each signature
    document: bytes


def main() -> None:
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="camtrust-bench-", dir="/tmp"))
    try:
        initialise(folder / "hsm", SO_PIN, USER_PIN)
        with KeyDaemon.start(folder / "hsm") as daemon:
            client = HsmClient(daemon.socket_path)
            client.login(USER_PIN)
            measure(set_up(client, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(stage: Stage) -> None:
    measure_large(stage)
    raw = rate(raw_cost(stage.document))
    print(f"a PDF of {len(stage.document):,} octets")
    line("hash, sign, verify: cryptography alone", raw, raw)
    for level in (Level.B_B, Level.B_LT, Level.B_LTA):
        signed = ours_signed(stage, level)
        assert verify_file(signed, "bench", *trust(stage)).indication is expected(level)
        ours = rate(lambda level=level: ours_signed(stage, level))  # type: ignore[misc]
        line(f"sign {level}", ours, raw)
        reserved = rate(lambda level=level: pyhanko_signed(stage, level, RESERVED))  # type: ignore[misc]
        line(f"  pyHanko, room reserved    (ours: {ours / reserved:4.1f} x)", reserved, raw)
        plain = rate(lambda level=level: pyhanko_signed(stage, level, None))  # type: ignore[misc]
        line(f"  pyHanko, as it comes      (ours: {ours / plain:4.1f} x)", plain, raw)
        goals_of(level, ours, ours / reserved, ours / plain)
        ours = rate(lambda signed=signed: verify_file(signed, "bench", *trust(stage)))  # type: ignore[misc]
        line(f"verify {level}", ours, raw)
        theirs = rate(lambda signed=signed: pyhanko_validated(stage, signed))  # type: ignore[misc]
        line(f"  pyHanko's validator       (ours: {ours / theirs:4.1f} x)", theirs, raw)


def goals_of(level: Level, ours: float, reserved: float, plain: float) -> None:
    """What signing was meant to reach, beside pyHanko with and without room reserved."""
    if level is Level.B_B:
        goal("sign B-B of 100 KB", "4 ms of CPU", f"{1000 / ours:.2f} ms", 1000 / ours <= 4)
        goal("sign B-B, pyHanko as it comes", "6 x", f"{plain:.1f} x", plain >= 6)
    least = 3 if level is Level.B_B else 4
    goal(f"sign {level}, pyHanko with room reserved", f"{least} x", f"{reserved:.1f} x", reserved >= least)


def measure_large(stage: Stage) -> None:
    """A document of 20 MB beside hashing it, and what memory it takes beside the small one."""
    small, large = stage.document, document(20_000_000)
    print(f"a PDF of {len(large):,} octets")
    hashing = rate(lambda: hashlib.sha256(large).digest())
    line("hash: hashlib alone", hashing, hashing)
    level = Level.B_B
    ours = rate(lambda: ours_signed(replace(stage, document=large), level))
    line(f"sign {level}          (hashing: {hashing / ours:4.2f} x)", ours, hashing)
    goal("sign B-B of 20 MB, beside hashing it", "2 x", f"{hashing / ours:.2f} x", hashing / ours <= 2)
    peaks = [peak(lambda one=one: ours_signed(replace(stage, document=one), Level.B_LT)) for one in (small, large)]  # type: ignore[misc]
    print(
        f"memory while signing B-LT, at its peak: {peaks[0]:.1f} MiB, large {peaks[1]:.1f} MiB (document not counted)"
    )


def peak(operation: Callable[[], object]) -> float:
    """The most memory that Python has taken during an operation, in MiB."""
    operation()
    tracemalloc.start()
    try:
        operation()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def expected(level: Level) -> Indication:
    """Without a status inside, or a bundle beside it, nothing passes."""
    return Indication.TOTAL_PASSED if level.includes(Level.B_LT) else Indication.INDETERMINATE


def raw_cost(document: bytes) -> Callable[[], None]:
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm = key.public_key(), ec.ECDSA(hashes.SHA256())

    def both() -> None:
        digest = hashlib.sha256(document).digest()
        public.verify(key.sign(digest, algorithm), digest, algorithm)

    return both


def rate(operation: Callable[[], object]) -> float:
    """Operations per second of CPU time, after two that are not counted."""
    operation(), operation()
    begin, count = time.process_time(), 0
    while (used := time.process_time() - begin) < SECONDS:
        operation()
        count += 1
    return count / used


def line(what: str, per_second: float, raw: float) -> None:
    print(f"{what:50} {per_second:9,.1f} /s {1000 / per_second:9.2f} ms  {raw / per_second:7.0f} x raw", flush=True)


# --- ours ---------------------------------------------------------------------------------------------------------


def ours_signed(stage: Stage, level: Level) -> bytes:
    return stage.pades.sign(stage.pades.prepare(stage.document, signatory=stage.signatory, level=level))


def trust(stage: Stage) -> tuple[Trust, Any]:
    now = SystemClock().now()
    return build_trust(None, frozenset(), [stage.root], now, STRICT), now


# --- pyHanko's own ------------------------------------------------------------------------------------------------


class InProcess(TimeStamper):
    """pyHanko's view of the same timestamp authority."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._tokens = CaTimestamps(stage.ca)

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> Any:
        return cms.ContentInfo.load(self._tokens.token(message_digest, md_algorithm))


def context(stage: Stage) -> ValidationContext:
    """What pyHanko would have fetched, fetched for it."""
    status, chain = CaStatus(stage.ca), CaTimestamps(stage.ca).certificates()
    issuers = dict.fromkeys((*stage.signatory.chain, *chain))
    response = status.ocsp(stage.signatory.certificate)
    crls = [crl for issuer in issuers if (crl := status.crl(issuer))]
    return ValidationContext(
        trust_roots=[asn1(stage.root)],
        other_certs=[asn1(one) for one in issuers],
        ocsps=[asn1_ocsp.OCSPResponse.load(response)] if response else [],
        crls=[asn1_crl.CertificateList.load(crl) for crl in crls],
        allow_fetching=False,
        revocation_mode="require",
    )


def pyhanko_signed(stage: Stage, level: Level, reserved: int | None) -> bytes:
    full = level.includes(Level.B_LT)
    metadata = PdfSignatureMetadata(
        field_name="Signature",
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=full,
        use_pades_lta=level is Level.B_LTA,
        validation_context=context(stage) if full else None,
    )
    signer = PdfSigner(metadata, stage.kept, timestamper=InProcess(stage) if full else None)
    writer = IncrementalPdfFileWriter(BytesIO(stage.document))
    room = None if reserved is None else 2 * reserved
    output: BytesIO = asyncio.run(signer.async_sign_pdf(writer, bytes_reserved=room))
    return output.getvalue()


def pyhanko_validated(stage: Stage, signed: bytes) -> None:
    reader = PdfFileReader(BytesIO(signed))
    if "/DSS" in reader.root:
        arguments = {"trust_roots": [asn1(stage.root)], "allow_fetching": False, "revocation_mode": "require"}
        trusted = DocumentSecurityStore.read_dss(reader).as_validation_context(arguments)
    else:
        trusted = ValidationContext(trust_roots=[asn1(stage.root)], allow_fetching=False)
    status = validate_pdf_signature(reader.embedded_signatures[0], trusted, trusted)
    if not status.bottom_line:
        raise RuntimeError(status.summary())


# --- the stage ----------------------------------------------------------------------------------------------------


def set_up(client: HsmClient, folder: Path) -> Stage:
    """An issuing CA and a TSA under a root of this run, a seal key with its certificate, and a document."""
    database, clock, random = open_database(f"sqlite:///{folder / 'bench.sqlite'}"), SystemClock(), SystemRandomness()
    store.metadata.create_all(database.engine)
    audit.metadata.create_all(database.engine)
    with database.unit_of_work() as connection:
        audit.create_head(connection)
    settings = IssuingCaSettings(authority_algorithm=KeyAlgorithm.EC_P256)
    ca = CertificateAuthority(database, client, clock, random, audit.AuditTrail(clock), settings)
    root = install_authorities(ca)
    key = client.generate("bench-seal", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    subject = (
        ("C", "KH"),
        ("O", "SPECIMEN Ministry"),
        ("organizationIdentifier", "NTRKH-SPECIMEN-1"),
        ("CN", "SPECIMEN Seal"),
    )
    public_key: Any = load_der_public_key(key.public_key)
    request = CertificateRequest(
        "issuing", "organisation-seal", subject, public_key, "bench", "operator:bench", key.key_id
    )
    issued = ca.issue_now(request)
    signatory = Signatory(key.key_id, issued.certificate, (ca.authorities.get("issuing").certificate, root))
    pades = PadesSigner(client, CaTimestamps(ca), CaStatus(ca), clock, random)
    return Stage(client, ca, root, signatory, pades, TokenSigner(client, signatory), document())


def install_authorities(ca: CertificateAuthority) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP384R1())
    name = subject_name([("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", "SPECIMEN Root")])
    root = certified(name, name, key.public_key(), key)
    for authority in ("issuing", "tsa"):
        subject = [("C", "KH"), ("O", "SPECIMEN CamTrust"), ("CN", f"SPECIMEN {authority}")]
        csr = x509.load_pem_x509_csr(ca.init(authority, subject, "operator:bench"))
        ca.install(authority, certified(csr.subject, name, csr.public_key(), key), [root], "operator:bench")
    now = SystemClock().now().replace(microsecond=0)
    ca.install_root_crl(build_crl(root, key, 1, now, now + timedelta(days=90), ()), "operator:bench")
    return root


def certified(
    subject: x509.Name, issuer: x509.Name, public_key: Any, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = SystemClock().now()
    address = x509.UniformResourceIdentifier("http://127.0.0.1/specimen.crl")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .add_extension(x509.CRLDistributionPoints([x509.DistributionPoint([address], None, None, None)]), False)
        .sign(key, hashes.SHA384())
    )


def document(octets: int = 100_000) -> bytes:
    """One page with a picture of noise, which does not get smaller by packing."""
    pdf = pikepdf.Pdf.new()
    page = pdf.add_blank_page(page_size=(595, 842))
    noise = pikepdf.Stream(pdf, os.urandom(octets))
    noise.stream_dict = pikepdf.Dictionary(
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=500,
        Height=octets // 500,
        ColorSpace=pikepdf.Name.DeviceGray,
        BitsPerComponent=8,
    )
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=pdf.make_indirect(noise)))
    page.Contents = pdf.make_stream(b"q 500 0 0 200 40 600 cm /I Do Q")
    output = BytesIO()
    pdf.save(output)
    return output.getvalue()


if __name__ == "__main__":
    sys.exit(main())
