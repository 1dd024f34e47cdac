"""The table of templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Integer, LargeBinary, Row, String, Table, Text, func, select, update

from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.types import UtcDateTime
from signing.agencies.model import AgencyState
from signing.agencies.store import agencies, clients
from signing.store import metadata
from signing.templates.appearance import Appearance
from signing.templates.errors import TemplateStateConflict
from signing.templates.model import Template, TemplateState

templates = Table(
    "signing_templates",
    metadata,
    Column("template_id", String(32), primary_key=True),
    Column("agency_id", String(32), nullable=False, index=True),
    Column("name", String(40), nullable=False),
    Column("approved_name", String(80), unique=True),  # organisation and name of one that is approved: no two are
    Column("appearance", Text, nullable=False),  # JSON
    Column("picture", LargeBinary),
    Column("picture_sha256", String(64), index=True),
    Column("digest", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
)

_LIVING = (TemplateState.PROPOSED.value, TemplateState.APPROVED.value)


def insert(connection: Connection, one: Template) -> None:
    """Store a new one."""
    connection.execute(
        templates.insert().values(
            template_id=one.template_id,
            agency_id=one.agency_id,
            name=one.name,
            appearance=json.dumps(one.appearance.json(), ensure_ascii=False, sort_keys=True),
            picture=one.appearance.picture,
            picture_sha256=_sha256(one.appearance.picture),
            digest=one.digest,
            state=one.state.value,
            version=one.version,
            proposed_by=one.proposed_by,
            proposed_at=one.proposed_at,
        )
    )


def find(connection: Connection, agency_id: str, template_id: str) -> Template | None:
    """One of an organisation's."""
    same = (templates.c.template_id == template_id) & (templates.c.agency_id == agency_id)
    row = connection.execute(select(templates).where(same)).first()
    return None if row is None else _template(row)


def of_agency(connection: Connection, agency_id: str, limit: int) -> Sequence[Template]:
    """An organisation's, the newest first."""
    same = select(templates).where(templates.c.agency_id == agency_id)
    rows = connection.execute(same.order_by(templates.c.proposed_at.desc(), templates.c.template_id).limit(limit))
    return [_template(row) for row in rows]


def living(connection: Connection, agency_id: str) -> int:
    """How many of an organisation's wait or are approved."""
    same = (templates.c.agency_id == agency_id) & templates.c.state.in_(_LIVING)
    return connection.execute(select(func.count()).select_from(templates).where(same)).scalar() or 0


def of_client(connection: Connection, client_id: str, name: str) -> Template | None:
    """The approved one of this name of the organisation that a client acts for now."""
    rows = connection.execute(
        select(templates)
        .join(clients, clients.c.agency_id == templates.c.agency_id)
        .join(agencies, agencies.c.agency_id == templates.c.agency_id)
        .where(
            (clients.c.client_id == client_id)
            & clients.c.withdrawn_at.is_(None)
            & agencies.c.state.in_([one.value for one in AgencyState if one.approved])
            & (templates.c.name == name)
            & (templates.c.state == TemplateState.APPROVED.value)
        )
    )
    row = rows.first()
    return None if row is None else _template(row)


def is_of_another(connection: Connection, agency_id: str, picture: bytes | None) -> bool:
    """Whether an approved template of another organisation has this image, octet for octet."""
    same = (
        (templates.c.picture_sha256 == _sha256(picture))
        & (templates.c.agency_id != agency_id)
        & (templates.c.state == TemplateState.APPROVED.value)
    )
    return picture is not None and connection.execute(select(templates.c.template_id).where(same)).first() is not None


def change(connection: Connection, one: Template, state: TemplateState, by: str, at: datetime) -> None:
    """Change one that still is as it was read; what was approved under its name before is withdrawn by an approval.

    Raises TemplateStateConflict.
    """
    approved = f"{one.agency_id}/{one.name}" if state is TemplateState.APPROVED else None
    values: dict[str, Any] = {"decided_by": by, "decided_at": at, "version": templates.c.version + 1}
    if approved is not None:
        ended = values | {"state": TemplateState.WITHDRAWN.value, "approved_name": None}
        connection.execute(update(templates).where(templates.c.approved_name == approved).values(**ended))
    same = (templates.c.template_id == one.template_id) & (templates.c.version == one.version)
    try:
        compare_and_set(connection, templates, same, values | {"state": state.value, "approved_name": approved})
    except StaleWrite:
        raise TemplateStateConflict from None


def _sha256(picture: bytes | None) -> str | None:
    return None if picture is None else hashlib.sha256(picture).hexdigest()


def _template(row: Row[Any]) -> Template:
    return Template(
        row.template_id,
        row.agency_id,
        row.name,
        Appearance.read(json.loads(row.appearance), row.picture),
        row.digest,
        TemplateState(row.state),
        row.version,
        row.proposed_by,
        row.proposed_at,
        row.decided_by,
        row.decided_at,
    )
