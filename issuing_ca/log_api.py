"""The issuance log over HTTP, as C2SP tlog-tiles says: ``/log/checkpoint`` and ``/log/tile/…``. Anybody may read."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from foundation.http.guard import public
from issuing_ca.log import IssuanceLog

_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}


def create_log_router(service: IssuanceLog) -> APIRouter:
    """The checkpoint, which is never kept by caches, and the tiles, which never change."""
    router = APIRouter(prefix="/log", tags=["Issuance log"], dependencies=[Depends(public)])

    @router.get("/checkpoint", response_class=Response)
    def checkpoint() -> Response:
        """The newest signed tree head, with the witnesses' cosignatures (C2SP tlog-checkpoint)."""
        headers = {"cache-control": "no-cache"}
        return Response(service.checkpoint(), media_type="text/plain; charset=utf-8", headers=headers)

    @router.get("/tile/{path:path}", response_class=Response)
    def tile(path: str) -> Response:
        """Hashes of the tree (``<L>/<N>[.p/<W>]``), or a bundle of entries (``entries/<N>[.p/<W>]``)."""
        return Response(service.tile(path), media_type="application/octet-stream", headers=_FOR_EVER)

    return router
