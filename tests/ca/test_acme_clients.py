"""ACME with real clients: certbot and lego open accounts, prove names, renew and revoke."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from foundation.clock import SetClock, SystemClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from issuing_ca.acme.model import NewCredential
from issuing_ca.model import CertificateState, Reason
from tests import programs
from tests.ca.acme_world import AcmeWorld, acme_world
from tests.ports import free_port

NAME = "www.ministry.example"


@pytest.fixture
def real(database: Database, token: KeyStore, tmp_path: Path) -> Iterator[AcmeWorld]:
    """The door at the real time, which real clients live by; http-01 looks at a port where a client can listen."""
    clock = SetClock(SystemClock().now().replace(microsecond=0))
    with acme_world(database, clock, token, tmp_path, acme_http_port=free_port()) as world:
        world.names.addresses[NAME] = ["127.0.0.1"]
        world.names.addresses[f"other.{NAME}"] = ["127.0.0.1"]
        yield world


def certbot(world: AcmeWorld, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """certbot with everything that it writes below the test's folder."""
    program = Path(sys.executable).with_name("certbot")
    folder = world.folder / "certbot"
    command = [str(program), *arguments, "--server", world.directory, "--non-interactive"]
    for option in ("config", "work", "logs"):
        command += [f"--{option}-dir", str(folder / option)]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def standing(made: NewCredential) -> list[str]:
    binding = ["--eab-kid", made.credential.kid, f"--eab-hmac-key={made.hmac_key}"]  # it may begin with a dash
    return ["--agree-tos", "--register-unsafely-without-email", *binding]


def leaf(folder: Path, name: str = NAME) -> x509.Certificate:
    live = folder / "certbot" / "config" / "live" / name / "cert.pem"
    return x509.load_pem_x509_certificate(live.read_bytes())


def names_of(certificate: x509.Certificate) -> set[str]:
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(value.get_values_for_type(x509.DNSName))


def test_certbot(real: AcmeWorld) -> None:
    """certbot registers with an external account binding, gets a certificate for two names by http-01, has it renewed
    when the renewal information (ARI) says so, and revokes it; OpenSSL accepts the chain."""
    made = real.credential(domains=("ministry.example",))
    port = ["--standalone", "--http-01-port", str(real.challenge_port), "--http-01-address", "127.0.0.1"]
    certbot(real, "certonly", *port, *standing(made), "-d", NAME, "-d", f"other.{NAME}", "--key-type", "ecdsa")
    first = leaf(real.folder)
    assert names_of(first) == {NAME, f"other.{NAME}"}
    assert first.subject.rfc4514_string() == f"CN={NAME},O=SPECIMEN Ministry,C=KH"
    folder = real.folder / "certbot" / "config" / "live" / NAME
    root = real.world.write("root.pem", real.world.root.certificate)
    arguments = ["verify", "-CAfile", root, "-untrusted", folder / "chain.pem", "-purpose", "sslserver"]
    programs.run("openssl", *arguments, "-verify_hostname", NAME, folder / "cert.pem")

    # The certificate is on hold: its renewal information says that now is the time.
    real.world.ca.revoke(f"{first.serial_number:x}", Reason.CERTIFICATE_HOLD, "officer:specimen")
    certbot(real, "renew", "--no-random-sleep-on-renew", *port)
    second = leaf(real.folder)
    assert second.serial_number != first.serial_number
    fresh = certbot(real, "renew", "--no-random-sleep-on-renew")
    assert "not due for renewal yet" in fresh.stdout
    assert leaf(real.folder) == second

    certbot(
        real, "revoke", "--cert-path", str(folder / "cert.pem"), "--reason", "superseded", "--no-delete-after-revoke"
    )
    record = real.world.ca.certificate(f"{second.serial_number:x}")
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.SUPERSEDED)


def test_certbot_without_a_credential(real: AcmeWorld) -> None:
    """No account without an external account binding, and none with a key that is not the officer's."""
    port = ["--standalone", "--http-01-port", str(real.challenge_port)]
    anonymous = ["--agree-tos", "--register-unsafely-without-email"]
    done = certbot(real, "certonly", *port, *anonymous, "-d", NAME, check=False)
    assert done.returncode != 0
    made = real.credential()
    forged = [*anonymous, "--eab-kid", made.credential.kid, "--eab-hmac-key", "A" * 43]
    done = certbot(real, "certonly", *port, *forged, "-d", NAME, check=False)
    assert done.returncode != 0
    assert real.world.ca.certificates() == ()


def lego(world: AcmeWorld, *arguments: str) -> subprocess.CompletedProcess[str]:
    """lego, with what it writes below the test's folder."""
    done: subprocess.CompletedProcess[str] = programs.run(
        "lego",
        *("--server", world.directory, "--path", world.folder / "lego", "--email", "specimen@ministry.example"),
        "--accept-tos",
        *arguments,
        timeout=120,
    )
    return done


def test_lego(real: AcmeWorld) -> None:
    """lego gets an RSA certificate by http-01 for a CamDX security server, renews it with the same key, and revokes."""
    made = real.credential("camdx-auth", ("ministry.example",), "member:specimen")
    binding = ["--eab", "--kid", made.credential.kid, f"--hmac={made.hmac_key}"]
    http = ["--http", "--http.port", f"127.0.0.1:{real.challenge_port}", "--domains", NAME, "--key-type", "rsa2048"]
    lego(real, *binding, *http, "run")
    file = real.folder / "lego" / "certificates" / f"{NAME}.crt"
    first = x509.load_pem_x509_certificates(file.read_bytes())[0]
    assert first.subject.rfc4514_string() == f"CN={NAME},2.5.4.5=0000041,O=SPECIMEN Member,C=KH"
    lego(real, *binding, *http, "renew", "--days", "1000", "--reuse-key", "--no-random-sleep")
    second = x509.load_pem_x509_certificates(file.read_bytes())[0]
    assert second.serial_number != first.serial_number
    assert second.public_key() == first.public_key()
    lego(real, *binding, "--domains", NAME, "revoke", "--reason", "1")
    record = real.world.ca.certificate(f"{second.serial_number:x}")
    assert (record.state, record.reason) == (CertificateState.REVOKED, Reason.KEY_COMPROMISE)


def test_certbot_by_dns(real: AcmeWorld) -> None:
    """dns-01 by certbot, whose hook hands the TXT record to the DNS of the test."""
    made = real.credential()
    records = real.folder / "records"
    hook = real.folder / "hook.sh"
    hook.write_text(
        f'#!/bin/sh\nprintf "%s %s\\n" "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION" >> {records}\n'
    )
    hook.chmod(0o755)
    assert shutil.which("sh")

    class Published(dict[str, list[str]]):
        """Reads the hook's file whenever the DNS is asked."""

        def get(self, key: str, _: object = None) -> list[str]:  # type: ignore[override]
            lines = records.read_text().splitlines() if records.exists() else []
            return [line.split()[1] for line in lines if line.split()[0] == key]

    real.names.texts = Published()
    real.names.addresses[f"_acme-challenge.{NAME}"] = []
    manual = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", str(hook)]
    certbot(real, "certonly", *manual, *standing(made), "-d", NAME)
    assert names_of(leaf(real.folder)) == {NAME}
    assert leaf(real.folder).not_valid_after_utc > real.world.clock.now() + timedelta(days=300)
