"""Whose turn a case is, sealed tests of officers, and until when a review is promised

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ekyc_enrolments", sa.Column("review_due_at", UtcDateTime(), nullable=True))
    op.create_table(
        "ekyc_review_seats",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("seat", sa.Integer(), nullable=False),
        sa.Column("officer_id", sa.String(64), nullable=False),
        sa.Column("assigned_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "seat"),
    )
    op.create_index("ix_ekyc_review_seats_officer_id", "ekyc_review_seats", ["officer_id"])
    op.create_table(
        "ekyc_review_tests",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), primary_key=True),
        sa.Column("expected", sa.LargeBinary(), nullable=False),
        sa.Column("seeded_by", sa.String(200), nullable=False),
        sa.Column("officer_id", sa.String(64), nullable=True),
        sa.Column("right", sa.Boolean(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("ekyc_review_tests")
    op.drop_index("ix_ekyc_review_seats_officer_id", "ekyc_review_seats")
    op.drop_table("ekyc_review_seats")
    with op.batch_alter_table("ekyc_enrolments") as table:
        table.drop_column("review_due_at")
