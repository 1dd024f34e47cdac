"""The programs that judge our output from outside: how they are started, and which Debian package each is in.

A program that is missing fails the test that needs it, with the package to install; nothing is skipped.

    python tests/programs.py            the packages that the tests need
    python tests/programs.py --missing  those of them whose programs are not there
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES: Mapping[str, str] = {
    "certtool": "gnutls-bin",
    "certutil": "libnss3-tools",
    "cfssl": "golang-cfssl",
    "chromium": "chromium",
    "curl": "curl",
    "initdb": "postgresql",
    "ip": "iproute2",
    "lego": "lego",
    "mutool": "mupdf-tools",
    "ocsptool": "gnutls-bin",
    "openssl": "openssl",
    "pdffonts": "poppler-utils",
    "pdfsig": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "pdftotext": "poppler-utils",
    "pkcs11-tool": "opensc",
    # pki reads EC keys by a plugin that Debian packs by itself
    "pki": "strongswan-pki libstrongswan-standard-plugins",
    "postgres": "postgresql",
    "qpdf": "qpdf",
    "setpriv": "util-linux",
    "soffice": "libreoffice-draw-nogui python3-uno",
    "softhsm2-util": "softhsm2",
    "sha256sum": "coreutils",
    "tesseract": "tesseract-ocr",
    "unshare": "util-linux",
    "vfychain": "libnss3-tools",
    "xmlsec1": "xmlsec1",
    "zbarimg": "zbar-tools",
    # the typeface of machine-readable lines, somewhere under /usr/share/fonts
    "OCRB.otf": "fonts-ocr-b",
    # shared objects that programs load, somewhere under /usr/lib
    "engines-3/pkcs11.so": "libengine-pkcs11-openssl",
    "p11-kit-client.so": "p11-kit-modules",
}

# Debian keeps the server's programs, and those for administrators, off the path of ordinary users.
_MORE_FOLDERS = ("/usr/sbin", "/sbin")


class ProgramMissing(AssertionError):
    """A program that a test needs is not installed."""


class ProgramFailed(AssertionError):
    """A program ended with another status than 0; the message holds what it wrote."""


def path(program: str) -> Path:
    """Where ``program`` is. Raises ProgramMissing; KeyError for a program that :data:`PACKAGES` does not name."""
    package = PACKAGES[program]
    found = _find(program, package)
    if found is None:
        raise ProgramMissing(f"{program} is not installed. Install it with: apt-get install {package}")
    return found


def run(
    program: str,
    *args: str | os.PathLike[str],
    input: bytes | str | None = None,
    timeout: float = 60,
    check: bool = True,
    text: bool = True,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, in the C.UTF-8 locale, without a shell; give its status and what it wrote.

    ``env`` is added to the environment; ``timeout`` is in seconds; ``text=False`` gives and takes bytes.
    Raises ProgramMissing, and ProgramFailed when ``check`` is on and the status is not 0.
    """
    if input is not None and isinstance(input, str) != text:
        input = input.encode() if isinstance(input, str) else input.decode()
    command = [str(path(program)), *(os.fspath(arg) for arg in args)]
    done = subprocess.run(
        command,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
        text=text,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
    )
    if check and done.returncode != 0:
        raise ProgramFailed(
            f"{' '.join(command)} ended with {done.returncode}\n"
            f"stdout: {done.stdout!s:.4000}\nstderr: {done.stderr!s:.4000}"
        )
    return done


def packages() -> tuple[str, ...]:
    """The Debian packages that the tests need, sorted."""
    return tuple(sorted(set(PACKAGES.values())))


def missing() -> tuple[str, ...]:
    """Those of :func:`packages` that have a program which is not there."""
    return tuple(sorted({package for program, package in PACKAGES.items() if _find(program, package) is None}))


@cache
def _find(program: str, package: str) -> Path | None:
    for ending, folder in ((".so", "/usr/lib"), (".otf", "/usr/share/fonts")):
        if program.endswith(ending):
            return next(iter(sorted(Path(folder).glob(f"**/{program}"))), None)
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_MORE_FOLDERS]
    if package == "postgresql":
        folders = [*_postgresql_folders(), *folders]
    found = shutil.which(program, path=os.pathsep.join(folders))
    return Path(found) if found else None


def _postgresql_folders() -> list[str]:
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(folder) for folder in sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)]


def main(arguments: Sequence[str]) -> None:
    print(" ".join(missing() if "--missing" in arguments else packages()))


if __name__ == "__main__":
    main(sys.argv[1:])
