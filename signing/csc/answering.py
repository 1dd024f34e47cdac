"""How the endpoints of the CSC API read and answer: JSON objects, and refusals in the API's own form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from foundation.errors import CamTrustError
from signing.csc.errors import CscRefused, refusal_of

LARGEST = 512 * 1024  # octets of a body: a thousand digests and room
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "`error` and `error_description`, as the CSC API has them"}
}


async def answered(
    request: Request,
    work: Callable[[dict[str, Any]], dict[str, Any] | None],
    *,
    empty: bool = False,
    largest: int = LARGEST,
    after: Callable[[dict[str, Any]], BackgroundTask | None] | None = None,
) -> Response:
    """Read the body, do the work in a thread, answer; None: 204. ``empty``: no body means no parameters; ``after``: it
    is done once the answer is out."""
    try:
        body = _object(await request.body(), empty, largest)
        done = await run_in_threadpool(work, body)
        if done is None:
            return Response(status_code=204)
        status = 202 if set(done) == {"handle"} else 200  # §11.6: the authorisation is underway
        return JSONResponse(done, status_code=status, background=after(done) if after else None)
    except CscRefused as refused:
        found = refused
    except CamTrustError as error:
        found = refusal_of(error)
    return JSONResponse({"error": found.error, "error_description": found.description}, status_code=found.status)


def _object(octets: bytes, empty: bool, largest: int) -> dict[str, Any]:
    if not octets and empty:
        return {}
    if len(octets) > largest:
        raise CscRefused("invalid_request", "the request is too large", 413)
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        raise CscRefused("invalid_request", "the request is not JSON") from None
    if not isinstance(value, dict):
        raise CscRefused("invalid_request", "the request is not a JSON object")
    return value
