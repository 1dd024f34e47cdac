"""Signposts before the routers: a router is asked only about addresses that begin as one of its own does.

The framework asks each endpoint in turn, by a regular expression, and there are hundreds: a request for the last of
them spent as much on finding it as on signing a document.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import Scope


class Signpost(APIRouter):
    """A router with what it holds, as it is when this is made."""

    def __init__(self, router: APIRouter) -> None:
        super().__init__()
        self.include_router(router)
        # What stands before the first parameter of an address is a part of every address that it matches.
        self._beginnings = tuple({(one.path or "").partition("{")[0] for one in iter_route_contexts(self.routes)})

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if not scope["path"].startswith(self._beginnings):
            return Match.NONE, {}
        return super().matches(scope)
