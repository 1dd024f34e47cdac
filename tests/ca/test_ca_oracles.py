"""Status as other implementations read it: GnuTLS, NSS and strongSwan, each on a good and on a revoked certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.config import IssuingCaSettings
from issuing_ca.model import IssuedCertificate, Reason
from tests.ca.ca_world import OPERATOR, World, make_world, served
from tests.ports import free_port
from tests.programs import run


@pytest.fixture
def port() -> int:
    """A free port, to be named in certificates before anything listens there."""
    return free_port()


@pytest.fixture
def reachable(sqlite_database: Database, clock: SetClock, token: KeyStore, tmp_path: Path, port: int) -> World:
    """A world whose certificates name the address where :func:`served` serves it."""
    settings = IssuingCaSettings(public_url=f"http://127.0.0.1:{port}")
    return make_world(sqlite_database, clock, token, tmp_path, settings)


def two(world: World) -> tuple[IssuedCertificate, IssuedCertificate]:
    """A good certificate, and one that is revoked."""
    good, bad = world.citizen(), world.citizen()
    world.ca.revoke(bad.serial, Reason.KEY_COMPROMISE, OPERATOR)
    return good, bad


def test_gnutls_reads_ocsp(small_world: World) -> None:
    """`ocsptool --ask` with a nonce over HTTP: verified, good and revoked; the nonce matches."""
    world = small_world
    issuer = world.write("issuing.pem", world.ca.authorities.get("issuing").certificate)
    with served(world) as url:
        for one, status in zip(two(world), ("good", "revoked"), strict=True):
            leaf = world.write("leaf.pem", one.certificate)
            said = run(
                "ocsptool", f"--ask={url}/ocsp", "--nonce", "--load-issuer", issuer, "--load-cert", leaf,
                "--load-trust", issuer, check=False,
            )  # fmt: skip
            text = said.stdout + said.stderr
            assert f"Certificate Status: {status}" in text
            assert "Success" in text
            assert "nonce" not in text.lower() or "mismatch" not in text.lower()


def test_gnutls_reads_crls(small_world: World) -> None:
    """`certtool` verifies the CRL; with it a chain is good, and one with a revoked certificate is not."""
    world = small_world
    good, bad = two(world)
    issuing, root = world.ca.authorities.get("issuing").certificate, world.root.certificate
    trust = world.write("root.pem", root)
    crl = world.folder / "both.crl"
    listed = run("certtool", "--crl-info", "--inder", "--infile", world.write("a.crl", world.ca.current_crl("issuing")))
    assert "Version: 2" in listed.stdout
    assert "Revoked certificates (1)" in listed.stdout
    crl.write_text(run("openssl", "crl", "-inform", "DER", "-in", world.folder / "a.crl").stdout, encoding="ascii")
    authority = world.write("issuing.pem", issuing)
    said = run("certtool", "--verify-crl", "--load-ca-certificate", authority, "--infile", crl)
    assert "Verification output: Verified" in said.stdout
    for one, ends in ((good, 0), (bad, 1)):
        chain = world.folder / "chain.pem"
        chain.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (one.certificate, issuing)))
        command = ("--verify", "--load-ca-certificate", trust, "--load-crl", crl, "--infile", chain)
        judged = run("certtool", *command, check=False)
        assert judged.returncode == ends, judged.stdout
        assert ("revoked" in judged.stdout) == (ends == 1)


def test_nss_asks_over_http(reachable: World, port: int) -> None:
    """`vfychain` finds the responder by the certificate itself and insists on an answer: good, and revoked."""
    world = reachable
    folder = world.folder / "nss"
    folder.mkdir()
    run("certutil", "-N", "-d", f"sql:{folder}", "--empty-password")
    for name, flags, certificate in (
        ("root", "CT,C,C", world.root.certificate),
        ("issuing", ",,", world.ca.authorities.get("issuing").certificate),
    ):
        run(
            "certutil",
            "-A",
            "-d",
            f"sql:{folder}",
            "-n",
            name,
            "-t",
            flags,
            "-i",
            world.write(f"{name}.pem", certificate),
        )
    insist = ("-pp", "-u", "4", "-g", "leaf", "-h", "requireFreshInfo", "-m", "ocsp", "-s", "failIfNoInfo")
    with served(world, port):
        for one, ends in zip(two(world), (0, 1), strict=True):
            leaf = world.write("leaf.pem", one.certificate)
            judged = run("vfychain", "-d", f"sql:{folder}", *insist, "-a", leaf, check=False)
            text = judged.stdout + judged.stderr
            assert judged.returncode == ends, text
            assert ("revoked" in text.lower()) == (ends == 1), text
            assert ("Chain is good!" in text) == (ends == 0), text
    unanswered = world.write("leaf.pem", world.citizen().certificate)
    silent = run("vfychain", "-d", f"sql:{folder}", *insist, "-a", unanswered, check=False)
    assert silent.returncode != 0  # nobody answers: it did ask


def test_strongswan_reads_crls(small_world: World) -> None:
    """`pki --verify` with our CRL: the good one is trusted, the revoked one is not."""
    world = small_world
    good, bad = two(world)
    root = world.write("root.pem", world.root.certificate)
    issuing = world.write("issuing.pem", world.ca.authorities.get("issuing").certificate)
    crl = world.write("issuing.crl", world.ca.current_crl("issuing"))
    for one, trusted in ((good, True), (bad, False)):
        leaf = world.write("leaf.pem", one.certificate)
        command = ("--in", leaf, "--cacert", root, "--cacert", issuing, "--crl", crl)
        judged = run("pki", "--verify", *command, check=False)
        text = judged.stdout + judged.stderr
        assert (judged.returncode == 0) == trusted, text
        assert ("certificate is valid" in text or "certificate trusted" in text) == trusted, text
        assert ("revoked" in text) != trusted, text
