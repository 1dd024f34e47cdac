"""The command, as a process: exit codes, JSON, two languages, no socket, no network interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.clock import rfc3339
from signing.verify.bundle import read_pin
from tests import programs
from tests.verify.verify_world import NOW, World, crl

PROGRAM = Path(__file__).with_name("verify_command.py")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Desk:
    """A folder with documents, a bundle and a home."""

    folder: Path
    pin: str

    def __call__(
        self, *arguments: str | Path, isolated: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROGRAM), *(str(one) for one in arguments)]
        if isolated:
            command = [str(programs.path("unshare")), "-r", "-n", *command]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "VERIFY_NOW": rfc3339(NOW), **environment},
        )

    def json(self, *arguments: str | Path, isolated: bool = False, **environment: str) -> tuple[int, Any]:
        done = self(*arguments, isolated=isolated, VERIFY_JSON="1", **environment)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, world: World, signed: bytes, plain: bytes) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "signed.pdf").write_bytes(signed)
    (folder / "plain.pdf").write_bytes(plain)
    (folder / "changed.pdf").write_bytes(signed.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1))
    bundle = world.bundle()
    (folder / "bundle").write_bytes(bundle)
    (folder / "flipped").write_bytes(bundle[:900] + bytes((bundle[900] ^ 1,)) + bundle[901:])
    (folder / "rolled-back").write_bytes(world.bundle(sequence=3))
    issued = NOW - timedelta(days=60)
    (folder / "expired").write_bytes(world.bundle(issued=issued, expires=issued + timedelta(days=7)))
    (folder / "root.pem").write_bytes(_pem(world))
    home = folder / "home" / "trust"
    home.mkdir(parents=True)
    (home / "camtrust.bundle").write_bytes(bundle)
    (home / "bundle-signer.txt").write_text(f"{world.pin}\n")
    return Desk(folder, world.pin)


def _pem(world: World) -> bytes:
    from foundation.x509.pem import certificate_pem

    return certificate_pem(world.root.certificate)


def test_exit_codes_and_contract_keys(desk: Desk) -> None:
    """0 valid, 1 not valid, 3 indeterminate; the JSON has the keys of the contract."""
    trust = ("--bundle", "bundle", "--bundle-signer", desk.pin, "--min-sequence", "5")
    code, answer = desk.json("verify", "signed.pdf", *trust)
    assert code == 0
    (file,) = answer["files"]
    assert file["file"] == "signed.pdf"
    assert (file["indication"], file["sub_indication"]) == ("TOTAL-PASSED", None)
    (signature,) = file["signatures"]
    assert {
        "signer", "level", "signing_time", "timestamp", "coverage", "indication", "sub_indication", "reasons",
    } <= set(signature)  # fmt: skip
    assert {"rule", "message_en", "message_km"} <= set(signature["reasons"][0])
    assert answer["bundle"]["sequence"] == 7
    assert answer["bundle"]["fresh"] is True
    assert answer["bundle"]["pinned"] is True
    assert answer["bundle"]["rollback_checked"] is True
    assert {"issued", "expires"} <= set(answer["bundle"])
    assert desk.json("verify", "changed.pdf", *trust)[0] == 1
    assert desk.json("verify", "plain.pdf", *trust)[0] == 3
    assert desk.json("verify", "plain.pdf", "changed.pdf", "signed.pdf", *trust)[0] == 1
    assert desk.json("verify", "plain.pdf", "signed.pdf", *trust)[0] == 3


def test_in_a_network_namespace_without_any_interface(desk: Desk) -> None:
    """Offline: the right verdict for a bundle a day old, expired, rolled back, with a flipped octet."""
    cases = {"bundle": (0, None), "expired": (3, "BUNDLE_STALE"), "rolled-back": (3, "BUNDLE_ROLLED_BACK"),
             "flipped": (3, "BUNDLE_INVALID")}  # fmt: skip
    for bundle, expected in cases.items():
        code, answer = desk.json(
            "verify", "signed.pdf", "--bundle", bundle, "--bundle-signer", desk.pin, "--min-sequence", "5",
            isolated=True,
        )  # fmt: skip
        assert (code, answer["files"][0]["sub_indication"]) == expected, bundle


def test_the_audit_hook_works(desk: Desk) -> None:
    """The proof that no socket is opened is worth something: one that is opened ends the process."""
    code = f"import runpy; runpy.run_path({str(PROGRAM)!r}); import socket; socket.socket()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 99


def test_home_and_pin(desk: Desk) -> None:
    """The home's bundle and pin are used where none is named; without a pin nothing passes."""
    home = str(desk.folder / "home")
    assert desk.json("verify", "signed.pdf", VERIFY_HOME=home)[0] == 0
    code, answer = desk.json("verify", "signed.pdf", "--bundle", "bundle")
    assert (code, answer["files"][0]["sub_indication"]) == (3, "BUNDLE_NOT_PINNED")
    assert answer["bundle"]["pinned"] is False
    assert answer["bundle"]["sequence"] == 7
    code, answer = desk.json("verify", "signed.pdf")
    assert (code, answer["files"][0]["sub_indication"]) == (3, "NO_CERTIFICATE_CHAIN_FOUND")
    assert read_pin(desk.pin) == desk.pin


