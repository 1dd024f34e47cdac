"""Clients ask persons to sign

Revision: 0025, after 0024.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_requests",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("request_id", sa.String(64), nullable=False, unique=True),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("level", sa.String(10)),
        sa.Column("passkey_only", sa.Boolean(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime()),
        sqlite_autoincrement=True,
    )
    for column in ("person", "client_id", "state"):
        op.create_index(f"ix_signing_requests_{column}", "signing_requests", [column])
    op.create_table(
        "signing_request_documents",
        sa.Column("document_id", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
    )
    op.create_index("ix_signing_request_documents_request_id", "signing_request_documents", ["request_id"])
    op.create_table(
        "signing_request_blocks",
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("person", "client_id"),
    )
    op.create_table(
        "signing_request_counts",
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person", "client_id", "day"),
    )
    op.create_table(
        "signing_request_stops",
        sa.Column("client_id", sa.String(200), primary_key=True),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.Column("stopped_by", sa.String(200), nullable=False),
        sa.Column("released_at", UtcDateTime()),
    )


def downgrade() -> None:
    for table in ("stops", "counts", "blocks", "documents"):
        op.drop_table(f"signing_request_{table}")
    op.drop_table("signing_requests")
