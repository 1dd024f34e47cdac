"""Endpoints that are asked very often, answered without FastAPI's solving of dependencies: most of a request's cost.

A direct endpoint is declared like every other one: its guard, its models and its place in the OpenAPI document are
FastAPI's. :func:`direct` says beside it how the same answer is made from the request alone. The web assembly puts
a :class:`DirectRoute` before all routers: inside all middleware, with the same problem documents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

Answer = Callable[[Request], Awaitable[Response]]
Model = TypeVar("Model", bound=BaseModel)
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

JSON, FORM = b"application/json", b"multipart/form-data; boundary="
"""How the content types begin of what is answered directly. JSON is that and no more."""


def direct(answer: Answer, content: bytes = JSON) -> Callable[[Endpoint], Endpoint]:
    """Decorates an endpoint that takes ``content`` in a POST: ``answer`` asks the same guard and answers the same."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.camtrust_direct = (answer, content)  # type: ignore[attr-defined]
        return endpoint

    return mark


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as a model. Raises RequestValidationError, with the words that FastAPI has for it."""
    body = await request.body()
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "", "input": None}])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]
        for item in found:
            if item["type"] == "model_type":  # FastAPI asks pydantic about what it has read, not about the octets
                item["type"] = "model_attributes_type"
        raise RequestValidationError(found) from None


class DirectRoute(BaseRoute):
    """A POST of this content to exactly this path; anything else there is left to the endpoint as declared."""

    def __init__(self, path: str, answer: Answer, content: bytes) -> None:
        self.path = self.path_format = path
        self._answer, self._content = answer, content

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if (
            scope["type"] == "http"
            and scope["path"] == self.path
            and scope["method"] == "POST"
            and any(name == b"content-type" and self._is_it(value) for name, value in scope["headers"])
        ):
            return Match.FULL, {"camtrust.route": self.path}
        return Match.NONE, {}

    def _is_it(self, value: bytes) -> bool:
        return value == JSON if self._content == JSON else value.startswith(self._content)

    def url_path_for(self, name: str, /, **path_params: object) -> NoMatchFound:  # type: ignore[override]
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)
