"""ACME's tables."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

from foundation.db.types import UtcDateTime

metadata = MetaData()

nonce_key = Table(
    "acme_nonce_key",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(32), nullable=False),  # tells our nonces from others; protects nothing else
)

used_nonces = Table(
    "acme_used_nonces",
    metadata,
    Column("nonce", String(80), primary_key=True),
    Column("expires", UtcDateTime, nullable=False, index=True),
)

credentials = Table(
    "acme_credentials",
    metadata,
    Column("kid", String(40), primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # sealed in the vault
    Column("authority", String(40), nullable=False, server_default="issuing"),
    Column("profile", String(60), nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("domains", Text, nullable=False),  # JSON
    Column("owner", String(200), nullable=False, index=True),
    Column("created_by", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),
    Column("account", String(40)),
)

accounts = Table(
    "acme_accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("authority", String(40), nullable=False, server_default="issuing"),
    Column("thumbprint", String(64), nullable=False),
    Column("jwk", Text, nullable=False),
    Column("credential", String(40), nullable=False, index=True),
    Column("status", String(12), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # a key has one account at each CA
    UniqueConstraint("authority", "thumbprint", name="acme_accounts_authority_thumbprint_key"),
)

orders = Table(
    "acme_orders",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account", String(40), nullable=False, index=True),
    Column("status", String(12), nullable=False),
    Column("names", Text, nullable=False),  # JSON
    Column("not_after", UtcDateTime),
    Column("expires", UtcDateTime, nullable=False),
    Column("replaces", String(120), index=True),
    Column("serial", String(40), index=True),
    Column("error", Text),  # JSON
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

authorizations = Table(
    "acme_authorizations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("order", String(40), nullable=False, index=True),
    Column("account", String(40), nullable=False, index=True),
    Column("name", String(253), nullable=False),
    Column("status", String(12), nullable=False),
    Column("expires", UtcDateTime, nullable=False),
)

challenges = Table(
    "acme_challenges",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("authorization", String(40), nullable=False, index=True),
    Column("kind", String(12), nullable=False),
    Column("token", String(64), nullable=False),
    Column("status", String(12), nullable=False),
    Column("validated_at", UtcDateTime),
    Column("error", Text),  # JSON
)
