"""Recalls of evidence

Revision: 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_recalls",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_by", sa.String(200), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
    )
    op.create_table(
        "ekyc_recall_items",
        sa.Column("recall_id", sa.String(40), sa.ForeignKey("ekyc_recalls.id"), nullable=False),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("moved_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("recall_id", "enrolment_id"),
    )


def downgrade() -> None:
    op.drop_table("ekyc_recall_items")
    op.drop_table("ekyc_recalls")
