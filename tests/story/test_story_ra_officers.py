"""Officers of the registration authority at a terminal, `camtrust ra`, each with their own key, against services that
run: requests of people and of machines, revocation of one and of many."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from camtrust.cli import ra as commands
from camtrust.cli.context import Context
from camtrust.errors import ServiceRefused
from foundation.http.actor import ActorKind
from foundation.terminal import Terminal
from issuing_ca.config import BULK_REVOCATION
from tests import programs
from tests.story.installation import Installation, Staff
from tests.story.test_story_officers import pem

SUBJECT = "C=KH, O=SPECIMEN Ministry, organizationIdentifier=GO:KH-000077, CN=SPECIMEN Ministry seal 77"
PROFILE = ("--profile", "organisation-seal")
Command = Callable[..., Any]


@pytest.fixture
def two_officers(assembled: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Seals, TLS servers and bulk revocations take two officers, as long as the test runs."""
    ca = assembled.services.ca
    wanted = frozenset({"organisation-seal", "tls-server", BULK_REVOCATION})
    monkeypatch.setattr(ca, "settings", ca.settings.model_copy(update={"two_officers": wanted}))
    return assembled


@pytest.fixture
def command(two_officers: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`camtrust ra …` as an officer; gives the JSON document, or with ``lines=True`` what people read."""
    origin = two_officers.services.settings.public_url

    def run(staff: Staff, *arguments: str, lines: bool = False) -> Any:
        key = pem(staff._key, tmp_path / f"{staff.id}.pem")
        group = typer.main.get_command(commands.create(Context(terminal=Terminal(json=not lines), home_path=None)))
        to = ["--officer", staff.id, "--key", str(key), "--url", two_officers.url, "--origin", origin]
        group([arguments[0], *arguments[1:], *to], standalone_mode=False)
        said = capsys.readouterr().out
        return said if lines else json.loads(said)

    return run


def csr(folder: Path) -> tuple[Path, str]:
    """A request with a key of its own, and the key's digest."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    file = folder / "request.csr"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return file, digest.finalize().hex()


def refused(code: str, act: Callable[[], Any]) -> None:
    with pytest.raises(ServiceRefused) as told:
        act()
    assert told.value.params["code"] == code


def test_from_a_request_to_a_revocation(two_officers: Installation, command: Command, tmp_path: Path) -> None:
    """One officer asks, two others look, comment and approve; who asked cannot; another request is refused, a third
    withdrawn; the certificate is held, released and revoked by a proposal that a second officer approves."""
    asks, first, second = (
        two_officers.staff(ActorKind.OFFICER, "ca-issue", "ca-approve", "ca-revoke") for _ in range(3)
    )
    file, digest = csr(tmp_path)
    wanted = ("request", str(file), *PROFILE, "--subject", SUBJECT, "--owner", "organisation:77")
    one = command(asks, *wanted)
    assert (one["state"], one["public_key_sha256"]) == ("pending", digest)
    listed = command(first, "list", lines=True).splitlines()
    assert listed[0].split() == ["REQUEST", "STATE", "PROFILE", "UNTIL", "FOR"]
    assert any(line.startswith(one["id"]) and "CN=SPECIMEN Ministry seal 77" in line for line in listed[1:])
    refused(
        "issuing_ca.decision_refused", lambda: command(asks, "approve", one["id"], "--reason", "renewal-of-verified")
    )
    because = ("--reason", "organisation-verified")
    command(first, "approve", one["id"], *because, "--comment", "ឃើញឯកសារដើម\nseen on paper")
    shown = command(second, "show", one["id"], lines=True)
    for part in (digest, f"officer:{first.id} approved: organisation-verified", "ឃើញឯកសារដើម", "      seen on paper"):
        assert part in shown
    refused("issuing_ca.decision_refused", lambda: command(first, "approve", one["id"], *because))
    done = command(second, "approve", one["id"], *because)
    assert done["state"] == "issued"
    no, gone = command(asks, *wanted), command(asks, *wanted)
    assert command(first, "refuse", no["id"], "--reason", "duplicate")["state"] == "rejected"
    refused("issuing_ca.decision_refused", lambda: command(first, "withdraw", gone["id"]))
    assert command(asks, "withdraw", gone["id"])["state"] == "rejected"
    states = {it["id"]: it["state"] for it in command(first, "list", "--state", "all")["requests"]}
    assert [states[it["id"]] for it in (one, no, gone)] == ["issued", "rejected", "rejected"]

    serial = done["serial"]
    for reason, state in (("certificateHold", "held"), ("removeFromCRL", "issued")):
        assert command(first, "revoke", serial, "--reason", reason)["state"] == state
    many = ("revoke-matching", "--owner", "organisation:77", "--reason", "cessationOfOperation")
    found = command(first, *many)
    assert (found["count"], found["first"]) == (1, [serial])
    seen = ("--digest", found["digest"])
    refused("issuing_ca.bulk_approval_required", lambda: command(first, *many, *seen))
    other = command(first, *many, *seen, "--propose")
    assert command(first, "withdraw-revocation", other["id"])["state"] == "withdrawn"
    other = command(first, *many, *seen, "--propose")
    assert command(second, "refuse-revocation", other["id"])["state"] == "rejected"
    told = command(first, *many, *seen, "--propose", lines=True)
    proposal = re.search(r"^Proposal: +(\S+)$", told, re.MULTILINE)
    assert proposal
    text = command(second, "proposal", proposal[1], lines=True)
    assert "owner=organisation:77" in text
    assert found["digest"] in text
    refused("issuing_ca.decision_refused", lambda: command(first, "approve-revocation", proposal[1], *seen))
    assert command(second, "approve-revocation", proposal[1], *seen) == {"revoked": 1}
    assert two_officers.services.ca.certificate(serial).state.value == "revoked"
    ends = {it["id"]: (it["state"], it["done"]) for it in command(asks, "proposals")["proposals"]}
    assert ends[proposal[1]] == ("done", 1)


def test_a_machine_that_waits(two_officers: Installation, command: Command, tmp_path: Path) -> None:
    """`openssl cmp` asks on a credential that an officer made, and waits; two others see who introduced it, and
    approve; the machine has its certificate."""
    asks, first, second = (two_officers.staff(ActorKind.OFFICER, "ca-issue", "ca-approve") for _ in range(3))
    name = "gate77.ministry.example"
    body = {"profile": "tls-server", "subject": [["C", "KH"], ["O", "SPECIMEN Ministry"], ["CN", name]]}
    made = asks.post("/ca/v1/enrolment-credentials", body | {"dns_names": [name], "owner": "organisation:78"})
    authority = two_officers.services.ca.authorities.issuing("issuing")
    for file, certificate in (("root", authority.root), ("issuing", authority.certificate)):
        (tmp_path / f"{file}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    key, out = tmp_path / "gate.key", tmp_path / "gate.pem"
    programs.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    root, ended = tmp_path / "root.pem", []

    def machine() -> None:
        done = programs.run(
            "openssl", "cmp", "-config", "", "-cmd", "ir", "-server", two_officers.url.removeprefix("http://"),
            "-path", "/.well-known/cmp", "-ref", made["reference"], "-secret", f"pass:{made['secret']}",
            "-recipient", "/CN=CA", "-newkey", key, "-subject", f"/CN={name}", "-certout", out, "-trusted", root,
            "-out_trusted", root, "-untrusted", tmp_path / "issuing.pem", "-no_proxy", "127.0.0.1",
            check=False, timeout=100,
        )  # fmt: skip
        ended.append((done.returncode, done.stderr))

    thread = threading.Thread(target=machine)
    thread.start()
    try:
        asked = f"cmp:{made['reference']}"
        for _ in range(100):
            found = [one for one in command(first, "list")["requests"] if one["requested_by"] == asked]
            if found:
                break
            thread.join(0.2)
        (one,) = found
        assert one["introduced_by"] == f"officer:{asks.id}"
        because = ("--reason", "control-verified")
        refused("issuing_ca.decision_refused", lambda: command(asks, "approve", one["id"], *because))
        command(first, "approve", one["id"], *because)
        serial = command(second, "approve", one["id"], *because)["serial"]
    finally:
        thread.join(110)
    assert ended[0][0] == 0, ended
    assert f"{x509.load_pem_x509_certificate(out.read_bytes()).serial_number:x}" == serial
