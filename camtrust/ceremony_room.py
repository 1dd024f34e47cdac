"""What the ceremony room is equipped with beside the token: outside lint, timestamp checker, the token's description.

Everything here is optional for the root; it works on the base installation, where pkilint is not there and is left out.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

from asn1crypto import tsp

from foundation.x509.names import name_pairs
from root_ca.cli import Equipment
from root_ca.ports import TimestampFound, TokenModule
from signing.verify.policy import STRICT
from signing.verify.timestamps import Timestamp, check_token

_SECONDS = 120


class Pkilint:
    """pkilint, as a program of its own. Implements `root_ca.ports.OutsideLint`."""

    def __init__(self, release: str) -> None:
        self.program = f"pkilint {release}"

    def findings(self, der: bytes, crl: bool) -> tuple[str, ...]:
        """Notices and above; a run that gives no report is a finding itself."""
        linter, options = ("crl", ("-t", "ARL", "-p", "PKIX")) if crl else ("pkix_cert", ())
        with TemporaryDirectory(prefix="camtrust-lint-") as folder:
            file = Path(folder) / "structure.der"
            file.write_bytes(der)
            command = [sys.executable, "-m", f"pkilint.bin.lint_{linter}", "lint", *options]
            command += ["--severity", "NOTICE", "--format", "JSON", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        try:
            results = json.loads(done.stdout)["results"]
        except (ValueError, KeyError):
            return (f"no report (status {done.returncode})",)
        found = {f"{one['severity']} {one['code']}" for result in results for one in result["finding_descriptions"]}
        return tuple(sorted(found))


class Rfc3161:
    """Implements `root_ca.ports.TimestampChecker` with the verification that documents have."""

    def check(self, token: bytes, data: bytes) -> TimestampFound | None:
        found = check_token(_token(token), lambda name: hashlib.new(name, data).digest(), STRICT)
        if not isinstance(found, Timestamp):
            return None
        return TimestampFound(
            found.time, ", ".join(f"{name}={value}" for name, value in name_pairs(found.unit.subject))
        )


def _token(octets: bytes) -> bytes:
    """The token in a TimeStampResp (RFC 3161 §2.4.2), which is what authorities answer; or the token itself."""
    try:
        response = tsp.TimeStampResp.load(octets, strict=True)
        if response["status"]["status"].native in ("granted", "granted_with_mods"):
            return bytes(response["time_stamp_token"].dump())
    except (ValueError, TypeError, KeyError):
        pass
    return octets


@cache
def token_module() -> TokenModule:
    """The emulated token as it is installed: the SHA-256 covers its modules, path by path."""
    whole = hashlib.sha256()
    for path, content in sorted(_sources(files("hsm_emulation"), "hsm_emulation")):
        whole.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return TokenModule("camtrust hsm_emulation", version("camtrust"), whole.hexdigest(), emulated=True)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        path = f"{prefix}/{item.name}"
        if item.is_dir():
            found += _sources(item, path)
        elif Path(item.name).suffix in (".py", ".toml", ".txt"):
            found.append((path, item.read_bytes()))
    return found


def equipment() -> Equipment:
    """What this installation has."""
    try:
        lints: tuple[Pkilint, ...] = (Pkilint(version("pkilint")),)
    except PackageNotFoundError:
        lints = ()
    return Equipment(token_module(), lints, Rfc3161())
