"""What agencies' clients may seal, and how many they made

Revision: 0020, after 0019.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_seal_policies",
        sa.Column("client_id", sa.String(200), primary_key=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "signing_seal_uses",
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "day"),
    )


def downgrade() -> None:
    op.drop_table("signing_seal_uses")
    op.drop_table("signing_seal_policies")
