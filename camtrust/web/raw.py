"""Hot paths: raw ASGI applications at a path and below it, without the cost of the web framework."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Raw:
    """``app`` answers ``path`` and every path below it. It sees the whole path, and it is open to everybody."""

    path: str
    app: ASGIApp


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
