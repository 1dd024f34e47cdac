"""A real disk that is really full: what is in `on_*.py` runs with all that it stores on a small disk of its own.

The disk is a tmpfs in a mount namespace that ends with the run: no root is needed, and nothing is left.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs

PARTS = sorted(path.name for path in Path(__file__).parent.glob("on_*.py"))
MOUNT = 'mount -t tmpfs -o "size=$1,mode=0700" small "$0" && shift && exec "$@"'


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the disk is mounted: a short path, for it holds Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="camtrust-disk-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(900)  # a run of its own, which takes a minute where nothing else is at work
@pytest.mark.parametrize("part", PARTS)
def test_on_a_full_disk(part: str, place: Path) -> None:
    """Refused with a stable code, nothing half written, and it goes on when there is room again."""
    run = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout=600",
        f"--basetemp={place / 'tmp'}",
    )
    file = Path(__file__).with_name(part)
    done = programs.run(
        *("unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, place, "48m", *run, file),
        env={"CAMTRUST_SMALL_DISK": os.fspath(place), "PYTEST_ADDOPTS": ""},
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
