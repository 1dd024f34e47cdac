"""HTTP: a minor invites a guardian, who answers in their own session. Parses, calls, maps.

Annotations are not postponed here either (see `ekyc.api`).
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, SecretStr

from ekyc.api import EnrolmentId, IfVersion
from ekyc.guardians.desk import GuardianDesk, Guardianship
from ekyc.views import Input
from foundation.http.actor import Actor
from foundation.http.guard import Guard


class GuardianInput(Input):
    """The code that the minor handed over, what the caller is to them, and the caller's PIN and one-time code."""

    invitation: Annotated[SecretStr, Field(min_length=10, max_length=40)]
    relation: Annotated[str, Field(pattern=r"^[a-z-]{1,20}$")]
    pin: Annotated[SecretStr, Field(min_length=6, max_length=12)]
    totp: Annotated[SecretStr, Field(min_length=6, max_length=8)]


class InvitationView(BaseModel):
    """A code for the guardian, shown once."""

    invitation: str
    expires_at: datetime


class GuardianshipView(BaseModel):
    """Whose guardian the caller is: an opaque enrolment. ``outcome``: ``bound``, or ``review`` by an officer."""

    enrolment_id: str
    relation: str
    since: datetime
    ended_at: datetime | None
    outcome: str | None


def create_guardian_router(guardians: GuardianDesk, guard: Guard) -> APIRouter:
    """Endpoints of minors and guardians."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    person = guard.person()

    @router.post("/enrolments/{enrolment_id}/guardian-invitation", status_code=201)
    def invite(
        enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)], version: IfVersion
    ) -> InvitationView:
        """A code for the guardian of a minor, good once and for seven days. An earlier one is good no more."""
        made = guardians.invite(actor, enrolment_id, if_version=version)
        return InvitationView(invitation=made.code, expires_at=made.expires_at)

    @router.post("/guardianships", status_code=201)
    def accept(body: GuardianInput, actor: Annotated[Actor, Depends(person)]) -> GuardianshipView:
        """The caller, who holds a certificate, says with both factors that they are the minor's guardian."""
        pin, totp = body.pin.get_secret_value(), body.totp.get_secret_value()
        return _view(guardians.accept(actor, body.invitation.get_secret_value(), body.relation, pin, totp))

    @router.get("/guardianships")
    def wards(actor: Annotated[Actor, Depends(person)]) -> list[GuardianshipView]:
        """Whose guardian the caller is or was."""
        return [_view(one) for one in guardians.wards(actor)]

    @router.delete("/guardianships/{enrolment_id}", status_code=204)
    def withdraw(enrolment_id: EnrolmentId, actor: Annotated[Actor, Depends(person)]) -> None:
        """The caller is the guardian no more: the minor's certificate is put on hold."""
        guardians.withdraw(actor, enrolment_id)

    return router


def _view(one: Guardianship) -> GuardianshipView:
    return GuardianshipView(**vars(one))
