"""The OpenAPI 3.1 document, made true: who may call what, what failures look like, and which POSTs take a key."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from camtrust.web.guarded import marks
from foundation.http.actor import ActorKind

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem document, in the language of Accept-Language (km or en)",
    "required": ["type", "title", "status", "detail", "code", "hint", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "stable name of the failure"},
        "hint": {"type": "string", "description": "what to do next"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "which fields, and which rule each breaks; never the values sent",
            "items": {
                "type": "object",
                "required": ["field", "rule"],
                "properties": {
                    "field": {"type": "string"},
                    "rule": {"type": "string"},
                    "expects": {"type": "object"},
                },
            },
        },
    },
}

_SCHEMES = {
    "session": {"type": "http", "scheme": "bearer", "description": "A person's session (POST /identity/v1/sessions)"},
    "assertion": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Assertion <JWT>`: ES256 by the registered key of an officer, client or operator; bound to "
        "method, address and body; good once, for at most 120 seconds",
    },
}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A random UUID. The same request with the same key is done once and answered alike for 24 hours.",
    "schema": {"type": "string", "minLength": 16, "maxLength": 128},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``, with problems, guards and idempotency keys. Made once, then kept by the framework."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version=app.openapi_version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        components = document.setdefault("components", {})
        components["securitySchemes"] = _SCHEMES
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = _PROBLEM
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        _describe_operations(app, document["paths"])
        app.openapi_schema = document
    return app.openapi_schema


def _describe_operations(app: FastAPI, paths: dict[str, Any]) -> None:
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute) or not context.include_in_schema:
            continue
        for method in context.methods or ():
            operation = paths.get(context.path_format or "", {}).get(method.lower())
            if operation is not None:
                _describe(operation, method, context.dependant)


def _describe(operation: dict[str, Any], method: str, dependant: Dependant) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = {
        "description": "Refused, or failed",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    allowed = {kind for guard in marks(dependant) for kind in getattr(guard, "camtrust_allows", {})}
    if allowed:
        names = {"session" if kind == ActorKind.PERSON.value else "assertion" for kind in allowed}
        operation["security"] = [{name: []} for name in sorted(names)]
        operation["x-allowed-actors"] = sorted(allowed)
    if method == "POST" and not any(hasattr(guard, "camtrust_unkept") for guard in marks(dependant)):
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
