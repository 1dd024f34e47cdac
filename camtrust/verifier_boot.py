"""The first thing that runs in the single-file verifier: it becomes ``__main__.py`` of ``camtrust-verify.pyz``.

Compiled libraries cannot be imported from inside a ZIP file, so the archive is unpacked once into the user's cache,
under its own SHA-256, in a folder that nobody else may write to. Only the standard library is used here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile

CACHE = "camtrust-verify"


def main() -> None:
    archive = os.path.abspath(sys.argv[0])
    try:
        with zipfile.ZipFile(archive) as opened:
            made_for = json.loads(opened.read("made-for.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        sys.exit("camtrust-verify: this file is damaged. Get it again, and compare its SHA-256.")
    here = {"python": "{}.{}".format(*sys.version_info[:2]), "platform": sysconfig.get_platform()}
    if here != made_for:
        sys.stderr.write(
            "camtrust-verify: made for Python {python} on {platform}; ".format(**made_for)
            + "this is Python {python} on {platform}.\n".format(**here)
            + "  → Get the verifier for this machine, or install camtrust itself.\n"
        )
        sys.exit(4)
    folder, passing = _unpacked(archive)
    sys.path.insert(0, folder)
    try:
        from camtrust.verifier import run

        code = run(sys.argv[1:], os.path.dirname(archive))
    finally:
        if passing:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)


def _unpacked(archive: str) -> tuple[str, bool]:
    """The folder with the archive's contents, and whether it is to be removed afterwards."""
    with open(archive, "rb") as file:
        sha256 = hashlib.sha256(file.read()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    parent = os.path.join(cache, CACHE)
    folder = os.path.join(parent, sha256)
    try:
        os.makedirs(parent, mode=0o700, exist_ok=True)
        if not _ours(parent):
            raise OSError("somebody else may write here")
        if not os.path.isdir(folder):
            fresh = tempfile.mkdtemp(prefix=".new-", dir=parent)
            _unpack(archive, fresh)
            try:
                os.rename(fresh, folder)
            except OSError:  # another one was quicker
                shutil.rmtree(fresh, ignore_errors=True)
        if not _ours(folder):
            raise OSError("somebody else may write here")
    except OSError:  # no home, a full or read-only disk: unpacked for this run alone
        folder = tempfile.mkdtemp(prefix="camtrust-verify-")
        _unpack(archive, folder)
        return folder, True
    return folder, False


def _unpack(archive: str, folder: str) -> None:
    sys.stderr.write("camtrust-verify: unpacking, once\n")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)


def _ours(folder: str) -> bool:
    status = os.lstat(folder)
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


if __name__ == "__main__":
    main()
