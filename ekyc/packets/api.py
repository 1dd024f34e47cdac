"""HTTP: packets that stations collected, and the persons who go on by themselves. Parses, calls, maps.

Annotations are not postponed here either (see `ekyc.api`).
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, SecretStr

from ekyc.packets.desk import ROLE, PacketDesk
from ekyc.packets.packet import LARGEST, ItemKind
from ekyc.views import EnrolmentView, Input, StartedView, enrolment_view
from foundation.http.actor import Actor
from foundation.http.guard import Guard, public

BODY_LIMITS: Mapping[str, int] = {"/ekyc/v1/packets": LARGEST + 1}
"""How many octets this address takes, for the body limit of the application."""

_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class PacketItemView(BaseModel):
    """What became of an item: ``taken``, or the code by which it was refused."""

    kind: ItemKind
    outcome: str


class PacketView(BaseModel):
    """The enrolment that a packet began, and what became of its items."""

    enrolment: EnrolmentView
    items: list[PacketItemView]


class ClaimInput(Input):
    """The code that the person was given at the station."""

    code: Annotated[SecretStr, Field(min_length=16, max_length=24)]


def create_packet_router(desk: PacketDesk, guard: Guard) -> APIRouter:
    """Packets, and the code by which their persons go on."""
    router = APIRouter(prefix="/ekyc/v1", tags=["eKYC"])
    officer = guard.officer(ROLE)

    async def sent(request: Request, _: Annotated[Actor, Depends(officer)]) -> bytes:
        return await request.body()

    @router.post("/packets", status_code=201, openapi_extra=_BODY)
    def bring(actor: Annotated[Actor, Depends(officer)], data: Annotated[bytes, Depends(sent)]) -> PacketView:
        """A packet of a station (`camtrust ekyc packet`), in its turn. It begins an enrolment, which goes on like any
        other: the person proves the contact, the registry is asked, another officer sees them.
        """
        taken = desk.bring(actor, data)
        items = [PacketItemView(kind=kind, outcome=outcome) for kind, outcome in taken.items]
        return PacketView(enrolment=enrolment_view(taken.enrolment), items=items)

    @router.post("/packet-claims", status_code=201, dependencies=[Depends(public)])
    def claim(body: ClaimInput, response: Response) -> StartedView:
        """Go on with what a station collected, by the code that was given there: a session, and a one-time code to the
        contact that was collected.
        """
        started = desk.claim(body.code.get_secret_value())
        response.headers["Cache-Control"] = "no-store"
        return StartedView(enrolment=enrolment_view(started.enrolment), session_token=started.session_token)

    return router
