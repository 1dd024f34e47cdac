"""A bounded load over HTTP/1.1 with kept connections, on the loopback interface, and what it costs the server.

The client sends one request on each of its connections and then reads the answers, so that the server always has work.
The server's cost is its CPU time (user and system, of the process and its threads) from /proc, divided by the requests.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """``rate``: answers per second of the wall clock; ``cpu``: microseconds of the server's CPU time for each."""

    rate: float
    cpu: float
    answers: int

    @property
    def per_cpu_second(self) -> float:
        return 1e6 / self.cpu if self.cpu else float("inf")


def get(path: str) -> bytes:
    """A GET request as octets."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, media_type: str, body: bytes) -> bytes:
    """A POST request as octets."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(
    port: int, pids: Sequence[int], requests: Sequence[bytes], *, seconds: float = 2.0, connections: int = 32
) -> Load:
    """Ask ``requests`` one after the other, round and round, for ``seconds``. A bad answer is an AssertionError."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(connections)]
    try:
        for one in opened:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _round(opened, requests, 0)
        count = 0
        before, begin = cpu_of(pids), time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            count += _round(opened, requests, count)
        return Load(count / passed, (cpu_of(pids) - before) / count * 1e6, count)
    finally:
        for one in opened:
            one.close()


def best_load(port: int, pids: Sequence[int], requests: Sequence[bytes], *, rounds: int = 3) -> Load:
    """The round that cost the server least: neighbours make a round dearer (smaller batches, colder caches)."""
    return min((load(port, pids, requests, seconds=1.5) for _ in range(rounds)), key=lambda one: one.cpu)


def _round(opened: Sequence[socket.socket], requests: Sequence[bytes], start: int) -> int:
    for at, one in enumerate(opened):
        one.sendall(requests[(start + at) % len(requests)])
    for one in opened:
        _answer(one)
    return len(opened)


def _answer(one: socket.socket) -> None:
    data = one.recv(65536)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(one)
    head = data[:end].lower()
    assert head.startswith(b"http/1.1 200"), head
    at = head.index(b"content-length:") + len(b"content-length:")
    stop = head.find(b"\r\n", at)
    wanted = end + 4 + int(head[at : stop if stop >= 0 else end])
    while len(data) < wanted:
        data += _more(one)


def _more(one: socket.socket) -> bytes:
    data = one.recv(65536)
    assert data, "the server closed the connection"
    return data


def cpu_of(pids: Sequence[int]) -> float:
    """CPU seconds that these processes have used, with all their threads."""
    used = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / _TICK
    return used
