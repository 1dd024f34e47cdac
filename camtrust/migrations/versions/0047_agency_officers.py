"""Which officer approved an organisation first, where two have to

Revision: 0047, after 0046.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("signing_agencies", sa.Column("first_officer", sa.String(200), nullable=True))
    op.add_column("signing_agencies", sa.Column("first_stage", sa.String(20), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("signing_agencies") as table:
        table.drop_column("first_officer")
        table.drop_column("first_stage")
