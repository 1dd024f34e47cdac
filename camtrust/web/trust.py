"""HTTP: the trust bundle for relying parties, and verification for whoever is online.

The bundle is a file that the trust-list operator signed elsewhere; the service only hands it out. A document that is
verified here is read, judged and forgotten: nothing of it is kept.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import from_thread
from fastapi import APIRouter, Depends, Request, Response

from camtrust.errors import BundleMissing
from camtrust.home import Home
from camtrust.judging.judges import Judges
from foundation.errors import CamTrustError, Kind
from foundation.http.guard import public


class DocumentNotReceived(CamTrustError):
    """A request to verify that carries no document."""

    code = "camtrust.document_not_received"
    kind = Kind.INVALID


def create_router(home: Home, judges: Judges, limit: int) -> APIRouter:
    """``/trust/bundle`` and ``/verify/v1``. ``limit``: the largest document, in octets."""
    router = APIRouter(tags=["Trust"], dependencies=[Depends(public)])

    @router.get("/trust/bundle", response_class=Response)
    def bundle() -> Response:
        """The newest signed trust bundle (ASiC-E). Pin its signer before you rely on it."""
        if not home.bundle.exists():
            raise BundleMissing
        return Response(
            home.bundle.read_bytes(),
            media_type="application/vnd.etsi.asic-e+zip",
            headers={"Content-Disposition": 'attachment; filename="camtrust.bundle"', "Cache-Control": "max-age=300"},
        )

    @router.get("/trust/list.xml", response_class=Response)
    def trust_list() -> Response:
        """The newest signed trust list (ETSI TS 119 612). Its signer is the trust-list operator's certificate."""
        if not home.trust_list.exists():
            raise BundleMissing
        return Response(
            home.trust_list.read_bytes(),
            media_type="application/vnd.etsi.tsl+xml",
            headers={"Cache-Control": "max-age=300"},
        )

    async def body(request: Request) -> bytes:
        data = await request.body()
        if not data or len(data) > limit:
            raise DocumentNotReceived
        return data

    @router.post(
        "/verify/v1/documents",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    def verify(request: Request, data: bytes = Depends(body)) -> dict[str, Any]:
        """The verdict on the document in the body, against the bundle published here. The document is not kept."""
        judged = judges.judge(data, hung_up(request))
        return {"files": [judged.verdict.json()], "bundle": judged.bundle}

    return router


def hung_up(request: Request) -> Callable[[], bool]:
    """Whether the client hung up meanwhile, as an endpoint that runs in a thread can ask."""
    return partial(from_thread.run, request.is_disconnected)
