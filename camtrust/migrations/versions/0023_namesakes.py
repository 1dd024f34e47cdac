"""Who may be one person under two documents: an index over name and birth

Revision: 0023, after 0022.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ekyc_enrolments", sa.Column("namesake_index", sa.LargeBinary(32), nullable=True))
    op.create_index(op.f("ix_ekyc_enrolments_namesake_index"), "ekyc_enrolments", ["namesake_index"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ekyc_enrolments_namesake_index"), "ekyc_enrolments")
    op.drop_column("ekyc_enrolments", "namesake_index")
