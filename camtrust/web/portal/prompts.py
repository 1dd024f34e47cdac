"""What a client of the CSC API asks a person to authorise, on a page: who, what for, how many and which; approved by
both factors for exactly this, refused, or reported.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words, show_problems, told
from camtrust.web.portal.session import Sent, Visit
from foundation.catalogue import Language
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method, PasskeyAssertion, PinTotp
from signing.csc.prompt_store import PromptState
from signing.csc.prompts import ShownPrompt
from signing.preview.drawing import MOST_PAGES
from signing.views import ID

Handle = Annotated[str, Path(pattern=ID)]

_ALGORITHMS = {32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}


def create_router(parts: Parts) -> APIRouter:
    """``/portal/prompts/…``."""
    router = APIRouter(prefix="/portal/prompts", dependencies=[Depends(public)])
    prompts, door = parts.prompts, parts.door

    def _page(request: Request, visit: Visit, handle: str, status: int = 200, **more: Any) -> Response:
        shown, language = prompts.show(visit.person, handle), language_of(request)
        waiting = shown.prompt.state is PromptState.WAITING
        methods = parts.methods(visit) if waiting else frozenset()
        usable = parts.usable(visit) if waiting else ()
        return parts.layout.page(
            "portal/prompt.html",
            request,
            status=status,
            form=visit.form,
            shown=shown,
            state=shown.prompt.state.value,
            documents=_documents(visit, shown, language, waiting=waiting),
            digests=[_digest(one, language) for one in shown.prompt.digests],
            credentials=[one for one in usable if one.credential_id == shown.prompt.credential_id],
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods and parts.requests.limits.pin_and_code,
            **(NO_PROBLEM | more),
        )

    def _documents(visit: Visit, shown: ShownPrompt, language: Language, *, waiting: bool) -> list[dict[str, Any]]:
        ids = [one.document.document_id for one in shown.documents]
        notes = parts.notes(visit, ids, language) if waiting and ids else {}
        return [
            {
                "name": one.name,
                "id": one.document.document_id,
                "pages": min(one.document.pages, MOST_PAGES),
                "notes": notes.get(one.document.document_id, []),
                **_digest(one.document.sha256, language),
            }
            for one in shown.documents
        ]

    def _again(request: Request, visit: Visit, handle: str) -> None:
        """What fails is told on the page of the prompt."""

        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, visit, handle, status, **told(error, request))

        prompts.show(visit.person, handle)  # what is not there has no page to tell it on
        show_problems(request, page)

    def _seen(handle: str) -> Response:
        return RedirectResponse(f"/portal/prompts/{handle}", 303)

    @router.get("/{handle}")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)], handle: Handle) -> Response:
        return _page(request, visit, handle)

    @router.post("/{handle}/approval")
    def approve(request: Request, sent: Annotated[Sent, Depends(door.sent)], handle: Handle) -> Response:
        _again(request, sent.visit, handle)
        prompts.grant(sent.visit.person, handle, PinTotp(sent.fields.get("pin", ""), sent.fields.get("code", "")))
        return _seen(handle)

    @router.post("/{handle}/passkey-options")
    def ask_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], handle: Handle) -> Response:
        _again(request, sent.visit, handle)
        return JSONResponse({"id": handle, "options": prompts.question(sent.visit.person, handle)})

    @router.post("/{handle}/passkey")
    def answer_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], handle: Handle) -> Response:
        _again(request, sent.visit, handle)
        prompts.grant(sent.visit.person, handle, PasskeyAssertion(sent.fields.get("assertion", "")))
        return _seen(handle)

    @router.post("/{handle}/refusal")
    def refuse(request: Request, sent: Annotated[Sent, Depends(door.sent)], handle: Handle) -> Response:
        _again(request, sent.visit, handle)
        unexpected, block = (sent.fields.get(name) == "yes" for name in ("unexpected", "block"))
        prompts.refuse(sent.visit.person, handle, unexpected=unexpected, block=block)
        return _seen(handle)

    return router


def _digest(digest: bytes, language: Language) -> dict[str, Any]:
    return {"words": digest_words(digest, language), "hex": digest.hex(), "algorithm": _ALGORITHMS[len(digest)]}
