"""Ports of the loopback interface that are named first and listened on later.

A port that the system picks (port 0) is one that it gives to outgoing connections as well: between the choice and the
listening, and whenever a server is started again on it, any connection of any program may have it. Those below that
range are taken only by who names them.
"""

from __future__ import annotations

import secrets
import socket

_FROM, _UNTIL = 10_000, 32_000  # outgoing connections begin at 32768 (ip_local_port_range, tcp(7))


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection gets by chance."""
    for _ in range(100):
        port = _FROM + secrets.randbelow(_UNTIL - _FROM)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no free port in a hundred tries")
