"""Corrections of name and birth

Revision: 0048, after 0047.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_corrections",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("first_by", sa.String(200), nullable=True),
        sa.Column("first_reason", sa.String(60), nullable=True),
        sa.Column("first_method", sa.String(20), nullable=True),
        sa.Column("first_seen", sa.String(64), nullable=True),
        sa.Column("first_signature", sa.Text(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
    )
    for column in ("enrolment_id", "state"):
        op.create_index(op.f(f"ix_ekyc_corrections_{column}"), "ekyc_corrections", [column], unique=False)


def downgrade() -> None:
    op.drop_table("ekyc_corrections")
