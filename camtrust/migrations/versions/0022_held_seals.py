"""Seals that wait for somebody else to release them

Revision: 0022, after 0021.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_held_seals",
        sa.Column("held_id", sa.String(64), primary_key=True),
        sa.Column("client", sa.String(200), nullable=False),
        sa.Column("credential_id", sa.String(64), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("password", sa.LargeBinary()),
        sa.Column("field", sa.LargeBinary()),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("form", sa.String(30), nullable=False),
        sa.Column("level", sa.String(10), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided_at", UtcDateTime()),
        sa.Column("reason", sa.String(20)),
        sa.Column("problem", sa.String(100)),
    )
    for column in ("client", "state", "expires"):
        op.create_index(f"ix_signing_held_seals_{column}", "signing_held_seals", [column])


def downgrade() -> None:
    op.drop_table("signing_held_seals")
