"""The registration authority's tables."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, LargeBinary, MetaData, String, Table, Text

from foundation.db.types import UtcDateTime

metadata = MetaData()

requests = Table(
    "ra_requests",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("authority", String(40), nullable=False, server_default="issuing"),
    Column("profile", String(60), nullable=False),
    Column("csr", LargeBinary, nullable=False),  # or another proof that the key is held, as it came
    Column("public_key", LargeBinary),  # SubjectPublicKeyInfo, where the proof is no PKCS#10 request
    Column("subject", Text, nullable=False),  # JSON
    Column("dns_names", Text, nullable=False),  # JSON
    Column("owner", String(200), nullable=False, index=True),
    Column("not_after", UtcDateTime),
    Column("requested_by", String(200), nullable=False),
    Column("introduced_by", String(200)),  # who verified the machine that asks
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("serial", String(40)),
    Column("failure", String(100)),
)

decisions = Table(
    "ra_decisions",
    metadata,
    Column("request", String(40), primary_key=True),
    Column("officer", String(200), primary_key=True),  # an officer decides once
    Column("approves", Boolean, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("comment", LargeBinary),  # sealed in the vault
    Column("at", UtcDateTime, nullable=False),
)

bulk_revocations = Table(
    "ra_bulk_revocations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conditions", Text, nullable=False),  # JSON
    Column("reason", String(40), nullable=False),
    Column("serials", Text, nullable=False),  # a line each, in their order: what was found
    Column("found", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("done", Integer, nullable=False),
    Column("proposed_by", String(200), nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
)
