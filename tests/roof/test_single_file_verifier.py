"""The verifier as one file, run by a Python that has nothing of ours: offline, cached, refused where it cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from camtrust.verifier_archive import make_archive
from foundation.clock import rfc3339
from tests import programs
from tests.verify.verify_world import NOW, World, document


@dataclass(frozen=True)
class Desk:
    """A folder with the verifier, a bundle and its pin beside it, and documents."""

    folder: Path
    cache: Path

    def __call__(
        self, *arguments: str, archive: str = "camtrust-verify.pyz", cache: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        # -I and -S: no environment, no site-packages; unshare -n: no network interface
        command = [str(programs.path("unshare")), "-r", "-n", sys.executable, "-I", "-S", archive, *arguments]
        environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache or self.cache), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    def json(self, *arguments: str) -> tuple[int, Any]:
        done = self("--json", "--at", rfc3339(NOW), *arguments)
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    make_archive(folder / "camtrust-verify.pyz")
    world = World()
    signed = world.signed(document())
    (folder / "signed.pdf").write_bytes(signed)
    (folder / "changed.pdf").write_bytes(signed.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1))
    (folder / "camtrust.bundle").write_bytes(world.bundle())
    (folder / "bundle-signer.txt").write_text(f"{world.pin}\n")
    (folder / "other-signer.txt").write_text("00" * 32 + "\n")
    return Desk(folder, tmp_path_factory.mktemp("cache"))


def test_it_verifies_with_nothing_installed_and_no_network(desk: Desk) -> None:
    """The bundle and the pin that lie beside it are used; what is changed fails; several files in several processes."""
    code, answer = desk.json("signed.pdf")
    assert (code, answer["files"][0]["indication"]) == (0, "TOTAL-PASSED")
    assert answer["bundle"]["pinned"] is True
    code, answer = desk.json("signed.pdf", "changed.pdf", "--jobs", "2")
    assert code == 1
    assert [one["indication"] for one in answer["files"]] == ["TOTAL-PASSED", "TOTAL-FAILED"]
    assert desk("bundle", "check", "--at", rfc3339(NOW)).returncode == 0
    # a pin that is named stands instead of the one beside
    assert desk.json("signed.pdf", "--bundle-signer", "00" * 32)[0] == 3


def test_it_unpacks_once(desk: Desk) -> None:
    """And says so; a cache that others may write to is not used, and nothing is left behind."""
    desk("signed.pdf")
    assert "unpacking" not in desk("signed.pdf").stderr
    (unpacked,) = (desk.cache / "camtrust-verify").iterdir()
    unpacked.chmod(0o777)
    try:
        done = desk("signed.pdf")
        assert "unpacking" in done.stderr
    finally:
        unpacked.chmod(0o700)


def test_a_wrong_python_and_a_damaged_file_are_named(desk: Desk) -> None:
    """Not a traceback: what it is made for, and what to do."""
    original = desk.folder / "camtrust-verify.pyz"
    with zipfile.ZipFile(original) as archive:
        boot = archive.read("__main__.py")
    with zipfile.ZipFile(desk.folder / "other.pyz", "w") as archive:
        archive.writestr("__main__.py", boot)
        archive.writestr("made-for.json", json.dumps({"python": "2.7", "platform": "vax"}))
    done = desk("signed.pdf", archive="other.pyz")
    assert done.returncode == 4
    assert "made for Python 2.7 on vax" in done.stderr
    with zipfile.ZipFile(desk.folder / "damaged.pyz", "w") as archive:
        archive.writestr("__main__.py", boot)
    done = desk("signed.pdf", archive="damaged.pyz")
    assert done.returncode != 0
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_carries_what_it_needs_and_no_more(desk: Desk) -> None:
    """No server, no tokens; the licences of what it carries are in it."""
    with zipfile.ZipFile(desk.folder / "camtrust-verify.pyz") as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"fastapi", "sqlalchemy", "hsm_emulation", "issuing_ca", "root_ca", "shamir_mnemonic", "tests"}
    assert {"LICENSE", "NOTICE"} <= set(names)
    for library in ("cryptography", "pyhanko", "asn1crypto"):
        assert any(name.startswith(f"{library}-") and "LICENSE" in name.upper() for name in names), library
