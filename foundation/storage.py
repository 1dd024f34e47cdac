"""No room left where something is to be written: one failure, whatever it was that met it."""

from __future__ import annotations

import errno
import re
import sqlite3

from foundation.errors import CamTrustError, Kind

# No space, no quota, and a file that may not grow any more (write(2)).
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OF_STORE = re.compile(r"\(os error (\d+)\)")  # how the blob store tells what the system said
_POSTGRES_DISK_FULL = "53100"


class StorageFull(CamTrustError):
    """There is no room left on a disk of the service. Nothing of what was asked for was stored."""

    code = "foundation.storage_full"
    kind = Kind.UNAVAILABLE


def is_full(error: BaseException) -> bool:
    """Whether an error of the system, of a database driver or of the blob store says that there is no room left."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    if getattr(error, "sqlstate", None) == _POSTGRES_DISK_FULL:
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    told = _OF_STORE.search(str(error))
    return told is not None and int(told[1]) in _FULL
