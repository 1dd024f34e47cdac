"""The tables of the CSC API: what was authorised until when, and answers that clients come back for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, Row, String, Table, Text, delete, or_, select, update

from foundation.db.types import UtcDateTime
from signing.store import metadata

authorisations = Table(
    "signing_csc_authorisations",
    metadata,
    Column("authorisation_id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False, index=True),
    Column("credential_id", String(64), nullable=False),
    Column("subject", String(64), nullable=False),  # SHA-256 of what it is for
    Column("sad", String(64), unique=True),  # SHA-256 of the SAD, once there is one
    Column("digests", Text, nullable=False),  # JSON: hexadecimal, in order
    Column("signed", Text, nullable=False),  # JSON: those of them that were signed
    Column("documents", Text),  # JSON: ids, where it is for whole documents
    Column("expires", UtcDateTime, nullable=False, index=True),
)

responses = Table(
    "signing_csc_responses",
    metadata,
    Column("response_id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("request", LargeBinary, nullable=False),  # sealed: it has the SAD
    Column("result", LargeBinary),  # sealed
    Column("claimed_at", UtcDateTime),
    Column("expires", UtcDateTime, nullable=False, index=True),
)

ACCEPTED, WORKING, DONE = "accepted", "working", "done"


@dataclass(frozen=True)
class Authorisation:
    """``documents``: the ids of whole documents that it is for, None where it is for digests."""

    authorisation_id: str
    owner: str
    credential_id: str
    subject: str
    digests: tuple[bytes, ...]
    signed: tuple[bytes, ...]
    documents: tuple[str, ...] | None
    expires: datetime

    def left(self) -> list[bytes]:
        """The digests that are still to be signed, in order."""
        done, left = list(self.signed), []
        for one in self.digests:
            if one in done:
                done.remove(one)
            else:
                left.append(one)
        return left


@dataclass(frozen=True)
class Response:
    """An answer that a client comes back for; ``request`` and ``result`` are sealed."""

    response_id: str
    owner: str
    state: str
    request: bytes
    result: bytes | None
    expires: datetime


def insert_authorisation(connection: Connection, one: Authorisation, sad: str | None) -> None:
    connection.execute(
        authorisations.insert().values(
            authorisation_id=one.authorisation_id,
            owner=one.owner,
            credential_id=one.credential_id,
            subject=one.subject,
            sad=sad,
            digests=json.dumps([digest.hex() for digest in one.digests]),
            signed=json.dumps([digest.hex() for digest in one.signed]),
            documents=None if one.documents is None else json.dumps(one.documents),
            expires=one.expires,
        )
    )


def proved(connection: Connection, authorisation_id: str, sad: str, expires: datetime) -> None:
    """There is a SAD now."""
    where = authorisations.c.authorisation_id == authorisation_id
    connection.execute(update(authorisations).where(where).values(sad=sad, expires=expires))


def by_sad(connection: Connection, owner: str, credential_id: str, sad: str, now: datetime) -> Authorisation | None:
    """What a SAD stands for; another person's is as absent as one that never was."""
    query = select(authorisations).where(
        authorisations.c.sad == sad,
        authorisations.c.owner == owner,
        authorisations.c.credential_id == credential_id,
        authorisations.c.expires > now,
    )
    row = connection.execute(query).one_or_none()
    return _authorisation(row) if row else None


def unproved(
    connection: Connection, owner: str, credential_id: str, subject: str, now: datetime
) -> Authorisation | None:
    """The newest question about exactly this that was not answered yet."""
    query = select(authorisations).where(
        authorisations.c.sad.is_(None),
        authorisations.c.owner == owner,
        authorisations.c.credential_id == credential_id,
        authorisations.c.subject == subject,
        authorisations.c.expires > now,
    )
    row = connection.execute(query.order_by(authorisations.c.expires.desc()).limit(1)).one_or_none()
    return _authorisation(row) if row else None


def for_documents(connection: Connection, sad: str) -> bool:
    """Whether a SAD is for whole documents."""
    query = select(authorisations.c.documents).where(authorisations.c.sad == sad)
    return connection.execute(query).scalar() is not None


def add_signed(connection: Connection, sad: str, digests: Sequence[bytes]) -> None:
    """These were signed."""
    where = authorisations.c.sad == sad
    signed = connection.execute(select(authorisations.c.signed).where(where).with_for_update()).scalar()
    if signed is not None:
        after = json.dumps([*json.loads(signed), *(digest.hex() for digest in digests)])
        connection.execute(update(authorisations).where(where).values(signed=after))


def expired(connection: Connection, now: datetime, limit: int) -> list[Authorisation]:
    rows = connection.execute(select(authorisations).where(authorisations.c.expires <= now).limit(limit))
    return [_authorisation(row) for row in rows]


def remove(connection: Connection, authorisation_id: str) -> None:
    connection.execute(delete(authorisations).where(authorisations.c.authorisation_id == authorisation_id))


def _authorisation(row: Row[Any]) -> Authorisation:
    return Authorisation(
        row.authorisation_id,
        row.owner,
        row.credential_id,
        row.subject,
        tuple(bytes.fromhex(one) for one in json.loads(row.digests)),
        tuple(bytes.fromhex(one) for one in json.loads(row.signed)),
        None if row.documents is None else tuple(json.loads(row.documents)),
        row.expires,
    )


# --- answers ------------------------------------------------------------------------------------------------------


def insert_response(connection: Connection, response_id: str, owner: str, request: bytes, expires: datetime) -> None:
    connection.execute(
        responses.insert().values(
            response_id=response_id, owner=owner, state=ACCEPTED, request=request, expires=expires
        )
    )


def response_of(connection: Connection, owner: str, response_id: str, now: datetime) -> Response | None:
    """One answer, of this owner; another's is as absent as one that never was."""
    query = select(responses).where(responses.c.response_id == response_id, responses.c.owner == owner)
    row = connection.execute(query.where(responses.c.expires > now)).one_or_none()
    return _response(row) if row else None


def unfinished(connection: Connection, before: datetime, limit: int) -> list[str]:
    """The answers that nobody works on: accepted, or claimed before ``before`` and not done."""
    late = (responses.c.state == WORKING) & (responses.c.claimed_at < before)
    query = select(responses.c.response_id).where(or_(responses.c.state == ACCEPTED, late))
    return list(connection.execute(query.limit(limit)).scalars())


def claim(connection: Connection, response_id: str, now: datetime, before: datetime) -> Response | None:
    """Take one over; None where another has it."""
    late = (responses.c.state == WORKING) & (responses.c.claimed_at < before)
    where = (responses.c.response_id == response_id) & or_(responses.c.state == ACCEPTED, late)
    if connection.execute(update(responses).where(where).values(state=WORKING, claimed_at=now)).rowcount != 1:
        return None
    return _response(connection.execute(select(responses).where(responses.c.response_id == response_id)).one())


def finish(connection: Connection, response_id: str, result: bytes) -> None:
    where = responses.c.response_id == response_id
    connection.execute(update(responses).where(where).values(state=DONE, result=result, request=b""))


def drop_responses(connection: Connection, now: datetime) -> None:
    """Answers that are kept no longer."""
    connection.execute(delete(responses).where(responses.c.expires <= now))


def _response(row: Row[Any]) -> Response:
    return Response(row.response_id, row.owner, row.state, row.request, row.result, row.expires)
