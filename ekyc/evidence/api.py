"""HTTP: evidence beside the typed document, and whom officers trust about chips.

Annotations are not postponed here either (see `ekyc.api`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from ekyc.api import EnrolmentId, IfVersion
from ekyc.documents.chip_trust import ROLE as TRUST_ROLE
from ekyc.documents.images import Side
from ekyc.documents.lost import ROLE as LOST_ROLE
from ekyc.evidence.views import (
    AnchorView,
    ChallengeView,
    ChipInput,
    ChipKeyInput,
    ChipView,
    CrlView,
    FaceInput,
    FaceView,
    LookChallengeView,
    LostInput,
    LostView,
    ReadingView,
    RelayView,
    TrustDecisionInput,
    TrustImportView,
    anchor_view,
    challenge_view,
    chip_view,
    face_view,
    import_view,
    look_challenge_view,
    reading_view,
    relay_view,
)
from ekyc.imaging.limits import MIB
from ekyc.review.desk import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from ekyc.views import EnrolmentView, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard

ImageId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="as it was given when the image was sent")]
ImportId = Annotated[str, Path(pattern=r"^TRU-[A-Z2-7]{16}$")]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="fingerprint of the certificate")]

BODY_LIMITS: Mapping[str, int] = {
    "/ekyc/v1/enrolments/*/document/images": 8 * MIB + 1,
    "/ekyc/v1/enrolments/*/chip": 3 * MIB,
    "/ekyc/v1/chip-trust": 16 * MIB + 1,
}
"""How many octets these addresses take, for the body limit of the application; `*` stands for one segment."""

_IMAGE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_IMAGE_BODY = {"requestBody": {"content": dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _IMAGE)}}
_FILE_BODY = {"requestBody": {"content": {"application/octet-stream": _IMAGE}}}
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
        side: Annotated[
            Literal["front", "back", "data-page", "portrait"], Query(description="what it shows")
        ] = "front",
    ) -> ImageView:
        """An image (JPEG, PNG, WebP, told by its content): up to 8 MiB, 30 million pixels. Kept without metadata."""
        kept = service.images.take(actor, enrolment_id, Side(side), data, if_version=version)
        response.headers["ETag"] = f'"{kept.enrolment.version}"'
        view = enrolment_view(kept.enrolment)
        return ImageView(image=kept.id, side=kept.side, width=kept.width, height=kept.height, enrolment=view)

    @router.get("/enrolments/{enrolment_id}/document/images/{image_id}", response_class=Response, responses=_JPEG)
    def own_image(enrolment_id: EnrolmentId, image_id: ImageId, actor: Annotated[Actor, Depends(person)]) -> Response:
        """The caller's own image, as it is kept."""
        return _jpeg(service.images.own(actor, enrolment_id, image_id))

    @router.post("/enrolments/{enrolment_id}/document/images/{image_id}/reading")
    def read_image(
        enrolment_id: EnrolmentId, image_id: ImageId, actor: Annotated[Actor, Depends(person)], response: Response
    ) -> ReadingView:
        """Look for machine-readable lines; nothing is taken over before the person sends them to ``…/document``."""
        found = service.image_reading.read(actor, enrolment_id, image_id)
        response.headers["ETag"] = f'"{found.enrolment.version}"'
        return reading_view(found)

    @router.get("/reviews/{enrolment_id}/images/{image_id}", response_class=Response, responses=_JPEG)
    def image_of_case(
        enrolment_id: EnrolmentId, image_id: ImageId, actor: Annotated[Actor, Depends(officer)]
    ) -> Response:
        """An image of a case that waits for an officer. Looking is written down."""
        return _jpeg(service.images.of_case(actor, enrolment_id, image_id))

    @router.post("/enrolments/{enrolment_id}/face/challenge", status_code=201)
    def face_challenge(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> LookChallengeView:
        """Looks in a random order, for this enrolment alone, good once: send a portrait of each."""
        return look_challenge_view(service.faces.challenge(actor, enrolment_id))

    @router.post("/enrolments/{enrolment_id}/face")
    def take_face(
        enrolment_id: EnrolmentId,
        body: FaceInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> FaceView:
        """Name the portraits that answer the challenge. Without a model the outcome is inconclusive."""
        found = service.faces.submit(actor, enrolment_id, body.challenge, body.images, if_version=version)
        response.headers["ETag"] = f'"{found.enrolment.version}"'
        return face_view(found)

    @router.post("/enrolments/{enrolment_id}/chip/challenge", status_code=201)
    def challenge(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> ChallengeView:
        """A nonce for the chip to sign (active authentication): for this enrolment alone, good once."""
        return challenge_view(service.chips.challenge(actor, enrolment_id))

    @router.post("/enrolments/{enrolment_id}/chip/authentication", status_code=201)
    def authentication(
        enrolment_id: EnrolmentId, body: ChipKeyInput, actor: Annotated[Actor, Depends(person)]
    ) -> RelayView:
        """Commands by which the chip agrees on a key with the server (chip authentication): good once."""
        return relay_view(service.chips.agreement(actor, enrolment_id, body.opened()))

    @router.post("/enrolments/{enrolment_id}/chip")
    def take_chip(
        enrolment_id: EnrolmentId,
        body: ChipInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> ChipView:
        """The files of a chip, judged by passive authentication; with its answer, by active or chip authentication."""
        files, answer = body.opened()
        judged = service.chips.submit(
            actor, enrolment_id, files, body.challenge, answer, to=body.to, if_version=version
        )
        response.headers["ETag"] = f'"{judged.enrolment.version}"'
        return chip_view(judged)

    return router


def create_chip_trust_router(service: EkycService, guard: Guard) -> APIRouter:
    """Country signing authorities: one officer brings them, another approves."""
    router = APIRouter(prefix="/ekyc/v1/chip-trust", tags=["eKYC"])
    officer = guard.officer(TRUST_ROLE)

    async def sent(request: Request, _: Annotated[Actor, Depends(officer)]) -> bytes:
        return await request.body()

    @router.post("/imports", status_code=201, openapi_extra=_FILE_BODY)
    def bring(actor: Annotated[Actor, Depends(officer)], data: Annotated[bytes, Depends(sent)]) -> TrustImportView:
        """Bring a master list (CMS) or one certificate (DER, PEM). It counts once another officer has approved it."""
        return import_view(service.chip_trust.bring(actor, data))

    @router.get("/imports")
    def imports(
        actor: Annotated[Actor, Depends(officer)],  # noqa: ARG001
        state: Literal["pending", "approved", "rejected"] | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> list[str]:
        """The ids of what was brought, newest first."""
        return list(service.chip_trust.imports(state, limit))

    @router.get("/imports/{import_id}")
    def show(import_id: ImportId, actor: Annotated[Actor, Depends(officer)]) -> TrustImportView:  # noqa: ARG001
        """One import and what it holds."""
        return import_view(service.chip_trust.show(import_id))

    @router.post("/imports/{import_id}/decision")
    def decide(
        import_id: ImportId, body: TrustDecisionInput, actor: Annotated[Actor, Depends(officer)]
    ) -> TrustImportView:
        """Approve or reject, by the digest of your own copy of the file; never what you brought yourself."""
        approve = body.decision == "approve"
        return import_view(service.chip_trust.decide(actor, import_id, body.digest, approve=approve))

    @router.get("/authorities")
    def trusted(
        actor: Annotated[Actor, Depends(officer)],  # noqa: ARG001
        cursor: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> list[AnchorView]:
        """What was approved, by fingerprint; go on with the last one as ``cursor``."""
        return [anchor_view(one) for one in service.chip_trust.trusted(cursor, limit)]

    @router.delete("/authorities/{sha256}", status_code=204)
    def withdraw(sha256: Sha256, actor: Annotated[Actor, Depends(officer)]) -> None:
        """Believe an authority no more, at once and for good."""
        service.chip_trust.withdraw(actor, sha256)

    @router.post("/crls", status_code=201, openapi_extra=_FILE_BODY)
    def bring_crl(actor: Annotated[Actor, Depends(officer)], data: Annotated[bytes, Depends(sent)]) -> CrlView:
        """Bring a full CRL (DER, PEM) that an approved authority has signed."""
        return CrlView(sha256=service.chip_trust.bring_crl(actor, data))

    return router


def create_lost_documents_router(service: EkycService, guard: Guard) -> APIRouter:
    """Lost and stolen documents, kept by officers."""
    router = APIRouter(prefix="/ekyc/v1/lost-documents", tags=["eKYC"])
    officer = guard.officer(LOST_ROLE)

    @router.post("")
    def report(body: LostInput, actor: Annotated[Actor, Depends(officer)]) -> LostView:
        """Add documents, by issuing state and number; the list itself cannot be read."""
        return LostView(changed=service.lost_documents.report(actor, body.opened()))

    @router.post("/found")
    def found_again(body: LostInput, actor: Annotated[Actor, Depends(officer)]) -> LostView:
        """Take documents off the list."""
        return LostView(changed=service.lost_documents.found_again(actor, body.opened()))

    return router


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers=_PRIVATE)
