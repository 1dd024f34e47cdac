"""The daemon's door for other machines: a process that speaks TLS and holds no key of the token.

It checks the certificate that is shown, hands the accepting process one end of a pair of sockets with the roles of that
certificate, and passes octets between the two. What the worker allows a connection, and for how long, is the same as at
the Unix socket. Whoever finds a fault in TLS is in a process that can ask, as its clients can, and no more.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
from contextlib import suppress

from foundation.keys.errors import TokenUnavailable
from hsm_emulation.peers import mask_of
from hsm_emulation.tls import TlsServer, shown

_log = logging.getLogger("camtrust.hsm")

_CONNECTIONS = 64
_WITHIN = 10.0  # seconds for a handshake, and for a record
_AT_ONCE = 1 << 16


class Gateway:
    """``intake``: where handed ends go, and at whose end this ends."""

    def __init__(self, server: TlsServer, listener: socket.socket, intake: socket.socket) -> None:
        self._context, self._roles = server.context(), server.roles()
        self._listener, self._intake = listener, intake
        self._free = threading.Semaphore(_CONNECTIONS)
        self._handing = threading.Lock()

    def run(self) -> None:
        """Serve until the other end of the intake is closed."""
        wait = select.poll()
        wait.register(self._listener, select.POLLIN)
        wait.register(self._intake, 0)
        while True:
            for descriptor, _ in wait.poll():
                if descriptor == self._intake.fileno():
                    return
                with suppress(OSError):
                    plug, _ = self._listener.accept()
                    self._welcome(plug)

    def _welcome(self, plug: socket.socket) -> None:
        if not self._free.acquire(blocking=False):
            plug.close()
            return
        threading.Thread(target=self._talk, args=(plug,), name="hsm-tls", daemon=True).start()

    def _talk(self, plug: socket.socket) -> None:
        try:
            plug.settimeout(_WITHIN)
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._context.wrap_socket(plug, server_side=True) as outside:
                roles = self._roles.get(shown(outside))
                if roles is None:  # issued by one of the allowed, and itself not among them
                    return
                inside, handed = socket.socketpair()
                with inside:
                    with handed, self._handing:
                        socket.send_fds(self._intake, [bytes([mask_of(roles)])], [handed.fileno()])
                    inside.settimeout(_WITHIN)
                    _pass_on(outside, inside)
        except (OSError, TokenUnavailable) as error:
            _log.info("a TLS connection ended: %s", type(error).__name__)
        finally:
            plug.close()
            self._free.release()


def _pass_on(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    """Octets both ways until one side ends."""
    wait = select.poll()
    wait.register(outside, select.POLLIN)
    wait.register(inside, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in wait.poll()}
        if outside.fileno() in ready:
            octets = outside.recv(_AT_ONCE)
            while octets and outside.pending():
                inside.sendall(octets)
                octets = outside.recv(_AT_ONCE)
            if not octets:
                return
            inside.sendall(octets)
        if inside.fileno() in ready:
            octets = inside.recv(_AT_ONCE)
            if not octets:
                return
            outside.sendall(octets)
