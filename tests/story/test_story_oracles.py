"""Programs that are not ours judge what a whole installation makes: OpenSSL over HTTP, and curl as a relying party."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.programs import run

COMMAND = [sys.executable, "-P", "-c", "from camtrust.cli.main import main; main()"]


@dataclass(frozen=True)
class Site:
    """A home whose services run, and where they answer."""

    home: Path
    url: str

    def path(self, name: str) -> str:
        return str(self.home / name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo, told once, and `camtrust serve` on its home."""
    home = tmp_path_factory.mktemp("oracles") / "home"
    port = free_port()
    subprocess.run([*COMMAND, "demo", "--home", str(home)], check=True, capture_output=True, timeout=240)
    log = (home.parent / "serve.log").open("wb")
    server = subprocess.Popen(
        [*COMMAND, "serve", "--home", str(home), "--port", str(port)], stdout=log, stderr=log, env=os.environ.copy()
    )
    url = f"http://127.0.0.1:{port}"
    try:
        patient = ("--retry", "180", "--retry-connrefused", "--retry-delay", "1", "--retry-max-time", "200")
        run("curl", "-sf", *patient, f"{url}/healthz", timeout=240)
        yield Site(home, url)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(120)
        log.close()


def chain(site: Site, tmp_path: Path) -> str:
    """The issuing and the timestamping CA in one file."""
    file = tmp_path / "intermediates.pem"
    file.write_bytes((site.home / "ca/issuing.pem").read_bytes() + (site.home / "ca/tsa.pem").read_bytes())
    return str(file)


def crls(site: Site, tmp_path: Path) -> str:
    """Root and issuing CRL as a relying party fetches them, in PEM, in one file."""
    parts = []
    for name in ("root", "issuing"):
        der = tmp_path / f"{name}.crl"
        run("curl", "-sf", "-o", str(der), f"{site.url}/crl/{name}.crl")
        parts.append(run("openssl", "crl", "-inform", "DER", "-in", der).stdout)
    file = tmp_path / "crls.pem"
    file.write_text("".join(parts), encoding="ascii")
    return str(file)


def test_openssl_verifies_the_chain_with_revocation(site: Site, tmp_path: Path) -> None:
    """`openssl verify -x509_strict -crl_check_all` accepts the citizen's certificate up to the root."""
    done = run(
        "openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", site.path("root/root.pem"),
        "-CRLfile", crls(site, tmp_path), "-untrusted", chain(site, tmp_path), site.path("citizen/certificate.pem"),
    )  # fmt: skip
    assert done.stdout.strip().endswith("OK")


def test_openssl_verifies_every_crl(site: Site, tmp_path: Path) -> None:
    """`openssl crl -verify`: each CRL is signed by the CA that it names; the root's has no IDP and a number."""
    crls(site, tmp_path)
    for name, issuer in (("root", "root/root.pem"), ("issuing", "ca/issuing.pem")):
        done = run(
            "openssl", "crl", "-inform", "DER", "-in", tmp_path / f"{name}.crl", "-CAfile", site.path(issuer), "-noout",
            "-text", "-verify",
        )  # fmt: skip
        assert "verify OK" in done.stderr
        assert "CRL Number" in done.stdout
        assert "Issuing Distribution Point" not in done.stdout


def test_openssl_asks_our_ocsp_responders(site: Site, tmp_path: Path) -> None:
    """`openssl ocsp` over HTTP: the citizen's certificate and the CAs' own (root's responder)."""
    for issuer, certificate in (
        ("ca/issuing.pem", "citizen/certificate.pem"),
        ("root/root.pem", "ca/issuing.pem"),
        ("root/root.pem", "ca/tsa.pem"),
    ):
        for digest in ("-sha1", "-sha256"):
            done = run(
                "openssl", "ocsp", digest, "-issuer", site.path(issuer), "-cert", site.path(certificate),
                "-url", f"{site.url}/ocsp", "-CAfile", site.path("root/root.pem"),
                "-verify_other", chain(site, tmp_path), "-resp_text",
            )  # fmt: skip
            assert "Response verify OK" in done.stderr, done.stderr
            assert f"{certificate.rsplit('/')[-1]}: good" in done.stdout


