"""The authorisation server's tables: clients, pushed requests, codes, access tokens, subjects. Secrets as digests."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    select,
    update,
)

from foundation.db.engine import compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from identity.oauth.model import AccessGrant, GrantType, OAuthClient
from identity.store import actors, metadata

_REMEMBERED = timedelta(hours=1)

clients = Table(
    "identity_oauth_clients",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("grants", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("certificate_bound", Boolean, nullable=False),
    Column("registered_by", String(200), nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
)

# One row for each pushed authorisation request (RFC 9126) that could still be answered.
requests = Table(
    "identity_oauth_requests",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("browser", LargeBinary(32), nullable=True),
    Column("person_id", String(200), nullable=True),
    Column("question", String(64), nullable=True),
    Column("closed_at", UtcDateTime, nullable=True),
)

codes = Table(
    "identity_oauth_codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("person_id", String(200), nullable=False, index=True),
    Column("parameters", Text, nullable=False),
    Column("activation", LargeBinary, nullable=True),
    Column("activation_expires", UtcDateTime, nullable=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("used_at", UtcDateTime, nullable=True),
)

tokens = Table(
    "identity_oauth_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("client_id", String(64), nullable=False, index=True),
    Column("person_id", String(200), nullable=True, index=True),
    Column("scopes", Text, nullable=False),
    Column("certificate", LargeBinary(32), nullable=True),
    Column("credential_id", String(100), nullable=True),
    Column("digests", Text, nullable=True),
    Column("activation", LargeBinary, nullable=True),
    Column("code", LargeBinary(32), nullable=True, index=True),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime, nullable=True),
)

# The name that one client knows one person by (OpenID Connect Core §8.1, pairwise): random, the same each time.
subjects = Table(
    "identity_oauth_subjects",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("person_id", String(200), primary_key=True),
    Column("subject", String(64), nullable=False),
    UniqueConstraint("subject"),
)


def keep_client(connection: Connection, client: OAuthClient, by: str, now: datetime) -> None:
    """Register, in place of what the client had."""
    connection.execute(delete(clients).where(clients.c.client_id == client.client_id))
    connection.execute(
        clients.insert().values(
            client_id=client.client_id,
            grants=json.dumps(sorted(client.grants)),
            redirect_uris=json.dumps(list(client.redirect_uris)),
            scopes=json.dumps(sorted(client.scopes)),
            certificate_bound=client.certificate_bound,
            registered_by=by,
            registered_at=now,
        )
    )


def client(connection: Connection, client_id: str) -> OAuthClient | None:
    row = connection.execute(select(clients).where(clients.c.client_id == client_id)).one_or_none()
    if row is None:
        return None
    return OAuthClient(
        row.client_id,
        frozenset(GrantType(one) for one in json.loads(row.grants)),
        tuple(json.loads(row.redirect_uris)),
        frozenset(json.loads(row.scopes)),
        row.certificate_bound,
    )


def add_token(
    connection: Connection,
    digest: bytes,
    grant: AccessGrant,
    now: datetime,
    *,
    activation: bytes | None = None,
    code: bytes | None = None,
) -> None:
    """``activation``: sealed under the token itself; ``code``: the digest of the code that it came from."""
    connection.execute(
        tokens.insert().values(
            digest=digest,
            client_id=grant.client_id,
            person_id=grant.person_id,
            scopes=json.dumps(sorted(grant.scopes)),
            certificate=grant.certificate,
            credential_id=grant.credential_id,
            digests=json.dumps([one.hex() for one in grant.digests]) if grant.digests else None,
            activation=activation,
            code=code,
            issued_at=now,
            expires_at=grant.expires_at,
        )
    )


def token(connection: Connection, digest: bytes, now: datetime) -> Row[Any] | None:
    """The current token of this digest, with ``status`` and ``roles`` of its client."""
    return connection.execute(
        select(tokens, actors.c.status, actors.c.roles)
        .join(actors, actors.c.id == tokens.c.client_id)
        .where(tokens.c.digest == digest, tokens.c.revoked_at.is_(None), tokens.c.expires_at > now)
    ).one_or_none()


def grant_of(row: Any) -> AccessGrant:
    return AccessGrant(
        client_id=row.client_id,
        person_id=row.person_id,
        scopes=frozenset(json.loads(row.scopes)),
        expires_at=row.expires_at,
        certificate=None if row.certificate is None else bytes(row.certificate),
        credential_id=row.credential_id,
        digests=tuple(bytes.fromhex(one) for one in json.loads(row.digests or "[]")),
    )


def revoke_token(connection: Connection, digest: bytes, client_id: str, now: datetime) -> bool:
    """End a token of this client's; False where there is none that is not ended."""
    own = (tokens.c.digest == digest) & (tokens.c.client_id == client_id) & tokens.c.revoked_at.is_(None)
    return connection.execute(update(tokens).where(own).values(revoked_at=now, activation=None)).rowcount == 1


