"""The repository of enrolment credentials."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from issuing_ca.enrolment.model import CredentialState, EnrolmentCredential
from issuing_ca.enrolment.tables import certificates, credentials, metadata, requests

__all__ = ["metadata"]


def add(connection: Connection, credential: EnrolmentCredential, secret: bytes) -> None:
    connection.execute(
        insert(credentials).values(
            reference=credential.reference,
            secret=secret,
            authority=credential.authority,
            profile=credential.profile,
            subject=json.dumps(credential.subject, ensure_ascii=False),
            dns_names=json.dumps(credential.dns_names),
            owner=credential.owner,
            created_by=credential.created_by,
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            changed_at=credential.changed_at,
            state=credential.state.value,
        )
    )


def credential(
    connection: Connection, reference: str, *, lock: bool = False
) -> tuple[EnrolmentCredential, bytes] | None:
    """A credential and its sealed secret."""
    query = select(credentials).where(credentials.c.reference == reference)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return (_credential(row), bytes(row.secret)) if row is not None else None


def page(connection: Connection, after: str | None, limit: int) -> tuple[EnrolmentCredential, ...]:
    query = select(credentials).order_by(credentials.c.reference).limit(limit)
    if after is not None:
        query = query.where(credentials.c.reference > after)
    return tuple(_credential(row) for row in connection.execute(query))


def move(connection: Connection, before: EnrolmentCredential, after: CredentialState, at: datetime) -> None:
    """By compare-and-set on state and time of the last change. Raises StaleWrite."""
    same = and_(
        credentials.c.reference == before.reference,
        credentials.c.state == before.state.value,
        credentials.c.changed_at == before.changed_at,
    )
    compare_and_set(connection, credentials, same, {"state": after.value, "changed_at": at})


def follow(connection: Connection, serial: str, reference: str) -> None:
    """Note from which credential a certificate follows."""
    insert_once(connection, certificates, {"serial": serial, "reference": reference})


def reference_of(connection: Connection, serial: str) -> str | None:
    return connection.execute(
        select(certificates.c.reference).where(certificates.c.serial == serial)
    ).scalar_one_or_none()


def ask(connection: Connection, request: str, reference: str, evidence: str, key: str, at: datetime) -> None:
    """Note what a machine asked the registration authority for."""
    values = {"request": request, "reference": reference, "evidence": evidence, "key": key, "at": at}
    connection.execute(insert(requests).values(values))


def asked(connection: Connection, reference: str, evidence: str) -> tuple[tuple[str, str], ...]:
    """Requests (id, digest of the key) of a credential on some evidence, the newest first."""
    query = select(requests.c.request, requests.c.key).where(
        requests.c.reference == reference, requests.c.evidence == evidence
    )
    rows = connection.execute(query.order_by(requests.c.at.desc(), requests.c.request))
    return tuple((row.request, row.key) for row in rows)


def _credential(row: Row[Any]) -> EnrolmentCredential:
    return EnrolmentCredential(
        reference=row.reference,
        authority=row.authority,
        profile=row.profile,
        subject=tuple((name, value) for name, value in json.loads(row.subject)),
        dns_names=tuple(json.loads(row.dns_names)),
        owner=row.owner,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        changed_at=row.changed_at,
        state=CredentialState(row.state),
    )
