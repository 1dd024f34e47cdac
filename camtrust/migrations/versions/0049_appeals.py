"""Appeals against refusals

Revision: 0049, after 0048.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_appeals",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("lodged_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(60), nullable=True),
    )
    op.create_index(op.f("ix_ekyc_appeals_state"), "ekyc_appeals", ["state"], unique=False)


def downgrade() -> None:
    op.drop_table("ekyc_appeals")
