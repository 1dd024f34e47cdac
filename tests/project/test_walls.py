"""The walls between the rooms hold, and each of them can be seen to fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("camtrust", "root_ca", "issuing_ca", "ekyc", "identity", "signing", "hsm_emulation", "foundation")

# Where an import is put, what it is, and the contract that must break (part of its name).
VIOLATIONS = [
    ("ekyc", "import signing", "rooms never import each other"),
    ("issuing_ca", "import root_ca", "rooms never import each other"),
    ("identity", "import camtrust", "rooms never import each other"),
    ("foundation", "import ekyc", "rooms never import each other"),
    ("root_ca", "import socket", "The root never touches"),
    ("root_ca", "import sqlalchemy", "The root never touches"),
    ("root_ca", "import fastapi", "The root never touches"),
    ("root_ca", "import foundation.db", "The root never touches"),
    ("foundation/keys", "import urllib.request", "The root never touches"),
    ("signing/verify", "import http.client", "Verification never touches"),
    ("signing/verify", "import foundation.db", "Verification never touches"),
    ("foundation/x509", "import socket", "Verification never touches"),
    ("issuing_ca", "import time", "The clock is read in one place"),
    ("signing", "import hsm_emulation", "The emulated HSM is imported by the roof alone"),
]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", "pyproject.toml", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        # The copy is read, not the installed project.
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "300", "PYTHONSAFEPATH": "1"},
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A house with the same floors and contracts, and nothing in its rooms."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in (
        *PACKAGES,
        "foundation/db",
        "foundation/http",
        "foundation/keys",
        "foundation/x509",
        "signing/verify",
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    # The root uses the key store, so what the key store imports the root imports too.
    (tmp_path / "root_ca/service.py").write_text("import foundation.keys.planted_or_not\n")
    (tmp_path / "foundation/keys/planted_or_not.py").write_text("")
    (tmp_path / "signing/verify/service.py").write_text("import foundation.x509\n")
    return tmp_path


def test_the_walls_hold() -> None:
    """No import in the tree crosses a wall."""
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken" in result.stdout


def test_an_empty_house_holds(house: Path) -> None:
    """The copy that the violations are planted in is sound by itself."""
    result = _lint(house)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("room", "line", "contract"), VIOLATIONS)
def test_a_breach_is_found(house: Path, room: str, line: str, contract: str) -> None:
    """Each kind of forbidden import, planted in a copy, breaks the contract that forbids it."""
    target = house / room / "planted_or_not.py"
    target.write_text(line + "\n")
    result = _lint(house)
    assert result.returncode != 0
    broken = [text for text in result.stdout.splitlines() if text.strip().endswith("BROKEN")]
    assert any(contract in text for text in broken), result.stdout
