"""A person's passkeys on a page: how many there are, and one more, permitted by PIN and one-time code.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.parts import NO_PROBLEM, Parts, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method, PinTotp
from foundation.keys.factors import ChangeKind, FactorChange


def create_router(parts: Parts) -> APIRouter:
    """``/portal/passkeys``."""
    router = APIRouter(prefix="/portal/passkeys", dependencies=[Depends(public)])
    desk, door = parts.authenticators, parts.door

    def _page(request: Request, visit: Visit, status: int = 200, **more: Any) -> Response:
        found = parts.factors.factors_of(visit.person.id)
        return parts.layout.page(
            "portal/passkeys.html",
            request,
            status=status,
            form=visit.form,
            count=len(found.passkeys),
            pin=Method.PIN_TOTP in found.methods,
            **(NO_PROBLEM | more),
        )

    @router.get("")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        return _page(request, visit)

    @router.post("/options")
    def options(sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        return JSONResponse({"id": "", "options": desk.begin_passkey(sent.visit.person)})

    @router.post("")
    def add(request: Request, sent: Annotated[Sent, Depends(door.sent)]) -> Response:
        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, sent.visit, status, **told(error, request))

        show_problems(request, page)
        person, fields = sent.visit.person, sent.fields
        change = FactorChange(ChangeKind.ADD_PASSKEY, passkey=fields.get("assertion", ""))
        asked = desk.ask_change(person, change, Method.PIN_TOTP)
        proof = PinTotp(fields.get("pin", ""), fields.get("code", ""))
        desk.change(person, asked.approval.nonce.hex(), proof, None)
        return RedirectResponse("/portal/passkeys", 303)

    return router
