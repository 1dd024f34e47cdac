"""Where messages go, what they are about, and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class EventKind(StrEnum):
    """What a client can be told of."""

    BATCH_FINISHED = "batch.finished"
    BATCH_CANCELLED = "batch.cancelled"
    DOCUMENT_REFUSED = "document.refused"
    REQUEST_SIGNED = "request.signed"
    REQUEST_REFUSED = "request.refused"
    CREDENTIAL_ISSUED = "credential.issued"
    CREDENTIAL_REFUSED = "credential.refused"
    CREDENTIAL_RENEWED = "credential.renewed"
    TEST = "test"


class DeliveryState(StrEnum):
    """WAITING ──2xx──▶ DELIVERED; WAITING ──after the last try──▶ GIVEN_UP"""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"


TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=6)


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries: 10 seconds, three times as long each time, 6 hours at most."""
    grown: timedelta = _FIRST_PAUSE * 3 ** min(max(tries - 1, 0), 20)
    return min(grown, _LONGEST_PAUSE)


@dataclass(frozen=True)
class Endpoint:
    """An address of a client, and the events that it wants; ``url`` is sealed in the tables."""

    endpoint_id: str
    owner: str
    url: str
    events: frozenset[EventKind]
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """One message to one address. ``body`` is what is sent each time; ``answer`` the HTTP status of the last try, None
    where none came; ``problem`` the code of what went wrong."""

    sequence: int
    delivery_id: str
    endpoint_id: str
    owner: str
    kind: EventKind
    body: str
    state: DeliveryState
    tries: int
    created_at: datetime
    tried_at: datetime | None = None
    answer: int | None = None
    problem: str | None = None
