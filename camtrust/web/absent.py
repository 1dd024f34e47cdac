"""What the contract names and this build does not have: it answers 501, so that absence is said and not imitated.

A router that is built takes its path before this one does; then its line here goes.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends

from foundation.errors import NotImplementedYet
from foundation.http.guard import public

ABSENT = (
    "/csc/v1/{path:path}",  # what is not among the methods that /csc/v1/info lists
    "/csc/v2/{path:path}",
)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_router() -> APIRouter:
    """Every absent path, for every method."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(public)])
    for path in ABSENT:
        router.add_api_route(path, _absent, methods=_METHODS, name=f"absent {path}")
    return router


def _absent() -> None:
    raise NotImplementedYet
