"""How much a request may bring: counted while it comes, whatever its headers say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.http.errors import BodyTooLarge, Carried
from foundation.http.problems import Problems

DEFAULT_LIMIT = 1024 * 1024
LINGER_OCTETS = 64 * 1024 * 1024
LINGER_SECONDS = 5.0
LINGER_SILENCE = 1.0


class BodyLimit:
    """ASGI middleware: refuses bodies over ``limit`` octets, or over that of the longest matching prefix in ``larger``
    (in which a segment ``*`` stands for any one).

    A request that announces too much is refused before it is read; one that announces nothing (chunked) or too little
    is cut off at the limit. Either way the answer is 413 at once, and the connection is closed. Before it is closed,
    what the client still sends is read and thrown away (RFC 9112, 9.6: closed on unread octets, the connection is
    reset and the client loses the answer), for no more than ``LINGER_OCTETS``, ``LINGER_SECONDS``, or
    ``LINGER_SILENCE`` without an octet.
    """

    def __init__(
        self, app: ASGIApp, problems: Problems, limit: int = DEFAULT_LIMIT, larger: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._problems = problems
        self._limit = limit
        self._larger = sorted((larger or {}).items(), key=lambda item: len(item[0]), reverse=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_for(scope["path"])
        if _announced(scope) > limit:
            await self._refuse(limit, scope, receive, send)
            return
        taken, exceeded, started, ended = 0, False, False, False

        async def counted() -> Message:
            nonlocal taken, exceeded, ended
            message = await receive()
            ended = not message.get("more_body", False)
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > limit:
                    exceeded = True
                    raise Carried(BodyTooLarge(limit), 413)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if exceeded and not started:
                return  # whatever the application made of the cut-off body, the answer is ours, below
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except Carried:
            if not exceeded:
                raise
        if exceeded and not started:
            await self._refuse(limit, scope, receive, send, ended=ended)

    def _limit_for(self, path: str) -> int:
        segments = path.split("/")
        for prefix, limit in self._larger:
            wanted = prefix.rstrip("/").split("/")
            if len(segments) >= len(wanted) and all(a in ("*", b) for a, b in zip(wanted, segments, strict=False)):
                return limit
        return self._limit

    async def _refuse(self, limit: int, scope: Scope, receive: Receive, send: Send, *, ended: bool = False) -> None:
        response = await self._problems.answer(scope, BodyTooLarge(limit))
        response.headers["Connection"] = "close"

        async def answered(message: Message) -> None:
            """The whole answer goes out; the server, which closes the connection at its end, is not told of it yet."""
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await response(scope, receive, answered)
        if not ended:
            await _throw_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    """Reads to the end of the request, or to the first of the bounds."""
    taken, more = 0, True
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while more and taken < LINGER_OCTETS:
                message = await asyncio.wait_for(receive(), LINGER_SILENCE)
                taken += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
