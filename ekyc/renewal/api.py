"""HTTP: a new certificate before the old one ends. Parses, calls, maps.

Annotations are not postponed here either (see `ekyc.api`).
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field, SecretStr

from ekyc.api import EnrolmentId, IfVersion
from ekyc.renewal.desk import RenewalDesk
from ekyc.views import EnrolmentView, Input, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class RenewalInput(Input):
    """The caller's PIN and one-time code."""

    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]
    totp: Annotated[SecretStr, Field(min_length=6, max_length=8)]


def create_renewal_router(renewals: RenewalDesk, guard: Guard) -> APIRouter:
    """The endpoint of renewals."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()

    @router.post("/enrolments/{enrolment_id}/renewal")
    def renew(
        enrolment_id: EnrolmentId,
        body: RenewalInput,
        actor: Annotated[Actor, Depends(person)],
        version: IfVersion,
        response: Response,
    ) -> EnrolmentView:
        """A new key and certificate; the one before works until the new one does, and is then superseded. Interrupted,
        `…/certificate` goes on with it."""
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        renewed = renewals.renew(actor, enrolment_id, pin, totp, if_version=version)
        response.headers["ETag"] = f'"{renewed.version}"'
        return enrolment_view(renewed)

    return router
