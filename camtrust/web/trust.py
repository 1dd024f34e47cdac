"""HTTP: the trust bundle for relying parties, and verification for whoever is online.

The bundle is a file that the trust-list operator signed elsewhere; the service only hands it out. A document that is
verified here is read, judged and forgotten: nothing of it is kept.
"""

from threading import BoundedSemaphore
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from camtrust.errors import BundleMissing
from camtrust.home import Home
from foundation.clock import Clock
from foundation.errors import CamTrustError, Kind
from foundation.http.guard import public
from signing.verify.model import FileVerdict
from signing.verify.trust import Trust


class DocumentNotReceived(CamTrustError):
    """A request to verify that carries no document."""

    code = "camtrust.document_not_received"
    kind = Kind.INVALID


class VerifierBusy(CamTrustError):
    """As many documents as may be are being judged; ask again."""

    code = "camtrust.verifier_busy"
    kind = Kind.THROTTLED


_AT_ONCE = BoundedSemaphore(4)  # of a process: judging takes a thread and its time, and anybody may send anything
_PATIENCE = 10.0  # seconds


def create_router(home: Home, clock: Clock, limit: int) -> APIRouter:
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
    def verify(data: bytes = Depends(body)) -> dict[str, Any]:
        """The verdict on the document in the body, against the bundle published here. The document is not kept."""
        verdict, trust = judged(home, clock, data)
        return {"files": [verdict.json()], "bundle": trust.json()}

    return router


def judged(home: Home, clock: Clock, data: bytes) -> tuple[FileVerdict, Trust]:
    """The verdict on a document against the bundle published here, and what it rests on. Raises VerifierBusy."""
    from signing.verify.bundle import read_pin
    from signing.verify.policy import STRICT
    from signing.verify.trust import build_trust
    from signing.verify.verdict import verify_file

    at = clock.now()
    octets = home.bundle.read_bytes() if home.bundle.exists() else None
    pin = read_pin(home.bundle_signer.read_text(encoding="ascii")) if home.bundle_signer.exists() else None
    trust = build_trust(octets, frozenset({pin} if pin else ()), (), at, STRICT)
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise VerifierBusy(retry_after=_PATIENCE)
    try:
        return verify_file(data, "document", trust, at), trust
    finally:
        _AT_ONCE.release()
