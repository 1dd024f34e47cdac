"""Where a token's daemon listens, and that there is one daemon a token."""

from __future__ import annotations

import fcntl
import grp
import hashlib
import os
import socket
import tempfile
import time
from pathlib import Path

from foundation.keys.errors import TokenInUse, TokenUnavailable
from hsm_emulation.tls import TlsServer

SOCKET = "hsm.sock"
BACKLOG = 128
_LOCK = "daemon.lock"
_LONGEST_ADDRESS = 107  # sockaddr_un.sun_path without its closing zero
_LAST_WORKERS = 5.0  # seconds for the workers of a daemon that was killed to be gone too


def socket_path(directory: Path) -> Path:
    """Where the daemon of this token listens: in its directory, or, when that path is too long for a Unix socket, in
    a private directory named after the path's hash under XDG_RUNTIME_DIR or the temporary directory.
    """
    path = directory.resolve() / SOCKET
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        return path
    name = f"camtrust-hsm-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}"
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 (0700 and owner checked)
        if base and len(os.fsencode(other := Path(base) / name / SOCKET)) <= _LONGEST_ADDRESS:
            return other
    raise TokenUnavailable


def take_lock(directory: Path) -> int:
    """An exclusive lock on the directory's lock file; the kernel lets it go when the last process that has it ends.

    TokenInUse at once while the daemon that has it lives. Where that was killed, its workers have the lock a moment
    longer: they are waited for.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _LAST_WORKERS
        while not _locked(descriptor):
            if _runs(os.pread(descriptor, 20, 0)) or time.monotonic() > deadline:
                raise TokenInUse
            time.sleep(0.01)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def listen(path: Path, *, private: bool, group: str | None) -> socket.socket:
    """Bind. ``private``: inside a directory that is ours alone, so that others cannot even look the socket up;
    otherwise the directory is as it was made, and ``group`` may connect (0660).
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    there = path.parent.lstat()
    if there.st_uid != os.geteuid() or not path.parent.is_dir() or path.parent.is_symlink():
        raise TokenUnavailable
    if private:
        path.parent.chmod(0o700)
    path.unlink(missing_ok=True)  # left by a daemon that was killed; we hold its lock now
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def listen_for_tls(server: TlsServer) -> socket.socket:
    """Bind for other machines; their certificates are looked at later. OSError when it cannot be had."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listener = socket.create_server((server.host, server.port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(written: bytes) -> bool:
    """Whether the process that wrote its id here lives."""
    try:
        os.kill(int(written), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
