"""Who may be one person under two documents: an index over name and birth

Revision: 0022, after 0021.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ekyc_enrolments", sa.Column("namesake_index", sa.LargeBinary(32), nullable=True))
    op.create_index(op.f("ix_ekyc_enrolments_namesake_index"), "ekyc_enrolments", ["namesake_index"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ekyc_enrolments_namesake_index"), "ekyc_enrolments")
    op.drop_column("ekyc_enrolments", "namesake_index")
