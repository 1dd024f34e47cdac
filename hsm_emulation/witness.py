"""Where a client keeps the last checkpoint of a token: a file outside of the token's directory and its backups."""

from __future__ import annotations

import os
from pathlib import Path


class WitnessFile:
    """One token's last checkpoint, as it came: whoever reads it verifies it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """The checkpoint; None before there is one."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, checkpoint: bytes) -> None:
        """Put a newer checkpoint in its place, whole or not at all, on the disk when this comes back."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(checkpoint)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)
