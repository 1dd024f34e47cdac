"""A home: the folder where one installation keeps its state and leaves its artifacts.

HOME/
  .camtrust-home       says that we made it, and for what
  camtrust.toml        settings, when there are any
  camtrust.sqlite      the services' database (embedded)
  hsm/                 the services' token
  witness/             how far the status of certificates had come: never goes back with the database
  root/                root certificate, CRL, ceremony files and transcripts; root/token is the offline token
  timestamps/          digests of the timestamps that were given, hour by hour
  ca/  trust/  citizen/  officer/  documents/  blobs/
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from camtrust.errors import HomeBusy, HomeMissing, HomeRefused

MARKER = ".camtrust-home"
_FORMAT = 1


@dataclass(frozen=True)
class Home:
    """Paths in a home. Opening it never makes anything; :meth:`make` does."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Home:
        """Make a home, or take one that we made before. Raises HomeRefused for anybody else's folder."""
        path = path.absolute()
        marker = path / MARKER
        if path.exists() and not marker.exists() and (not path.is_dir() or any(path.iterdir())):
            raise HomeRefused(home=str(path))
        if marker.exists():
            return cls.open(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        with marker.open("x", encoding="utf-8") as file:
            json.dump({"made_by": "camtrust", "format": _FORMAT}, file)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Home:
        """A home that is there. Raises HomeMissing or HomeRefused."""
        path = path.absolute()
        marker = path / MARKER
        if not marker.is_file():
            raise HomeMissing(home=str(path))
        try:
            made = json.loads(marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            made = {}
        if made != {"made_by": "camtrust", "format": _FORMAT}:
            raise HomeRefused(home=str(path))
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for one process that changes it; HomeBusy when another does."""
        with (self.path / MARKER).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HomeBusy(home=str(self.path)) from None
            yield

    def folder(self, name: str) -> Path:
        """A folder of the home, made when it is not there yet."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def settings_file(self) -> Path | None:
        file = self.path / "camtrust.toml"
        return file if file.exists() else None

    @property
    def bundle(self) -> Path:
        return self.path / "trust" / "camtrust.bundle"

    @property
    def trust_list(self) -> Path:
        return self.path / "trust" / "list.xml"

    @property
    def bundle_signer(self) -> Path:
        return self.path / "trust" / "bundle-signer.txt"

    def pin(self, name: str) -> str:
        """The PIN in ``name``, made at random when it is not there.

        Only for the embedded default and the demo, where no operator types it; it is written 0600 beside the token.
        """
        file = self.path / name
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(f"{secrets.randbelow(10**12):012d}\n")
        return file.read_text(encoding="ascii").strip()
