"""Signposts before the routers: a router is asked about addresses that may be its own, and about no others."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.routing import Match
from starlette.testclient import TestClient
from starlette.types import Scope

from camtrust.web.signposts import Signpost


class Counted(APIRouter):
    """A router that knows how often it was asked."""

    asked = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.asked += 1
        return super().matches(scope)


def test_who_is_asked() -> None:
    """Addresses with parameters, of routers inside routers, and of the wrong method are found as without signposts;
    what cannot be a router's own does not reach it."""
    near, far, inner = Counted(prefix="/near"), Counted(prefix="/far"), APIRouter(prefix="/deep")
    near.get("/things/{name}")(lambda name: {"name": name})
    inner.get("/{one}/end")(lambda one: {"one": one})
    far.include_router(inner)
    far.post("/only-post")(lambda: {})
    app = FastAPI(redirect_slashes=False)
    for router in (near, far):
        app.include_router(Signpost(router))
    with TestClient(app) as client:
        assert client.get("/near/things/a%20b").json() == {"name": "a b"}
        assert (near.asked > 0, far.asked) == (True, 0)
        assert client.get("/far/deep/x/end").json() == {"one": "x"}
        assert client.get("/far/only-post").status_code == 405
        before = (near.asked, far.asked)
        for absent in ("/", "/nea", "/near/thing", "/farther", "/elsewhere/far/deep/x/end"):
            assert client.get(absent).status_code == 404
        assert (near.asked, far.asked) == before
