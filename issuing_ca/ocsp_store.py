"""OCSP responses that are kept: made before they are asked for, and dropped when a status changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, and_, delete, select

from foundation.db.rows import insert_new_rows
from issuing_ca.model import OCSP_RESPONDER, CertificateState
from issuing_ca.tables import certificates, ocsp_responses


@dataclass(frozen=True)
class KeptResponse:
    """A response to one CertID (``asked``, as it came) without a nonce."""

    authority: str
    serial: str
    asked: bytes
    this_update: datetime
    next_update: datetime
    response: bytes


def find(connection: Connection, asked: bytes, now: datetime) -> KeptResponse | None:
    """The response that is kept for a CertID and has not run out."""
    where = and_(ocsp_responses.c.cert_id == _key(asked), ocsp_responses.c.next_update > now)
    row = connection.execute(select(ocsp_responses).where(where)).one_or_none()
    if row is None or bytes(row.asked) != asked:
        return None
    return KeptResponse(row.authority, row.serial, asked, row.this_update, row.next_update, bytes(row.response))


def keep(connection: Connection, kept: Sequence[KeptResponse]) -> None:
    """Keep responses in the place of those before them. Whoever calls holds the rows of their certificates."""
    rows = sorted((_row(one) for one in kept), key=itemgetter("cert_id"))
    if rows:
        keys = [row["cert_id"] for row in rows]
        connection.execute(delete(ocsp_responses).where(ocsp_responses.c.cert_id.in_(keys)))
        insert_new_rows(connection, ocsp_responses, rows)


def _row(kept: KeptResponse) -> dict[str, Any]:
    return {
        "cert_id": _key(kept.asked),
        "authority": kept.authority,
        "serial": kept.serial,
        "asked": kept.asked,
        "this_update": kept.this_update,
        "next_update": kept.next_update,
        "response": kept.response,
    }


def forget(connection: Connection, authority: str, serial: str, profile: str) -> None:
    """Drop what is kept about a certificate whose status changes; everything, where it is a responder's own."""
    where = ocsp_responses.c.authority == authority
    if profile != OCSP_RESPONDER:
        where = and_(where, ocsp_responses.c.serial == serial)
    connection.execute(delete(ocsp_responses).where(where))


def due(connection: Connection, authority: str, before: datetime, limit: int) -> tuple[KeptResponse, ...]:
    """Kept responses that run out before this time, the first of them first."""
    where = and_(ocsp_responses.c.authority == authority, ocsp_responses.c.next_update < before)
    rows = connection.execute(select(ocsp_responses).where(where).order_by(ocsp_responses.c.next_update).limit(limit))
    return tuple(
        KeptResponse(row.authority, row.serial, bytes(row.asked), row.this_update, row.next_update, bytes(row.response))
        for row in rows
    )


def without(connection: Connection, authority: str, now: datetime, limit: int) -> tuple[str, ...]:
    """Serial numbers of certificates, issued and not expired, about which no response is kept; newest first."""
    kept = select(ocsp_responses.c.serial).where(
        ocsp_responses.c.authority == certificates.c.authority, ocsp_responses.c.serial == certificates.c.serial
    )
    query = (
        select(certificates.c.serial)
        .where(
            certificates.c.authority == authority,
            certificates.c.certificate.is_not(None),
            certificates.c.not_after > now,
            certificates.c.state.in_([one.value for one in _TOLD]),
            ~kept.exists(),
        )
        .order_by(certificates.c.issued_at.desc())
        .limit(limit)
    )
    return tuple(connection.execute(query).scalars())


def drop_expired(connection: Connection, now: datetime) -> None:
    """Drop responses about which nobody has asked for them to be renewed in time."""
    connection.execute(delete(ocsp_responses).where(ocsp_responses.c.next_update <= now))


_TOLD = (CertificateState.ISSUED, CertificateState.HELD, CertificateState.REVOKED)


def _key(asked: bytes) -> bytes:
    return hashlib.sha256(asked).digest()
