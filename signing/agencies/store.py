"""The tables of organisations. The signatures of their representatives are sealed for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, Row, String, Table, select
from sqlalchemy.exc import IntegrityError

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.agencies.errors import AgencyNumberTaken, AgencyStateConflict
from signing.agencies.model import Agency, AgencyClient, AgencyState, Representative
from signing.store import metadata

agencies = Table(
    "signing_agencies",
    metadata,
    Column("agency_id", String(32), primary_key=True),
    Column("name_km", String(200), nullable=False),
    Column("name_latin", String(200), nullable=False),
    Column("number", String(100), nullable=False),
    Column("approved_number", String(100), unique=True),  # of those that are approved: no two have the same
    Column("state", String(20), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
    Column("first_officer", String(200)),
    Column("first_stage", String(20)),
)

representatives = Table(
    "signing_agency_representatives",
    metadata,
    Column("agency_id", String(32), primary_key=True),
    Column("person_id", String(200), primary_key=True, index=True),
    Column("signature", LargeBinary),  # sealed
    Column("certificate", String(64)),
    Column("signed_at", UtcDateTime),
    Column("withdrawn_at", UtcDateTime),
)

clients = Table(
    "signing_agency_clients",
    metadata,
    Column("client_id", String(200), primary_key=True),
    Column("agency_id", String(32), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("added_by", String(200), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("credential_id", String(64)),
    Column("stage", String(20)),
    Column("withdrawn_at", UtcDateTime),
)


def insert(connection: Connection, agency: Agency) -> None:
    """Store a new one with its representatives."""
    connection.execute(
        agencies.insert().values(
            agency_id=agency.agency_id,
            name_km=agency.name_km,
            name_latin=agency.name_latin,
            number=agency.number,
            state=agency.state.value,
            version=agency.version,
            proposed_by=agency.proposed_by,
            proposed_at=agency.proposed_at,
        )
    )
    rows = [{"agency_id": agency.agency_id, "person_id": one.person_id} for one in agency.representatives]
    connection.execute(representatives.insert(), rows)


def find(connection: Connection, agency_id: str) -> Agency | None:
    """One organisation, whole."""
    row = connection.execute(select(agencies).where(agencies.c.agency_id == agency_id)).first()
    return None if row is None else _agency(connection, row)


def of_state(connection: Connection, state: AgencyState, limit: int) -> Sequence[Agency]:
    """Those in a state, the newest first."""
    same = select(agencies).where(agencies.c.state == state.value)
    rows = connection.execute(same.order_by(agencies.c.proposed_at.desc(), agencies.c.agency_id).limit(limit)).all()
    return [_agency(connection, row) for row in rows]


def of_person(connection: Connection, person_id: str, limit: int) -> Sequence[Agency]:
    """Those that a person represents, the newest first."""
    theirs = (representatives.c.person_id == person_id) & representatives.c.withdrawn_at.is_(None)
    same = select(agencies).join(representatives, representatives.c.agency_id == agencies.c.agency_id).where(theirs)
    rows = connection.execute(same.order_by(agencies.c.proposed_at.desc(), agencies.c.agency_id).limit(limit)).all()
    return [_agency(connection, row) for row in rows]


def of_client(connection: Connection, client_id: str) -> Agency | None:
    """The organisation of a client; None for one that belongs to none here."""
    same = select(agencies).join(clients, clients.c.agency_id == agencies.c.agency_id)
    row = connection.execute(same.where(clients.c.client_id == client_id)).first()
    return None if row is None else _agency(connection, row)


def change(connection: Connection, agency: Agency, **values: Any) -> None:
    """Change one that still is as it was read, or touch it. Raises AgencyStateConflict, AgencyNumberTaken."""
    same = (agencies.c.agency_id == agency.agency_id) & (agencies.c.version == agency.version)
    try:
        compare_and_set(connection, agencies, same, {"version": agency.version + 1, **values})
    except StaleWrite:
        raise AgencyStateConflict from None
    except IntegrityError:
        raise AgencyNumberTaken from None


def hold(connection: Connection, agency_id: str, state: AgencyState) -> None:
    """Keep an organisation in its state until the transaction ends. Raises AgencyStateConflict where it has left it."""
    same = (agencies.c.agency_id == agency_id) & (agencies.c.state == state.value)
    try:
        compare_and_set(connection, agencies, same, {"version": agencies.c.version + 1})
    except StaleWrite:
        raise AgencyStateConflict from None


def change_representative(connection: Connection, agency_id: str, person_id: str, **values: Any) -> None:
    """Change one who was not withdrawn. Raises AgencyStateConflict."""
    same = (representatives.c.agency_id == agency_id) & (representatives.c.person_id == person_id)
    try:
        compare_and_set(connection, representatives, same & representatives.c.withdrawn_at.is_(None), values)
    except StaleWrite:
        raise AgencyStateConflict from None


def add_client(connection: Connection, agency_id: str, client: AgencyClient) -> None:
    """Store a new client, without a credential."""
    connection.execute(
        clients.insert().values(
            client_id=client.client_id,
            agency_id=agency_id,
            label=client.label,
            added_by=client.added_by,
            added_at=client.added_at,
        )
    )


def require_acting(connection: Connection, client_id: str) -> None:
    """Keep a client from being withdrawn until the transaction ends. Raises AgencyStateConflict where it was."""
    change_client(connection, client_id, label=clients.c.label)


def change_client(connection: Connection, client_id: str, **values: Any) -> None:
    """Change a client that was not withdrawn. Raises AgencyStateConflict."""
    same = (clients.c.client_id == client_id) & clients.c.withdrawn_at.is_(None)
    try:
        compare_and_set(connection, clients, same, values)
    except StaleWrite:
        raise AgencyStateConflict from None


def _agency(connection: Connection, row: Row[Any]) -> Agency:
    persons = connection.execute(
        select(representatives)
        .where(representatives.c.agency_id == row.agency_id)
        .order_by(representatives.c.person_id)
    )
    acting = connection.execute(
        select(clients).where(clients.c.agency_id == row.agency_id).order_by(clients.c.added_at, clients.c.client_id)
    )
    return Agency(
        agency_id=row.agency_id,
        name_km=row.name_km,
        name_latin=row.name_latin,
        number=row.number,
        state=AgencyState(row.state),
        version=row.version,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        first_officer=row.first_officer,
        first_stage=AgencyState(row.first_stage) if row.first_stage else None,
        representatives=tuple(
            Representative(one.person_id, one.signature, one.certificate, one.signed_at, one.withdrawn_at)
            for one in persons
        ),
        clients=tuple(
            AgencyClient(
                one.client_id,
                one.label,
                one.added_by,
                one.added_at,
                one.credential_id,
                AgencyState(one.stage) if one.stage else None,
                one.withdrawn_at,
            )
            for one in acting
        ),
    )
