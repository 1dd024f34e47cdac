"""Tables of enrolment credentials."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, MetaData, String, Table, Text

from foundation.db.types import UtcDateTime

metadata = MetaData()

credentials = Table(
    "enrol_credentials",
    metadata,
    Column("reference", String(40), primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # sealed in the vault
    Column("authority", String(40), nullable=False, server_default="issuing"),
    Column("profile", String(60), nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("dns_names", Text, nullable=False),  # JSON
    Column("owner", String(200), nullable=False, index=True),
    Column("created_by", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),
)

requests = Table(
    "enrol_requests",
    metadata,
    Column("request", String(40), primary_key=True),  # of the registration authority
    Column("reference", String(40), nullable=False, index=True),
    Column("evidence", String(64), nullable=False),  # the first certificate, or which one is renewed
    Column("key", String(64), nullable=False),  # SHA-256 of the SubjectPublicKeyInfo
    Column("at", UtcDateTime, nullable=False),
)

certificates = Table(
    "enrol_certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("reference", String(40), nullable=False, index=True),
)
