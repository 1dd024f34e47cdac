"""The next key of the root

Revision: 0052, after 0051.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ca_root_updates",
        sa.Column("old_root", sa.String(64), primary_key=True),
        sa.Column("new_with_new", sa.LargeBinary(), nullable=False),
        sa.Column("new_with_old", sa.LargeBinary(), nullable=False),
        sa.Column("old_with_new", sa.LargeBinary(), nullable=False),
        sa.Column("installed_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ca_root_updates")
