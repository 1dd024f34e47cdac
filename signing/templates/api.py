"""Templates over HTTP: ``/sign/v1/agencies/{id}/templates``, and ``/sign/v1/seal-templates/{name}`` for clients.

Annotations are not postponed here: the guards are local names, which postponed annotations cannot see.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor, ActorKind
from foundation.http.guard import Guard
from signing.agencies.api import ADDRESS, ROLE, AgencyId
from signing.forms import PADES
from signing.model import Level
from signing.pdf_options import PdfOptions, Visible
from signing.seal_policy import ROLE as SEALING
from signing.service import SigningService
from signing.templates.appearance import MAX_LINES, MAX_TEXT, Appearance
from signing.templates.model import Template, TemplateState
from signing.templates.service import MAX_IMAGE, Templates
from signing.views import ID

_NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
_COLOUR = r"^#[0-9a-f]{6}$"
TemplateId = Annotated[str, Path(pattern=ID, description="the id that proposing gave")]
TemplateName = Annotated[str, Path(pattern=_NAME, description="the template's name")]


class LineView(BaseModel):
    """A line. ``{organisation}``, ``{name}``, ``{number}``, ``{time}`` and ``{reason}`` are filled in."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    bold: bool = False
    share: int = Field(100, ge=50, le=200, description="its letters, in percent of the other lines'")


class AppearanceView(BaseModel):
    """How seals look. One line at least has ``{organisation}`` or ``{name}``."""

    model_config = ConfigDict(extra="forbid")

    lines: list[LineView] = Field(min_length=1, max_length=MAX_LINES)
    size: tuple[int, int] = Field((230, 76), description="width and height in points")
    place: str = Field("auto", max_length=300, description="auto, at=LEFT,BOTTOM page=N, or anchor=WORDS")
    ink: str = Field("#000000", pattern=_COLOUR)
    paper: str = Field("#ffffff", pattern=_COLOUR)
    border: str | None = Field(None, pattern=_COLOUR)
    align: str = Field("left", pattern="^(left|centre)$")
    picture_at: str = Field("left", pattern="^(left|right|above)$", description="of the seal image")
    qr: bool = Field(default=False, description="with a code that leads to verification")


class NewTemplate(BaseModel):
    """A proposal. ``picture``: PNG or JPEG, of up to 2 MiB; it is encoded anew."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=_NAME)
    appearance: AppearanceView
    picture: Base64Bytes | None = Field(None, max_length=MAX_IMAGE * 4 // 3 + 4)


class TemplateView(BaseModel):
    """A template. ``digest``: SHA-256 of all that is seen, which an officer approves."""

    id: str
    agency: str
    name: str
    state: TemplateState
    digest: str
    appearance: AppearanceView
    picture: str | None = Field(description="the seal image as it is drawn: a JPEG, Base64")
    proposed_by: str
    proposed_at: str
    decided_by: str | None
    decided_at: str | None


class TemplateList(BaseModel):
    """The newest first."""

    items: list[TemplateView]


class ApprovedTemplate(BaseModel):
    """A template that the calling client may seal with, for signatures that it makes itself."""

    name: str
    digest: str
    appearance: AppearanceView
    picture: str | None = Field(description="JPEG, Base64")


class TemplateApproval(BaseModel):
    """What the officer has looked at."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


