"""Addresses of agencies' systems, and the messages to them

Revision: 0030, after 0029.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_webhooks",
        sa.Column("endpoint_id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_signing_webhooks_owner", "signing_webhooks", ["owner"])
    op.create_table(
        "signing_webhook_deliveries",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("delivery_id", sa.String(64), nullable=False, unique=True),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("tried_at", UtcDateTime()),
        sa.Column("answer", sa.Integer()),
        sa.Column("problem", sa.String(100)),
        sqlite_autoincrement=True,
    )
    for column in ("endpoint_id", "created_at"):
        op.create_index(f"ix_signing_webhook_deliveries_{column}", "signing_webhook_deliveries", [column])


def downgrade() -> None:
    op.drop_table("signing_webhook_deliveries")
    op.drop_table("signing_webhooks")
