"""The small disk of the runs that `test_full_disk.py` starts, and when it is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PAGE = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own, 48 MiB large. The folders of the tests (``tmp_path``) are on it."""

    path: Path

    @contextmanager
    def full(self, left: int = 0) -> Iterator[None]:
        """No room for the block but for ``left`` pages: a file takes it all, and goes at the end."""
        filler = self.path / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(_PAGE))
            except OSError:
                file.truncate(max(0, file.tell() - left * _PAGE))
        try:
            yield
        finally:
            filler.unlink()

    def files(self, below: Path) -> dict[str, bytes]:
        """Every file below a folder, with its content."""
        return {os.fspath(one.relative_to(below)): one.read_bytes() for one in below.rglob("*") if one.is_file()}


@pytest.fixture
def disk() -> SmallDisk:
    """The disk of this run."""
    return SmallDisk(Path(os.environ["CAMTRUST_SMALL_DISK"]))
