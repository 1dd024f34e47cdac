"""The registry's door: ``POST /ca/v1/registry-events``, for its adapter alone.

(Annotations are not postponed here: FastAPI resolves them, and the guards are local to the functions.)
"""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from foundation.http.actor import Actor
from foundation.http.guard import Guard
from issuing_ca.model import CertificateState
from issuing_ca.registry_events import EventKind, RegistryEvent, RegistryEvents

ROLE = "registry-events"


class NewEvent(BaseModel):
    """What happened to the holder of a document. ``id`` is the registry's own: the same again changes nothing."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{8,100}$")]
    kind: EventKind
    document_number: Annotated[str, Field(pattern=r"^[A-Z0-9<]{1,9}$")]
    date_of_birth: date
    occurred_at: AwareDatetime


class EventView(BaseModel):
    """What followed."""

    persons: int
    certificates: int
    state: CertificateState


def create_router(service: RegistryEvents, guard: Guard) -> APIRouter:
    """One endpoint, for clients with the role ``registry-events`` and their signed assertions."""
    router = APIRouter(prefix="/ca/v1", tags=["Issuing CA"])
    registry = guard.client(ROLE)

    @router.post("/registry-events")
    def take_event(actor: Annotated[Actor, Depends(registry)], body: NewEvent) -> EventView:
        """A death revokes every certificate of the person, a lost card suspends them."""
        event = RegistryEvent(body.id, body.kind, body.document_number, body.date_of_birth, body.occurred_at)
        done = service.take(actor, event)
        return EventView(persons=done.persons, certificates=len(done.serials), state=done.state)

    return router
