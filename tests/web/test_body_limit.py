"""A request can bring only so much, whatever it announces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, Request
from starlette.types import Message, Receive, Scope, Send

from camtrust.web.raw import Raw
from foundation.http import body
from foundation.http.body import BodyLimit
from foundation.http.guard import public
from foundation.http.problems import Problems
from tests.web.world import World

LIMIT = 1000
CHUNK = 250


def taking() -> list[APIRouter]:
    """Endpoints that read a whole body: raw, and as JSON."""
    router = APIRouter(dependencies=[Depends(public)])

    async def raw_body(request: Request) -> int:
        return len(await request.body())

    def json_body(body: dict[str, Any]) -> int:
        return len(body)

    router.add_api_route("/raw", raw_body, methods=["POST"])
    router.add_api_route("/json", json_body, methods=["POST"])
    router.add_api_route("/documents/new", raw_body, methods=["POST"])
    return [router]


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // CHUNK):
        yield b"x" * CHUNK


@pytest.mark.parametrize("path", ["/raw", "/json"])
def test_a_chunked_body_is_cut_off_at_the_limit(world: World, path: str) -> None:
    """A body that announces no length is counted while it streams; above the limit the answer is 413, once, and the
    refusal is in the audit trail."""
    client = world.client(taking(), body_limit=LIMIT)
    headers = {"Content-Type": "application/json"}
    answer = client.post(path, content=chunks(LIMIT + CHUNK), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "foundation.body_too_large")
    assert str(LIMIT) in answer.json()["detail"]
    assert answer.headers["connection"] == "close"
    assert [event["code"] for event in world.refusals()] == ["foundation.body_too_large"]


def test_a_body_of_exactly_the_limit_passes(world: World) -> None:
    """The limit itself is allowed, announced or not."""
    client = world.client(taking(), body_limit=LIMIT)
    assert client.post("/raw", content=b"x" * LIMIT).json() == LIMIT
    assert client.post("/raw", content=chunks(LIMIT)).json() == LIMIT


def test_an_announced_body_is_refused_before_it_is_read(world: World) -> None:
    """Content-Length above the limit is refused without reading one octet."""
    reads = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reads
        reads += 1

    client = world.client(raw=[Raw("/hot", app)], body_limit=LIMIT)
    assert client.post("/hot", content=b"x" * (LIMIT + 1)).status_code == 413
    assert reads == 0


def test_a_hot_path_that_swallows_the_cut_is_overruled(world: World) -> None:
    """A raw application that catches everything and answers 200 does not get its answer out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            try:
                message: Message = await receive()
                more = message.get("more_body", False)
            except Exception:
                more = False
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    client = world.client(raw=[Raw("/hot", app)], body_limit=LIMIT)
    assert client.post("/hot", content=chunks(LIMIT + CHUNK)).status_code == 413
    assert client.post("/hot", content=chunks(LIMIT)).text == "fine"


def test_documents_may_be_larger_where_the_settings_say_so(world: World) -> None:
    """A larger limit holds below its own path alone."""
    client = world.client(taking(), body_limit=LIMIT, larger_bodies={"/documents": 3 * LIMIT})
    assert client.post("/documents/new", content=b"x" * 3 * LIMIT).json() == 3 * LIMIT
    assert client.post("/documents/new", content=b"x" * (3 * LIMIT + 1)).status_code == 413
    assert client.post("/raw", content=b"x" * (LIMIT + 1)).status_code == 413


def test_a_larger_limit_below_any_one_segment(world: World) -> None:
    """``*`` stands for one segment of the address, neither for none nor for two."""
    client = world.client(taking(), body_limit=LIMIT, larger_bodies={"/*/new": 3 * LIMIT})
    assert client.post("/documents/new", content=b"x" * 2 * LIMIT).json() == 2 * LIMIT
    assert client.post("/raw", content=b"x" * 2 * LIMIT).status_code == 413
    deep = world.client(taking(), body_limit=LIMIT, larger_bodies={"/*": 3 * LIMIT, "/*/*": LIMIT})
    assert deep.post("/documents/new", content=b"x" * 2 * LIMIT).status_code == 413


def refused_after(messages: Iterator[Message], headers: list[tuple[bytes, bytes]]) -> list[str]:
    """What happened, in order: octets that were read, parts of the answer that were sent. Silence after the last."""
    events: list[str] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError
        events.append("read")
        return message

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            events.append(str(message["status"]))
        else:
            events.append("part" if message.get("more_body", False) else "end")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b"", "state": {}}
    asyncio.run(BodyLimit(reading, Problems(None), limit=LIMIT)(scope, receive, send))
    return events


def parts(count: int, *, ends: bool = True) -> Iterator[Message]:
    for number in range(count):
        yield {"type": "http.request", "body": b"x" * LIMIT, "more_body": not ends or number + 1 < count}


ANNOUNCED = [(b"content-length", b"4000")]


@pytest.mark.parametrize(("headers", "before"), [([], 2), (ANNOUNCED, 0)])
def test_the_rest_is_read_before_the_connection_is_closed(headers: list[tuple[bytes, bytes]], before: int) -> None:
    """The answer is out at the limit; its end, at which the server closes, waits for the client to be through."""
    expected = ["read"] * before + ["413", "part"] + ["read"] * (4 - before) + ["end"]
    assert refused_after(parts(4), headers) == expected


def test_a_client_that_never_ends_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The octets that are thrown away are bounded, and so is the wait for the next one."""
    monkeypatch.setattr(body, "LINGER_OCTETS", 3 * LIMIT)
    assert refused_after(parts(100, ends=False), ANNOUNCED) == ["413", "part", "read", "read", "read", "end"]
    monkeypatch.setattr(body, "LINGER_SILENCE", 0.01)
    monkeypatch.setattr(body, "LINGER_SECONDS", 3600)
    assert refused_after(parts(1, ends=False), ANNOUNCED) == ["413", "part", "read", "end"]


def test_a_client_that_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An octet now and then does not keep the connection beyond the time for all of them."""
    monkeypatch.setattr(body, "LINGER_SECONDS", 0.01)
    monkeypatch.setattr(body, "LINGER_SILENCE", 3600)
    assert refused_after(parts(1, ends=False), ANNOUNCED) == ["413", "part", "read", "end"]