def test_people_read_yes_no_or_not_yet_first(desk: Desk) -> None:
    """The first line says whether to rely on it, in English and Khmer; specimens say so."""
    trust = ("--bundle", "bundle", "--bundle-signer", desk.pin)
    for name, word in (("signed.pdf", "YES"), ("changed.pdf", "NO:"), ("plain.pdf", "NOT YET")):
        done = desk("verify", name, *trust)
        first, second = done.stdout.splitlines()[:2]
        assert first.startswith(word)
        assert second.startswith("  → ")
    assert "SPECIMEN" in desk("verify", "signed.pdf", *trust).stdout
    khmer = desk("verify", "signed.pdf", *trust, VERIFY_LANG="km")
    assert khmer.stdout.startswith("បាន")


def test_a_folder_with_two_processes(desk: Desk) -> None:
    """A folder: every document in it, other files passed over, two processes, the same answer as one."""
    inbox = desk.folder / "inbox"
    inbox.mkdir()
    for number in range(6):
        (inbox / f"{number}.pdf").write_bytes((desk.folder / "signed.pdf").read_bytes())
    (inbox / "7.dat").write_bytes((desk.folder / "changed.pdf").read_bytes())
    (inbox / "notes.txt").write_text("nothing signed here")
    trust = ("--bundle", "bundle", "--bundle-signer", desk.pin)
    one = desk.json("verify", inbox, *trust)
    two = desk.json("verify", inbox, *trust, "--jobs", "2")
    assert one == two
    assert one[0] == 1
    assert len(one[1]["files"]) == 7


def test_trust_anchor_by_hand(desk: Desk, world: World, signed: bytes) -> None:
    """--trust-anchor takes PEM and DER, and the answer says that trust came from there."""
    data = world.add_evidence(signed, crls=[crl(world.root), crl(world.issuing), crl(world.tsa_ca)], ocsps=[])
    (desk.folder / "elsewhere.pdf").write_bytes(data)
    (desk.folder / "root.der").write_bytes(world.root.der)
    for anchor in ("root.pem", "root.der"):
        code, answer = desk.json("verify", "elsewhere.pdf", "--trust-anchor", anchor)
        assert code == 0
        assert "TRUST-HAND" in {one["rule"] for one in answer["files"][0]["signatures"][0]["reasons"]}
    assert desk("verify", "elsewhere.pdf", "--trust-anchor", "plain.pdf").returncode == 4


def test_wrong_usage(desk: Desk) -> None:
    """2 for wrong usage, 4 with a code for files that cannot be read and parts that are not built."""
    assert desk("verify").returncode == 2
    assert desk("verify", "signed.pdf", "--at", "yesterday").returncode == 2
    assert desk("verify", "signed.pdf", "--no-such-option").returncode == 2
    missing = desk("verify", "missing.pdf")
    assert missing.returncode == 4
    assert "signing.verify_file_unreadable" in missing.stderr
    assert desk("verify", "signed.pdf", "--picture", ".").returncode == 2  # a folder that is not empty
    assert "signing.verify_pin_unreadable" in desk("verify", "signed.pdf", "--bundle-signer", "x").stderr


def test_at(desk: Desk) -> None:
    """--at judges as of another time: later than the bundle lives, or before it was made."""
    trust = ("--bundle", "bundle", "--bundle-signer", desk.pin)
    for at, sub in (
        (NOW + timedelta(days=90), "BUNDLE_STALE"),
        (NOW - timedelta(hours=25), "CLOCK_BEFORE_BUNDLE"),
    ):
        code, answer = desk.json("verify", "signed.pdf", *trust, "--at", rfc3339(at))
        assert (code, answer["files"][0]["sub_indication"]) == (3, sub)


def test_bundle_show_and_check(desk: Desk) -> None:
    """show tells what is inside; check is 0 only for a sound, pinned, fresh bundle."""
    code, answer = desk.json("show", "bundle", "--bundle-signer", desk.pin)
    assert code == 0
    assert answer["contents"] == {
        "anchors": 1,
        "intermediates": 2,
        "tsa": 1,
        "crls": 3,
        "ocsp": 0,
        "twins": 0,
        "seals": 0,
    }
    assert desk("check", "bundle", "--bundle-signer", desk.pin).returncode == 0
    assert desk("check", "bundle").returncode == 3
    assert desk("check", "expired", "--bundle-signer", desk.pin).returncode == 3
    assert desk("check", "flipped", "--bundle-signer", desk.pin).returncode == 3


def test_pictures(desk: Desk) -> None:
    """--picture writes the signed revision and its page, says how many files, and the verdict stays what it is."""
    trust = ("--bundle", "bundle", "--bundle-signer", desk.pin)
    done = desk("verify", "signed.pdf", *trust, "--picture", "pictures")
    assert done.returncode == 0, done.stderr
    assert {one.name for one in (desk.folder / "pictures").iterdir()} == {
        "signed.signature-1.pdf",
        "signed.signature-1.page-1.png",
    }
    assert "2 files" in done.stderr
