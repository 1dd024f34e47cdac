"""Signed PDFs of a whole installation, judged by programs that ask its responder: trusted, and after revocation not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.ports import free_port
from tests.programs import run

COMMAND = (str(Path(sys.executable).with_name("camtrust")),)


@pytest.fixture(scope="module")
def port() -> int:
    """One that is free, which the certificates name."""
    return free_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, port: int) -> Path:
    """The demo, told once, under the address that is served."""
    folder = tmp_path_factory.mktemp("programs") / "home"
    command("demo", folder, port)
    return folder


def command(word: str, home: Path, port: int, *more: str) -> None:
    words = [*COMMAND, *word.split(), *more, "--home", str(home)]
    subprocess.run(words, check=True, capture_output=True, timeout=240, env=environment(port))


def environment(port: int) -> dict[str, str]:
    return {**os.environ, "CAMTRUST_PUBLIC_URL": f"http://127.0.0.1:{port}"}


@contextmanager
def served(home: Path, port: int) -> Iterator[None]:
    """`camtrust serve` on the home, answering."""
    words = [*COMMAND, "serve", "--home", str(home), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(port))
    try:
        patient = ("--retry", "180", "--retry-connrefused", "--retry-delay", "1", "--retry-max-time", "200")
        run("curl", "-sf", *patient, f"http://127.0.0.1:{port}/healthz", timeout=240)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(120)


def judged(home: Path, store: Path) -> str:
    """What pdfsig says of a signed document and of its certificate, asking the responder that the certificate names."""
    shown: str = run("pdfsig", "-nssdir", f"sql:{store}", signed(home)).stdout
    assert "Signature Validation: Signature is Valid." in shown
    return shown


def signed(home: Path) -> Path:
    return min((home / "documents").glob("*.signed.pdf"))


def test_pdfsig_trusts_and_hears_of_revocation(home: Path, port: int, tmp_path: Path) -> None:
    """With our root in its NSS store and our responder answering: trusted. After the revocation: revoked."""
    run("certutil", "-N", "-d", f"sql:{tmp_path}", "--empty-password")
    root = home / "root" / "root.pem"
    run("certutil", "-A", "-d", f"sql:{tmp_path}", "-n", "root", "-t", "CT,C,C", "-i", root)
    with served(home, port):
        assert "Certificate Validation: Certificate is Trusted." in judged(home, tmp_path)
    certificate = x509.load_pem_x509_certificate((home / "citizen" / "certificate.pem").read_bytes())
    command("ca revoke", home, port, f"{certificate.serial_number:x}", "--reason", "keyCompromise")
    with served(home, port):
        assert "Certificate Validation: Certificate has been Revoked." in judged(home, tmp_path)


def test_mutool_finds_the_document_unchanged(home: Path) -> None:
    """MuPDF verifies the digest: valid with later revisions, and a changed octet is told. It has no list of roots."""
    shown = run("mutool", "sign", "-v", signed(home)).stdout
    assert "The signature is valid but there have been edits since signing." in shown
    altered = bytearray(signed(home).read_bytes())
    altered[altered.index(b"/M (D") + 12] ^= 1
    path = home.parent / "altered.pdf"
    path.write_bytes(altered)
    shown = run("mutool", "sign", "-v", path).stdout
    assert "The signature is valid" not in shown
    assert "signature invalid" in shown.lower()
