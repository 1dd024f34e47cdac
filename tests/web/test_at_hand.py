"""Answers at hand: what the application would say, written at once; whatever is not usual goes to the application."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from camtrust.server import listening
from camtrust.web.app import WebSettings, create_app
from camtrust.web.raw import Raw

LINES = b"content-type: text/plain\r\ncontent-length: %d\r\n"
MOST = 1000


class Hot:
    """A hot path that has an answer at hand where ``known`` is asked for, and says who answered."""

    most_octets = MOST

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.fails = False

    def at_hand(self, method: str, path: str, body: bytes) -> tuple[bytes, bytes] | None:
        if self.fails:
            raise ValueError("a defect")
        word = path.removeprefix("/hot/").encode() if method == "GET" else body
        content = b"memory " + word
        return (LINES % len(content), content) if word.startswith(b"known") else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.calls.append((scope["path"], body))
        content = b"application " + (scope["path"].removeprefix("/hot/").encode() if scope["method"] == "GET" else body)
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


@contextmanager
def served() -> Iterator[tuple[Hot, socket.socket]]:
    hot = Hot()
    app = create_app(
        WebSettings(public_url="http://127.0.0.1", version="0"), routers=[], raw=[Raw("/hot", hot, hot=True)]
    )
    with listening(app) as server, socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        yield hot, client


def answers(client: socket.socket, count: int, *, head: bool = False) -> list[tuple[bytes, bytes]]:
    """Head and content of so many answers."""
    data, found = b"", list[tuple[bytes, bytes]]()
    for _ in range(3 * count + 1000):
        before, end, after = data.partition(b"\r\n\r\n")
        size = int(before.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0) if end else 0
        size = 0 if head else size
        if end and len(after) >= size:
            found.append((before, after[:size]))
            data = after[size:]
            if len(found) == count:
                assert data == b""
                return found
        else:
            part = client.recv(65536)
            assert part, "closed"
            data += part
    raise AssertionError("no end of it")


def get(path: str, *fields: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", *fields, "", "")).encode()


def post(body: bytes, *fields: str) -> bytes:
    return get("/hot", f"Content-Length: {len(body)}", *fields, method="POST") + body


KNOWN, UNKNOWN = get("/hot/known"), get("/hot/other")


def test_it_is_answered_without_the_application() -> None:
    """A GET and a POST of what is at hand, on one connection, with the fields that every answer has, and counted."""
    with served() as (hot, client):
        for request in (KNOWN, post(b"known"), KNOWN):
            client.sendall(request)
            ((head, content),) = answers(client, 1)
            assert content == b"memory known"
            assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            assert b"\r\nx-content-type-options: nosniff" in head
        assert hot.calls == []
        client.sendall(get("/metrics"))
        ((_, page),) = answers(client, 1)
        assert b'camtrust_http_requests_total{method="GET",route="/hot",status="200"} 2' in page
        assert b'camtrust_http_requests_total{method="POST",route="/hot",status="200"} 1' in page


def test_the_rest_goes_to_the_application() -> None:
    """What is not at hand, other methods and other paths; and all of it where looking fails."""
    with served() as (hot, client):
        for request, path in ((UNKNOWN, "/hot/other"), (post(b"new"), "/hot"), (get("/hot"), "/hot")):
            client.sendall(request)
            assert answers(client, 1)[0][1].startswith(b"application ")
            assert hot.calls.pop()[0] == path
        client.sendall(get("/hot/known", method="HEAD"))
        answers(client, 1, head=True)
        assert hot.calls.pop()[0] == "/hot/known"
        client.sendall(get("/hotter/known"))
        assert answers(client, 1)[0][0].startswith(b"HTTP/1.1 404")
        hot.fails = True
        client.sendall(KNOWN)
        assert answers(client, 1)[0][1].startswith(b"application ")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_that_come_in_pieces_or_at_once(size: int) -> None:
    """Many requests on a connection, cut anywhere, with and without bodies: one answer for each, in their order."""
    known = [True, False, True, True, False, False, True] * 6
    words = [f"{'known' if one else 'new'}-{number}" for number, one in enumerate(known)]
    requests = [get(f"/hot/{word}") if at % 2 else post(word.encode()) for at, word in enumerate(words)]
    data = b"".join(requests)
    with served() as (hot, client):
        for at in range(0, len(data), size):
            client.sendall(data[at : at + size])
        told = [content.decode().rsplit(" ", 1) for _, content in answers(client, len(words))]
    assert [word for _, word in told] == words
    assert all(who == "application" for (who, _), one in zip(told, known, strict=True) if not one)
    assert len(hot.calls) == [who for who, _ in told].count("application")


def test_thousands_at_once_behind_a_slow_one() -> None:
    """Requests that wait behind one that the application answers are answered one by one, however many they are."""
    with served() as (_, client):
        client.sendall(UNKNOWN + KNOWN * 3000)
        assert len(answers(client, 3001)) == 3001


def test_a_body_that_is_too_long_reaches_the_application_at_once() -> None:
    """It is not collected: the application, which has its own limit, gets it as it comes."""
    with served() as (hot, client):
        body = b"x" * (3 * 65536)
        client.sendall(post(body))
        assert answers(client, 1)[0][1].startswith(b"application ")
        assert hot.calls == [("/hot", body)]


def test_an_announced_body_is_asked_for() -> None:
    """Expect: 100-continue: the application asks for the body before it has come."""
    with served() as (_, client):
        whole = post(b"known", "Expect: 100-continue")
        client.sendall(whole[:-5])
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(whole[-5:])
        assert answers(client, 1)[0][1].startswith(b"application ")


@pytest.mark.parametrize("request_", [get("/hot/known", "Connection: close"), get("/hot/known", version="1.0")])
def test_connections_that_end_with_the_answer(request_: bytes) -> None:
    """The application answers, says that the connection ends, and it ends."""
    with served() as (_, client):
        client.sendall(request_)
        ((head, _),) = answers(client, 1)
        assert b"\r\nconnection: close" in head
        assert client.recv(1) == b""


def test_a_client_that_goes_away_in_a_body() -> None:
    """Nothing is answered, and the server goes on."""
    with served() as (hot, client):
        client.sendall(post(b"known")[:-2])
        port = client.getpeername()[1]
        client.close()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as other:
            other.sendall(KNOWN)
            assert answers(other, 1)[0][1] == b"memory known"
        assert hot.calls == []
