"""Hot paths: raw ASGI applications at a path and below it, without the cost of the web framework."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.http.trace import RequestCounter

_log = logging.getLogger(__name__)

_HEADERS = [(b"x-content-type-options", b"nosniff")]


@dataclass(frozen=True)
class Raw:
    """``app`` answers ``path`` and every path below it. It sees the whole path, and it is open to everybody.

    ``hot``: it is asked before any middleware, limits what it reads, and never raises: see :class:`HotPaths`.
    """

    path: str
    app: ASGIApp
    hot: bool = False


class HotPaths:
    """ASGI middleware, outermost: answers the hot paths at once; everything else goes on as if it was not there.

    What is asked there (whose certificate, which digest) is nobody's business: it is counted, and not logged. Paths of
    one segment, and all that is below them.
    """

    def __init__(self, app: ASGIApp, raw: Sequence[Raw], counter: RequestCounter) -> None:
        self._app = app
        self._hot = {one.path: one.app for one in raw if one.hot}
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            end = path.find("/", 1)
            place = path if end < 0 else path[:end]
            app = self._hot.get(place)
            if app is not None:
                await self._answer(app, place, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, app: ASGIApp, place: str, scope: Scope, receive: Receive, send: Send) -> None:
        status, started = 0, time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            await app(scope, receive, counted)
        except Exception:  # a defect of ours; its text may quote what was asked
            _log.error("hot path %s failed", place)
            if status == 0:
                await counted({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._counter.count(scope["method"], place, status or 500, time.perf_counter() - started)


class RawRoute(BaseRoute):
    """A :class:`Raw` as a route. Unlike a mount it takes ``/ocsp`` without a redirect to ``/ocsp/``."""

    camtrust_public = True

    def __init__(self, raw: Raw) -> None:
        self.path = raw.path.rstrip("/")
        self.path_format = self.path
        self.app = raw.app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        path = scope["path"]
        if path == self.path or path.startswith(self.path + "/"):
            return Match.FULL, {"camtrust.route": self.path}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: object) -> NoMatchFound:  # type: ignore[override]
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
