"""The client's end of the wire: connections to the daemon, kept and used again, and what is sent again when one breaks.

Thread-safe: each request takes a connection from a pool, or opens one. Fork-safe: a child opens its own.

When a request is sent again: if the daemon cannot have got it whole (connecting or sending failed: a frame that is cut
off is never acted on), or if it only reads. What may have been acted on is never sent again; its fate is unknown and
the caller hears TokenUnavailable.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Mapping
from typing import Any

from foundation.keys.errors import DataInvalid, KeyStoreError, TokenUnavailable
from hsm_emulation.protocol import (
    HEADER,
    LONGEST_FRAME,
    Frame,
    FrameInvalid,
    decode,
    decode_values,
    encode,
    encode_plain,
    error_from,
    is_plain,
)
from hsm_emulation.tls import SCHEME, TlsIdentity, address, fingerprint, shown

_IDLE_CONNECTIONS = 16
_AT_ONCE = 1 << 16


class _Lost(Exception):
    """The connection broke. ``unseen``: before the daemon can have got the whole request."""

    def __init__(self, unseen: bool) -> None:
        super().__init__("connection lost")
        self.unseen = unseen


class _Pool:
    """This process's idle connections, each with the session it was opened for."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.idle: list[tuple[socket.socket, bytes]] = []

    def take(self, session: bytes | None) -> socket.socket | None:
        with self.lock:
            while self.idle:
                connection, opened_for = self.idle.pop()
                if opened_for == session:
                    return connection
                connection.close()
        return None

    def give(self, connection: socket.socket, session: bytes) -> None:
        with self.lock:
            if len(self.idle) < _IDLE_CONNECTIONS:
                self.idle.append((connection, session))
                return
        connection.close()

    def close(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, []
        for connection, _ in idle:
            connection.close()


class Wire:
    """Requests and answers. ``path``: the daemon's socket, or ``tls://host:port``, which needs ``tls``. ``timeout``:
    seconds to wait for an answer.
    """

    def __init__(self, path: str, timeout: float, tls: TlsIdentity | None = None) -> None:
        self._path, self._timeout, self._tls = path, timeout, tls
        if path.startswith(SCHEME) and tls is None:
            raise ValueError("tls:// needs a client's certificate and the daemon's")
        self._pool = _Pool()

    def ask(
        self, session: bytes | None, op: str, args: Mapping[str, Any], *, reads: bool, frame: Frame | None = None
    ) -> Any:
        """The value of the answer, or the error that it is. ``frame``: the operation's form without JSON.

        TokenUnavailable when there is no answer; DataInvalid for a request that is too long.
        """
        body = encode({"op": op, "args": args}) if frame is None else encode_plain(frame, args)
        if len(body) > LONGEST_FRAME:
            raise DataInvalid
        pool = self._own_pool()
        connection = pool.take(session)
        while connection is not None:
            try:
                answer = self._exchange(connection, body)
                break
            except _Lost as lost:
                if not (lost.unseen or reads):
                    raise TokenUnavailable from lost
                connection = pool.take(session)  # the daemon was restarted: all that were idle are broken
        else:
            connection = self._connect(session)
            try:
                answer = self._exchange(connection, body)
            except _Lost as lost:
                raise TokenUnavailable from lost
        opened_for = answer["ok"] if op in ("login", "login_quorum") and "ok" in answer else session
        if opened_for is None:
            connection.close()  # nobody is logged in on it
        else:
            pool.give(connection, opened_for)
        return _value(answer)

    def close(self) -> None:
        """Close what is idle."""
        self._own_pool().close()

    def _connect(self, session: bytes | None) -> socket.socket:
        connection = self._dial()
        try:
            if session is not None:
                _value(self._exchange(connection, encode({"op": "resume", "args": {"session": session}})))
        except (OSError, _Lost) as error:
            connection.close()
            raise TokenUnavailable from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _dial(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) if self._tls is None else None
        try:
            if connection is None:
                return self._dial_tls()
            _limit(connection, self._timeout)
            connection.connect(self._path)
        except OSError as error:
            if connection is not None:
                connection.close()
            raise TokenUnavailable from error
        return connection

    def _dial_tls(self) -> socket.socket:
        assert self._tls is not None  # noqa: S101
        plain = socket.create_connection(address(self._path), self._timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._tls.context().wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        if shown(connection) != fingerprint(self._tls.daemon):
            connection.close()
            raise TokenUnavailable
        return connection

    def _exchange(self, connection: socket.socket, body: bytes) -> dict[str, Any]:
        try:
            connection.sendall(len(body).to_bytes(HEADER, "big") + body)
        except OSError:
            connection.close()
            raise _Lost(unseen=True) from None
        except BaseException:
            connection.close()
            raise
        try:
            answer = self._receive(connection)
            if is_plain(answer):
                return {"ok": decode_values(answer)[1]}
            return decode(answer)
        except (OSError, FrameInvalid):
            connection.close()
            raise _Lost(unseen=False) from None
        except BaseException:
            connection.close()  # interrupted in the middle of an answer: nobody may read the rest of it as theirs
            raise

    def _receive(self, connection: socket.socket) -> bytes:
        """One answer: nothing may come after it, since nothing else was asked."""
        came = connection.recv(_AT_ONCE)
        end = HEADER + int.from_bytes(came[:HEADER], "big")
        if len(came) == end and len(came) > HEADER:
            return came[HEADER:]
        deadline = time.monotonic() + self._timeout
        whole = bytearray(came)
        while len(whole) < HEADER or len(whole) < (end := HEADER + int.from_bytes(whole[:HEADER], "big")):
            if not came or time.monotonic() > deadline:
                raise FrameInvalid("cut off")
            came = connection.recv(_AT_ONCE if len(whole) < _AT_ONCE else 1 << 20)
            whole += came
        if len(whole) != end or end > LONGEST_FRAME + HEADER:
            raise FrameInvalid("more than one answer")
        return bytes(whole[HEADER:])

    def _own_pool(self) -> _Pool:
        pool = self._pool
        if pool.pid != os.getpid():
            for connection, _ in pool.idle:
                connection.close()  # this process's copies of the parent's descriptors
            pool = self._pool = _Pool()
        return pool


def _limit(connection: socket.socket, seconds: float) -> None:
    """Let the kernel end calls that wait: a timeout of Python's costs a second system call each time."""
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, limit)


def _value(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        error: KeyStoreError = error_from(answer["error"])
        raise error
    return answer["ok"]
