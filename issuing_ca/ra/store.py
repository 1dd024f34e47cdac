"""The registration authority's repository."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from issuing_ca.model import CertificateState
from issuing_ca.ra.model import CertificateApplication, CertificateQuery, RequestState
from issuing_ca.ra.tables import decisions, metadata, requests
from issuing_ca.tables import certificates

__all__ = ["metadata"]

_STANDING = (CertificateState.ISSUED.value, CertificateState.HELD.value)


def add(connection: Connection, one: CertificateApplication) -> None:
    connection.execute(
        insert(requests).values(
            id=one.id,
            authority=one.authority,
            profile=one.profile,
            csr=one.csr,
            public_key=one.public_key,
            subject=json.dumps(one.subject, ensure_ascii=False),
            dns_names=json.dumps(one.dns_names),
            owner=one.owner,
            not_after=one.not_after,
            requested_by=one.requested_by,
            introduced_by=one.introduced_by,
            requested_at=one.requested_at,
            expires_at=one.expires_at,
            changed_at=one.requested_at,
            state=one.state.value,
        )
    )


def request(connection: Connection, request_id: str, *, lock: bool = False) -> CertificateApplication | None:
    query = select(requests).where(requests.c.id == request_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _application(row) if row is not None else None


def page(
    connection: Connection, after: str | None, limit: int, state: RequestState | None, now: datetime
) -> tuple[CertificateApplication, ...]:
    query = select(requests).order_by(requests.c.id).limit(limit)
    if after is not None:
        query = query.where(requests.c.id > after)
    if state is RequestState.EXPIRED:  # nobody looks after those that run out
        query = query.where(requests.c.state == RequestState.PENDING.value, requests.c.expires_at <= now)
    elif state is not None:
        query = query.where(requests.c.state == state.value)
    if state is RequestState.PENDING:
        query = query.where(requests.c.expires_at > now)
    return tuple(_application(row).at(now) for row in connection.execute(query))


def decide(
    connection: Connection,
    request_id: str,
    officer: str,
    approves: bool,
    reason: str,
    comment: bytes | None,
    at: datetime,
) -> bool:
    """Keep a decision; False where this officer has decided already."""
    values = {
        "request": request_id,
        "officer": officer,
        "approves": approves,
        "reason": reason,
        "comment": comment,
        "at": at,
    }
    return insert_once(connection, decisions, values)


def decisions_of(connection: Connection, request_id: str) -> tuple[Row[Any], ...]:
    query = select(decisions).where(decisions.c.request == request_id).order_by(decisions.c.at, decisions.c.officer)
    return tuple(connection.execute(query))


def move(
    connection: Connection, request_id: str, before: RequestState, after: RequestState, at: datetime, **values: Any
) -> None:
    """Raises StaleWrite."""
    same = and_(requests.c.id == request_id, requests.c.state == before.value)
    compare_and_set(connection, requests, same, {"state": after.value, "changed_at": at, **values})


def serials(connection: Connection, query: CertificateQuery) -> tuple[str, ...]:
    """Serial numbers of certificates that the query finds and that are not revoked, in their order."""
    statement = select(certificates.c.serial).where(_conditions(query)).order_by(certificates.c.serial)
    return tuple(connection.execute(statement).scalars())


def count(connection: Connection, query: CertificateQuery) -> int:
    return int(connection.execute(select(func.count()).where(_conditions(query))).scalar_one())


def _conditions(query: CertificateQuery) -> ColumnElement[bool]:
    column = certificates.c
    given = {name: getattr(query, name) for name in ("profile", "owner", "evidence", "requested_by")}
    wanted: list[ColumnElement[bool]] = [column.state.in_(_STANDING)]
    wanted += [column[name] == value for name, value in given.items() if value is not None]
    if query.evidences:
        wanted.append(column.evidence.in_(query.evidences))
    if query.issued_from is not None:
        wanted.append(column.issued_at >= query.issued_from)
    if query.issued_until is not None:
        wanted.append(column.issued_at < query.issued_until)
    return and_(*wanted)


def _application(row: Row[Any]) -> CertificateApplication:
    return CertificateApplication(
        id=row.id,
        authority=row.authority,
        profile=row.profile,
        csr=bytes(row.csr),
        subject=tuple((name, value) for name, value in json.loads(row.subject)),
        dns_names=tuple(json.loads(row.dns_names)),
        owner=row.owner,
        not_after=row.not_after,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        state=RequestState(row.state),
        serial=row.serial,
        failure=row.failure,
        public_key=bytes(row.public_key) if row.public_key is not None else None,
        introduced_by=row.introduced_by,
    )
