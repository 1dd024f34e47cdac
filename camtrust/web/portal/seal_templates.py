"""Pages for representatives about how their organisation's seals look: its templates, a proposal, the end of one.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import RedirectResponse, Response

from camtrust.web.portal.agencies import AgencyId
from camtrust.web.portal.parts import NO_PROBLEM, Parts, show_problems, told
from camtrust.web.portal.session import TOKEN_FIELD, Sent, Visit, check_origin, check_token
from foundation.errors import CamTrustError
from foundation.http.guard import public
from signing.templates.appearance import MAX_TEXT, SHARES, SIDES, Align, Picture
from signing.templates.errors import TemplateInvalid
from signing.templates.model import TemplateState
from signing.upload import Upload, read_upload
from signing.views import ID

TemplateId = Annotated[str, Path(pattern=ID)]

_LINES = range(1, 6)
_WORDS = ("name", "width", "height", "place", "ink", "paper", "border", "align", "picture_at")
_TICKS = ("qr", "bordered")
_EACH = ("line", "bold", "share")
_FIELDS = frozenset({TOKEN_FIELD, *_WORDS, *_TICKS, *(f"{one}_{number}" for one in _EACH for number in _LINES)})
_GIVEN = {
    "name": "official",
    "line_1": "{organisation}",
    "bold_1": "on",
    "line_2": "{time}",
    "width": "230",
    "height": "76",
    "place": "auto",
    "ink": "#000000",
    "paper": "#ffffff",
    "border": "#0a2a66",
    "align": "left",
    "picture_at": "left",
}
"""What the form begins with."""


@dataclass(frozen=True)
class SentTemplate:
    """A form with a seal image or none, checked, and who sent it."""

    visit: Visit
    upload: Upload


def create_router(parts: Parts) -> APIRouter:
    """``/portal/agencies/{id}/templates``."""
    router = APIRouter(prefix="/portal/agencies/{agency_id}/templates", dependencies=[Depends(public)])
    templates, door = parts.templates, parts.door

    async def sent_template(request: Request, visit: Annotated[Visit, Depends(door.visit)]) -> SentTemplate:
        check_origin(request)
        upload = await read_upload(request, _FIELDS)
        check_token(upload.fields.get(TOKEN_FIELD, ""), visit.session)
        return SentTemplate(visit, upload)

    def _page(
        request: Request,
        visit: Visit,
        agency_id: str,
        status: int = 200,
        given: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Response:
        agency = parts.agencies.show(visit.person, agency_id)
        return parts.layout.page(
            "portal/agency_templates.html",
            request,
            status=status,
            form=visit.form,
            agency=agency,
            templates=templates.list(visit.person, agency_id),
            living=(TemplateState.PROPOSED, TemplateState.APPROVED),
            given=dict.fromkeys(_FIELDS, "") | dict(_GIVEN if given is None else given),
            lines=_LINES,
            longest=MAX_TEXT,
            sides=SIDES,
            shares=SHARES,
            aligns=[one.value for one in Align],
            places=[one.value for one in Picture],
            **(NO_PROBLEM | more),
        )

    def _told_on_page(request: Request, visit: Visit, agency_id: str, given: Mapping[str, str] | None = None) -> None:
        parts.agencies.show(visit.person, agency_id)  # what is not there has no page to tell it on

        def page(error: CamTrustError, status: int) -> Response:
            return _page(request, visit, agency_id, status, given, **told(error, request))

        show_problems(request, page)

    @router.get("")
    def every(request: Request, visit: Annotated[Visit, Depends(door.visit)], agency_id: AgencyId) -> Response:
        return _page(request, visit, agency_id)

    @router.post("")
    def propose(
        request: Request, sent: Annotated[SentTemplate, Depends(sent_template)], agency_id: AgencyId
    ) -> Response:
        fields, image = sent.upload.fields, sent.upload.data
        _told_on_page(request, sent.visit, agency_id, fields)
        name = fields.get("name", "").strip()
        templates.propose(sent.visit.person, agency_id, name, _appearance(fields), image or None)
        return RedirectResponse(f"/portal/agencies/{agency_id}/templates", 303)

    @router.get("/{template_id}/picture")
    def picture(visit: Annotated[Visit, Depends(door.visit)], agency_id: AgencyId, template_id: TemplateId) -> Response:
        one = templates.show(visit.person, agency_id, template_id)
        drawn = parts.previews.picture(
            f"template {agency_id} {one.digest}", templates.preview(visit.person, agency_id, template_id)
        )
        return Response(drawn, media_type="image/png", headers={"Cache-Control": "private, no-store"})

    @router.post("/{template_id}/withdrawal")
    def withdraw(
        request: Request, sent: Annotated[Sent, Depends(door.sent)], agency_id: AgencyId, template_id: TemplateId
    ) -> Response:
        _told_on_page(request, sent.visit, agency_id)
        templates.withdraw(sent.visit.person, agency_id, template_id)
        return RedirectResponse(f"/portal/agencies/{agency_id}/templates", 303)

    return router


def _appearance(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the form as `Appearance.read` takes them. Raises TemplateInvalid."""
    lines = [
        {
            "text": fields[f"line_{number}"].strip(),
            "bold": f"bold_{number}" in fields,
            "share": _whole(fields, f"share_{number}", "100"),
        }
        for number in _LINES
        if fields.get(f"line_{number}", "").strip()
    ]
    return {
        "lines": lines,
        "size": [_whole(fields, "width", "230"), _whole(fields, "height", "76")],
        "place": fields.get("place", "").strip() or "auto",
        "ink": fields.get("ink", "#000000").lower(),
        "paper": fields.get("paper", "#ffffff").lower(),
        "border": fields.get("border", "").lower() if "bordered" in fields else None,
        "align": fields.get("align", Align.LEFT.value),
        "picture_at": fields.get("picture_at", Picture.LEFT.value),
        "qr": "qr" in fields,
    }


def _whole(fields: Mapping[str, str], name: str, otherwise: str) -> int:
    text = fields.get(name, "").strip() or otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise TemplateInvalid(field=name)
    return int(text)
