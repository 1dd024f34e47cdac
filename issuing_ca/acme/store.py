"""ACME's repository, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, insert, select, update

from foundation.db.engine import compare_and_set
from issuing_ca.acme.model import (
    Account,
    Authorization,
    Challenge,
    ChallengeKind,
    Credential,
    CredentialState,
    Order,
    Status,
)
from issuing_ca.acme.tables import accounts, authorizations, challenges, credentials, metadata, orders

__all__ = ["metadata"]

_OPEN = (Status.PENDING.value, Status.READY.value, Status.PROCESSING.value)


# --- credentials --------------------------------------------------------------------------------------------------


def add_credential(connection: Connection, credential: Credential, secret: bytes) -> None:
    connection.execute(
        insert(credentials).values(
            kid=credential.kid,
            secret=secret,
            authority=credential.authority,
            profile=credential.profile,
            subject=json.dumps(credential.subject, ensure_ascii=False),
            domains=json.dumps(credential.domains),
            owner=credential.owner,
            created_by=credential.created_by,
            created_at=credential.created_at,
            expires_at=credential.expires_at,
            state=credential.state.value,
        )
    )


def credential(connection: Connection, kid: str, *, lock: bool = False) -> tuple[Credential, bytes] | None:
    """A credential and its sealed key."""
    query = select(credentials).where(credentials.c.kid == kid)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return (_credential(row), bytes(row.secret)) if row is not None else None


def credential_page(connection: Connection, after: str | None, limit: int) -> tuple[Credential, ...]:
    query = select(credentials).order_by(credentials.c.kid).limit(limit)
    if after is not None:
        query = query.where(credentials.c.kid > after)
    return tuple(_credential(row) for row in connection.execute(query))


def move_credential(
    connection: Connection, kid: str, before: CredentialState, after: CredentialState, account: str | None
) -> None:
    """Raises StaleWrite."""
    compare_and_set(
        connection,
        credentials,
        and_(credentials.c.kid == kid, credentials.c.state == before.value),
        {"state": after.value, "account": account},
    )


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        kid=row.kid,
        authority=row.authority,
        profile=row.profile,
        subject=tuple((name, value) for name, value in json.loads(row.subject)),
        domains=tuple(json.loads(row.domains)),
        owner=row.owner,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        state=CredentialState(row.state),
        account=row.account,
    )


# --- accounts -----------------------------------------------------------------------------------------------------


def add_account(connection: Connection, account: Account, at: datetime) -> None:
    connection.execute(
        insert(accounts).values(
            id=account.id,
            authority=account.authority,
            thumbprint=account.thumbprint,
            jwk=json.dumps(account.jwk),
            credential=account.credential,
            status=account.status.value,
            created_at=at,
        )
    )


def account(connection: Connection, account_id: str, *, lock: bool = False) -> Account | None:
    query = select(accounts).where(accounts.c.id == account_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _account(row) if row is not None else None


def account_of_key(connection: Connection, authority: str, thumbprint: str) -> Account | None:
    query = select(accounts).where(accounts.c.authority == authority, accounts.c.thumbprint == thumbprint)
    row = connection.execute(query).one_or_none()
    return _account(row) if row is not None else None


def change_account(connection: Connection, before: Account, **values: Any) -> None:
    """By compare-and-set on status and key. Raises StaleWrite."""
    unchanged = and_(
        accounts.c.id == before.id,
        accounts.c.status == before.status.value,
        accounts.c.thumbprint == before.thumbprint,
    )
    compare_and_set(connection, accounts, unchanged, values)


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.authority, row.thumbprint, json.loads(row.jwk), row.credential, Status(row.status))


# --- orders -------------------------------------------------------------------------------------------------------


def add_order(connection: Connection, order: Order, at: datetime) -> None:
    connection.execute(
        insert(orders).values(
            id=order.id,
            account=order.account,
            status=order.status.value,
            names=json.dumps(order.names),
            not_after=order.not_after,
            expires=order.expires,
            replaces=order.replaces,
            created_at=at,
            changed_at=at,
        )
    )


def order(connection: Connection, order_id: str, *, lock: bool = False) -> tuple[Order, datetime] | None:
    """An order and when it last changed."""
    query = select(orders).where(orders.c.id == order_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return (_order(row), row.changed_at) if row is not None else None


def order_of_certificate(connection: Connection, serial: str) -> Order | None:
    row = connection.execute(select(orders).where(orders.c.serial == serial)).one_or_none()
    return _order(row) if row is not None else None


def orders_of(connection: Connection, account_id: str, after: str, limit: int) -> tuple[str, ...]:
    query = (
        select(orders.c.id)
        .where(orders.c.account == account_id, orders.c.id > after, orders.c.status != Status.INVALID.value)
        .order_by(orders.c.id)
        .limit(limit)
    )
    return tuple(connection.execute(query).scalars())


def open_orders(connection: Connection, account_id: str, now: datetime) -> int:
    query = select(func.count()).where(
        orders.c.account == account_id, orders.c.status.in_(_OPEN), orders.c.expires > now
    )
    return int(connection.execute(query).scalar_one())


def replaced(connection: Connection, certificate_id: str) -> bool:
    """Whether an order that is still good replaces this certificate."""
    query = select(orders.c.id).where(orders.c.replaces == certificate_id, orders.c.status != Status.INVALID.value)
    return connection.execute(query.limit(1)).first() is not None


def move_order(
    connection: Connection, order_id: str, before: Status, after: Status, at: datetime, **values: Any
) -> None:
    """Raises StaleWrite."""
    compare_and_set(
        connection,
        orders,
        and_(orders.c.id == order_id, orders.c.status == before.value),
        {"status": after.value, "changed_at": at, **values},
    )


def _order(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        account=row.account,
        status=Status(row.status),
        names=tuple(json.loads(row.names)),
        not_after=row.not_after,
        expires=row.expires,
        replaces=row.replaces,
        serial=row.serial,
        error=json.loads(row.error) if row.error else None,
    )


# --- authorizations and challenges --------------------------------------------------------------------------------


def add_authorization(connection: Connection, authorization: Authorization) -> None:
    connection.execute(
        insert(authorizations).values(
            id=authorization.id,
            order=authorization.order,
            account=authorization.account,
            name=authorization.name,
            status=authorization.status.value,
            expires=authorization.expires,
        )
    )
    connection.execute(
        insert(challenges),
        [
            {
                "id": one.id,
                "authorization": authorization.id,
                "kind": one.kind.value,
                "token": one.token,
                "status": one.status.value,
            }
            for one in authorization.challenges
        ],
    )


def authorization(connection: Connection, authorization_id: str) -> Authorization | None:
    row = connection.execute(select(authorizations).where(authorizations.c.id == authorization_id)).one_or_none()
    return _authorization(connection, row) if row is not None else None


def authorizations_of(connection: Connection, order_id: str) -> tuple[tuple[str, Status], ...]:
    query = (
        select(authorizations.c.id, authorizations.c.status)
        .where(authorizations.c.order == order_id)
        .order_by(authorizations.c.id)
    )
    return tuple((row.id, Status(row.status)) for row in connection.execute(query))


def challenge(connection: Connection, challenge_id: str) -> Challenge | None:
    row = connection.execute(select(challenges).where(challenges.c.id == challenge_id)).one_or_none()
    return _challenge(row) if row is not None else None


def move_challenge(connection: Connection, challenge_id: str, before: Status, after: Status, **values: Any) -> None:
    """Raises StaleWrite."""
    _move(connection, challenges, challenge_id, before, after, values)


def move_authorization(connection: Connection, authorization_id: str, before: Status, after: Status) -> None:
    """Raises StaleWrite."""
    _move(connection, authorizations, authorization_id, before, after, {})


def close_authorizations(connection: Connection, account_id: str) -> None:
    """Deactivate what an account has pending."""
    connection.execute(
        update(authorizations)
        .where(authorizations.c.account == account_id, authorizations.c.status == Status.PENDING.value)
        .values(status=Status.DEACTIVATED.value)
    )


def _move(
    connection: Connection, table: Table, key: str, before: Status, after: Status, values: dict[str, Any]
) -> None:
    same = and_(table.c.id == key, table.c.status == before.value)
    compare_and_set(connection, table, same, {"status": after.value, **values})


def _authorization(connection: Connection, row: Row[Any]) -> Authorization:
    query = select(challenges).where(challenges.c.authorization == row.id).order_by(challenges.c.kind)
    found: Sequence[Row[Any]] = connection.execute(query).all()
    return Authorization(
        id=row.id,
        order=row.order,
        account=row.account,
        name=row.name,
        status=Status(row.status),
        expires=row.expires,
        challenges=tuple(_challenge(one) for one in found),
    )


def _challenge(row: Row[Any]) -> Challenge:
    return Challenge(
        id=row.id,
        authorization=row.authorization,
        kind=ChallengeKind(row.kind),
        token=row.token,
        status=Status(row.status),
        validated_at=row.validated_at,
        error=json.loads(row.error) if row.error else None,
    )
