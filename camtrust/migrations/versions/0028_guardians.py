"""Guardians of minors

Revision: 0028, after 0027.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_guardian_invitations",
        sa.Column("index", sa.LargeBinary(32), primary_key=True),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
    )
    op.create_index(
        op.f("ix_ekyc_guardian_invitations_enrolment_id"), "ekyc_guardian_invitations", ["enrolment_id"], unique=False
    )
    op.create_table(
        "ekyc_guardianships",
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("guardian_id", sa.String(40), nullable=False),
        sa.Column("relation", sa.String(20), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("enrolment_id", "guardian_id"),
    )
    op.create_index(op.f("ix_ekyc_guardianships_guardian_id"), "ekyc_guardianships", ["guardian_id"], unique=False)


def downgrade() -> None:
    op.drop_table("ekyc_guardianships")
    op.drop_table("ekyc_guardian_invitations")
