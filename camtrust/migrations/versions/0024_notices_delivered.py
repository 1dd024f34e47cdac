"""How far each notice of the outbox is

Revision: 0024, after 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from foundation.db.types import UtcDateTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("ekyc_outbox") as table:
        table.add_column(sa.Column("message_id", sa.String(40), nullable=True))
        table.add_column(sa.Column("standing", sa.String(12), nullable=False, server_default="kept"))
        table.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("next_at", UtcDateTime(), nullable=True))
        table.add_column(sa.Column("expires_at", UtcDateTime(), nullable=True))
        table.add_column(sa.Column("ended_at", UtcDateTime(), nullable=True))
    op.create_index("ix_ekyc_outbox_waiting", "ekyc_outbox", ["standing", "next_at"])


def downgrade() -> None:
    op.drop_index("ix_ekyc_outbox_waiting", table_name="ekyc_outbox")
    with op.batch_alter_table("ekyc_outbox") as table:
        for name in ("ended_at", "expires_at", "next_at", "tries", "standing", "message_id"):
            table.drop_column(name)