def body_limits() -> Mapping[str, int]:
    """How many octets a proposal may have, for the body limit of the application."""
    return {f"{ADDRESS}/*/templates": MAX_IMAGE * 4 // 3 + 64 * 1024}


def create_router(templates: Templates, signing: SigningService, guard: Guard) -> APIRouter:
    """All endpoints of templates: for representatives, clients of the organisation, and officers."""
    router = APIRouter(tags=["Signing"])
    own = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: SEALING})
    officer = guard.officer(ROLE)
    anyone = guard.any_of({ActorKind.PERSON: None, ActorKind.CLIENT: SEALING, ActorKind.OFFICER: ROLE})
    sealer = guard.client(SEALING)
    base = f"{ADDRESS}/{{agency_id}}/templates"

    @router.post(base, status_code=201)
    def propose_template(actor: Annotated[Actor, Depends(own)], agency_id: AgencyId, body: NewTemplate) -> TemplateView:
        """Propose how seals of the organisation look. An officer approves it by its digest before any is made so."""
        asked = body.appearance.model_dump()
        return _view(templates.propose(actor, agency_id, body.name, asked, body.picture))

    @router.get(base)
    def list_templates(actor: Annotated[Actor, Depends(anyone)], agency_id: AgencyId) -> TemplateList:
        """The organisation's templates, whatever their state."""
        return TemplateList(items=[_view(one) for one in templates.list(actor, agency_id)])

    @router.get(f"{base}/{{template_id}}")
    def show_template(
        actor: Annotated[Actor, Depends(anyone)], agency_id: AgencyId, template_id: TemplateId
    ) -> TemplateView:
        """One template."""
        return _view(templates.show(actor, agency_id, template_id))

    @router.get(f"{base}/{{template_id}}/preview", response_class=Response, responses=_PDF)
    def preview_template(
        actor: Annotated[Actor, Depends(anyone)], agency_id: AgencyId, template_id: TemplateId
    ) -> Response:
        """A PDF of how it looks, with the organisation's names in it."""
        return Response(templates.preview(actor, agency_id, template_id), media_type="application/pdf")

    @router.post(f"{base}/{{template_id}}/approval")
    def approve_template(
        actor: Annotated[Actor, Depends(officer)], agency_id: AgencyId, template_id: TemplateId, body: TemplateApproval
    ) -> TemplateView:
        """Let seals look so. Never for an organisation that the officer represents."""
        return _view(templates.approve(actor, agency_id, template_id, body.digest))

    @router.post(f"{base}/{{template_id}}/refusal")
    def refuse_template(
        actor: Annotated[Actor, Depends(officer)], agency_id: AgencyId, template_id: TemplateId
    ) -> TemplateView:
        """Say no for good."""
        return _view(templates.refuse(actor, agency_id, template_id))

    @router.post(f"{base}/{{template_id}}/withdrawal")
    def withdraw_template(
        actor: Annotated[Actor, Depends(anyone)], agency_id: AgencyId, template_id: TemplateId
    ) -> TemplateView:
        """End its use, at once and for good."""
        return _view(templates.withdraw(actor, agency_id, template_id))

    @router.get("/sign/v1/seal-templates/{name}")
    def approved_template(actor: Annotated[Actor, Depends(sealer)], name: TemplateName) -> ApprovedTemplate:
        """The approved template of this name of the client's organisation, where its policy lets it use it."""
        options = PdfOptions(visible=Visible.parse(f"template={name}"))
        found = signing.appearance(actor, Level.B_LT, PADES, options)
        assert found is not None  # noqa: S101 - a template was asked for
        return ApprovedTemplate(
            name=name, digest=found.digest(name), appearance=_appearance(found), picture=_picture(found)
        )

    return router


_PDF: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"application/pdf": {"schema": {"type": "string"}}}}
}


def _appearance(one: Appearance) -> AppearanceView:
    return AppearanceView.model_validate(one.json())


def _picture(one: Appearance) -> str | None:
    return None if one.picture is None else base64.b64encode(one.picture).decode()


def _view(one: Template) -> TemplateView:
    return TemplateView(
        id=one.template_id,
        agency=one.agency_id,
        name=one.name,
        state=one.state,
        digest=one.digest,
        appearance=_appearance(one.appearance),
        picture=_picture(one.appearance),
        proposed_by=one.proposed_by,
        proposed_at=rfc3339(one.proposed_at),
        decided_by=one.decided_by,
        decided_at=rfc3339(one.decided_at) if one.decided_at else None,
    )
