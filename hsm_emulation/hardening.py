"""What the operating system can do for a process that holds keys. Best effort, and told in the daemon's status."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def harden() -> dict[str, bool]:
    """No core dumps, no ptrace or /proc/PID/mem by the same user, no swapping of memory. Gives what was achieved."""
    achieved = {"no_core_dumps": False, "not_dumpable": False, "memory_locked": False}
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        achieved["no_core_dumps"] = True
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        achieved["not_dumpable"] = libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
        # Under a finite limit a lock of all future memory would make a later allocation fail: only without one.
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or os.geteuid() == 0:
            achieved["memory_locked"] = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    return achieved
