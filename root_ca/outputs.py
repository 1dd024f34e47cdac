"""Outputs: complete or not there. Written beside their place, synced, then linked to a name that must not exist."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from root_ca.errors import OutputExists


def existing(directory: Path, names: list[str]) -> tuple[str, ...]:
    """Those of ``names`` that exist in any form, a dangling link included."""
    return tuple(name for name in names if os.path.lexists(directory / name))


def publish(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write every file (mode 0644) under a name that must not exist, or none of them; else OutputExists."""
    if found := existing(directory, list(contents)):
        raise OutputExists(files=", ".join(found))
    waiting: dict[Path, Path] = {}
    linked: list[Path] = []
    try:
        for name, content in contents.items():
            final = directory / name
            temporary = final.with_name(f".{final.name}.partial")
            waiting[temporary] = final
            _write(temporary, content)
        for temporary, final in waiting.items():
            _place(temporary, final)
            linked.append(final)
    except BaseException:
        for final in linked:
            final.unlink(missing_ok=True)
        raise
    finally:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)
        for folder in {final.parent for final in waiting.values()}:
            _sync_folder(folder)


def _place(temporary: Path, final: Path) -> None:
    try:
        try:
            os.link(temporary, final, follow_symlinks=False)  # unlike rename, never replaces
        except PermissionError:  # a file system without hard links, as on most USB sticks: claim the name, then fill it
            os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            os.replace(temporary, final)
    except FileExistsError:
        raise OutputExists(files=final.name) from None


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # what a run left that was cut off; never a published name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
