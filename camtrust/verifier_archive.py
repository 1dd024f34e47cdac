"""Make the single-file verifier: ``python -m camtrust.verifier_archive OUT`` (``make verifier``).

What goes in: the libraries that ``camtrust[verify]`` needs, exactly the versions that are installed (from the lock,
with their hashes checked), with their licences, and of ours what verification imports. It runs on the Python and
platform that it was made on. The same installation gives the same octets.
"""

from __future__ import annotations

import json
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
# of ours: packages whole, but what verification has no use for
_OURS = ("foundation", "signing/verify", "camtrust/cli")
_FILES = (
    "camtrust/__init__.py",
    "camtrust/errors.py",
    "camtrust/home.py",
    "camtrust/messages.toml",
    "camtrust/verifier.py",
    "signing/messages.toml",
    "LICENSE",
    "NOTICE",
)
_COMMANDS = {"__init__.py", "main.py", "context.py", "verify.py", "bundle.py", "bundle_operators.py"}
_NOT_OURS = ("foundation/db/", "foundation/http/", "foundation/keys/pkcs11/", "foundation/keys/probe/")
# of the libraries: what only ceremonies and the token use. pyHanko imports HTTP clients with everything else, so they
# come along, unused: nothing here opens a socket.
_NOT_NEEDED = {"pyotp", "shamir-mnemonic"}
_SHEBANG = b"#!/usr/bin/env python3\n"


def make_archive(out: Path) -> None:
    """Write the archive, whole or not at all."""
    temporary = out.with_name(f".{out.name}.part")
    with temporary.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            boot = (ROOT / "camtrust/verifier_boot.py").read_bytes()
            made_for = {
                "python": f"{sys.version_info.major}.{sys.version_info.minor}",
                "platform": sysconfig.get_platform(),
            }
            _add(archive, "__main__.py", boot)
            _add(archive, "made-for.json", json.dumps(made_for, sort_keys=True).encode())
            contents = {**dict(_libraries()), **dict(_ours())}
            for name in sorted(contents):
                _add(archive, name, contents[name].read_bytes())
    temporary.chmod(0o755)
    temporary.replace(out)


def _add(archive: zipfile.ZipFile, name: str, octets: bytes) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, octets)


def _ours() -> Iterator[tuple[str, Path]]:
    for folder in _OURS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix not in (".py", ".toml", ".txt") or name.startswith(_NOT_OURS):
                continue
            if folder == "camtrust/cli" and path.name not in _COMMANDS:
                continue
            yield name, path
    for path in sorted((ROOT / "signing").glob("*.py")):  # what both signing and verification know of formats
        yield path.relative_to(ROOT).as_posix(), path
    for name in _FILES:
        yield name, ROOT / name


def _libraries() -> Iterator[tuple[str, Path]]:
    for one in _closure():
        for file in one.files or ():
            name = file.as_posix()
            if name.startswith("..") or "__pycache__" in name or name.endswith((".pyc", "/RECORD", "/direct_url.json")):
                continue
            if "/tests/" in name or name.endswith((".h", ".pxd", ".pyx", ".pyi")):
                continue
            yield name, Path(str(file.locate()))


def _closure() -> list[Distribution]:
    """The libraries of ``camtrust[verify]``, by what their metadata say."""
    found: dict[str, Distribution] = {}
    queue = [("camtrust", frozenset({"verify"}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen or name in _NOT_NEEDED:
            continue
        seen.add((name, extras))
        one = distribution(name)
        if name != "camtrust":
            found[name] = one
        for text in one.requires or ():
            requirement = Requirement(text)
            if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                continue
            queue.append((requirement.name.lower().replace("_", "-"), frozenset(requirement.extras)))
    return [found[name] for name in sorted(found)]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m camtrust.verifier_archive OUT.pyz", file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        make_archive(out)
    except PackageNotFoundError as error:
        print(f"{error.name} is not installed; install camtrust[verify]", file=sys.stderr)
        return 4
    print(f"{out}: {out.stat().st_size / 1024 / 1024:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
