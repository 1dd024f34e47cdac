"""The CMP door: ``/.well-known/cmp`` and ``/.well-known/cmp/p/<name>`` (RFC 9811 §3).

Requests prove by themselves who asks; every answer is a PKIMessage with status 200, a refusal too.
(Annotations are not postponed here: FastAPI resolves them.)
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from foundation.http.guard import public
from issuing_ca.cmp.service import CmpServer
from issuing_ca.errors import CmpTypeWrong

_TYPE = "application/pkixcmp"


async def message_of(request: Request) -> bytes:
    """The body. Raises CmpTypeWrong for another content type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise CmpTypeWrong
    return await request.body()


Body = Annotated[bytes, Depends(message_of)]
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,59}$", description="a profile, or an issuing CA")]


def create_router(server: CmpServer) -> APIRouter:
    """The server at its two addresses."""
    router = APIRouter(prefix="/.well-known/cmp", tags=["CMP"], dependencies=[Depends(public)])

    @router.post("", response_class=Response)
    def cmp(body: Body) -> Response:
        """A PKIMessage: ir, cr, kur, p10cr, rr, certConf or genm."""
        return _answer(server.answer(body))

    @router.post("/p/{name}", response_class=Response)
    def cmp_of_name(body: Body, name: Name) -> Response:
        """The same, for credentials of one profile alone, or of another issuing CA."""
        return _answer(server.at(name, body))

    return router


def _answer(message: bytes) -> Response:
    return Response(message, media_type=_TYPE, headers={"Cache-Control": "no-store"})
