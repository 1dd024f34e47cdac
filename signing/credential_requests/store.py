"""The tables of requests for seal credentials. Reasons are sealed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, Row, String, Table, Text, func, or_, select
from sqlalchemy.exc import IntegrityError

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.agencies.model import AgencyState
from signing.agencies.store import agencies, clients
from signing.credential_requests.errors import CredentialRequestClosed, CredentialRequestWaits
from signing.credential_requests.model import ActKind, CredentialRequest, RequestState
from signing.model import CredentialStatus
from signing.store import credentials, metadata

requests = Table(
    "signing_credential_requests",
    metadata,
    Column("request_id", String(32), primary_key=True),
    Column("agency_id", String(32), nullable=False, index=True),
    Column("client_id", String(200), nullable=False, index=True),
    Column("replaces", String(64), unique=True),  # a credential has one successor
    Column("open_for", String(200), unique=True),  # the client, until it is decided: it asks once at a time
    Column("terms", Text, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("asked_by", String(200), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("approvals", Integer, nullable=False),
    Column("working_until", UtcDateTime),  # a process makes the credential now; another one waits until then
    Column("credential_id", String(64), index=True),
    Column("problem", String(100)),
)

acts = Table(
    "signing_credential_request_acts",
    metadata,
    Column("request_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", LargeBinary),  # sealed
)

_OPEN = (RequestState.WAITING, RequestState.APPROVED)


def insert(connection: Connection, one: CredentialRequest) -> None:
    """Store a new one, without what was done. CredentialRequestWaits where the client has one that is open, or the
    credential has a successor."""
    values = {
        "request_id": one.request_id,
        "agency_id": one.agency_id,
        "client_id": one.client_id,
        "replaces": one.replaces,
        "open_for": None if one.replaces else one.client_id,
        "terms": one.terms,
        "state": one.state.value,
        "version": one.version,
        "asked_by": one.asked_by,
        "asked_at": one.asked_at,
        "expires_at": one.expires_at,
        "approvals": one.approvals,
    }
    try:
        connection.execute(requests.insert().values(**values))
    except IntegrityError:
        raise CredentialRequestWaits from None


def tell(
    connection: Connection, request_id: str, kind: ActKind, actor: str, at: datetime, reason: bytes | None = None
) -> None:
    """Write down what was done."""
    same = select(func.count()).select_from(acts).where(acts.c.request_id == request_id)
    number = connection.execute(same).scalar() or 0
    values = {"request_id": request_id, "number": number, "kind": kind.value, "actor": actor, "at": at}
    connection.execute(acts.insert().values(**values, reason=reason))


def find(connection: Connection, request_id: str) -> CredentialRequest | None:
    """One, without what was done about it."""
    row = connection.execute(select(requests).where(requests.c.request_id == request_id)).first()
    return None if row is None else _request(row)


def acts_of(connection: Connection, request_id: str) -> Sequence[Row[Any]]:
    """What was done about one, the first first."""
    return connection.execute(select(acts).where(acts.c.request_id == request_id).order_by(acts.c.number)).all()


def page(
    connection: Connection,
    limit: int,
    *,
    states: Collection[RequestState] = (),
    agency_ids: Collection[str] | None = None,
    client_id: str | None = None,
) -> Sequence[CredentialRequest]:
    """The newest first. ``agency_ids`` None: of every organisation; ``states`` empty: in whatever state."""
    query = select(requests).order_by(requests.c.asked_at.desc(), requests.c.request_id).limit(limit)
    if states:
        query = query.where(requests.c.state.in_([one.value for one in states]))
    if agency_ids is not None:
        query = query.where(requests.c.agency_id.in_(list(agency_ids)))
    if client_id is not None:
        query = query.where(requests.c.client_id == client_id)
    return [_request(row) for row in connection.execute(query)]


def run_out(connection: Connection, now: datetime) -> Sequence[CredentialRequest]:
    """Those that wait and nobody can decide any more."""
    waiting = (requests.c.state == RequestState.WAITING.value) & (requests.c.expires_at <= now)
    return [_request(row) for row in connection.execute(select(requests).where(waiting).limit(100))]


def change(connection: Connection, one: CredentialRequest, **values: Any) -> None:
    """Change one that still is as it was read; decided, it is not open. Raises CredentialRequestClosed."""
    same = (requests.c.request_id == one.request_id) & (requests.c.version == one.version)
    state = values.get("state")
    if isinstance(state, RequestState):
        values["state"] = state.value
        if state not in _OPEN:
            values["open_for"] = None
    try:
        compare_and_set(connection, requests, same, {"version": one.version + 1, **values})
    except StaleWrite:
        raise CredentialRequestClosed from None


def claim(connection: Connection, one: CredentialRequest, now: datetime, until: datetime) -> bool:
    """Have an approved one for oneself until then; False where another process has it, or it is made."""
    free = or_(requests.c.working_until.is_(None), requests.c.working_until <= now)
    same = (requests.c.request_id == one.request_id) & (requests.c.version == one.version) & free
    try:
        values = {"version": one.version + 1, "working_until": until}
        compare_and_set(connection, requests, same & (requests.c.state == RequestState.APPROVED.value), values)
    except StaleWrite:
        return False
    return True


def successor(connection: Connection, credential_id: str) -> str | None:
    """The credential that follows this one; None where there is none."""
    made = (requests.c.replaces == credential_id) & (requests.c.state == RequestState.ISSUED.value)
    found: str | None = connection.execute(select(requests.c.credential_id).where(made)).scalar()
    return found


def made_by(connection: Connection, credential_id: str) -> CredentialRequest | None:
    """The request that a credential was made for; None for one that was made without."""
    row = connection.execute(select(requests).where(requests.c.credential_id == credential_id)).first()
    return None if row is None else _request(row)


def to_follow(connection: Connection) -> Sequence[Any]:
    """Active credentials without a successor, of clients that were not withdrawn, of organisations that are approved:
    ``credential_id``, ``certificate`` (DER), ``client_id``, ``agency_id``, ``stage`` of the organisation."""
    approved = [one.value for one in AgencyState if one.approved]
    query = (
        select(
            credentials.c.credential_id,
            credentials.c.certificate,
            clients.c.client_id,
            agencies.c.agency_id,
            agencies.c.state,
        )
        .join_from(credentials, clients, clients.c.client_id == credentials.c.owner)
        .join(agencies, agencies.c.agency_id == clients.c.agency_id)
        .outerjoin(requests, requests.c.replaces == credentials.c.credential_id)
        .where(
            (credentials.c.status == CredentialStatus.ACTIVE.value)
            & clients.c.withdrawn_at.is_(None)
            & agencies.c.state.in_(approved)
            & requests.c.request_id.is_(None)
        )
    )
    return connection.execute(query).all()


def _request(row: Row[Any]) -> CredentialRequest:
    return CredentialRequest(
        row.request_id,
        row.agency_id,
        row.client_id,
        row.terms,
        RequestState(row.state),
        row.version,
        row.asked_by,
        row.asked_at,
        row.expires_at,
        row.replaces,
        row.approvals,
        row.credential_id,
        row.problem,
    )
