"""A person's own documents on pages: uploaded, looked at, signed, fetched; and their certificates.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from camtrust.web.portal.layout import language_of
from camtrust.web.portal.parts import NO_PROBLEM, Parts, digest_words, failed, show_problems, told
from camtrust.web.portal.session import TOKEN_FIELD, Sent, Visit, check_origin, check_token
from camtrust.web.trust import hung_up
from foundation.errors import CamTrustError
from foundation.http.guard import public
from foundation.keys.activation import Method
from signing.api import signed_file
from signing.errors import UploadInvalid
from signing.model import CredentialStatus, DocumentState
from signing.pdf_options import PdfOptions
from signing.preview.drawing import MOST_PAGES
from signing.requests.model import RequestState
from signing.upload import Upload, read_upload
from signing.verify.model import FileVerdict
from signing.views import ID, credential_view

DocumentId = Annotated[str, Path(pattern=ID)]
PageNumber = Annotated[int, Path(ge=1, le=MOST_PAGES)]

_FIELDS = frozenset({TOKEN_FIELD, "password", "visible"})
_SHOWN = 20


@dataclass(frozen=True)
class SentFile:
    """A form with a file, checked, and who sent it."""

    visit: Visit
    upload: Upload


def create_router(parts: Parts) -> APIRouter:
    """``/portal``, ``/portal/documents/…`` and ``/portal/certificates``."""
    router = APIRouter(prefix="/portal", dependencies=[Depends(public)])
    signing, door = parts.signing, parts.door

    async def sent_file(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> SentFile:
        check_origin(request)
        upload = await read_upload(request, _FIELDS)
        check_token(upload.fields.get(TOKEN_FIELD, ""), visit.session)
        return SentFile(visit, upload)

    def _home(request: Request, visit: Visit, status: int = 200, **more: Any) -> Response:
        waiting = parts.requests.page(visit.person, RequestState.WAITING, limit=_SHOWN).requests
        others = parts.requests.page(visit.person, limit=_SHOWN).requests
        prompts = parts.prompts.waiting(visit.person)
        held = {one.document_id for shown in waiting for one in shown.details.documents}
        held |= {document_id for shown in prompts for document_id in shown.prompt.documents}
        documents = [
            one
            for one in signing.documents(visit.person, limit=_SHOWN).documents
            if one.document.document_id not in held
        ]
        return parts.layout.page(
            "portal/home.html",
            request,
            status=status,
            form=visit.form,
            waiting=waiting,
            prompts=prompts,
            answered=[one for one in others if one.request.state is not RequestState.WAITING],
            documents=documents,
            **(NO_PROBLEM | more),
        )

    def _verdict(request: Request, visit: Visit, document_id: str) -> FileVerdict:
        return parts.judges.judge(signing.signed(visit.person, document_id)[1], hung_up(request)).verdict

    def _page(request: Request, visit: Visit, document_id: str, status: int = 200, **more: Any) -> Response:
        named, language = signing.document(visit.person, document_id), language_of(request)
        document = named.document
        signed = document.state is DocumentState.SIGNED
        verdict = _verdict(request, visit, document_id) if signed else None
        methods = parts.methods(visit)
        return parts.layout.page(
            "portal/document.html",
            request,
            status=status,
            form=visit.form,
            named=named,
            document=document,
            signed=signed,
            pages=min(document.pages, MOST_PAGES),
            sha256=document.sha256.hex(),
            words=digest_words(document.sha256, language),
            notes=[] if signed else parts.notes(visit, [document_id], language)[document_id],
            verdict=verdict.headline(language) if verdict else "",
            reliance=verdict.reliance.value if verdict else "",
            credentials=parts.usable(visit),
            passkey=Method.PASSKEY in methods,
            pin=Method.PIN_TOTP in methods,
            request_id=parts.requests.holder(visit.person, document_id),
            **(NO_PROBLEM | more),
        )

    def _again(request: Request, visit: Visit, document_id: str) -> None:
        """What fails is told on the page of the document."""

        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, visit, document_id, status, **told(error, request))

        signing.document(visit.person, document_id)  # what is not there has no page to tell it on
        show_problems(request, page)

    @router.get("")
    def home(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        return _home(request, visit)

    @router.post("/documents")
    def upload(request: Request, sent: Annotated[SentFile, Depends(sent_file)]) -> Response:
        def page(error: CamTrustError, status: int) -> Response:
            return _home(request, sent.visit, status, **told(error, request))

        show_problems(request, page)
        fields, file = sent.upload.fields, sent.upload
        if not file.data and not file.name:
            raise UploadInvalid
        options = PdfOptions.parse(visible=_VISIBLE.get(fields.get("visible", "")))
        named = signing.upload(
            sent.visit.person, file.name, file.data, password=fields.get("password") or None, options=options
        )
        return RedirectResponse(f"/portal/documents/{named.document.document_id}", 303)

    @router.get("/documents/{document_id}")
    def show(request: Request, visit: Annotated[Visit, Depends(door.visit)], document_id: DocumentId) -> Response:
        return _page(request, visit, document_id)

    @router.get("/documents/{document_id}/pages/{page}")
    def picture(visit: Annotated[Visit, Depends(door.visit)], document_id: DocumentId, page: PageNumber) -> Response:
        return Response(parts.previews.page(visit.person, document_id, page), media_type="image/png")

    @router.get("/documents/{document_id}/signed")
    def signed(visit: Annotated[Visit, Depends(door.visit)], document_id: DocumentId) -> Response:
        form = signing.document(visit.person, document_id).document.form
        name, data = signing.signed(visit.person, document_id)
        return signed_file(name, form, data)

    @router.post("/documents/{document_id}/approval")
    def approve(request: Request, sent: Annotated[Sent, Depends(door.sent)], document_id: DocumentId) -> Response:
        _again(request, sent.visit, document_id)
        fields = sent.fields
        outcomes = signing.authorise(
            sent.visit.person,
            fields.get("credential", ""),
            [document_id],
            pin=fields.get("pin", ""),
            totp=fields.get("code", ""),
        )
        failures = failed(outcomes, request)
        if failures:
            return _page(request, sent.visit, document_id, 409, failures=failures)
        return RedirectResponse(f"/portal/documents/{document_id}", 303)

    @router.post("/documents/{document_id}/passkey-options")
    def ask_passkey(request: Request, sent: Annotated[Sent, Depends(door.sent)], document_id: DocumentId) -> Response:
        _again(request, sent.visit, document_id)
        asked = signing.ask_passkey(sent.visit.person, sent.fields.get("credential", ""), [document_id])
        return JSONResponse({"id": asked.approval_id, "options": asked.options})

    @router.post("/documents/{document_id}/passkey")
    def answer_passkey(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], document_id: DocumentId
    ) -> Response:
        _again(request, sent.visit, document_id)
        outcomes = signing.answer_passkey(
            sent.visit.person, sent.fields.get("question", ""), sent.fields.get("assertion", "{}")
        )
        failures = failed(outcomes, request)
        if failures:
            return _page(request, sent.visit, document_id, 409, failures=failures)
        return RedirectResponse(f"/portal/documents/{document_id}", 303)

    @router.post("/documents/{document_id}/removal")
    def remove(sent: Annotated[Sent, Depends(door.sent)], document_id: DocumentId) -> Response:
        signing.delete(sent.visit.person, document_id)
        return RedirectResponse("/portal", 303)

    @router.post("/certificates/{credential_id}/suspension")
    def suspend(sent: Annotated[Sent, Depends(door.sent)], credential_id: DocumentId) -> Response:
        signing.holdings.suspend(sent.visit.person, credential_id)
        return RedirectResponse("/portal/certificates", 303)

    @router.get("/history")
    def history(
        request: Request,
        visit: Annotated[Visit, Depends(door.visit)],
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
    ) -> Response:
        page = signing.history.page(visit.person, cursor, _SHOWN)
        return parts.layout.page(
            "portal/history.html", request, form=visit.form, entries=page.entries, following=page.next
        )

    @router.get("/certificates")
    def certificates(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> Response:
        found = [
            {
                "view": credential_view(one),
                "active": one.status is CredentialStatus.ACTIVE,
                "state": one.status.value,
                "from": one.signatory.certificate.not_valid_before_utc,
                "until": one.signatory.certificate.not_valid_after_utc,
            }
            for one in signing.credentials(visit.person)
        ]
        return parts.layout.page("portal/certificates.html", request, form=visit.form, credentials=found)

    return router


_VISIBLE: Mapping[str, str] = {"auto": "auto", "qr": "auto qr"}
