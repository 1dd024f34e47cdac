"""Blobs in a folder: whole or not at all, and never outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foundation.blobs import BlobMissing, BlobsUnavailable, LocalBlobs


def test_put_get_delete(tmp_path: Path) -> None:
    """What is put is given back, replaced by the next put, and gone after delete; deleting twice is fine."""
    blobs = LocalBlobs(tmp_path / "blobs")
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700
    for data in (b"", b"first", os.urandom(3_000_000)):
        blobs.put("signing/a1/original", data)
        assert LocalBlobs(tmp_path / "blobs").get("signing/a1/original") == data
    blobs.delete("signing/a1/original")
    blobs.delete("signing/a1/original")
    with pytest.raises(BlobMissing):
        blobs.get("signing/a1/original")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "A", "a b", ".hidden", "a/.b", "x" * 201, "ក"]
)
def test_keys_stay_in_the_folder(tmp_path: Path, key: str) -> None:
    """A key that could lead elsewhere is a mistake of the caller."""
    blobs = LocalBlobs(tmp_path)
    for call in (lambda: blobs.put(key, b"x"), lambda: blobs.get(key), lambda: blobs.delete(key)):
        with pytest.raises(ValueError, match="not a key"):
            call()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """A folder that cannot be written to: try again later, not a crash."""
    blobs = LocalBlobs(tmp_path / "blobs")
    (tmp_path / "blobs").rmdir()
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(BlobsUnavailable):
        blobs.put("a", b"x")
    with pytest.raises((BlobsUnavailable, BlobMissing)):
        blobs.get("a")
