"""The key daemon: a token behind a Unix socket. A thread a connection, bounded; no client's input stops it."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import select
import socket
import struct
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from foundation.clock import Clock
from foundation.keys.errors import DataInvalid, TokenInUse, TokenNotInitialised, TokenUnavailable
from foundation.randomness import Randomness
from hsm_emulation.operations import Conversation
from hsm_emulation.protocol import (
    FRAME_BEFORE_LOGIN,
    LONGEST_FRAME,
    FrameInvalid,
    decode,
    encode,
    error_value,
    receive_frame,
    send_frame,
)
from hsm_emulation.store import FILE, Store
from hsm_emulation.token import Token

_log = logging.getLogger("camtrust.hsm")

SOCKET = "hsm.sock"
_LOCK = "daemon.lock"
_LONGEST_ADDRESS = 107  # sockaddr_un.sun_path without its closing zero
_CONNECTIONS = 128
_WITHIN = 10.0  # seconds for one frame, in or out
_STRANGER_IDLE = 10.0  # seconds for a connection to say something while nobody is logged in on it
_TICK = 30.0


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


class Daemon:
    """Serves one token. ``serve`` runs until ``stop``; both may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        randomness: Randomness | None = None,
        hardening: Mapping[str, bool] | None = None,
    ) -> None:
        """Take the token: TokenNotInitialised where there is none, TokenInUse when another daemon has it."""
        if not (directory / FILE).exists():
            raise TokenNotInitialised
        self._lock = _take_lock(directory)
        try:
            self.token = Token(Store(directory), clock, randomness)
            self.socket_path = socket_path(directory)
            self._listener = _listen(self.socket_path)
        except BaseException:
            os.close(self._lock)
            raise
        self._status: dict[str, Any] = {
            "emulated": True,
            "serial": self.token.serial,
            "pid": os.getpid(),
            **(hardening or {}),
        }
        self._stopping = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._open_lock = threading.Lock()

    def serve(self) -> None:
        """Accept connections until :meth:`stop`; then end them, write what is waiting, and let the token go."""
        wait = select.poll()
        wait.register(self._listener, select.POLLIN)
        wait.register(self._woken, select.POLLIN)
        try:
            while not self._stopping.is_set():
                if not wait.poll(_TICK * 1000):
                    self.token.sessions.drop_abandoned()
                    continue
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    continue  # gone again, or we were woken to stop
                except OSError:
                    self._stopping.wait(0.1)  # out of descriptors, say: others will close theirs
                    continue
                self._welcome(connection)
        finally:
            self._end()

    def stop(self) -> None:
        """Ask :meth:`serve` to come back."""
        self._stopping.set()
        with suppress(OSError):
            self._wake.send(b"\0")

    def _welcome(self, connection: socket.socket) -> None:
        if not _is_ours(connection):
            connection.close()
            return
        thread = threading.Thread(target=self._talk, args=(connection,), name="hsm-connection", daemon=True)
        with self._open_lock:
            full = len(self._open) >= _CONNECTIONS
            if not full:
                self._open[thread] = connection
        if full:
            _say(connection, {"error": error_value(TokenUnavailable(retry_after=1))})
            connection.close()
            return
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._forget(thread, connection)

    def _talk(self, connection: socket.socket) -> None:
        conversation = Conversation(self.token, self._status)
        try:
            while not self._stopping.is_set():
                known = conversation.logged_in
                body = receive_frame(
                    connection,
                    longest=LONGEST_FRAME if known else FRAME_BEFORE_LOGIN,
                    within=_WITHIN,
                    idle=None if known else _STRANGER_IDLE,
                )
                if body is None:
                    break
                send_frame(connection, encode(conversation.answer(decode(body))), _WITHIN)
        except FrameInvalid:
            _say(connection, {"error": error_value(DataInvalid())})
        except OSError:
            pass  # gone, or too slow
        finally:
            conversation.close()
            self.token.store.release()
            self._forget(threading.current_thread(), connection)

    def _forget(self, thread: threading.Thread, connection: socket.socket) -> None:
        with self._open_lock:
            self._open.pop(thread, None)
        connection.close()

    def _end(self) -> None:
        self._stopping.set()
        for one in (self._listener, self._wake, self._woken):
            one.close()
        self.socket_path.unlink(missing_ok=True)
        with self._open_lock:
            threads = list(self._open.items())
        for _, connection in threads:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # what was asked is still answered
        for thread, _ in threads:
            thread.join(_WITHIN)
        self.token.close()
        os.close(self._lock)

    def __enter__(self) -> Daemon:
        """Serve in a thread of this process (tests, and programs that keep the token themselves)."""
        self._thread = threading.Thread(target=self.serve, name="hsm-daemon", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()


def _take_lock(directory: Path) -> int:
    """An exclusive lock on the directory's lock file; the kernel lets it go when the process ends, however it ends."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise TokenInUse from None
    return descriptor


def _listen(path: Path) -> socket.socket:
    """Bind inside a directory that is ours alone: others cannot even look the socket up."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    there = path.parent.lstat()
    if there.st_uid != os.geteuid() or not path.parent.is_dir() or path.parent.is_symlink():
        raise TokenUnavailable
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)  # left by a daemon that was killed; we hold its lock now
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o660)
        listener.listen(_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _is_ours(connection: socket.socket) -> bool:
    """SO_PEERCRED: the same user as the daemon's, or root."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (os.geteuid(), 0)


def _say(connection: socket.socket, answer: dict[str, Any]) -> None:
    with suppress(OSError):
        send_frame(connection, encode(answer), 1.0)
