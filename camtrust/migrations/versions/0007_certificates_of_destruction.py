"""The token's certificates of destruction, kept with the enrolments that were erased

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ekyc_enrolments", sa.Column("destruction", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("ekyc_enrolments") as table:
        table.drop_column("destruction")
