"""The walls around a process that reads what a stranger sent. Linux.

Put up once everything is loaded and before the first octet is looked at: limits of memory, processor and files; no new
privileges; no user's rights where it was root; no network; and, by libseccomp, no system call but those that
computing in memory and answering through a pipe need. A wall that cannot be put up is not told as standing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Sequence
from contextlib import suppress

LIMITS, NO_PRIVILEGES, NO_NETWORK, SYSTEM_CALLS = "limits", "no-new-privileges", "no-network", "system-calls"

_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 38, 4
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NOBODY = 65534
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

# What is left to a process that computes in memory, reads and writes what is open already, and ends.
_COMPUTING = (
    "read", "readv", "write", "writev", "close", "fstat", "newfstatat", "lseek", "mmap", "munmap", "mremap",
    "mprotect", "madvise", "brk", "futex", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "sched_yield", "clock_gettime", "gettimeofday", "getrandom", "getpid",
    "gettid", "restart_syscall", "rseq", "set_robust_list",
)  # fmt: skip
# What no program that turns pixels into letters asks for. The others it may: it has files to load.
_NEVER = (
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
    "io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root",
    "unshare", "setns", "bpf", "keyctl", "add_key", "request_key", "perf_event_open", "userfaultfd",
    "open_by_handle_at", "kill", "tkill", "tgkill",
)  # fmt: skip


def confine(memory: int, cpu_seconds: int, writes: int, *, starts_program: bool = False) -> frozenset[str]:
    """Put up every wall that this system has; gives those that stand.

    ``memory``: octets of address space; ``writes``: octets that it may write to a file. ``starts_program``: the process
    will execute another program (which inherits the walls): then files can still be opened and programs started, but
    nothing of the network or of other processes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = _library()
    standing: set[str] = set()
    if _limited(memory, cpu_seconds, writes):
        standing.add(LIMITS)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        standing.add(NO_NETWORK)
    _leave_root()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        standing.add(NO_PRIVILEGES)
    if seccomp is not None and _filtered(seccomp, starts_program):
        standing |= {SYSTEM_CALLS, NO_NETWORK}
    return frozenset(standing)


REQUIRED = frozenset({LIMITS, NO_PRIVILEGES, NO_NETWORK})
"""Without one of these nothing is decoded."""


def _limited(memory: int, cpu_seconds: int, writes: int) -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_FSIZE, (writes, writes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    except (OSError, ValueError):
        return False
    return True


def _leave_root() -> None:
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    ]  # fmt: skip
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    return library


def _filtered(library: ctypes.CDLL, starts_program: bool) -> bool:
    default, action, names = (_ALLOW, _REFUSE, _NEVER) if starts_program else (_REFUSE, _ALLOW, _COMPUTING)
    context = library.seccomp_init(default)
    return bool(context) and _add(library, context, action, names) and library.seccomp_load(context) == 0


def _add(library: ctypes.CDLL, context: int, action: int, names: Sequence[str]) -> bool:
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # not a call of this architecture
        if library.seccomp_rule_add_array(context, action, number, 0, None) != 0:
            return False
    return True
