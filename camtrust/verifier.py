"""What the single-file verifier does: ``camtrust verify``, with the trust bundle that lies beside it.

    python camtrust-verify.pyz FILE…                verify
    python camtrust-verify.pyz bundle show|check    look at the bundle

Beside the file may lie ``camtrust.bundle`` and ``bundle-signer.txt`` (the fingerprint, which has to come from somewhere
else than the bundle): they are used where none is named.
"""

from __future__ import annotations

from pathlib import Path

from camtrust.cli.main import run as run_command

BUNDLE, PIN = "camtrust.bundle", "bundle-signer.txt"
_LONGEST_PIN_FILE = 64 * 1024


def run(arguments: list[str], folder: str) -> int:
    """Run it; gives the exit code of the command. ``folder``: where the archive lies."""
    command = ["bundle"] if arguments[:1] == ["bundle"] else ["verify"]
    rest = arguments[1:] if command == ["bundle"] else arguments
    wanted = [] if _names(rest, "--help") or _names(rest, "--home") else _beside(rest, Path(folder), command[0])
    if command == ["bundle"]:  # the options come behind show or check
        return run_command([*command, *rest, *wanted])
    return run_command([*command, *wanted, *(rest or ["--help"])])


def _names(arguments: list[str], option: str) -> bool:
    return any(one == option or one.startswith(f"{option}=") for one in arguments)


def _beside(arguments: list[str], folder: Path, command: str) -> list[str]:
    wanted: list[str] = []
    bundle, pin = folder / BUNDLE, folder / PIN
    if bundle.is_file() and not _names(arguments, "--bundle"):
        # ``bundle show`` takes the file itself, ``verify`` an option
        wanted += [str(bundle)] if command == "bundle" else ["--bundle", str(bundle)]
    if pin.is_file() and not _names(arguments, "--bundle-signer"):
        with pin.open("rb") as file:
            lines = file.read(_LONGEST_PIN_FILE).decode("utf-8", "replace").splitlines()
        for line in lines:
            if line.strip():
                wanted += ["--bundle-signer", line.strip()]
    return wanted
