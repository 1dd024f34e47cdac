"""How far pkilint has come, and what it found

Revision: 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ca_lint_position",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "ca_lint_findings",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("finding", sa.String(length=120), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("serial", "finding"),
    )


def downgrade() -> None:
    op.drop_table("ca_lint_findings")
    op.drop_table("ca_lint_position")
