"""A time in which new factors do not sign

Revision: 0029, after 0028.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ekyc_cool_offs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("enrolment_id", sa.String(40), sa.ForeignKey("ekyc_enrolments.id"), nullable=False),
        sa.Column("person_id", sa.String(40), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("stop_index", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("stopped_at", UtcDateTime(), nullable=True),
    )
    op.create_index(op.f("ix_ekyc_cool_offs_person_id"), "ekyc_cool_offs", ["person_id"])


def downgrade() -> None:
    op.drop_table("ekyc_cool_offs")