def stand_by_code(connection: Connection, digest: bytes) -> None:
    """Hold a used code's row while its token is made. Raises StaleWrite where it was shown again meanwhile."""
    stands = (codes.c.digest == digest) & (codes.c.parameters != "")
    compare_and_set(connection, codes, stands, {"activation": None})


def end_code(connection: Connection, code: bytes, now: datetime) -> int:
    """A used code was shown again: nothing comes from it any more, and what came from it ends."""
    connection.execute(update(codes).where(codes.c.digest == code).values(parameters="", activation=None))
    own = (tokens.c.code == code) & tokens.c.revoked_at.is_(None)
    return connection.execute(update(tokens).where(own).values(revoked_at=now, activation=None)).rowcount


def revoke_person(connection: Connection, person_id: str, now: datetime) -> int:
    """End every token that stands for a person, and every code that could still become one."""
    own = (tokens.c.person_id == person_id) & tokens.c.revoked_at.is_(None)
    ended = connection.execute(update(tokens).where(own).values(revoked_at=now, activation=None)).rowcount
    waiting = (codes.c.person_id == person_id) & codes.c.used_at.is_(None)
    connection.execute(update(codes).where(waiting).values(used_at=now, activation=None))
    return ended


def prune(connection: Connection, now: datetime) -> None:
    """Remove what has run out. Codes are kept for longer than what came from them: shown again, they end it."""
    for table, before in ((requests, now), (codes, now - _REMEMBERED), (tokens, now)):
        connection.execute(delete(table).where(table.c.expires_at <= before))


def add_request(connection: Connection, digest: bytes, client_id: str, parameters: str, expires_at: datetime) -> None:
    connection.execute(
        requests.insert().values(digest=digest, client_id=client_id, parameters=parameters, expires_at=expires_at)
    )


def request(connection: Connection, digest: bytes, client_id: str, now: datetime) -> Row[Any] | None:
    """A request of this client's that is still open."""
    return connection.execute(
        select(requests).where(
            requests.c.digest == digest,
            requests.c.client_id == client_id,
            requests.c.closed_at.is_(None),
            requests.c.expires_at > now,
        )
    ).one_or_none()


def take_request(connection: Connection, digest: bytes, browser: bytes, expires_at: datetime) -> None:
    """Bind an open request to the browser that showed it first. Raises StaleWrite where another one has."""
    free = (requests.c.digest == digest) & requests.c.browser.is_(None) & requests.c.closed_at.is_(None)
    compare_and_set(connection, requests, free, {"browser": browser, "expires_at": expires_at})


def ask_in_request(connection: Connection, digest: bytes, person_id: str, question: str) -> None:
    """Note whom the token asks, and which question. Raises StaleWrite where the request is closed."""
    still = (requests.c.digest == digest) & requests.c.closed_at.is_(None)
    compare_and_set(connection, requests, still, {"person_id": person_id, "question": question})


def close_request(connection: Connection, digest: bytes, now: datetime) -> None:
    """Raises StaleWrite where it is closed already: of two answers one counts."""
    still = (requests.c.digest == digest) & requests.c.closed_at.is_(None)
    compare_and_set(connection, requests, still, {"closed_at": now})


def add_code(connection: Connection, values: dict[str, Any]) -> None:
    connection.execute(codes.insert().values(values))


def code(connection: Connection, digest: bytes) -> Row[Any] | None:
    """A code, used or not, as long as it is kept."""
    return connection.execute(select(codes).where(codes.c.digest == digest)).one_or_none()


def use_code(connection: Connection, digest: bytes, now: datetime) -> None:
    """Raises StaleWrite where it was used before."""
    unused = (codes.c.digest == digest) & codes.c.used_at.is_(None)
    compare_and_set(connection, codes, unused, {"used_at": now, "activation": None})


def subject(connection: Connection, client_id: str, person_id: str, new: str) -> str:
    """The name of a person for a client; ``new`` where there is none yet."""
    own = (subjects.c.client_id == client_id) & (subjects.c.person_id == person_id)
    found = connection.execute(select(subjects.c.subject).where(own)).scalar_one_or_none()
    if found is None:
        insert_once(connection, subjects, {"client_id": client_id, "person_id": person_id, "subject": new})
        found = connection.execute(select(subjects.c.subject).where(own)).scalar_one()
    return str(found)