def test_openssl_gets_timestamps_over_http(site: Site, tmp_path: Path) -> None:
    """`openssl ts -verify` accepts what curl fetched from /tsa, for three digests; refuses it for other data."""
    data, other = tmp_path / "data.txt", tmp_path / "other.txt"
    data.write_text("SPECIMEN data", encoding="ascii")
    other.write_text("SPECIMEN other data", encoding="ascii")
    for digest in ("-sha256", "-sha384", "-sha512"):
        query, reply = tmp_path / "query.tsq", tmp_path / "reply.tsr"
        run("openssl", "ts", "-query", "-data", data, digest, "-cert", "-out", query)
        run(
            "curl", "-sf", "-H", "Content-Type: application/timestamp-query", "--data-binary", f"@{query}",
            "-o", reply, f"{site.url}/tsa",
        )  # fmt: skip
        verify = ["openssl", "ts", "-verify", "-in", reply, "-CAfile", site.path("root/root.pem")]
        verify += ["-untrusted", chain(site, tmp_path)]
        assert "Verification: OK" in run(*verify, "-queryfile", query).stdout
        assert "Verification: OK" not in run(*verify, "-data", other, check=False).stdout


def test_a_revoked_certificate_is_told_everywhere(site: Site, tmp_path: Path) -> None:
    """After `camtrust ca revoke`: CRL, OCSP and `openssl verify` say so; a signature from before still passes."""
    serial = run("openssl", "x509", "-in", site.path("citizen/certificate.pem"), "-noout", "-serial").stdout
    serial = serial.strip().partition("=")[2]
    done = subprocess.run(
        [*COMMAND, "ca", "revoke", serial, "--reason", "keyCompromise", "--home", str(site.home), "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["state"] == "revoked", done.stderr
    refused = run(
        "openssl", "verify", "-crl_check_all", "-CAfile", site.path("root/root.pem"), "-CRLfile", crls(site, tmp_path),
        "-untrusted", chain(site, tmp_path), site.path("citizen/certificate.pem"), check=False,
    )  # fmt: skip
    assert "certificate revoked" in refused.stderr
    told = run(
        "openssl", "ocsp", "-issuer", site.path("ca/issuing.pem"), "-cert", site.path("citizen/certificate.pem"),
        "-url", f"{site.url}/ocsp", "-CAfile", site.path("root/root.pem"), "-verify_other", chain(site, tmp_path),
    )  # fmt: skip
    assert re.search(r"certificate\.pem: revoked", told.stdout)
    assert "keyCompromise" in told.stdout
    exported = subprocess.run(
        [*COMMAND, "bundle", "export", "--home", str(site.home)], capture_output=True, text=True, timeout=60
    )
    assert exported.returncode == 0, exported.stderr
    document = next(iter(sorted((site.home / "documents").glob("*.signed.pdf"))))
    verdict = subprocess.run(
        [*COMMAND, "verify", "--home", str(site.home), "--json", str(document)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert json.loads(verdict.stdout)["files"][0]["indication"] == "TOTAL-PASSED", verdict.stdout


def test_the_portal_and_the_documentation_load_nothing_from_outside(site: Site) -> None:
    """/ and /docs answer; no address in them leads anywhere else, and the policy of the page forbids it."""
    for page in ("/", "/docs"):
        done = run("curl", "-sfi", f"{site.url}{page}")
        assert "default-src 'self'" in done.stdout
        assert not re.findall(r"(?:src|href)=[\"']https?://", done.stdout)
    assert json.loads(run("curl", "-sf", f"{site.url}/openapi.json").stdout)["openapi"].startswith("3.1")


def test_verification_online_says_the_same(site: Site) -> None:
    """POST /verify/v1/documents gives the verdict of the command line."""
    document = sorted((site.home / "documents").glob("*.signed.pdf"))[-1]
    done = run("curl", "-sf", "--data-binary", f"@{document}", f"{site.url}/verify/v1/documents")
    assert json.loads(done.stdout)["files"][0]["indication"] == "TOTAL-PASSED"
