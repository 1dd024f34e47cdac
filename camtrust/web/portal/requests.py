"""A signing request on a page: what is asked, by whom, what for; signed, refused, or reported.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words, failed, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method
from signing.preview.drawing import MOST_PAGES
from signing.requests.model import RequestState
from signing.views import ID

RequestId = Annotated[str, Path(pattern=ID)]


def create_router(parts: Parts) -> APIRouter:
    """``/portal/requests/…``."""
    router = APIRouter(prefix="/portal/requests", dependencies=[Depends(public)])
    desk, door = parts.requests, parts.door

    def _page(request: Request, visit: Visit, request_id: str, status: int = 200, **more: Any) -> Response:
        shown, language = desk.show(visit.person, request_id), language_of(request)
        waiting = shown.request.state is RequestState.WAITING
        there = {one.document.document_id: one.document for one in shown.documents}
        notes = parts.notes(visit, list(there), language) if waiting else {}
        documents = [
            {
                "asked": one,
                "there": there.get(one.document_id),
                "pages": min(one.pages, MOST_PAGES) if one.document_id in there else 0,
                "sha256": one.sha256.hex(),
                "words": digest_words(one.sha256, language),
                "notes": notes.get(one.document_id, []),
            }
            for one in shown.details.documents
        ]
        methods = parts.methods(visit) if waiting else frozenset()
        return parts.layout.page(
            "portal/request.html",
            request,
            status=status,
            form=visit.form,
            shown=shown,
            state=shown.request.state.value,
            documents=documents,
            credentials=parts.usable(visit) if waiting else (),
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods and desk.limits.pin_and_code and not shown.request.passkey_only,
            **(NO_PROBLEM | more),
        )

    def _again(request: Request, visit: Visit, request_id: str) -> None:
        """What fails is told on the page of the request."""

        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, visit, request_id, status, **told(error, request))

        desk.show(visit.person, request_id)  # what is not there has no page to tell it on
        show_problems(request, page)

    @router.get("/{request_id}")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)], request_id: RequestId) -> Response:
        return _page(request, visit, request_id)

    @router.post("/{request_id}/approval")
    def approve(request: Request, sent: Annotated[Sent, Depends(door.sent)], request_id: RequestId) -> Response:
        _again(request, sent.visit, request_id)
        fields = sent.fields
        _, outcomes = desk.approve(
            sent.visit.person,
            request_id,
            fields.get("credential", ""),
            pin=fields.get("pin", ""),
            totp=fields.get("code", ""),
        )
        failures = failed(outcomes, request)
        if failures:
            return _page(request, sent.visit, request_id, 409, failures=failures)
        return RedirectResponse(f"/portal/requests/{request_id}", 303)

    @router.post("/{request_id}/passkey-options")
    def ask_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], request_id: RequestId) -> Response:
        _again(request, sent.visit, request_id)
        asked = desk.ask_passkey(sent.visit.person, request_id, sent.fields.get("credential", ""))
        return JSONResponse({"id": asked.approval_id, "options": asked.options})

    @router.post("/{request_id}/passkey")
    def answer_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], request_id: RequestId) -> Response:
        _again(request, sent.visit, request_id)
        question, assertion = sent.fields.get("question", ""), sent.fields.get("assertion", "{}")
        _, outcomes = desk.answer_passkey(sent.visit.person, request_id, question, assertion)
        failures = failed(outcomes, request)
        if failures:
            return _page(request, sent.visit, request_id, 409, failures=failures)
        return RedirectResponse(f"/portal/requests/{request_id}", 303)

    @router.post("/{request_id}/refusal")
    def refuse(request: Request, sent: Annotated[Sent, Depends(door.sent)], request_id: RequestId) -> Response:
        _again(request, sent.visit, request_id)
        shown = desk.refuse(sent.visit.person, request_id, unexpected=sent.fields.get("unexpected") == "yes")
        if sent.fields.get("block") == "yes":
            desk.block(sent.visit.person, shown.request.client_id)
        return RedirectResponse(f"/portal/requests/{request_id}", 303)

    return router
