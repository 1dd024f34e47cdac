"""No endpoint is served that does not say whom it lets in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts


class EndpointUnguarded(RuntimeError):
    """A defect of ours: an endpoint without guard. Often a guard that is a local name under postponed annotations."""


def marks(dependant: Dependant) -> Iterator[Any]:
    """The guards of an endpoint: every dependency, however deep, that says whom it lets in."""
    for dependency in dependant.dependencies:
        if hasattr(dependency.call, "camtrust_allows") or hasattr(dependency.call, "camtrust_public"):
            yield dependency.call
        yield from marks(dependency)


def require_guards(app: FastAPI) -> None:
    """Raise EndpointUnguarded for the first endpoint that neither has a guard nor says that it is public."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute) and not any(marks(context.dependant)):
            raise EndpointUnguarded(f"{sorted(context.methods or ())} {context.path}")
