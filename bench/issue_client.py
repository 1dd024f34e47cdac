"""A client that keeps connections busy: each has one request under way, and gets the next when its answer is there."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True)
class Driven:
    """``rate``: answers a second of the wall clock; ``cpu``: CPU seconds of this client."""

    answers: int
    seconds: float
    cpu: float
    last: bytes

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def drive(ports: Sequence[int], requests: Iterator[bytes], connections: int, seconds: float) -> Driven:
    """Ask at these ports in turn, until the time is over or no request is left.

    AssertionError for an answer that is not 200 or 201.
    """
    count, last = 0, b""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        begin, cpu = time.perf_counter(), time.process_time()
        end = begin + seconds
        for number in range(connections):
            place = ("127.0.0.1", ports[number % len(ports)])
            one = stack.enter_context(socket.create_connection(place, timeout=60))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one, selectors.EVENT_READ, bytearray())
            one.sendall(next(requests))
        busy = connections
        while busy:
            events = selector.select(60)
            assert events, "no answer for a minute"
            for key, _ in events:
                received: bytearray = key.data
                connection: socket.socket = key.fileobj  # type: ignore[assignment]
                part = connection.recv(1 << 20)
                assert part, "the server closed the connection"
                received += part
                if not _whole(received):
                    continue
                assert received[9:12] in (b"200", b"201"), bytes(received[:2000])
                count, last = count + 1, bytes(received)
                received.clear()
                following = next(requests, None) if time.perf_counter() < end else None
                if following is None:
                    busy -= 1
                else:
                    connection.sendall(following)
        return Driven(count, time.perf_counter() - begin, time.process_time() - cpu, last)


def _whole(received: bytearray) -> bool:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(received[:end]).lower()
    at = head.find(b"content-length:")
    if at < 0:  # cfssl writes longer answers in chunks
        return received.endswith(b"0\r\n\r\n")
    stop = head.find(b"\r\n", at)
    return len(received) >= end + 4 + int(head[at + 15 : stop if stop >= 0 else end])


def post(path: str, body: bytes, headers: Sequence[str] = ()) -> bytes:
    """A POST of JSON, as octets."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
