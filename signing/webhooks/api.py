"""Webhooks over HTTP: ``/sign/v1/webhooks``, for agencies' clients."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.http.guard import Guard
from signing.seal_policy import ROLE
from signing.views import ID
from signing.webhooks.model import Delivery, DeliveryState, Endpoint, EventKind
from signing.webhooks.service import Webhooks

EndpointId = Annotated[str, Path(pattern=ID, description="the webhook's id, as it was given")]


class NewWebhook(BaseModel):
    """Where messages go, and about what."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=500)]
    events: Annotated[list[EventKind], Field(min_length=1, max_length=20)]


class WebhookView(BaseModel):
    """An address. Test messages go to every one."""

    id: str
    url: str
    events: list[EventKind]
    created_at: str = Field(description="RFC 3339, UTC")


class DeliveryView(BaseModel):
    """A message, and how far it has come."""

    id: str = Field(description="its Webhook-Id, the same for each try")
    event: EventKind
    state: DeliveryState
    tries: int
    created_at: str = Field(description="RFC 3339, UTC")
    tried_at: str | None
    answer: int | None = Field(description="HTTP status of the last try; null where no answer came")
    problem: str | None = Field(description="code of what went wrong")


class DeliveryPage(BaseModel):
    """A page of messages, the newest first; ``next`` is the cursor of the following one."""

    deliveries: list[DeliveryView]
    next: str | None


def create_router(service: Webhooks, guard: Guard) -> APIRouter:
    """All endpoints under ``/sign/v1/webhooks``."""
    router = APIRouter(prefix="/sign/v1/webhooks", tags=["Signing"])
    client = guard.client(ROLE)

    @router.post("", status_code=201)
    def register_webhook(actor: Annotated[Actor, Depends(client)], body: NewWebhook) -> WebhookView:
        """Be told of events at an https address: signed messages (RFC 9421), sent again until they are taken."""
        return _view(service.register(actor, body.url, body.events))

    @router.get("")
    def list_webhooks(actor: Annotated[Actor, Depends(client)]) -> list[WebhookView]:
        """The caller's addresses."""
        return [_view(one) for one in service.endpoints(actor)]

    @router.get("/key")
    def webhook_key(actor: Annotated[Actor, Depends(client)]) -> dict[str, str]:  # noqa: ARG001
        """The key that messages are verified with, as a JWK; ``kid`` is the ``keyid`` of their signatures."""
        return dict(service.key())

    @router.delete("/{endpoint_id}", status_code=204)
    def remove_webhook(actor: Annotated[Actor, Depends(client)], endpoint_id: EndpointId) -> None:
        """Send nothing more there."""
        service.remove(actor, endpoint_id)

    @router.post("/{endpoint_id}/test", status_code=202)
    def test_webhook(actor: Annotated[Actor, Depends(client)], endpoint_id: EndpointId) -> DeliveryView:
        """Send a message of the type ``test`` there."""
        return _delivery_view(service.test(actor, endpoint_id))

    @router.get("/{endpoint_id}/deliveries")
    def list_deliveries(
        actor: Annotated[Actor, Depends(client)],
        endpoint_id: EndpointId,
        cursor: Annotated[str | None, Query(max_length=64, pattern="^[!-~]*$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> DeliveryPage:
        """What was sent there, what came back, and what is still to be sent; kept for a month."""
        page, following = service.deliveries(actor, endpoint_id, cursor, limit)
        return DeliveryPage(deliveries=[_delivery_view(one) for one in page], next=following)

    return router


def _view(one: Endpoint) -> WebhookView:
    return WebhookView(id=one.endpoint_id, url=one.url, events=sorted(one.events), created_at=rfc3339(one.created_at))


def _delivery_view(one: Delivery) -> DeliveryView:
    return DeliveryView(
        id=one.delivery_id,
        event=one.kind,
        state=one.state,
        tries=one.tries,
        created_at=rfc3339(one.created_at),
        tried_at=rfc3339(one.tried_at) if one.tried_at else None,
        answer=one.answer,
        problem=one.problem,
    )
