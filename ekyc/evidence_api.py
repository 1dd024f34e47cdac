"""HTTP: evidence beside the typed document. Annotations are not postponed here either (see `ekyc.api`)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from ekyc.api import EnrolmentId, IfVersion
from ekyc.images import Side
from ekyc.imaging.limits import MIB
from ekyc.review import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from ekyc.views import EnrolmentView, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard

ImageId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="as it was given when the image was sent")]

BODY_LIMITS: Mapping[str, int] = {"/ekyc/v1/enrolments/*/document/images": 8 * MIB + 1}
"""How many octets these addresses take, for the body limit of the application; `*` stands for one segment."""

_IMAGE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_IMAGE_BODY = {"requestBody": {"content": dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _IMAGE)}}
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": _IMAGE}}}
_PRIVATE = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'"}


class ImageView(BaseModel):
    """An image that was taken: what is kept has this size, and no metadata."""

    image: str
    side: Side
    width: int
    height: int
    enrolment: EnrolmentView


def create_evidence_router(service: EkycService, guard: Guard) -> APIRouter:
    """Images of the document."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()
    officer = guard.officer(REVIEW_ROLE)

    async def sent(request: Request, _: Annotated[Actor, Depends(person)]) -> bytes:
        return await request.body()

    @router.post("/enrolments/{enrolment_id}/document/images", status_code=201, openapi_extra=_IMAGE_BODY)
    def take_image(
        enrolment_id: EnrolmentId,
        actor: Annotated[Actor, Depends(person)],
        data: Annotated[bytes, Depends(sent)],
        version: IfVersion,
        response: Response,
        side: Annotated[Side, Query(description="what it shows")] = Side.FRONT,
    ) -> ImageView:
        """An image (JPEG, PNG, WebP, told by its content): up to 8 MiB, 30 million pixels. Kept without metadata."""
        kept = service.images.take(actor, enrolment_id, side, data, if_version=version)
        response.headers["ETag"] = f'"{kept.enrolment.version}"'
        view = enrolment_view(kept.enrolment)
        return ImageView(image=kept.id, side=side, width=kept.width, height=kept.height, enrolment=view)

    @router.get("/enrolments/{enrolment_id}/document/images/{image_id}", response_class=Response, responses=_JPEG)
    def own_image(enrolment_id: EnrolmentId, image_id: ImageId, actor: Annotated[Actor, Depends(person)]) -> Response:
        """The caller's own image, as it is kept."""
        return _jpeg(service.images.own(actor, enrolment_id, image_id))

    @router.get("/reviews/{enrolment_id}/images/{image_id}", response_class=Response, responses=_JPEG)
    def image_of_case(
        enrolment_id: EnrolmentId, image_id: ImageId, actor: Annotated[Actor, Depends(officer)]
    ) -> Response:
        """An image of a case that waits for an officer. Looking is written down."""
        return _jpeg(service.images.of_case(actor, enrolment_id, image_id))

    return router


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers=_PRIVATE)
