"""One line a request: the trace id, the access log and the counters.

The trace id is the caller's, where a W3C ``traceparent`` header gives one, and else ours. It stands in the answer
(``X-Trace-Id``), in every problem document, in the log and as the subject of the audit event of a refusal.

The log line is one JSON object without anything that a person typed: the route's template instead of the path, no
query, no header values. Durations are in milliseconds.
"""

from __future__ import annotations

import json
import logging
import re
import time
from contextvars import ContextVar
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.randomness import Randomness, SystemRandomness

ACCESS_LOG = logging.getLogger("camtrust.access")

UNMATCHED = "unmatched"

_TRACEPARENT = re.compile(r"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
_SCOPE_KEY = "camtrust.trace_id"

current_trace_id: ContextVar[str] = ContextVar("camtrust_trace_id", default="")
"""The trace id of the request that is being answered, for log lines from deeper down; empty outside of requests."""


class RequestCounter(Protocol):
    """What is told of each answered request."""

    def count(self, method: str, route: str, status: int, seconds: float) -> None: ...


def trace_id_of(scope: Scope) -> str:
    """The trace id of a request: 32 lower-case hex digits."""
    return str(scope.get(_SCOPE_KEY, ""))


def route_template(scope: Scope) -> str:
    """The path as the route declares it (``/ekyc/v1/enrolments/{enrolment_id}``), or :data:`UNMATCHED`.

    An included router's route carries its whole path in the framework's effective route context.
    """
    effective = scope.get("fastapi", {}).get("effective_route_context")
    for candidate in (effective, scope.get("route")):
        template = getattr(candidate, "path_format", None) or getattr(candidate, "path", None)
        if isinstance(template, str) and template:
            return template
    return str(scope.get("camtrust.route", UNMATCHED))


class Trace:
    """ASGI middleware, outermost: gives each request its trace id, logs and counts its answer."""

    def __init__(
        self, app: ASGIApp, counter: RequestCounter | None = None, randomness: Randomness | None = None
    ) -> None:
        self._app = app
        self._counter = counter
        self._randomness = randomness or SystemRandomness()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace_id = scope[_SCOPE_KEY] = self._trace_id(scope)
        token = current_trace_id.set(trace_id)
        status, started = 500, time.perf_counter()

        async def traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Trace-Id"] = trace_id
            await send(message)

        try:
            await self._app(scope, receive, traced)
        finally:
            current_trace_id.reset(token)
            self._tell(scope, status, time.perf_counter() - started)

    def _trace_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"traceparent" and (given := _TRACEPARENT.match(value.decode("latin-1"))):
                return given.group(1)
        return self._randomness.bytes(16).hex()

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_template(scope)
        method = scope["method"] if route != UNMATCHED else "-"
        if self._counter is not None:
            self._counter.count(method, route, status, seconds)
        line = {
            "event": "http.answered",
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "trace_id": trace_id_of(scope),
        }
        ACCESS_LOG.info(json.dumps(line))
