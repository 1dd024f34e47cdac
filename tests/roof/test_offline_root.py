"""The offline root needs the base installation alone: no web framework, no database, no HTTP client, no PDF library."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from foundation.clock import SystemClock
from root_ca.ceremonies import Place, specimen_acts

ALONE = """
import sys
BLOCKED = set(sys.argv.pop(1).split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is not part of the base installation")
sys.meta_path.insert(0, Blocker())
from camtrust.cli.main import main
main()
"""
MODULES = {"psycopg": "psycopg", "python-multipart": "python_multipart", "pydantic-settings": "pydantic_settings"}


def beyond_the_base() -> str:
    """The modules that only extras bring, from pyproject.toml."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = [one.split(">")[0].split("[")[0] for name in ("verify", "services", "documents") for one in extras[name]]
    modules = {MODULES.get(name, name.replace("-", "_")) for name in names if name != "camtrust"}
    assert {"fastapi", "sqlalchemy", "httpx2", "pyhanko", "pydantic_settings"} <= modules
    return ",".join(sorted(modules | {"starlette", "fpdf"}))


def camtrust(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line, where nothing but the base can be imported."""
    command = [sys.executable, "-P", "-c", ALONE, beyond_the_base(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("arguments", [("--help",), ("root", "--help"), ("hsm", "init", "--token", "root")])
def test_commands_of_the_root_start(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Help, and making the root's token."""
    done = camtrust(*arguments, "--home", tmp_path / "home")
    assert done.returncode == 0, done.stderr


def test_a_root_is_made_and_verified(tmp_path: Path) -> None:
    """check, rehearse, perform and verify of the first act, on the base installation."""
    act = specimen_acts(SystemClock().now(), Place("http://t.example/o", "http://t.example/i", "http://t.example/c"))[0]
    file = tmp_path / act.file
    file.write_text(act.text, encoding="utf-8")
    checked = camtrust("root", "check", file, "--json")
    assert checked.returncode == 0, checked.stderr
    words = " ".join(json.loads(checked.stdout)["words"])
    home = ("--home", tmp_path / "home")
    assert camtrust("root", "rehearse", file, *home).returncode == 0
    done = camtrust("root", "perform", file, "--yes-i-read", words, *home)
    assert done.returncode == 0, done.stderr
    assert camtrust("root", "verify", tmp_path / act.transcript).returncode == 0
