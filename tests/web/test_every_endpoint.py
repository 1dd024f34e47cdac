"""No endpoint lets in anybody but whom it says."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends

from camtrust.web.guarded import EndpointUnguarded
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import public
from tests.web.endpoint_walk import endpoints, walk
from tests.web.world import World


def test_every_endpoint_refuses_every_other_actor(world: World) -> None:
    """Each guarded endpoint answers 401 without a credential and 403 to every kind of actor it does not name, and to
    actors of the right kind that lack the role."""
    found = walk(world.app(), world.credential)
    assert found.guarded >= 6
    assert found.refusals >= found.guarded * 4
    assert found.public >= 6


def test_an_endpoint_without_a_guard_is_never_served(world: World) -> None:
    """An endpoint that declares nothing stops the assembly, and fails the walk, so that nobody forgets the guard."""
    router = APIRouter()
    router.add_api_route("/forgotten", lambda: "open", methods=["GET"])
    with pytest.raises(EndpointUnguarded, match="/forgotten"):
        world.app([router])
    app = world.app()
    app.include_router(router)
    with pytest.raises(AssertionError, match="/forgotten"):
        walk(app, world.credential)


def test_the_walk_finds_a_guard_that_lets_others_in(world: World) -> None:
    """The walk fails for an endpoint whose guard names officers but lets persons pass."""
    lax = world.guard.any_of({ActorKind.OFFICER: None, ActorKind.PERSON: None})
    lax.camtrust_allows = {"officer": None}  # type: ignore[attr-defined]
    router = APIRouter()

    def endpoint(actor: Annotated[Actor, Depends(lax)]) -> str:
        return str(actor)

    router.add_api_route("/lax", endpoint, methods=["GET"])
    with pytest.raises(AssertionError, match="answered 200 to a person"):
        walk(world.app([router]), world.credential)


def test_guards_are_found_wherever_they_stand(world: World) -> None:
    """A guard declared on the router, on the route or inside another dependency is a guard."""
    officer = world.guard.officer("ekyc-review")

    def nested(actor: Annotated[Actor, Depends(officer)]) -> str:
        return str(actor)

    on_router = APIRouter(prefix="/router", dependencies=[Depends(officer)])
    on_router.add_api_route("", lambda: "", methods=["GET"])
    inside = APIRouter(prefix="/inside")
    inside.add_api_route("", lambda who: who, methods=["GET"], dependencies=[Depends(nested)])
    open_router = APIRouter(prefix="/open", dependencies=[Depends(public)])
    open_router.add_api_route("", lambda: "", methods=["GET"])
    found = {item.path: item.allowed for item in endpoints(world.app([on_router, inside, open_router]))}
    assert found["/router"] == found["/inside"] == {"officer": "ekyc-review"}
    assert found["/open"] is None
