"""HTTP: factors for people without a smartphone. Annotations are not postponed here either."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from ekyc.api import EnrolmentId, IfVersion
from ekyc.review.desk import ROLE as REVIEW_ROLE
from ekyc.service import EkycService
from ekyc.views import EnrolmentView, Input, PinInput, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class DeviceInput(Input):
    """A device, as it says on its back."""

    serial: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{3,39}$")]


class DeviceView(BaseModel):
    """The device that was bound."""

    serial: str


def create_without_phone_router(service: EkycService, guard: Guard) -> APIRouter:
    """A card with codes, and a device that an officer hands over."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()
    officer = guard.officer(REVIEW_ROLE)

    @router.post("/enrolments/{enrolment_id}/code-card", status_code=201)
    def code_card(
        enrolment_id: EnrolmentId, body: PinInput, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> Response:
        """Set the signing PIN and get a card with codes to print (PDF), once. A code of it confirms it, as an app's
        does (`…/factors/confirmation`). Best where an officer's printer is: whoever has card and PIN signs.
        """
        pdf = service.without_phone.print_card(actor, enrolment_id, body.pin.get_secret_value(), if_version=version)
        headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="code-card.pdf"'}
        return Response(pdf, 201, headers, "application/pdf")

    @router.post("/reviews/{enrolment_id}/otp-device")
    def allot(
        enrolment_id: EnrolmentId,
        body: DeviceInput,
        actor: Annotated[Actor, Depends(officer)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """The officer has the person before them and hands over a device with a button."""
        moved = service.without_phone.allot(actor, enrolment_id, body.serial, if_version=version)
        response.headers["ETag"] = f'"{moved.version}"'
        return enrolment_view(moved)

    @router.post("/enrolments/{enrolment_id}/otp-device", status_code=201)
    def bind(
        enrolment_id: EnrolmentId, body: PinInput, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> DeviceView:
        """Set the signing PIN for the device that the officer handed over. A code of it confirms it."""
        pin = body.pin.get_secret_value()
        return DeviceView(serial=service.without_phone.bind_device(actor, enrolment_id, pin, if_version=version))

    return router
