"""Batches and their documents, and the states that they go through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from signing.forms import Form
from signing.model import Level


class BatchState(StrEnum):
    """
    OPEN ──start──▶ RUNNING ──▶ FINISHED: each document is sealed or refused
      └────cancel──────┴──────▶ CANCELLED: what was sealed by then stays
    """

    OPEN = "open"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self in (BatchState.FINISHED, BatchState.CANCELLED)


class ItemState(StrEnum):
    """
    WAITING ──taken, by policy and quota──▶ TAKEN ──▶ SEALED
       │                                      │
       └───────────────▶ REFUSED ◀────────────┘

    TAKEN has used up one seal of the client's quota. A run that was killed leaves TAKEN documents: the next one finds
    the seal that was made and stored, or makes it; it never makes a second one beside the first.
    """

    WAITING = "waiting"
    TAKEN = "taken"
    SEALED = "sealed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Batch:
    """``owner``: the client; ``kept_until``: when everything of it is removed."""

    sequence: int
    batch_id: str
    owner: str
    credential_id: str
    form: Form
    level: Level
    options: bytes | None  # sealed
    state: BatchState
    created_at: datetime
    kept_until: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Item:
    """A document of a batch. ``document_id`` is the client's own; ``number`` counts from 0 in the order they came;
    ``blob`` is where its content is. ``refusal`` is the code of the reason,
    ``told`` (JSON) what its sentence is filled with.
    """

    batch_id: str
    document_id: str
    number: int
    blob: str
    size: int
    sha256: bytes
    state: ItemState
    refusal: str | None = None
    told: str | None = None
    sealed_sha256: bytes | None = None
    settled_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far a batch is. ``per_second``: documents settled, over the last minutes; None while nothing is."""

    total: int
    waiting: int
    sealed: int
    refused: int
    octets: int
    per_second: float | None
    ends_at: datetime | None
