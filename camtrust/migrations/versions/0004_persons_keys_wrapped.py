"""Persons' keys, wrapped, beside their credentials

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_wrapped_keys",
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index(op.f("ix_signing_wrapped_keys_owner"), "signing_wrapped_keys", ["owner"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_signing_wrapped_keys_owner"), table_name="signing_wrapped_keys")
    op.drop_table("signing_wrapped_keys")
