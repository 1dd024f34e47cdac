"""The table of prompts: what a client asks a person to authorise, in the person's own session, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, Row, String, Table, Text, delete, select, update

from foundation.db.types import UtcDateTime
from signing.csc.wanted import TakenDocuments
from signing.model import Level
from signing.store import metadata

prompts = Table(
    "signing_csc_prompts",
    metadata,
    Column("handle", String(64), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("credential_id", String(64), nullable=False),
    Column("client", String(200)),  # None: another session of the person's own
    Column("state", String(20), nullable=False),
    Column("digests", Text, nullable=False),  # JSON: hexadecimal, in order; none where it is for documents
    Column("subject", String(64)),  # of what it is for, where it is for documents (`signing.csc.wanted`)
    Column("documents", Text),  # JSON: ids, where it is for documents
    Column("level", String(10)),  # of their signatures, where the client named one
    Column("description", LargeBinary, nullable=False),  # sealed: the client's words
    Column("sad", LargeBinary),  # sealed, until the client fetched it
    Column("sad_expires", UtcDateTime),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime, nullable=False, index=True),
)


class PromptState(StrEnum):
    """WAITING goes to one of the others, once; GRANTED goes to TAKEN."""

    WAITING = "waiting"
    GRANTED = "granted"
    TAKEN = "taken"
    REFUSED = "refused"
    REPORTED = "reported"


@dataclass(frozen=True)
class Prompt:
    """A row; ``description`` and ``sad`` are sealed."""

    handle: str
    owner: str
    credential_id: str
    client: str | None
    state: PromptState
    digests: tuple[bytes, ...]
    description: bytes
    sad: bytes | None
    sad_expires: datetime | None
    asked_at: datetime
    expires: datetime
    taken: TakenDocuments | None = None

    @property
    def documents(self) -> tuple[str, ...]:
        """The ids of the documents that it is for; none where it is for digests."""
        return self.taken.documents if self.taken else ()


def insert(connection: Connection, one: Prompt) -> None:
    connection.execute(
        prompts.insert().values(
            handle=one.handle,
            owner=one.owner,
            credential_id=one.credential_id,
            client=one.client,
            state=one.state.value,
            digests=json.dumps([digest.hex() for digest in one.digests]),
            subject=one.taken.subject if one.taken else None,
            documents=json.dumps(one.documents) if one.taken else None,
            level=one.taken.level.value if one.taken and one.taken.level else None,
            description=one.description,
            asked_at=one.asked_at,
            expires=one.expires,
        )
    )


def prompt_of(connection: Connection, owner: str, handle: str, now: datetime) -> Prompt | None:
    """One prompt to this person; another's is as absent as one that never was, or that ran out."""
    query = select(prompts).where(prompts.c.owner == owner, prompts.c.handle == handle, prompts.c.expires > now)
    row = connection.execute(query).one_or_none()
    return _prompt(row) if row else None


def waiting_of(connection: Connection, owner: str, now: datetime) -> list[Prompt]:
    """What waits for a person, the newest first."""
    query = select(prompts).where(
        prompts.c.owner == owner, prompts.c.state == PromptState.WAITING.value, prompts.c.expires > now
    )
    return [_prompt(row) for row in connection.execute(query.order_by(prompts.c.asked_at.desc()))]


def count_waiting(connection: Connection, owner: str, client: str | None, now: datetime) -> tuple[int, int]:
    """How many prompts wait for a person, and how many of them are this client's."""
    query = select(prompts.c.client).where(
        prompts.c.owner == owner, prompts.c.state == PromptState.WAITING.value, prompts.c.expires > now
    )
    clients = connection.execute(query).scalars().all()
    return len(clients), clients.count(client)


def move(connection: Connection, handle: str, before: PromptState, after: PromptState, **values: Any) -> bool:
    """By compare-and-set; False where it is not in the state any more."""
    where = (prompts.c.handle == handle) & (prompts.c.state == before.value)
    return connection.execute(update(prompts).where(where).values(state=after.value, **values)).rowcount == 1


def documents_waiting(connection: Connection, owner: str, now: datetime) -> frozenset[str]:
    """The ids of documents that a person's prompts wait with."""
    return frozenset(document_id for one in waiting_of(connection, owner, now) for document_id in one.documents)


def expired(connection: Connection, now: datetime, limit: int) -> list[Prompt]:
    """What ran out."""
    return [_prompt(row) for row in connection.execute(select(prompts).where(prompts.c.expires <= now).limit(limit))]


def remove(connection: Connection, handle: str) -> None:
    connection.execute(delete(prompts).where(prompts.c.handle == handle))


def _prompt(row: Row[Any]) -> Prompt:
    return Prompt(
        row.handle,
        row.owner,
        row.credential_id,
        row.client,
        PromptState(row.state),
        tuple(bytes.fromhex(one) for one in json.loads(row.digests)),
        row.description,
        row.sad,
        row.sad_expires,
        row.asked_at,
        row.expires,
        None if row.documents is None else _taken(row),
    )


def _taken(row: Row[Any]) -> TakenDocuments:
    return TakenDocuments(row.subject, tuple(json.loads(row.documents)), Level(row.level) if row.level else None)
