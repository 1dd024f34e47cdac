"""Calls every endpoint of an application with every credential that must not open it, and with none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from camtrust.web.guarded import marks
from foundation.http.actor import ActorKind
from foundation.http.direct import DirectRoute

# Made by the framework itself, and meant for everybody.
FRAMEWORK_ROUTES = frozenset({"/openapi.json"})

Credentials = Callable[[ActorKind, str, str, bytes], str]
"""The Authorization header of an actor of that kind without any role, for (kind, method, path, body)."""


@dataclass(frozen=True)
class Endpoint:
    """One method of one path; ``allowed`` maps actor kinds to the role they need, None where anybody may call."""

    method: str
    path: str
    allowed: dict[str, str | None] | None


@dataclass(frozen=True)
class Walk:
    """How many endpoints were met, and how many calls were refused as they should be."""

    public: int
    guarded: int
    refusals: int


def endpoints(app: FastAPI) -> Iterator[Endpoint]:
    """Every endpoint. AssertionError for a route that says neither whom it lets in nor that it is public."""
    for context in iter_route_contexts(app.routes):
        route, path = context.original_route, str(context.path)
        if path in FRAMEWORK_ROUTES:
            continue
        if isinstance(route, DirectRoute):
            continue  # the endpoint of the same path, as it is declared, stands behind it
        if not isinstance(route, APIRoute):
            open_to_all = getattr(route, "camtrust_public", False) or getattr(
                getattr(route, "app", None), "camtrust_public", False
            )
            assert open_to_all, f"{path} is no API route and is not marked as public"
            continue
        found = list(marks(context.dependant))
        assert found, f"{path} declares no guard, and does not say that it is public"
        limits = [guard.camtrust_allows for guard in found if hasattr(guard, "camtrust_allows")]
        for method in sorted(context.methods or ()):
            yield Endpoint(method, path, _all_of(limits) if limits else None)


def walk(app: FastAPI, credentials: Credentials) -> Walk:
    """Call each guarded endpoint as nobody, and as every kind of actor that it does not let in, and as those kinds
    that it lets in only with a role, without the role. AssertionError where one is not refused."""
    client = TestClient(app, raise_server_exceptions=False)
    public = guarded = refusals = 0
    for endpoint in endpoints(app):
        if endpoint.allowed is None:
            public += 1
            continue
        guarded += 1
        _expect(client, endpoint, None, 401)
        refusals += 1
        for kind in ActorKind:
            if kind.value in endpoint.allowed and endpoint.allowed[kind.value] is None:
                continue
            _expect(client, endpoint, (credentials, kind), 403)
            refusals += 1
    return Walk(public, guarded, refusals)


def _expect(client: TestClient, endpoint: Endpoint, who: tuple[Credentials, ActorKind] | None, status: int) -> None:
    path = re.sub(r"\{[^}]*\}", "0", endpoint.path)
    body = b"{}" if endpoint.method in ("POST", "PUT", "PATCH") else b""
    headers = {"Content-Type": "application/json"} if body else {}
    if who is not None:
        make, kind = who
        headers["Authorization"] = make(kind, endpoint.method, path, body)
    response = client.request(endpoint.method, path, content=body or None, headers=headers)
    asked_as = "nobody" if who is None else f"a {who[1].value} without a role for it"
    assert response.status_code == status, (
        f"{endpoint.method} {endpoint.path} answered {response.status_code} to {asked_as}, not {status}"
    )
    document: dict[str, Any] = {} if endpoint.method == "HEAD" else response.json()
    assert endpoint.method == "HEAD" or document["code"] in ("foundation.unauthenticated", "foundation.forbidden")


def _all_of(limits: list[dict[str, str | None]]) -> dict[str, str | None]:
    """Whom several guards on one endpoint let in together: whoever each of them lets in."""
    first, *others = limits
    return {kind: role for kind, role in first.items() if all(kind in other for other in others)}
