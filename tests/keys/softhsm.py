"""SoftHSM2 tokens in a folder of their own. SOFTHSM2_CONF is read when a process initialises the module."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.programs import ProgramMissing, run

PIN = "specimen-user-pin"
SO_PIN = "specimen-so-pin"


def installed(pattern: str, package: str) -> Path:
    """A shared object under /usr/lib. Raises ProgramMissing with the package to install."""
    found = sorted(Path("/usr/lib").glob(pattern))
    if not found:
        raise ProgramMissing(f"{pattern} is not installed. Install it with: apt-get install {package}")
    return found[0].resolve()


@dataclass(frozen=True)
class SoftHsm:
    """A folder of SoftHSM2 tokens."""

    folder: Path
    module: Path

    @classmethod
    def new(cls, folder: Path) -> SoftHsm:
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        # A copy, because the lock of the PKCS#11 adapter is on the module's file: runs do not wait for each other.
        module = folder / "libsofthsm2.so"
        shutil.copyfile(installed("**/softhsm/libsofthsm2.so", "softhsm2"), module)
        return cls(folder, module)

    @property
    def environment(self) -> Mapping[str, str]:
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def token(self, label: str) -> str:
        """Make a token; give its address. Processes that have the module loaded already do not see it."""
        pins = ("--so-pin", SO_PIN, "--pin", PIN)
        run("softhsm2-util", "--init-token", "--free", "--label", label, *pins, env=self.environment)
        return self.address(label)

    def address(self, label: str, module: Path | None = None) -> str:
        return f"pkcs11:token={label}?module-path={module or self.module}"

    def tool(self, label: str, *args: str | os.PathLike[str], module: Path | None = None) -> str:
        """What OpenSC's pkcs11-tool says of a token, logged in."""
        fixed = ("--module", module or self.module, "--token-label", label, "--login", "--pin", PIN)
        done = run("pkcs11-tool", *fixed, *args, env=self.environment)
        return str(done.stdout)

    @property
    def functions(self) -> ctypes.CDLL:
        """The module's functions in this process, past the adapter: for accidents."""
        return ctypes.CDLL(str(self.module))
