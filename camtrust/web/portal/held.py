"""A seal that waits, on a page: who asked, for which document, with its pages; released with one's own key, or refused.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from camtrust.web.portal.statements import Statements
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method
from signing.api import attachment, signed_file
from signing.forms import PADES
from signing.held.errors import ReleaseNotAllowed
from signing.held.model import HeldState, RefusalReason
from signing.held.statement import NAME
from signing.preview.drawing import MOST_PAGES
from signing.views import ID

HeldId = Annotated[str, Path(pattern=ID)]
PageNumber = Annotated[int, Path(ge=1, le=MOST_PAGES)]

_OPEN = (HeldState.WAITING, HeldState.RELEASED)


def create_router(parts: Parts) -> APIRouter:
    """``/portal/held-seals/…``."""
    router = APIRouter(prefix="/portal/held-seals", dependencies=[Depends(public)])
    held, door, statements = parts.held, parts.door, Statements(parts.signing)

    def _page(request: Request, visit: Visit, held_id: str, status: int = 200, **more: Any) -> Response:
        named, language = held.show(visit.person, held_id), language_of(request)
        one = named.held
        open_still = one.state in _OPEN
        may = open_still and held.may_release(visit.person, one)
        methods = parts.methods(visit) if may else frozenset()
        label, active = parts.clients.known(one.client)
        return parts.layout.page(
            "portal/held.html",
            request,
            status=status,
            form=visit.form,
            named=named,
            held=one,
            state=one.state.value,
            waits=open_still,
            may=may,
            label=label,
            active=active,
            pages=min(one.pages, MOST_PAGES)
            if one.form == PADES and (open_still or one.state is HeldState.SEALED)
            else 0,
            words=digest_words(one.sha256, language),
            statement=held.statement(visit.person, held_id).decode(),
            reasons=[reason.value for reason in RefusalReason],
            by_person=(one.decided_by or "").startswith("person:"),
            credentials=parts.usable(visit),
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods,
            **(NO_PROBLEM | more),
        )

    def _again(request: Request, visit: Visit, held_id: str) -> None:
        """What fails is told on the page of the seal."""

        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, visit, held_id, status, **told(error, request))

        held.show(visit.person, held_id)  # what is not there has no page to tell it on
        show_problems(request, page)

    def _text(visit: Visit, held_id: str) -> bytes:
        """What is signed to release it; ReleaseNotAllowed for whoever may not, before anything is signed."""
        if not held.may_release(visit.person, held.show(visit.person, held_id).held):
            raise ReleaseNotAllowed
        return held.statement(visit.person, held_id)

    def _seen(held_id: str) -> Response:
        return RedirectResponse(f"/portal/held-seals/{held_id}", 303)

    @router.get("/{held_id}")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)], held_id: HeldId) -> Response:
        return _page(request, visit, held_id)

    @router.get("/{held_id}/pages/{page}")
    def picture(visit: Annotated[Visit, Depends(door.visit)], held_id: HeldId, page: PageNumber) -> Response:
        document, sealed = held.parts(visit.person, held_id)
        return Response(parts.previews.page_of(document, sealed, page), media_type="image/png")

    @router.get("/{held_id}/document")
    def document(visit: Annotated[Visit, Depends(door.visit)], held_id: HeldId) -> Response:
        name, data = held.document(visit.person, held_id)
        return attachment(name, "application/octet-stream", data)

    @router.get("/{held_id}/sealed")
    def sealed(visit: Annotated[Visit, Depends(door.visit)], held_id: HeldId) -> Response:
        name, form, data = held.sealed(visit.person, held_id)
        return signed_file(name, form, data)

    @router.get("/{held_id}/signature")
    def signature(visit: Annotated[Visit, Depends(door.visit)], held_id: HeldId) -> Response:
        found = held.release_signature(visit.person, held_id)
        return attachment(f"{NAME}.p7s", "application/pkcs7-signature", found)

    @router.post("/{held_id}/approval")
    def release(request: Request, sent: Annotated[Sent, Depends(door.sent)], held_id: HeldId) -> Response:
        _again(request, sent.visit, held_id)
        person, text = sent.visit.person, _text(sent.visit, held_id)
        pin, code = sent.fields.get("pin", ""), sent.fields.get("code", "")
        signed = statements.by_code(person, parts.usable(sent.visit), NAME, text, pin, code)
        held.release_by_statement(person, held_id, signed)
        return _seen(held_id)

    @router.post("/{held_id}/passkey-options")
    def ask_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], held_id: HeldId) -> Response:
        _again(request, sent.visit, held_id)
        text = _text(sent.visit, held_id)
        asked = statements.ask(sent.visit.person, sent.fields.get("credential", ""), NAME, text)
        return JSONResponse({"id": asked.approval_id, "options": asked.options})

    @router.post("/{held_id}/passkey")
    def answer_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], held_id: HeldId) -> Response:
        _again(request, sent.visit, held_id)
        person, question = sent.visit.person, sent.fields.get("question", "")
        signed = statements.by_passkey(person, question, sent.fields.get("assertion", ""))
        held.release_by_statement(person, held_id, signed)
        return _seen(held_id)

    @router.post("/{held_id}/refusal")
    def refuse(request: Request, sent: Annotated[Sent, Depends(door.sent)], held_id: HeldId) -> Response:
        _again(request, sent.visit, held_id)
        chosen = sent.fields.get("reason", "")
        reason = next((one for one in RefusalReason if one.value == chosen), RefusalReason.OTHER)
        held.refuse(sent.visit.person, held_id, reason)
        return _seen(held_id)

    return router
