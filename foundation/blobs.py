"""Octets by key, in a folder: documents and whatever else is too large for a table.

What goes in here is sealed or public already; the store adds no secrecy, only that writing is all or nothing and is
on the disk when it returns.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore

from foundation.errors import CamTrustError, Kind
from foundation.storage import StorageFull, is_full

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
MAX_KEY = 200


class BlobMissing(CamTrustError):
    """Nothing is stored under this key."""

    code = "foundation.blob_missing"
    kind = Kind.NOT_FOUND


class BlobsUnavailable(CamTrustError):
    """The store cannot be read or written now."""

    code = "foundation.blobs_unavailable"
    kind = Kind.UNAVAILABLE


class LocalBlobs:
    """A folder of blobs. Keys are ``[a-z0-9._-]`` in parts joined by ``/``; no part begins with a dot."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, for its owner alone, when it is not there."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder.resolve()
        self._store = LocalStore(self._folder)

    def put(self, key: str, data: bytes) -> None:
        """Store, replacing what was there. After a crash the key holds the old octets or the new ones, whole.

        StorageFull where there is no room, BlobsUnavailable; then it holds the old ones.
        """
        _check(key)
        try:
            self._store.put(key, data)
            self._settle(key)
        except (BaseError, OSError) as error:
            raise _told(error) from error

    def get(self, key: str) -> bytes:
        """What is stored; BlobMissing when nothing is."""
        _check(key)
        try:
            return bytes(self._store.get(key).bytes())
        except FileNotFoundError:
            raise BlobMissing from None
        except (BaseError, OSError) as error:
            raise _told(error) from error

    def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        _check(key)
        try:
            self._store.delete(key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _told(error) from error

    def _settle(self, key: str) -> None:
        """The store renames a finished file into place but leaves it to the system when it reaches the disk."""
        path = self._folder / key
        for place in (path, path.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _told(error: Exception) -> CamTrustError:
    return StorageFull() if is_full(error) else BlobsUnavailable()


def _check(key: str) -> None:
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError("not a key for a blob")
