"""The door's socket: who may come in, frames and their bounds, a thread for each program.

A connection begins with an octet each way, the protocol's version. A frame is three numbers of 32 bits (one that the
answer repeats, how many octets of options, how many of the message) and those octets. What is none ends its connection
alone.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from foundation.keys.errors import TokenInUse
from foundation.keys.exposed import SocketExposed
from hsm_emulation.client import HsmClient
from hsm_emulation.peers import peer
from hsm_emulation.pkcs11_door.application import Application
from hsm_emulation.pkcs11_door.messages import (
    MessageInvalid,
    Refused,
    call_number,
    decode_request,
    encode_error,
    encode_response,
)
from hsm_emulation.pkcs11_door.names import CALLS

_log = logging.getLogger("camtrust.hsm")

VERSION = b"\0"
_HEADER = struct.Struct(">III")
_LONGEST_MESSAGE = 1 << 20
_LONGEST_OPTIONS = 1 << 12
_CONNECTIONS = 32
_WITHIN = 10.0  # seconds for the first octet, and for a frame that has begun
_IDLE = 3600.0  # seconds between frames; then the program is logged out
_LAST_WORDS = 5.0  # seconds for the threads to log out at the end


class Door:
    """Listens at ``path`` for programs of this user and of root; ``token`` is the key daemon's socket.

    SocketExposed where others than this user could reach the socket's directory; TokenInUse where somebody listens.
    """

    def __init__(self, token: Path, path: Path) -> None:
        self._token = token
        self._free = threading.Semaphore(_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._stopping = False
        self.path = path
        self._listener = _listen(path)

    def serve(self) -> None:
        """Until ``stop`` is called."""
        while True:
            try:
                plug, _ = self._listener.accept()
            except OSError:
                if self._stopping:
                    break
                time.sleep(0.05)  # out of file descriptors, say
                continue
            if peer(plug) not in (os.geteuid(), 0) or not self._free.acquire(blocking=False):
                plug.close()
                continue
            thread = threading.Thread(target=self._talk, args=(plug,), name="pkcs11-door", daemon=True)
            with self._lock:
                self._open[plug] = thread
            thread.start()
        self._end()

    def stop(self) -> None:
        """May be called in a signal's handler."""
        self._stopping = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        self._listener.close()
        self.path.unlink(missing_ok=True)
        with self._lock:
            left = list(self._open.items())
        for plug, _ in left:
            with suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + _LAST_WORDS
        for _, thread in left:
            thread.join(max(0.0, end - time.monotonic()))

    def _talk(self, plug: socket.socket) -> None:
        application = Application(HsmClient(self._token))
        try:
            if _take(plug, 1, time.monotonic() + _WITHIN) != VERSION:
                return
            plug.sendall(VERSION)
            while (frame := _frame(plug)) is not None:
                code, message = frame
                answer = _answer(application, message)
                plug.settimeout(_WITHIN)
                plug.sendall(_HEADER.pack(code, 0, len(answer)) + answer)
        except (OSError, MessageInvalid) as error:
            _log.info("a PKCS#11 program's connection ended: %s", type(error).__name__)
        except Exception as error:
            _log.error("a PKCS#11 program's connection failed: %s", type(error).__name__)
        finally:
            plug.close()
            with suppress(Exception):
                application.close()
            with self._lock:
                self._open.pop(plug, None)
            self._free.release()


def _answer(application: Application, message: bytes) -> bytes:
    number = call_number(message)
    if number not in CALLS:
        return encode_error("CKR_FUNCTION_NOT_SUPPORTED")
    try:
        return encode_response(number, application.call(number, decode_request(message)))
    except Refused as refused:
        return encode_error(refused.name)


def _frame(plug: socket.socket) -> tuple[int, bytes] | None:
    """The next one; None at the end. MessageInvalid for one that is too long; OSError when it takes too long."""
    plug.settimeout(_IDLE)
    first = plug.recv(1)
    if not first:
        return None
    end = time.monotonic() + _WITHIN
    code, options, length = _HEADER.unpack(first + _take(plug, _HEADER.size - 1, end))
    if code == 0 or options > _LONGEST_OPTIONS or length > _LONGEST_MESSAGE:
        raise MessageInvalid
    return code, _take(plug, options + length, end)[options:]


def _take(plug: socket.socket, count: int, end: float) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        plug.settimeout(max(0.001, end - time.monotonic()))
        part = plug.recv(count - len(taken))
        if not part:
            raise ConnectionResetError
        taken += part
    return bytes(taken)


def _listen(path: Path) -> socket.socket:
    """Bind (0600) in a directory that is ours alone; it is made where there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = path.parent.stat()
    if there.st_uid != os.geteuid() or stat.S_IMODE(there.st_mode) & 0o077:
        raise SocketExposed(directory=str(path.parent))
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Take away a socket that a door left which was killed. TokenInUse where one listens; OSError for another file."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise TokenInUse
